"""CloudWatch Logs: lines of functions, and filters."""

import json
import os
import queue
import threading
import time
import types
import unittest

import running

WRITES = """
import sys
def handle(event):
    for line in event["lines"]:
        print(line, flush=True)
    return {}
"""


class Logs(running.Running):
    def setUp(self):
        super().setUp()
        self.logs = self.client("logs")
        self.logs.create_log_group(logGroupName="group")
        self.function(WRITES, LoggingConfig={"LogGroup": "group"})

    def write(self, *lines):
        self.client("lambda").invoke(FunctionName="function", Payload=json.dumps({"lines": lines}))

    def found(self, pattern, **more):
        return self.logs.filter_log_events(logGroupName="group", filterPattern=pattern, **more)

    def messages(self, pattern):
        return [event["message"] for event in self.found(pattern)["events"]]

    def test_each_line_of_a_function_is_an_event_of_its_log_group(self):
        lines = ['{"a.b":"0123456789abcdef","n":7,}', "x" * 100_000 + "end", '{"a.b":"other","n":70,}']
        self.write(*lines)
        running.until(lambda: self.messages("%end$%") == [lines[1]])
        self.assertEqual(self.messages("%0123456789abcdef%"), [lines[0]])
        self.assertEqual(self.messages("%.n.:7%"), [lines[0], lines[2]])
        self.assertEqual(self.messages("%^nothing%"), [])

    def test_results_come_in_pages(self):
        self.write(*[f"line {n}" for n in range(5)])
        running.until(lambda: len(self.messages("%line%")) == 5)
        seen, token = [], {}
        while True:
            page = self.found("%line%", limit=2, **token)
            seen += [event["message"] for event in page["events"]]
            if "nextToken" not in page:
                break
            token = {"nextToken": page["nextToken"]}
        self.assertEqual(seen, [f"line {n}" for n in range(5)])

    def test_times_limit_the_results_and_other_characters_are_refused(self):
        self.write("line")
        running.until(lambda: self.messages("%line%"))
        event = self.found("%line%")["events"][0]
        self.assertEqual(self.found("%line%", startTime=event["timestamp"] + 1)["events"], [])
        self.assertEqual(self.found("%line%", endTime=event["timestamp"] - 1)["events"], [])
        self.assertEqual(self.refused(self.found, pattern='%"line"%'), "InvalidParameterException")


class Drain(unittest.TestCase):
    """Runs in this process, because the timing is critical."""

    def test_the_drain_waits_for_lines_in_the_pipe(self):
        from corrections import logs
        from ministack.core.lambda_runtime import ProvidedWorker

        class Worker(ProvidedWorker):
            def __init__(self, stdout):
                self._proc, self._stderr_queue = types.SimpleNamespace(stdout=stdout), queue.Queue()

        logs.logs_of_invocation(Worker)
        reader, writer = os.pipe()
        os.write(writer, b"line\n")
        os.close(writer)
        with os.fdopen(reader, "rb") as stdout:
            worker = Worker(stdout)

            def pump():
                time.sleep(0.3)  # longer than a drain waits for a first line
                ProvidedWorker._pump_output(worker, stdout, worker._stderr_queue)

            thread = threading.Thread(target=pump)
            thread.start()
            self.assertEqual(worker._drain_stderr_bounded(), "line")
            thread.join()
        # No wait for an ended process.
        worker._proc = None
        self.assertEqual(worker._drain_stderr_bounded(), "")
