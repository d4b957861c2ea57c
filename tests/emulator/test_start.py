"""The corrections that `src/local/emulator/start.py` makes to the local AWS emulator, and how it ends.

    python -m unittest tests/emulator/test_start.py

Runs in the virtual environment of `src/local/emulator/requirements.txt`, on Linux.
"""

import base64
import http.client
import io
import json
import os
import pathlib
import re
import select
import signal
import subprocess
import sys
import tempfile
import textwrap
import time
import unittest
import zipfile

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

START = pathlib.Path(__file__).resolve().parents[2] / "src/local/emulator/start.py"
ROLE = "arn:aws:iam::000000000000:role/unused"
REGION = "eu-west-1"

# A Lambda function in a few lines: answers with its event and its environment, and lingers when its runtime is gone.
# A `#!` line could not name an interpreter in a folder with a space in its name.
BOOTSTRAP = f"""#!/bin/sh
exec "{sys.executable}" -c '
import json, os, time, urllib.request
base = "http://" + os.environ["AWS_LAMBDA_RUNTIME_API"] + "/2018-06-01/runtime/invocation/"
def answer_one():
    with urllib.request.urlopen(base + "next") as request:
        event, id = json.load(request), request.headers["Lambda-Runtime-Aws-Request-Id"]
    answer = {{"event": event, "environment": dict(os.environ), "pid": os.getpid()}}
    urllib.request.urlopen(base + id + "/response", json.dumps({{"statusCode": 200, "body": json.dumps(answer)}}).encode())
while True:
    try:
        answer_one()
    except OSError:
        time.sleep(3600)
'
"""


class Emulator:
    """A running emulator, and clients for an account of its own in it."""

    accounts = iter(range(100_000_000_001, 200_000_000_000))

    def __init__(self, state, **environment):
        self.process = subprocess.Popen(
            [sys.executable, START, "--state", state],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=os.environ | environment,
        )
        self.port = json.loads(self.process.stdout.readline())["port"]

    def close(self):
        self.process.stdin.close()
        self.process.wait(5)
        self.process.stdout.close()

    def account(self):
        key = str(next(self.accounts))
        return lambda service: boto3.client(
            service,
            endpoint_url=f"http://127.0.0.1:{self.port}",
            region_name=REGION,
            aws_access_key_id=key,
            aws_secret_access_key="unused",
            config=Config(retries={"max_attempts": 0}, inject_host_prefix=False, parameter_validation=False),
        )


class Running(unittest.TestCase):
    """Tests against one emulator, each in an account of its own."""

    @classmethod
    def setUpClass(cls):
        cls.state = tempfile.TemporaryDirectory()
        cls.emulator = Emulator(cls.state.name, ONLY_IN_THE_SHELL="1", RUST_LOG="debug")

    @classmethod
    def tearDownClass(cls):
        cls.emulator.close()
        cls.state.cleanup()

    def setUp(self):
        self.client = self.emulator.account()
        self.states, self.events, self.queues = self.client("stepfunctions"), self.client("events"), self.client("sqs")

    def machine(self, states, kind="STANDARD", **more):
        definition = {"StartAt": next(iter(states)), "States": states, **more}
        answer = self.states.create_state_machine(
            name=f"machine-{kind}-{time.monotonic_ns()}", definition=json.dumps(definition), roleArn=ROLE, type=kind
        )
        return answer["stateMachineArn"]

    def start(self, machine, **more):
        return self.states.start_execution(stateMachineArn=machine, **more)

    def refused(self, call, **arguments):
        with self.assertRaises(ClientError) as caught:
            call(**arguments)
        return caught.exception.response["Error"]["Code"]

    def events_of(self, pattern):
        """A queue that gets the events of a pattern, as a function that waits for the next one."""
        url = self.queues.create_queue(QueueName="events")["QueueUrl"]
        arn = self.queues.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        self.events.put_rule(Name="all", EventPattern=json.dumps(pattern))
        self.events.put_targets(Rule="all", Targets=[{"Id": "queue", "Arn": arn}])

        def following(wait=10):
            messages = self.queues.receive_message(QueueUrl=url, WaitTimeSeconds=wait).get("Messages", [])
            for message in messages:
                self.queues.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
            return json.loads(messages[0]["Body"]) if messages else None

        return following


WAITING = {"Wait": {"Type": "Wait", "Seconds": 60, "End": True}}
PASSING = {"Pass": {"Type": "Pass", "End": True}}


