"""DynamoDB: a condition and its write are one step, and so is a transaction, whatever thread asks."""

import functools
import threading

OPERATIONS = (
    "put_item", "get_item", "update_item", "delete_item",
    "batch_write_item", "transact_write_items", "transact_get_items",
)  # fmt: skip


def correct(dynamodb):
    # Requests come from one thread, and the tasks of workflows from one each.
    lock = threading.RLock()

    def locked(function):
        @functools.wraps(function)
        def call(*arguments):
            with lock:
                return function(*arguments)

        return call

    for operation in OPERATIONS:
        setattr(dynamodb, f"_{operation}", locked(getattr(dynamodb, f"_{operation}")))
