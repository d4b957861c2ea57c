"""SQS as the event source of a Lambda function."""

import os
import signal
import threading
import time
import types

from running import Running, until

# A record's text is a command: `fail` reports the record, `hide N` first makes it invisible for N seconds;
# `throw`, `hang` and `die` end the whole invocation; `answer X` answers X; `meet N` waits for the Nth invocation.
COMMANDED = """
import json, os, signal, time, urllib.request
def hide(record, seconds):
    name = record["eventSourceARN"].split(":")[-1]
    url = f"{os.environ['AWS_ENDPOINT_URL']}/{os.environ['AWS_ACCESS_KEY_ID']}/{name}"
    body = {"QueueUrl": url, "ReceiptHandle": record["receiptHandle"], "VisibilityTimeout": int(seconds)}
    credential = f"{os.environ['AWS_ACCESS_KEY_ID']}/20260101/{os.environ['AWS_REGION']}/sqs/aws4_request"
    headers = {
        "X-Amz-Target": "AmazonSQS.ChangeMessageVisibility", "Content-Type": "application/x-amz-json-1.0",
        "Authorization": f"AWS4-HMAC-SHA256 Credential={credential}, SignedHeaders=host, Signature=0",
    }
    urllib.request.urlopen(urllib.request.Request(url, json.dumps(body).encode(), headers)).read()
def handle(event):
    failed = []
    for record in event["Records"]:
        word, _, rest = record["body"].partition(" ")
        if word == "throw":
            raise Exception("on demand")
        if word == "hang":
            time.sleep(float(rest))
        while word == "meet" and sum(1 for _ in open(os.environ["CALLS"])) < int(rest):
            time.sleep(0.01)
        if word == "die":
            os.kill(os.getpid(), signal.SIGKILL)
        if word == "answer":
            return rest.encode()
        if word == "hide":
            hide(record, rest)
        if word in ("fail", "hide"):
            failed.append({"itemIdentifier": record["messageId"]})
    return {"batchItemFailures": failed}
"""