class StartExecution(Running):
    def test_the_same_request_while_running_gets_the_same_answer(self):
        machine = self.machine(WAITING)
        first = self.start(machine, name="a", input='{"b":1}')
        again = self.start(machine, name="a", input='{"b":1}')
        self.assertEqual(
            (first["executionArn"], first["startDate"]),
            (again["executionArn"], again["startDate"]),
        )
        self.assertEqual(len(self.states.list_executions(stateMachineArn=machine)["executions"]), 1)

    def test_another_input_or_an_ended_execution_is_a_duplicate(self):
        machine = self.machine(WAITING)
        arn = self.start(machine, name="a", input='{"b":1}')["executionArn"]
        code = self.refused(self.start, machine=machine, name="a", input='{"b": 1}')
        self.assertEqual(code, "ExecutionAlreadyExists")
        self.states.stop_execution(executionArn=arn)
        code = self.refused(self.start, machine=machine, name="a", input='{"b":1}')
        self.assertEqual(code, "ExecutionAlreadyExists")

    def test_names_of_express_executions_may_be_used_again(self):
        machine = self.machine(PASSING, kind="EXPRESS")
        self.start(machine, name="a")
        self.start(machine, name="a")

    def test_names_that_aws_forbids(self):
        machine = self.machine(PASSING)
        for name in ["a b", "a/b", "a:b", "a\x00", "a\x85", "x" * 81, "a|b", "a\uffff"]:
            with self.subTest(name):
                self.assertEqual(self.refused(self.start, machine=machine, name=name), "InvalidName")
        self.start(machine, name="x" * 80)
        self.start(machine, name="ünïcode-(is)_fine.")

    def test_input_that_is_not_json(self):
        machine = self.machine(PASSING)
        for text in ["", "hello", "{", "NaN", '{"a":1} x']:
            with self.subTest(text):
                self.assertEqual(self.refused(self.start, machine=machine, input=text), "InvalidExecutionInput")
        self.start(machine, input='"a string"')

    def test_input_is_limited_in_bytes(self):
        machine = self.machine(PASSING)
        longest = json.dumps("é" * 131_071, ensure_ascii=False)
        self.assertEqual(len(longest.encode()), 262_144)
        self.start(machine, input=longest)
        code = self.refused(self.start, machine=machine, input=longest + " ")
        self.assertEqual(code, "ValidationException")


