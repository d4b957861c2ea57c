"""The emulator shared by the tests, each in an account of its own, and helpers for its resources."""

import atexit
import functools
import io
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import time
import unittest
import zipfile

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

START = pathlib.Path(__file__).resolve().parents[2] / "src/tools/local/emulator/start.py"
sys.path.insert(0, str(START.parent))  # for the few tests of a correction by itself
ROLE = "arn:aws:iam::000000000000:role/unused"
REGION = "eu-west-1"

# Records each event, then runs `handle(event)` of handler.py; keeps running when its runtime is gone.
# A `#!` line cannot name an interpreter in a folder with a space in its name.
BOOTSTRAP = f'''#!/bin/sh
exec "{sys.executable}" -B runtime.py
'''
RUNTIME = """
import json, os, time, urllib.request
from handler import handle
base = "http://" + os.environ["AWS_LAMBDA_RUNTIME_API"] + "/2018-06-01/runtime/invocation/"
def answer_one():
    with urllib.request.urlopen(base + "next") as request:
        event, id = json.load(request), request.headers["Lambda-Runtime-Aws-Request-Id"]
    if "CALLS" in os.environ:
        with open(os.environ["CALLS"], "a") as calls:
            calls.write(json.dumps({"pid": os.getpid(), "at": time.time(), "event": event}) + "\\n")
    try:
        answer, end = handle(event), "/response"
    except Exception as error:
        answer, end = {"errorType": "Broken", "errorMessage": str(error)}, "/error"
    body = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
    urllib.request.urlopen(base + id + end, body)
while True:
    try:
        answer_one()
    except OSError:
        time.sleep(3600)
"""
ECHO = """
import json, os
def handle(event):
    answer = {"event": event, "environment": dict(os.environ), "pid": os.getpid()}
    return {"statusCode": 200, "body": json.dumps(answer)}
"""


def package(handler):
    """The deployment package of a function that runs this Python."""
    code = io.BytesIO()
    with zipfile.ZipFile(code, "w") as archive:
        for name, text in [("bootstrap", BOOTSTRAP), ("runtime.py", RUNTIME), ("handler.py", handler)]:
            archive.writestr(zipfile.ZipInfo(name), text)
    return code.getvalue()


def until(condition, seconds=20):
    """Waits for a true value of the condition and returns it; fails the test after `seconds`."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        if time.monotonic() > deadline:
            raise AssertionError(f"expected it to come true within {seconds} s, it did not; last found: {found!r}")
        time.sleep(0.02)
    return found


class Emulator:
    """A running emulator, with clients for new accounts."""

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


@functools.cache
def shared():
    """The emulator of all tests that do not stop it."""
    state = tempfile.TemporaryDirectory()
    emulator = Emulator(state.name, ONLY_IN_THE_SHELL="1", RUST_LOG="debug")
    atexit.register(state.cleanup)
    atexit.register(emulator.close)
    return emulator


class Running(unittest.TestCase):
    """Tests against the shared emulator, each in an account of its own."""

    emulator = property(lambda self: shared())

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

    def queue(self, name="queue", **attributes):
        """The URL and the ARN of a new queue."""
        attributes = {key: value if isinstance(value, str) else json.dumps(value) for key, value in attributes.items()}
        url = self.queues.create_queue(QueueName=name, Attributes=attributes)["QueueUrl"]
        return url, self.queues.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]

    def counts(self, url):
        """The numbers of visible and in-flight messages of a queue."""
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        found = self.queues.get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"]
        return tuple(int(found[name]) for name in names)

    def function(self, handler, name="function", **more):
        """Creates a Lambda function with the Python `handle(event)`; returns a function that lists its calls so far."""
        state = tempfile.TemporaryDirectory()
        self.addCleanup(state.cleanup)
        calls = pathlib.Path(state.name, "calls")
        variables = {"CALLS": str(calls), **more.pop("Variables", {})}
        self.client("lambda").create_function(
            FunctionName=name,
            Runtime="provided.al2023",
            Handler="bootstrap",
            Role=ROLE,
            Code={"ZipFile": package(handler)},
            Environment={"Variables": variables},
            **more,
        )
        return lambda: [json.loads(line) for line in calls.read_text().splitlines()] if calls.exists() else []

    def function_url(self, name="function"):
        """The path at which the emulator serves a new URL of a function."""
        url = self.client("lambda").create_function_url_config(FunctionName=name, AuthType="NONE")["FunctionUrl"]
        return f"/_aws/lambda-url/{re.match('https://([^.]+)', url)[1]}/"

    def events_of(self, pattern):
        """Sends the events of a pattern to a queue; returns a function that waits for the next event."""
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
