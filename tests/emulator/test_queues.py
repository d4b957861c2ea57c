"""SQS alone: limits, receipt handles, and concurrent threads."""

import json
import threading
import time
import unittest

from botocore.exceptions import ClientError
from running import Running, until

LONGEST = 1_048_576
UNKNOWN = "00000000-0000-4000-8000-000000000000"


class Messages(Running):
    def receive(self, url, wait=10, **more):
        answer = self.queues.receive_message(
            QueueUrl=url, WaitTimeSeconds=wait, MessageSystemAttributeNames=["All"], **more
        )
        return answer.get("Messages", [])

    def send(self, url, text="hello", **more):
        return self.queues.send_message(QueueUrl=url, MessageBody=text, **more)

    def change(self, url, handle, seconds):
        self.queues.change_message_visibility(QueueUrl=url, ReceiptHandle=handle, VisibilityTimeout=seconds)

    def test_a_message_is_one_mebibyte_at_most(self):
        url, _ = self.queue()
        self.send(url, "x" * LONGEST)
        self.assertEqual(len(self.receive(url)[0]["Body"]), LONGEST)
        with self.assertRaisesRegex(ClientError, f"InvalidParameterValue.* shorter than {LONGEST} bytes"):
            self.send(url, "é" * (LONGEST // 2) + "x")

    def test_attributes_are_part_of_the_message(self):
        url, _ = self.queue()
        attributes = {"name": {"DataType": "String", "StringValue": "value"}}  # 4 + 6 + 5 bytes
        self.send(url, "x" * (LONGEST - 15), MessageAttributes=attributes)
        code = self.refused(self.send, url=url, text="x" * (LONGEST - 14), MessageAttributes=attributes)
        self.assertEqual(code, "InvalidParameterValue")
        entries = [{"Id": str(i), "MessageBody": "x" * (LONGEST // 2), "MessageAttributes": attributes} for i in range(2)]
        code = self.refused(self.queues.send_message_batch, QueueUrl=url, Entries=entries)
        self.assertEqual(code, "AWS.SimpleQueueService.BatchRequestTooLong")

    def test_characters_that_xml_forbids(self):
        url, _ = self.queue()
        for text in ["a\x00", "\x0b", "\x1f", "\ufffe", "\uffff"]:
            with self.subTest(text):
                self.assertEqual(self.refused(self.send, url=url, text=text), "InvalidMessageContents")
        self.send(url, "\t\n\r \x7f\ud7ff\ue000\ufffd\U0001f600")

    def test_a_missing_queue(self):
        url, _ = self.queue()
        with self.assertRaises(ClientError) as caught:
            self.send(url.replace("/queue", "/none"))
        answer = caught.exception.response
        self.assertEqual(answer["Error"]["Code"], "AWS.SimpleQueueService.NonExistentQueue")
        headers = answer["ResponseMetadata"]["HTTPHeaders"]
        self.assertEqual(headers["x-amzn-query-error"], "AWS.SimpleQueueService.NonExistentQueue;Sender")

    def test_visibility_has_limits(self):
        url, _ = self.queue()
        self.send(url)
        handle = self.receive(url)[0]["ReceiptHandle"]
        for seconds in (-1, 43_201):
            with self.subTest(seconds):
                code = self.refused(self.change, url=url, handle=handle, seconds=seconds)
                self.assertEqual(code, "InvalidParameterValue")
        self.change(url, handle, 43_200)
        self.assertEqual(self.counts(url), (0, 1))
        self.change(url, handle, 0)
        self.assertEqual(self.counts(url), (1, 0))

    def test_the_visibility_of_a_message_not_in_flight(self):
        url, _ = self.queue()
        self.send(url)
        handle = self.receive(url)[0]["ReceiptHandle"]
        self.change(url, handle, 0)
        for kind, old in [("visible", handle), ("unknown", UNKNOWN)]:
            with self.subTest(kind), self.assertRaisesRegex(ClientError, "InvalidParameterValue.* not exist or is not"):
                self.change(url, old, 1)
        self.assertEqual(self.refused(self.change, url=url, handle="nonsense", seconds=1), "ReceiptHandleIsInvalid")

    def test_deleting_again_changes_nothing(self):
        url, _ = self.queue()
        self.send(url)
        handle = self.receive(url)[0]["ReceiptHandle"]
        for _ in range(2):
            self.queues.delete_message(QueueUrl=url, ReceiptHandle=handle)
        entries = [{"Id": "gone", "ReceiptHandle": handle}, {"Id": "bad", "ReceiptHandle": "nonsense"}]
        answer = self.queues.delete_message_batch(QueueUrl=url, Entries=entries)
        self.assertEqual([entry["Id"] for entry in answer["Successful"]], ["gone"])
        self.assertEqual([(entry["Id"], entry["Code"]) for entry in answer["Failed"]], [("bad", "ReceiptHandleIsInvalid")])
        code = self.refused(self.queues.delete_message, QueueUrl=url, ReceiptHandle="nonsense")
        self.assertEqual(code, "ReceiptHandleIsInvalid")

    def test_attributes_of_a_receive(self):
        before = int(time.time() * 1000)
        url, _ = self.queue(VisibilityTimeout="0")
        self.send(url)
        first, second = (self.receive(url)[0]["Attributes"] for _ in range(2))
        self.assertEqual([at["ApproximateReceiveCount"] for at in (first, second)], ["1", "2"])
        self.assertLessEqual(before, int(first["SentTimestamp"]))
        self.assertLessEqual(int(first["SentTimestamp"]), int(first["ApproximateFirstReceiveTimestamp"]))
        for name in ("SentTimestamp", "ApproximateFirstReceiveTimestamp"):
            self.assertEqual(first[name], second[name])

    def test_a_message_moves_to_the_dead_letters_after_its_last_receive(self):
        dead, arn = self.queue("dead")
        url, _ = self.queue(VisibilityTimeout="0", RedrivePolicy={"deadLetterTargetArn": arn, "maxReceiveCount": 2})
        self.send(url)
        self.assertEqual([len(self.receive(url, wait=0)) for _ in range(3)], [1, 1, 0])
        self.assertEqual(self.receive(dead)[0]["Body"], "hello")

    def test_a_queue_can_delay_messages(self):
        url, _ = self.queue(DelaySeconds="1")
        self.send(url)
        self.assertEqual(self.receive(url, wait=0), [])
        self.assertEqual(len(self.receive(url)), 1)

    def test_concurrent_sends_and_deletes_lose_no_message(self):
        """Threads of EventBridge append to a queue while requests delete from it."""
        url, arn = self.queue()
        self.events.put_rule(Name="all", EventPattern='{"source":["here"]}')
        self.events.put_targets(Rule="all", Targets=[{"Id": "queue", "Arn": arn}])
        entries = [{"Source": "here", "DetailType": "Thing", "Detail": "{}"}] * 10
        client = self.client("events")
        sender = threading.Thread(target=lambda: [client.put_events(Entries=entries) for _ in range(50)])
        sender.start()
        seen = set()

        def take():
            messages = self.receive(url, wait=1, MaxNumberOfMessages=10)
            for message in messages:
                self.assertNotIn(message["MessageId"], seen)
                seen.add(message["MessageId"])
                self.queues.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
            return len(seen) == 500

        until(take, seconds=30)
        sender.join()
        self.assertEqual(self.counts(url), (0, 0))


class Meanwhile(list):
    """A list of messages that gets a late message after each iteration, as from another thread."""

    def __iter__(self):
        yield from super().__iter__()
        self.append({"id": f"late-{len(self)}", "receipt_handle": None, "visible_at": 0, "receive_count": 0})


class Appending(unittest.TestCase):
    """Appending without a lock while deleting. Runs in this process, because the timing is critical."""

    def test_no_message_is_lost(self):
        from corrections import queues
        from ministack.services import sqs

        queues.keep_messages_together(sqs)
        url = sqs._act_create_queue({"QueueName": "busy"}, "")["QueueUrl"]
        dead = sqs._act_create_queue({"QueueName": "dead"}, "")["QueueUrl"]
        target = {"deadLetterTargetArn": sqs._queues[dead]["attributes"]["QueueArn"], "maxReceiveCount": 1}
        queue = sqs._queues[url]
        queue["attributes"]["RedrivePolicy"] = json.dumps(target)
        handle = lambda number: UNKNOWN[:-1] + str(number)  # noqa: E731

        def message(number, **more):
            kind = {"id": str(number), "receipt_handle": handle(number), "visible_at": 2**40, "receive_count": 1}
            return {**kind, "sent_at": time.time(), **more}

        entry = {"Id": "b", "ReceiptHandle": handle(2)}
        for removing in [
            lambda: sqs._HANDLERS["DeleteMessage"]({"QueueUrl": url, "ReceiptHandle": handle(1)}, url),
            lambda: sqs._HANDLERS["DeleteMessageBatch"]({"QueueUrl": url, "Entries": [entry]}, url),
            lambda: sqs._delete_messages_for_esm(url, {handle(3)}),
            lambda: sqs._dlq_sweep(queue),
            lambda: sqs._expire_retained(queue),
        ]:
            gone = [message(1), message(2), message(3), message(4, visible_at=0), message(5, sent_at=0)]
            queue["messages"] = messages = Meanwhile(gone)
            removing()
            late = list.__len__(messages) - 4
            self.assertIs(queue["messages"], messages)
            kept = [one["id"] for one in list.__iter__(messages)]
            self.assertEqual(sum(id.startswith("late") for id in kept), late)
            self.assertGreater(late, 0)
