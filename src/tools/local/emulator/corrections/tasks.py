"""Step Functions: tasks that wait for an answer, their time-outs, and the arguments in their events."""

import json
import threading

from . import is_json


def correct(sfn):
    execute = sfn._execute_task
    given = {}  # the tokens of all tasks, each with its execution
    running = threading.local()

    class Tokens(type(sfn._task_tokens)):
        def __setitem__(self, token, task):
            given[token] = getattr(running, "execution", None)
            super().__setitem__(token, task)

    sfn._task_tokens = Tokens()

    def execute_task(state, raw_input, execution, context):
        """Runs a task whose time-out may be an expression."""
        if isinstance(state.get("TimeoutSeconds"), str):
            seconds = sfn._jsonata_state_field(state, "TimeoutSeconds", "number", raw_input, context)
            state = {**state, "TimeoutSeconds": seconds}
        running.execution = execution
        return execute(state, raw_input, execution, context)

    def kept(evaluate):
        """Keeps the arguments of the task that is scheduled next in this thread."""

        def evaluated(*values):
            running.arguments = evaluate(*values)
            return running.arguments

        return evaluated

    add_event = sfn._add_event

    def add_with_arguments(execution, kind, details):
        """AWS records what a task was called with, the token of a waiting one included."""
        if kind == "TaskScheduled" and hasattr(running, "arguments"):
            details["taskScheduledEventDetails"]["parameters"] = json.dumps(running.arguments)
        return add_event(execution, kind, details)

    def answering(call):
        """A task takes one answer while its execution runs: AWS separates used tokens from unknown ones."""

        def answer(data):
            token = data.get("taskToken")
            task = sfn._task_tokens.get(token)
            if token not in given:
                return sfn.error_response_json("InvalidToken", "Invalid Token: 'Invalid token'", 400)
            execution = given[token]
            ended = execution is not None and execution.get("status") != "RUNNING"
            if task is None or task["event"].is_set() or ended:
                gone = "Task Timed Out: 'Provided task does not exist anymore'"
                return sfn.error_response_json("TaskTimedOut", gone, 400)
            if "output" in data and not is_json(data["output"]):
                return sfn.error_response_json("InvalidOutput", "Invalid Output: expected JSON", 400)
            return call(data)

        return answer

    sfn._execute_task = execute_task
    sfn._apply_parameters = kept(sfn._apply_parameters)
    sfn._apply_jsonata_arguments = kept(sfn._apply_jsonata_arguments)
    sfn._add_event = add_with_arguments
    sfn._send_task_success = answering(sfn._send_task_success)
    sfn._send_task_failure = answering(sfn._send_task_failure)
    sfn._send_task_heartbeat = answering(sfn._send_task_heartbeat)
