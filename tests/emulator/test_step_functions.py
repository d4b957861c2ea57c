"""Step Functions."""

import json
import time

from botocore.exceptions import ClientError
from running import Running

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

    def test_names_of_express_executions_can_be_reused(self):
        machine = self.machine(PASSING, kind="EXPRESS")
        self.start(machine, name="a")
        self.start(machine, name="a")

    def test_forbidden_names(self):
        machine = self.machine(PASSING)
        for name in ["a b", "a/b", "a:b", "a\x00", "a\x85", "x" * 81, "a|b", "a\uffff"]:
            with self.subTest(name):
                self.assertEqual(self.refused(self.start, machine=machine, name=name), "InvalidName")
        self.start(machine, name="x" * 80)
        self.start(machine, name="ünïcode-(is)_fine.")

    def test_invalid_input(self):
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

    def test_success_has_the_output_of_its_last_state(self):
        following = self.ends()
        inner = {"StartAt": "One", "States": {"One": {"Type": "Succeed", "Output": "{% $states.input & '!' %}"}}}
        states = {
            "Each": {"Type": "Map", "Items": ["a", "b"], "ItemProcessor": inner, "Next": "Done"},
            "Done": {"Type": "Succeed", "Output": {"all": "{% $states.input %}"}},
        }
        self.start(self.machine(states, QueryLanguage="JSONata"))
        self.assertEqual(json.loads(following()["detail"]["output"]), {"all": ["a!", "b!"]})

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

    def test_an_ended_execution_does_not_time_out_later(self):
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

    def test_a_task_failure_after_the_end_changes_nothing(self):
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

    def test_express_executions_emit_no_event(self):
        following = self.events_of({"source": ["aws.states"]})
        self.start(self.machine(PASSING, kind="EXPRESS"))
        self.start(self.machine(PASSING), name="standard")
        self.assertEqual({following()["detail"]["name"] for _ in range(2)}, {"standard"})
        self.assertIsNone(following(wait=1))

    def test_an_event_omits_a_too_long_input_or_output(self):
        following = self.ends()
        machine = self.machine(PASSING)
        for length, included in [(100_000, (True, True)), (130_000, (False, True)), (255_000, (False, False))]:
            with self.subTest(length):
                self.start(machine, input=json.dumps("x" * length))
                detail = following()["detail"]
                self.assertEqual((detail["inputDetails"]["included"], detail["outputDetails"]["included"]), included)
                self.assertEqual((detail["input"] is not None, detail["output"] is not None), included)

    def test_an_event_has_the_started_version_and_alias(self):
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
