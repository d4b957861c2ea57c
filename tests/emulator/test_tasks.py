"""Step Functions: tasks that wait for an answer."""

import json

from running import Running, until


class Waiting(Running):
    def ask(self, **more):
        """Starts an execution that asks; returns its ARN and the token."""
        url, _ = self.queue(name="questions")
        task = {
            "Type": "Task",
            "Resource": "arn:aws:states:::sqs:sendMessage.waitForTaskToken",
            "Arguments": {"QueueUrl": url, "MessageBody": "{% $states.context.Task.Token %}"},
            "End": True,
        }
        machine = self.machine({"Ask": task | more}, QueryLanguage="JSONata")
        arn = self.start(machine, input='{"seconds": 1}')["executionArn"]
        return arn, self.queues.receive_message(QueueUrl=url, WaitTimeSeconds=10)["Messages"][0]["Body"]

    def ended(self, arn):
        description = until(lambda: (found := self.states.describe_execution(executionArn=arn))["status"] != "RUNNING" and found)
        return description["status"], description.get("error"), description.get("output")

    def yes(self, token):
        return self.refused(self.states.send_task_success, taskToken=token, output="true")

    def test_one_answer_ends_the_task_and_a_second_is_too_late(self):
        arn, token = self.ask()
        self.states.send_task_success(taskToken=token, output='"yes"')
        self.assertEqual(self.yes(token), "TaskTimedOut")  # at once
        self.assertEqual(self.ended(arn), ("SUCCEEDED", None, '"yes"'))
        self.assertEqual(self.yes(token), "TaskTimedOut")  # and later
        self.assertEqual(self.refused(self.states.send_task_failure, taskToken=token), "TaskTimedOut")
        self.assertEqual(self.refused(self.states.send_task_heartbeat, taskToken=token), "TaskTimedOut")

    def test_the_timeout_of_a_task_may_be_an_expression(self):
        arn, token = self.ask(TimeoutSeconds="{% $states.input.seconds %}")
        self.assertEqual(self.ended(arn)[:2], ("FAILED", "States.Timeout"))
        self.assertEqual(self.yes(token), "TaskTimedOut")

    def test_the_history_has_the_arguments_of_a_task_with_its_token(self):
        arn, token = self.ask()
        events = self.states.get_execution_history(executionArn=arn)["events"]
        scheduled = [event["taskScheduledEventDetails"] for event in events if event["type"] == "TaskScheduled"]
        self.assertEqual([json.loads(one["parameters"])["MessageBody"] for one in scheduled], [token])

    def test_an_unknown_token(self):
        self.assertEqual(self.yes("guessed"), "InvalidToken")
        self.assertEqual(self.refused(self.states.send_task_failure, taskToken="guessed"), "InvalidToken")

    def test_an_answer_with_invalid_json_changes_nothing(self):
        arn, token = self.ask()
        self.assertEqual(self.refused(self.states.send_task_success, taskToken=token, output="yes"), "InvalidOutput")
        self.states.send_task_failure(taskToken=token, error="Denied", cause="too dear")
        self.assertEqual(self.ended(arn)[:2], ("FAILED", "Denied"))
