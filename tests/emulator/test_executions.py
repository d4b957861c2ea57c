"""Step Functions: lists of executions, and redrives."""

import json
import time

from running import Running, until
from test_step_functions import PASSING, WAITING

FAILING = {"Fail": {"Type": "Fail", "Error": "Broken", "Cause": "by design"}}


class ListExecutions(Running):
    def listed(self, machine, **more):
        return self.states.list_executions(stateMachineArn=machine, **more)

    def test_pages_list_the_newest_start_first(self):
        machine = self.machine(WAITING)
        for i in range(5):
            self.start(machine, name=str(i))
            time.sleep(0.002)  # their starts must differ by a millisecond
        self.states.stop_execution(executionArn=self.listed(machine)["executions"][-1]["executionArn"])
        names, token = [], {}
        for size in (2, 2, 1):
            page = self.listed(machine, maxResults=2, **token)
            self.assertEqual(len(page["executions"]), size)
            names += [execution["name"] for execution in page["executions"]]
            token = {"nextToken": page.get("nextToken")}
        self.assertEqual((names, token["nextToken"]), (["4", "3", "2", "1", "0"], None))

    def test_pages_have_100_entries_and_1000_at_most(self):
        machine = self.machine(PASSING)
        for _ in range(101):
            self.start(machine)
        sizes = [len(self.listed(machine, **size)["executions"]) for size in ({}, {"maxResults": 0}, {"maxResults": 1000})]
        self.assertEqual(sizes, [100, 100, 101])
        self.assertEqual(self.refused(self.listed, machine=machine, maxResults=1001), "ValidationException")

    def test_fields_of_an_entry(self):
        machine = self.machine(WAITING)
        arn = self.start(machine, name="a")["executionArn"]
        running = self.listed(machine)["executions"][0]
        keys = {"executionArn", "stateMachineArn", "name", "status", "startDate", "redriveCount"}
        self.assertEqual(set(running), keys)
        self.states.stop_execution(executionArn=arn)
        ended = self.listed(machine, statusFilter="ABORTED")["executions"][0]
        self.assertEqual(set(ended), keys | {"stopDate"})
        self.assertEqual((ended["redriveCount"], ended["status"]), (0, "ABORTED"))
        self.assertEqual(self.listed(machine, statusFilter="RUNNING")["executions"], [])
        self.assertEqual(self.refused(self.listed, machine=machine, statusFilter="ENDED"), "ValidationException")

    def test_a_version_lists_its_own_executions(self):
        machine = self.machine(WAITING)
        version = self.states.publish_state_machine_version(stateMachineArn=machine)["stateMachineVersionArn"]
        self.start(machine, name="plain")
        self.start(version, name="versioned")
        (entry,) = self.listed(version)["executions"]
        self.assertEqual((entry["name"], entry["stateMachineVersionArn"]), ("versioned", version))
        self.assertEqual(len(self.listed(machine)["executions"]), 2)

    def test_refused_requests(self):
        machine, express = self.machine(PASSING), self.machine(PASSING, kind="EXPRESS")
        self.assertEqual(self.refused(self.listed, machine=express), "StateMachineTypeNotSupported")
        self.assertEqual(self.refused(self.listed, machine=machine + "x"), "StateMachineDoesNotExist")
        self.assertEqual(self.refused(self.listed, machine=machine, nextToken="nonsense"), "InvalidToken")


class FailedExpression(Running):
    """A cause names the state, the field and the expression, as on AWS."""

    def failed(self, states):
        arn = self.start(self.machine(states, QueryLanguage="JSONata"))["executionArn"]
        ended = until(lambda: (e := self.states.describe_execution(executionArn=arn))["status"] != "RUNNING" and e)
        events = self.states.get_execution_history(executionArn=arn)["events"]
        details = [event["evaluationFailedEventDetails"] for event in events if event["type"] == "EvaluationFailed"]
        self.assertEqual((ended["error"], details[0]["cause"]), ("States.QueryEvaluationError", ended["cause"]))
        return ended["cause"], details[0]["state"], details[0]["location"]

    def test_of_a_state(self):
        reads = {"Type": "Pass", "Output": {"a": ["{% 'b' + 1 %}"]}, "End": True}
        cause, state, location = self.failed({"Begins": {"Type": "Pass", "Next": "Reads"}, "Reads": reads})
        self.assertEqual((state, location), ("Reads", "Output/a[0]"))
        sentence = "An error occurred while executing the state 'Reads' (entered at the event id #4). "
        sentence += "The JSONata expression ''b' + 1' specified for the field 'Output/a[0]' "
        sentence += "threw an error during evaluation. T2001"
        self.assertTrue(cause.startswith(sentence), cause)

    def test_in_a_branch(self):
        inner = {"Type": "Pass", "Assign": {"x": "{% $number('x') %}"}, "End": True}
        branches = [{"StartAt": "Inner", "States": {"Inner": inner}}]
        _, state, location = self.failed({"Both": {"Type": "Parallel", "Branches": branches, "End": True}})
        self.assertEqual((state, location), ("Inner", "Assign/x"))