class EndOfExecutions(Running):
    KEYS = [
        "executionArn", "stateMachineArn", "name", "status", "startDate", "stopDate", "input", "output",
        "stateMachineVersionArn", "stateMachineAliasArn", "redriveCount", "redriveDate", "redriveStatus",
        "redriveStatusReason", "inputDetails", "outputDetails", "error", "cause",
    ]  # fmt: skip

    def ends(self):
        return self.events_of({"source": ["aws.states"], "detail": {"status": [{"anything-but": "RUNNING"}]}})

    def test_success(self):
        following = self.events_of({"source": ["aws.states"]})
        self.start(self.machine(PASSING), name="a", input='{"b":1}')
        running, succeeded = (following()["detail"] for _ in range(2))
        for detail in (running, succeeded):
            self.assertEqual(list(detail), self.KEYS)
            self.assertIsInstance(detail["startDate"], int)
            self.assertAlmostEqual(detail["startDate"] / 1000, time.time(), delta=60)
            self.assertEqual(detail["redriveStatusReason"], f"Execution is {detail['status']} and cannot be redriven")
        self.assertEqual((running["stopDate"], running["output"], running["outputDetails"]), (None, None, None))
        self.assertGreaterEqual(succeeded["stopDate"], succeeded["startDate"])
        self.assertEqual(json.loads(succeeded["output"]), {"b": 1})
        self.assertEqual(succeeded["outputDetails"], {"included": True})

    def test_failure(self):
        following = self.ends()
        states = {"Fail": {"Type": "Fail", "Error": "Broken", "Cause": "by design"}}
        arn = self.start(self.machine(states))["executionArn"]
        detail = following()["detail"]
        self.assertEqual(list(detail), self.KEYS)
        self.assertEqual((detail["status"], detail["error"], detail["cause"]), ("FAILED", "Broken", "by design"))
        self.assertEqual((detail["output"], detail["outputDetails"]), (None, None))
        self.assertEqual((detail["redriveStatus"], detail["redriveStatusReason"]), ("REDRIVABLE", None))
        description = self.states.describe_execution(executionArn=arn)
        self.assertEqual((description["error"], description["redriveStatus"]), ("Broken", "REDRIVABLE"))
        self.assertNotIn("output", description)

    def test_time_out(self):
        following = self.ends()
        arn = self.start(self.machine(WAITING, TimeoutSeconds=1))["executionArn"]
        detail = following()["detail"]
        self.assertEqual(detail["status"], "TIMED_OUT")
        self.assertEqual((detail["error"], detail["output"], detail["redriveStatus"]), (None, None, "REDRIVABLE"))
        self.assertAlmostEqual(detail["stopDate"] - detail["startDate"], 1000, delta=500)
        self.assertEqual(self.states.describe_execution(executionArn=arn)["status"], "TIMED_OUT")

    def test_an_execution_that_ends_in_time_does_not_time_out_later(self):
        following = self.ends()
        self.start(self.machine(PASSING, TimeoutSeconds=1))
        self.assertEqual(following()["detail"]["status"], "SUCCEEDED")
        self.assertIsNone(following(wait=2))

    def test_abort(self):
        following = self.ends()
        arn = self.start(self.machine(WAITING))["executionArn"]
        self.states.stop_execution(executionArn=arn, error="Stopped", cause="by hand")
        detail = following()["detail"]
        self.assertEqual((detail["status"], detail["error"], detail["cause"]), ("ABORTED", "Stopped", "by hand"))
        self.assertEqual(detail["redriveStatus"], "REDRIVABLE")

    def test_a_task_that_fails_after_the_end_changes_nothing(self):
        following = self.ends()
        url = self.queues.create_queue(QueueName="tokens")["QueueUrl"]
        arguments = {"QueueUrl": url, "MessageBody.$": "$$.Task.Token"}
        task = {"Type": "Task", "Resource": "arn:aws:states:::sqs:sendMessage.waitForTaskToken", "Parameters": arguments}
        arn = self.start(self.machine({"Ask": {**task, "End": True}}, TimeoutSeconds=1))["executionArn"]
        token = self.queues.receive_message(QueueUrl=url, WaitTimeSeconds=10)["Messages"][0]["Body"]
        self.assertEqual(following()["detail"]["status"], "TIMED_OUT")
        try:
            self.states.send_task_failure(taskToken=token, error="Late", cause="too late")
        except ClientError:
            pass  # the emulator may also have forgotten the token
        self.assertIsNone(following(wait=2))
        self.assertEqual(self.states.describe_execution(executionArn=arn)["status"], "TIMED_OUT")

    def test_express_executions_report_nothing(self):
        following = self.events_of({"source": ["aws.states"]})
        self.start(self.machine(PASSING, kind="EXPRESS"))
        self.start(self.machine(PASSING), name="standard")
        self.assertEqual({following()["detail"]["name"] for _ in range(2)}, {"standard"})
        self.assertIsNone(following(wait=1))

    def test_what_is_too_long_for_an_event_is_left_out(self):
        following = self.ends()
        machine = self.machine(PASSING)
        for length, included in [(100_000, (True, True)), (130_000, (False, True)), (255_000, (False, False))]:
            with self.subTest(length):
                self.start(machine, input=json.dumps("x" * length))
                detail = following()["detail"]
                self.assertEqual((detail["inputDetails"]["included"], detail["outputDetails"]["included"]), included)
                self.assertEqual((detail["input"] is not None, detail["output"] is not None), included)

    def test_the_version_and_alias_that_were_started(self):
        following = self.ends()
        machine = self.machine(PASSING)
        version = self.states.publish_state_machine_version(stateMachineArn=machine)["stateMachineVersionArn"]
        routing = [{"stateMachineVersionArn": version, "weight": 100}]
        alias = self.states.create_state_machine_alias(name="live", routingConfiguration=routing)["stateMachineAliasArn"]
        for started, expected in [(version, (version, None)), (alias, (version, alias))]:
            with self.subTest(started):
                self.start(started)
                detail = following()["detail"]
                self.assertEqual((detail["stateMachineVersionArn"], detail["stateMachineAliasArn"]), expected)
                self.assertEqual(detail["stateMachineArn"], machine)


