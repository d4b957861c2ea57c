"""Lambda."""

import base64
import http.client
import json
import os
import select
import signal
import threading
import time

from running import ECHO, ROLE, Running, until


class Functions(Running):
    def setUp(self):
        super().setUp()
        self.function(
            ECHO,
            name="echo",
            Variables={"OWN": "yes", "LOG_LEVEL": "mine"},
            LoggingConfig={"LogFormat": "JSON", "ApplicationLogLevel": "WARN", "LogGroup": "its-log"},
        )
        self.path = self.function_url("echo")

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
        self.assertFalse(left, "expected the function to consume the message")

    def post(self, body, *headers):
        connection = http.client.HTTPConnection("127.0.0.1", self.emulator.port)
        connection.putrequest("POST", self.path)
        for name, value in (*headers, ("Content-Length", str(len(body)))):
            connection.putheader(name, value)
        connection.endheaders(body)
        answer = json.load(connection.getresponse())
        connection.close()
        return answer

    def test_a_function_has_only_its_own_environment(self):
        environment = self.post(b"{}")["environment"]
        self.assertEqual((environment["OWN"], environment["LOG_LEVEL"]), ("yes", "mine"))
        self.assertEqual(environment["AWS_ENDPOINT_URL"], f"http://127.0.0.1:{self.emulator.port}")
        self.assertEqual(environment["AWS_LAMBDA_LOG_FORMAT"], "JSON")
        self.assertEqual(environment["AWS_LAMBDA_LOG_LEVEL"], "WARN")
        self.assertEqual(environment["AWS_LAMBDA_LOG_GROUP_NAME"], "its-log")
        self.assertEqual(environment["RUST_LOG"], "debug")
        for name in ("ONLY_IN_THE_SHELL", "HOME", "GATEWAY_PORT", "TMPDIR"):
            self.assertNotIn(name, environment)

    def test_a_deployment_does_not_affect_other_accounts(self):
        def pid():
            return self.post(b"{}")["pid"]

        before = pid()
        stacks = self.emulator.account()("cloudformation")
        properties = {
            "FunctionName": "echo", "Runtime": "provided.al2023", "Handler": "bootstrap", "Role": ROLE,
            "Code": {"ZipFile": "unused"},
        }  # fmt: skip
        template = {"Resources": {"Echo": {"Type": "AWS::Lambda::Function", "Properties": properties}}}
        stacks.create_stack(StackName="other", TemplateBody=json.dumps(template))
        stacks.get_waiter("stack_create_complete").wait(StackName="other", WaiterConfig={"Delay": 0.1})
        self.assertEqual(pid(), before)

    def test_headers_are_lower_case_and_joined_with_a_comma(self):
        headers = [("X-Two", "a"), ("X-TWO", "b"), ("X-Spaced", "a, b")]
        received = self.post(b"{}", *headers)["event"]["headers"]
        self.assertEqual((received["x-two"], received["x-spaced"]), ("a,b", "a, b"))

    def test_the_body_arrives_unchanged(self):
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


class FunctionUrlOfAFailingFunction(Running):
    def post(self, path):
        connection = http.client.HTTPConnection("127.0.0.1", self.emulator.port, timeout=20)
        connection.request("POST", path, b"{}")
        answer = connection.getresponse()
        body = answer.read()
        connection.close()
        return answer.status, body

    def test_the_caller_gets_502_and_the_next_call_a_new_process(self):
        once = """
import os, signal, time
def handle(event):
    path = os.environ["CALLS"] + ".once"
    if os.path.exists(path):
        return {"statusCode": 200, "body": "fine"}
    open(path, "w").close()
    exec(os.environ["FIRST"])
"""
        for first in ("os.kill(os.getpid(), signal.SIGKILL)", "time.sleep(30)", "os._exit(0)", "raise Exception('on demand')"):
            with self.subTest(first):
                self.setUp()
                calls = self.function(once, Timeout=2, Variables={"FIRST": first})
                path = self.function_url()
                self.assertEqual(self.post(path), (502, b'{"Message":"Internal Server Error"}'))
                self.assertEqual(self.post(path), (200, b"fine"))
                same = calls()[0]["pid"] == calls()[1]["pid"]
                self.assertEqual(same, first.startswith("raise"))

    def test_a_process_killed_during_a_call(self):
        calls = self.function("import time\ndef handle(event):\n    time.sleep(15)", Timeout=20)
        path, answers = self.function_url(), []
        caller = threading.Thread(target=lambda: answers.append(self.post(path)))
        caller.start()
        until(calls)
        os.kill(calls()[0]["pid"], signal.SIGKILL)
        caller.join(5)
        self.assertEqual(answers, [(502, b'{"Message":"Internal Server Error"}')])

    def test_a_process_killed_while_idle(self):
        calls = self.function(ECHO)
        path = self.function_url()
        self.assertEqual(self.post(path)[0], 200)
        process = os.pidfd_open(calls()[0]["pid"])
        os.kill(calls()[0]["pid"], signal.SIGKILL)
        select.select([process], [], [])  # until it has ended
        os.close(process)
        self.assertEqual(self.post(path)[0], 200)
