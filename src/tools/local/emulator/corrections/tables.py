"""DynamoDB: a condition and its write are atomic, and so is a transaction, across threads."""

import functools
import threading

OPERATIONS = (
    "put_item", "get_item", "update_item", "delete_item",
    "batch_write_item", "transact_write_items", "transact_get_items",
)  # fmt: skip


def correct(dynamodb):
    # Requests come from one thread, and each task of a workflow from its own.
    lock = threading.RLock()

    def locked(function):
        @functools.wraps(function)
        def call(*arguments):
            with lock:
                return function(*arguments)

        return call

    for operation in OPERATIONS:
        setattr(dynamodb, f"_{operation}", locked(getattr(dynamodb, f"_{operation}")))
