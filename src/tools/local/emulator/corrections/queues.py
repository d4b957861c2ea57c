"""SQS: thread safety, so that no message is lost or delivered twice; limits and receipt handles; Lambda's polling."""

import functools
import inspect
import json
import re
import threading
import time

MAX_VISIBILITY_SECONDS = 43_200
MAX_BATCH_BYTES = 1_048_576
HANDLE = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def correct(sqs, functions):
    keep_messages_together(sqs)
    correct_limits(sqs)
    correct_event_source(sqs, functions)


def keep_messages_together(sqs):
    """Lets one thread at a time use the messages, so that none loses another one's additions.

    Requests, events and the pollers of functions run in different threads. Some of them only append to a queue's list,
    without a lock, so the list must not be replaced.
    """
    lock = sqs._queues_lock = threading.RLock()

    def locked(function):
        @functools.wraps(function)
        def call(*arguments):
            with lock:
                return function(*arguments)

        return call

    def taking_out(function):
        """Gives the function a copy of the queue for its new list, and removes the missing messages from the old list."""

        def call(queue):
            with lock:
                messages, copy = queue["messages"], {**queue}
                before = list(messages)
                function(copy)
                if copy["messages"] is not messages:
                    kept = {id(message) for message in copy["messages"]}
                    take_out(messages, lambda message: id(message) not in kept, before)

        return call

    def delete_message(data, url):
        """Succeeds for the handle of a message that is gone, as AWS does."""
        queue = sqs._get_q(data.get("QueueUrl", url), "sqs:DeleteMessage")
        handle = handle_of(sqs, data)
        take_out(queue["messages"], lambda message: message.get("receipt_handle") == handle)
        return {}

    def delete_message_batch(data, url):
        sqs._validate_batch_entries(data.get("Entries", []), "DeleteMessageBatchRequestEntry")
        return each_entry(sqs, data, url, delete_message)

    def delete_for_mapping(url, handles):
        with lock:
            take_out(sqs._get_q(url)["messages"], lambda message: message.get("receipt_handle") in handles)

    sqs._act_delete_message, sqs._act_delete_message_batch = delete_message, delete_message_batch
    sqs._HANDLERS.update(DeleteMessage=delete_message, DeleteMessageBatch=delete_message_batch)
    sqs._delete_messages_for_esm = delete_for_mapping
    sqs._expire_retained, sqs._dlq_sweep = taking_out(sqs._expire_retained), taking_out(sqs._dlq_sweep)
    sqs._collect_msgs = locked(sqs._collect_msgs)
    sqs._act_send_message = locked(sqs._act_send_message)
    for action, function in sqs._HANDLERS.items():
        if not inspect.iscoroutinefunction(function):
            sqs._HANDLERS[action] = locked(function)


def take_out(messages, chosen, candidates=None):
    for message in [message for message in (candidates or messages) if chosen(message)]:
        messages.remove(message)


def handle_of(sqs, data):
    handle = data.get("ReceiptHandle")
    if not handle:
        raise sqs._Err("MissingParameter", "The request must contain the parameter ReceiptHandle.")
    if not HANDLE.fullmatch(handle):
        raise sqs._Err("ReceiptHandleIsInvalid", f'The input receipt handle "{handle}" is not a valid receipt handle.')
    return handle


def each_entry(sqs, data, url, action):
    """Answers a batch request by the action on each entry."""
    done, failed = [], []
    for entry in data["Entries"]:
        try:
            action({**entry, "QueueUrl": data.get("QueueUrl", url)}, url)
            done.append({"Id": entry["Id"]})
        except sqs._Err as error:
            failed.append({"Id": entry["Id"], "Code": error.code, "Message": error.message, "SenderFault": True})
    return {"Successful": done, "Failed": failed}