class PutEvents(Running):
    GOOD = {"Source": "here", "DetailType": "Thing", "Detail": "{}"}

    def put(self, *entries):
        return self.events.put_events(Entries=list(entries))

    def test_malformed_entries_fail_in_their_places(self):
        following = self.events_of({"source": ["here"]})
        bad = [
            ({"DetailType": "Thing", "Detail": "{}"}, "InvalidArgument"),
            ({"Source": "here", "Detail": "{}"}, "InvalidArgument"),
            ({"Source": "here", "DetailType": "Thing"}, "InvalidArgument"),
            ({**self.GOOD, "DetailType": "x" * 129}, "InvalidArgument"),
            ({**self.GOOD, "Detail": "hello"}, "MalformedDetail"),
            ({**self.GOOD, "Detail": "[]"}, "MalformedDetail"),
            ({**self.GOOD, "Detail": '"text"'}, "MalformedDetail"),
            ({**self.GOOD, "Source": "aws.states"}, "NotAuthorizedForSourceException"),
        ]
        answer = self.put(*(entry for entry, _ in bad), self.GOOD)
        self.assertEqual(answer["FailedEntryCount"], len(bad))
        self.assertEqual([entry.get("ErrorCode") for entry in answer["Entries"]], [code for _, code in bad] + [None])
        self.assertEqual(following()["id"], answer["Entries"][-1]["EventId"])

    def test_a_request_has_one_to_ten_entries(self):
        for count in (0, 11):
            with self.subTest(count):
                self.assertEqual(self.refused(self.events.put_events, Entries=[self.GOOD] * count), "ValidationException")


class Functions(Running):
    def setUp(self):
        super().setUp()
        code = io.BytesIO()
        with zipfile.ZipFile(code, "w") as archive:
            archive.writestr(zipfile.ZipInfo("bootstrap"), BOOTSTRAP)
        functions = self.client("lambda")
        functions.create_function(
            FunctionName="echo",
            Runtime="provided.al2023",
            Handler="bootstrap",
            Role=ROLE,
            Code={"ZipFile": code.getvalue()},
            Environment={"Variables": {"OWN": "yes", "LOG_LEVEL": "mine"}},
            LoggingConfig={"LogFormat": "JSON", "ApplicationLogLevel": "WARN", "LogGroup": "its-log"},
        )
        url = functions.create_function_url_config(FunctionName="echo", AuthType="NONE")["FunctionUrl"]
        self.path = f"/_aws/lambda-url/{re.match('https://([^.]+)', url)[1]}/"

    def test_a_concurrency_from_a_parameter_is_a_number(self):
        template = {
            "Parameters": {"Concurrency": {"Type": "Number", "Default": 2}},
            "Resources": {
                "Queue": {"Type": "AWS::SQS::Queue"},
                "Mapping": {
                    "Type": "AWS::Lambda::EventSourceMapping",
                    "Properties": {
                        "EventSourceArn": {"Fn::GetAtt": ["Queue", "Arn"]},
                        "FunctionName": "echo",
                        "ScalingConfig": {"MaximumConcurrency": {"Ref": "Concurrency"}},
                    },
                },
            },
            "Outputs": {"Queue": {"Value": {"Ref": "Queue"}}},
        }
        stacks = self.client("cloudformation")
        stacks.create_stack(StackName="mapping", TemplateBody=json.dumps(template))
        stacks.get_waiter("stack_create_complete").wait(StackName="mapping", WaiterConfig={"Delay": 0.1})
        url = stacks.describe_stacks(StackName="mapping")["Stacks"][0]["Outputs"][0]["OutputValue"]
        self.queues.send_message(QueueUrl=url, MessageBody="hello")
        counts = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        left, deadline = True, time.monotonic() + 10
        while left and time.monotonic() < deadline:
            attributes = self.queues.get_queue_attributes(QueueUrl=url, AttributeNames=counts)["Attributes"]
            left = any(int(count) for count in attributes.values())
        self.assertFalse(left, "the function did not take the message")

    def post(self, body, *headers):
        connection = http.client.HTTPConnection("127.0.0.1", self.emulator.port)
        connection.putrequest("POST", self.path)
        for name, value in (*headers, ("Content-Length", str(len(body)))):
            connection.putheader(name, value)
        connection.endheaders(body)
        answer = json.load(connection.getresponse())
        connection.close()
        return answer

    def test_a_function_sees_its_own_environment_only(self):
        environment = self.post(b"{}")["environment"]
        self.assertEqual((environment["OWN"], environment["LOG_LEVEL"]), ("yes", "mine"))
        self.assertEqual(environment["AWS_ENDPOINT_URL"], f"http://127.0.0.1:{self.emulator.port}")
        self.assertEqual(environment["AWS_LAMBDA_LOG_FORMAT"], "JSON")
        self.assertEqual(environment["AWS_LAMBDA_LOG_LEVEL"], "WARN")
        self.assertEqual(environment["AWS_LAMBDA_LOG_GROUP_NAME"], "its-log")
        self.assertEqual(environment["RUST_LOG"], "debug")
        for name in ("ONLY_IN_THE_SHELL", "HOME", "GATEWAY_PORT", "TMPDIR"):
            self.assertNotIn(name, environment)

    def test_headers_are_lower_case_and_joined_with_a_comma(self):
        headers = [("X-Two", "a"), ("X-TWO", "b"), ("X-Spaced", "a, b")]
        received = self.post(b"{}", *headers)["event"]["headers"]
        self.assertEqual((received["x-two"], received["x-spaced"]), ("a,b", "a, b"))

    def test_the_body_arrives_as_it_was_sent(self):
        text, bytes_ = '{ "a":\t"\\u00e9é\u2028" }\n'.encode(), b"\x00\xff\xfe"
        for body, content_type, is_base64 in [
            (text, "application/json", False),
            (text, "text/plain; charset=utf-8", False),
            (text, "application/octet-stream", True),
            (text, None, True),
            (bytes_, "application/json", True),
        ]:
            with self.subTest(content_type=content_type, body=body):
                event = self.post(body, *([("Content-Type", content_type)] if content_type else []))["event"]
                self.assertEqual(event["isBase64Encoded"], is_base64)
                received = event["body"]
                self.assertEqual(base64.b64decode(received) if is_base64 else received.encode(), body)