class EventSource(Running):
    def feed(self, *texts, visibility="1", mapping={}, function={}, **attributes):
        """A queue with these messages, which a function receives as one batch."""
        self.calls = self.function(COMMANDED, **function)
        url, arn = self.queue(VisibilityTimeout=visibility, **attributes)
        entries = [{"Id": str(i), "MessageBody": text} for i, text in enumerate(texts)]
        if entries:
            self.queues.send_message_batch(QueueUrl=url, Entries=entries)
        functions = self.client("lambda")
        made = functions.create_event_source_mapping(
            FunctionName="function", EventSourceArn=arn, FunctionResponseTypes=["ReportBatchItemFailures"], **mapping
        )
        self.addCleanup(functions.delete_event_source_mapping, UUID=made["UUID"])
        return url

    def batches(self):
        """The texts of each batch so far, with the receive count of its first message."""
        records = [call["event"]["Records"] for call in self.calls()]
        return [([r["body"] for r in rs], int(rs[0]["attributes"]["ApproximateReceiveCount"])) for rs in records]

    def after(self, count):
        return until(lambda: len(self.calls()) >= count and self.batches()[:count])

    def assert_empty(self, url):
        until(lambda: self.counts(url) == (0, 0))

    def test_only_failed_records_are_retried(self):
        self.feed("fine", "fail", "fine")
        self.assertEqual(self.after(2), [(["fine", "fail", "fine"], 1), (["fail"], 2)])

    def test_attributes_of_a_record(self):
        self.feed("fail")
        self.after(2)
        first, second = (call["event"]["Records"][0]["attributes"] for call in self.calls()[:2])
        for name in ("SentTimestamp", "ApproximateFirstReceiveTimestamp"):
            self.assertRegex(first[name], r"^\d{13}$")
            self.assertEqual(first[name], second[name])

    def test_successful_answers(self):
        for text in ['{"batchItemFailures":[]}', '{"batchItemFailures":null}', "{}", "null"]:
            with self.subTest(text):
                self.setUp()
                url = self.feed("answer " + text, "fine", visibility="60")
                self.after(1)
                self.assert_empty(url)

    def test_answers_that_fail_the_whole_batch(self):
        wrong = [f'{{"batchItemFailures":[{entry}]}}' for entry in ('{"itemIdentifier":""}', '{"itemIdentifier":null}')]
        wrong += ['{"batchItemFailures":[{"id":"x"}]}', '{"batchItemFailures":[{"itemIdentifier":"x"}]}', "not json", "[]"]
        for text in wrong:
            with self.subTest(text):
                self.setUp()
                self.feed("answer " + text, "fine")
                self.assertEqual(self.after(2)[1], (["answer " + text, "fine"], 2))

    def test_a_failed_invocation_retries_the_whole_batch(self):
        for text in ("throw", "die", "hang 30"):
            with self.subTest(text):
                self.setUp()
                self.feed("fine", text, function={"Timeout": 1}, visibility="2")
                self.assertEqual(self.after(2)[1], (["fine", text], 2))

    def test_a_killed_process_is_replaced(self):
        self.feed("hang 3", visibility="4", function={"Timeout": 20})
        until(self.calls)
        os.kill(self.calls()[0]["pid"], signal.SIGKILL)
        self.assertEqual(self.after(2)[1], (["hang 3"], 2))
        first, second = (call["pid"] for call in self.calls()[:2])
        self.assertNotEqual(first, second)

    def test_the_function_sets_the_time_of_a_retry(self):
        self.feed("hide 3", "fail", visibility="1")
        batches = self.after(3)
        self.assertEqual(batches[:2], [(["hide 3", "fail"], 1), (["fail"], 2)])
        hidden = lambda: [call for call in self.calls() if call["event"]["Records"][0]["body"] == "hide 3"]  # noqa: E731
        first, again = until(lambda: len(hidden()) >= 2 and hidden()[:2])
        self.assertGreaterEqual(again["at"] - first["at"], 2.9)
        self.assertEqual(again["event"]["Records"][0]["attributes"]["ApproximateReceiveCount"], "2")

    def test_polling_waits_for_the_next_visible_message(self):
        """And no longer. Runs in this process, since only the wait is observable."""
        from corrections import queues

        now = time.time()
        messages = [{"visible_at": now + at} for at in (-5, 0.3, 60)]
        store = types.SimpleNamespace(_data={"key": {"messages": messages}})
        event = queues.SoonEnough(threading.Event(), types.SimpleNamespace(_queues=store, _queues_lock=threading.Lock()))
        self.assertFalse(event.wait(30))
        self.assertGreaterEqual(time.time(), now + 0.3)
        self.assertLess(time.time(), now + 15)

    def test_dead_letters_after_the_last_receive(self):
        dead, arn = self.queue("dead")
        url = self.feed("fail", RedrivePolicy={"deadLetterTargetArn": arn, "maxReceiveCount": 2})
        message = self.queues.receive_message(QueueUrl=dead, WaitTimeSeconds=10)["Messages"][0]
        self.assertEqual(message["Body"], "fail")
        self.assertEqual([count for _, count in self.batches()], [1, 2])
        self.assert_empty(url)

    def test_a_slow_function_delays_no_other_and_gets_no_message_twice(self):
        mapping = {"BatchSize": 1, "ScalingConfig": {"MaximumConcurrency": 2}}
        url = self.feed(mapping=mapping, function={"Timeout": 20}, visibility="60")
        texts = [f"meet {i}" for i in (2, 2, 3, 4)]
        for text in texts:
            self.queues.send_message(QueueUrl=url, MessageBody=text)
        self.assert_empty(url)
        self.assertEqual(sorted(texts for texts, _ in self.batches()), [[text] for text in texts])
        self.assertEqual(len({call["pid"] for call in self.calls()}), 2)