def correct_limits(sqs):
    send, send_batch, collect = sqs._act_send_message, sqs._HANDLERS["SendMessageBatch"], sqs._collect_msgs

    def send_message(data, url):
        """Counts attributes as part of the message."""
        attributes = data.get("MessageAttributes")
        if attributes and data.get("MessageBody"):
            queue = sqs._get_q(data.get("QueueUrl", url), "sqs:SendMessage")
            limit = int(queue["attributes"].get("MaximumMessageSize", MAX_BATCH_BYTES))
            if size(data) > limit:
                reason = f"One or more parameters are invalid. Reason: Message must be shorter than {limit} bytes."
                raise sqs._Err("InvalidParameterValue", reason)
        return send(data, url)

    def send_message_batch(data, url):
        total = sum(size(entry) for entry in data.get("Entries", []))
        if total > MAX_BATCH_BYTES:
            reason = f"Batch requests cannot be longer than {MAX_BATCH_BYTES} bytes. You have sent {total} bytes."
            raise sqs._Err("BatchRequestTooLong", reason)
        return send_batch(data, url)

    def collect_messages(queue, *rest):
        messages = collect(queue, *rest)
        for message in messages:
            message["received_at"] = time.time()
        return messages

    def change_visibility(data, url):
        """Accepts 0 to 43,200 s, at most that long since the receive, for a message in flight."""
        queue = sqs._get_q(data.get("QueueUrl", url), "sqs:ChangeMessageVisibility")
        handle, now = handle_of(sqs, data), time.time()
        if data.get("VisibilityTimeout") is None:
            raise sqs._Err("MissingParameter", "The request must contain the parameter VisibilityTimeout.")
        seconds = int(data["VisibilityTimeout"])
        if not 0 <= seconds <= MAX_VISIBILITY_SECONDS:
            raise sqs._Err(
                "InvalidParameterValue",
                f"Value {seconds} for parameter VisibilityTimeout is invalid. "
                f"Reason: Must be between 0 and {MAX_VISIBILITY_SECONDS}, if provided.",
            )
        message = next((m for m in queue["messages"] if m.get("receipt_handle") == handle and m["visible_at"] > now), None)
        if message is None:
            raise sqs._Err(
                "InvalidParameterValue",
                f"Value {handle} for parameter ReceiptHandle is invalid. "
                "Reason: Message does not exist or is not available for visibility timeout change.",
            )
        # A second of tolerance, because whole seconds cannot account for the time since the receive.
        if now + seconds > message["received_at"] + MAX_VISIBILITY_SECONDS + 1:
            raise sqs._Err(
                "InvalidParameterValue",
                f"Total VisibilityTimeout for the message is beyond the limit [{MAX_VISIBILITY_SECONDS} seconds]",
            )
        message["visible_at"] = now + seconds
        sqs.esm_wake.set()
        return {}

    def change_visibility_batch(data, url):
        sqs._validate_batch_entries(data.get("Entries", []), "ChangeMessageVisibilityBatchRequestEntry")
        return each_entry(sqs, data, url, change_visibility)

    sqs._act_send_message, sqs._collect_msgs = send_message, collect_messages
    corrected = {
        "SendMessage": send_message,
        "SendMessageBatch": send_message_batch,
        "ChangeMessageVisibility": change_visibility,
        "ChangeMessageVisibilityBatch": change_visibility_batch,
    }
    for action, function in corrected.items():
        sqs._HANDLERS[action] = with_lock(sqs, function)


def with_lock(sqs, function):
    def call(data, url):
        with sqs._queues_lock:
            return function(data, url)

    return call


def size(message):
    """Bytes of a message: its body, and the name, type and value of each attribute."""
    total = len((message.get("MessageBody") or "").encode())
    for name, value in (message.get("MessageAttributes") or {}).items():
        total += len(name.encode()) + sum(len(str(part).encode()) for part in value.values())
    return total


def correct_event_source(sqs, functions):
    def run_batch(mapping, function, event, batch, url, queue_name):
        """Deletes the messages that the function did not report as failed, and none after an invalid answer."""
        handles = {message["id"]: message["receipt_handle"] for message in batch}
        result = functions._execute_function(function, event)
        partial = "ReportBatchItemFailures" in (mapping.get("FunctionResponseTypes") or [])
        failed = None if result.get("error") else reported(result.get("body"), batch) if partial else set()
        if failed is None:
            mapping["LastProcessingResult"] = "FAILED"
            functions.logger.warning(
                "function %s failed with a batch of %d messages from %s:\n%s",
                mapping["FunctionName"], len(batch), queue_name, result.get("log", ""),
            )  # fmt: skip
            if not partial:  # then Lambda polls less; the messages stay invisible in either case
                functions._esm_backoff_until[mapping["UUID"]] = time.time() + functions._ESM_BACKOFF_SECONDS
            return
        mapping["LastProcessingResult"] = f"OK - {len(batch)} records, {len(failed)} partial failures"
        # The handles of this receive: a later receive of a message has its own.
        sqs._delete_messages_for_esm(url, {handle for id, handle in handles.items() if id not in failed})

    functions._run_sqs_batch = run_batch
    functions._esm_wake = SoonEnough(functions._esm_wake, sqs)


def reported(answer, batch):
    """The ids of the failed messages in a function's answer, or None if AWS takes the whole batch as failed."""
    if isinstance(answer, str):
        try:
            answer = json.loads(answer)
        except ValueError:
            return None
    if answer is None:
        return set()
    if not isinstance(answer, dict):
        return None
    failures = answer.get("batchItemFailures")
    if failures is None:
        return set()
    if not isinstance(failures, list):
        return None
    known = {message["id"] for message in batch}
    ids = {failure.get("itemIdentifier") if isinstance(failure, dict) else None for failure in failures}
    return ids if ids <= known else None


class SoonEnough:
    """The event that wakes the pollers, and does so when the next invisible message becomes visible, too."""

    def __init__(self, event, sqs):
        self.event, self.sqs = event, sqs
        self.set, self.clear, self.is_set = event.set, event.clear, event.is_set

    def wait(self, seconds):
        now = time.time()
        with self.sqs._queues_lock:
            times = [m.get("visible_at", 0) for q in list(self.sqs._queues._data.values()) for m in q["messages"]]
        soonest = min((at for at in times if at > now), default=now + seconds)
        # A little later than that, with a minimum, so that polling does not take a whole core.
        return self.event.wait(min(seconds, max(soonest - now, 0.01) + 0.005))