class Process(unittest.TestCase):
    def setUp(self):
        state = tempfile.TemporaryDirectory()
        self.addCleanup(state.cleanup)
        self.state = state.name

    def function_in(self, emulator):
        """The process id of a function that the emulator has started."""
        functions = Functions()
        functions.emulator = emulator
        functions.setUp()
        return functions.post(b"{}")["pid"]

    def assert_ends(self, *handles):
        """Waits for all of the processes to end, then expects none of their files."""
        deadline = time.monotonic() + 30
        for handle in handles:
            ended, _, _ = select.select([handle], [], [], max(0, deadline - time.monotonic()))
            os.close(handle)
            self.assertTrue(ended, "a process still runs after half a minute")
        self.assertEqual(os.listdir(self.state), [])

    def test_it_ends_with_its_stdin(self):
        emulator = Emulator(self.state)
        self.addCleanup(emulator.close)
        handles = [os.pidfd_open(emulator.process.pid), os.pidfd_open(self.function_in(emulator))]
        self.assertNotEqual(os.listdir(self.state), [])
        emulator.process.stdin.close()
        self.assert_ends(*handles)

    def test_it_ends_on_signals(self):
        for number in (signal.SIGTERM, signal.SIGINT):
            with self.subTest(number):
                emulator = Emulator(self.state)
                self.addCleanup(emulator.close)
                handles = [os.pidfd_open(emulator.process.pid), os.pidfd_open(self.function_in(emulator))]
                emulator.process.send_signal(number)
                self.assert_ends(*handles)

    def test_it_ends_when_its_parent_is_killed(self):
        program = textwrap.dedent(
            """
            import subprocess, sys
            child = subprocess.Popen([sys.executable, *sys.argv[1:]], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
            print(child.stdout.readline().decode().strip(), flush=True)
            print(child.pid, flush=True)
            child.wait()
            """
        )
        command = [sys.executable, "-c", program, START, "--state", self.state]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as parent:
            try:
                emulator = Emulator.__new__(Emulator)
                emulator.port = json.loads(parent.stdout.readline())["port"]
                handles = [os.pidfd_open(int(parent.stdout.readline())), os.pidfd_open(self.function_in(emulator))]
            finally:
                parent.kill()
            self.assert_ends(*handles)

    def test_it_listens_on_the_loopback_address_only(self):
        emulator = Emulator(self.state)
        self.addCleanup(emulator.close)
        folder = f"/proc/{emulator.process.pid}/fd"
        opened = {os.readlink(f"{folder}/{name}") for name in os.listdir(folder)}
        listening = []
        for table in ("tcp", "tcp6"):
            for line in pathlib.Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
                _, local, _, state, *rest = line.split()
                if state == "0A" and f"socket:[{rest[5]}]" in opened:
                    listening.append(local)
        self.assertEqual(listening, [f"0100007F:{emulator.port:04X}"])

    def test_it_refuses_another_version(self):
        folder = pathlib.Path(self.state, "ministack-9.9.9.dist-info")
        folder.mkdir()
        (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: ministack\nVersion: 9.9.9\n")
        environment = os.environ | {"PYTHONPATH": self.state}
        command = [sys.executable, START]
        done = subprocess.run(command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True)
        self.assertEqual(done.returncode, 1)
        self.assertRegex(done.stderr, r"^expected ministack [0-9.]+, .* found 9\.9\.9: install requirements\.txt")


if __name__ == "__main__":
    unittest.main()