class RedriveExecution(Running):
    def ended(self, arn, count=0):
        def look():
            execution = self.states.describe_execution(executionArn=arn)
            return execution["status"] != "RUNNING" and execution["redriveCount"] == count and execution

        return until(look)

    def redrive(self, arn, **more):
        return self.states.redrive_execution(executionArn=arn, **more)

    def history(self, arn):
        events = self.states.get_execution_history(executionArn=arn, maxResults=1000)["events"]
        return [event["stateEnteredEventDetails"]["name"] for event in events if "stateEnteredEventDetails" in event]

    def test_it_resumes_at_the_unsuccessful_step(self):
        """With the step's input and variables; earlier steps do not run again."""
        task = {
            "Type": "Task",
            "Resource": "arn:aws:states:::sqs:sendMessage",
            "Arguments": {"QueueUrl": "{% $queue %}", "MessageBody": "{% $states.input.text %}"},
            "Output": "{% $states.context.Execution.RedriveCount %}",
            "End": True,
        }
        url, _ = self.queue()
        first = {"Type": "Pass", "Assign": {"queue": url}, "Output": {"text": "hello"}, "Next": "Send"}
        machine = self.machine({"First": first, "Send": task}, QueryLanguage="JSONata")
        self.queues.delete_queue(QueueUrl=url)
        arn = self.start(machine)["executionArn"]
        self.assertEqual(self.ended(arn)["status"], "FAILED")
        self.queue()
        answer = self.redrive(arn)
        execution = self.ended(arn, count=1)
        self.assertEqual((execution["status"], execution["output"]), ("SUCCEEDED", "1"))
        self.assertEqual(execution["redriveDate"], answer["redriveDate"])
        self.assertEqual(self.queues.receive_message(QueueUrl=url)["Messages"][0]["Body"], "hello")
        self.assertEqual(self.history(arn), ["First", "Send", "Send"])
        (entry,) = self.states.list_executions(stateMachineArn=machine)["executions"]
        self.assertEqual((entry["redriveCount"], entry["redriveDate"]), (1, answer["redriveDate"]))

    def test_its_events(self):
        following = self.events_of({"source": ["aws.states"]})
        arn = self.start(self.machine(FAILING))["executionArn"]
        seen = [following()["detail"] for _ in range(2)]
        self.redrive(arn)
        seen += [following()["detail"] for _ in range(2)]
        found = [(detail["status"], detail["redriveCount"], detail["redriveDate"] is None) for detail in seen]
        expected = [("RUNNING", 0, True), ("FAILED", 0, True), ("RUNNING", 1, False), ("FAILED", 1, False)]
        self.assertEqual(found, expected)
        again = seen[2]
        self.assertEqual([again[key] for key in ("stopDate", "output", "error", "cause")], [None] * 4)
        self.assertGreaterEqual(seen[3]["stopDate"], again["redriveDate"])
        self.assertEqual({detail["startDate"] for detail in seen}, {again["startDate"]})

    def test_leftover_work_of_the_previous_run_changes_nothing(self):
        waiting = {"Wait": {"Type": "Wait", "Seconds": 2, "Next": "Pass"}, "Pass": {"Type": "Pass", "End": True}}
        arn = self.start(self.machine(waiting))["executionArn"]
        until(lambda: self.history(arn))
        self.states.stop_execution(executionArn=arn)
        time.sleep(1)
        self.redrive(arn)
        execution = self.ended(arn, count=1)
        self.assertEqual(execution["status"], "SUCCEEDED")
        self.assertGreaterEqual((execution["stopDate"] - execution["redriveDate"]).total_seconds(), 1.9)
        self.assertEqual(self.history(arn), ["Wait", "Wait", "Pass"])

    def test_its_timeout_restarts(self):
        arn = self.start(self.machine(WAITING, TimeoutSeconds=1))["executionArn"]
        for count in range(2):
            self.assertEqual(self.ended(arn, count)["status"], "TIMED_OUT")
            self.redrive(arn)

    def test_the_same_token_redrives_once(self):
        arn = self.start(self.machine(FAILING))["executionArn"]
        self.ended(arn)
        first = self.redrive(arn, clientToken="a")["redriveDate"]
        self.ended(arn, count=1)
        self.assertEqual(self.redrive(arn, clientToken="a")["redriveDate"], first)
        self.redrive(arn, clientToken="b")
        self.ended(arn, count=2)

    def test_refused_requests(self):
        arn = self.start(self.machine(WAITING))["executionArn"]
        self.assertEqual(self.refused(self.redrive, arn=arn), "ExecutionNotRedrivable")
        done = self.start(self.machine(PASSING))["executionArn"]
        self.ended(done)
        self.assertEqual(self.refused(self.redrive, arn=done), "ExecutionNotRedrivable")
        self.assertEqual(self.refused(self.redrive, arn=arn + "x"), "ExecutionDoesNotExist")
        self.assertEqual(self.refused(self.redrive, arn="nonsense"), "InvalidArn")
        express = self.start(self.machine(FAILING, kind="EXPRESS"))["executionArn"]
        self.assertEqual(self.refused(self.redrive, arn=express), "ExecutionDoesNotExist")
