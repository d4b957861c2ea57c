"""Step Functions: refusals, ends of executions, and their events."""

import json
import re

from . import executions, is_json
from .executions import redriving

MAX_INPUT_BYTES = 262_144
MAX_EVENT_BYTES = 248 * 1024
# What AWS forbids in the name of an execution: white space, brackets, wildcards, special and control characters.
FORBIDDEN_IN_NAME = re.compile(
    r'[\s<>{}\[\]?*"#%\\^|~`$&,;:/\x00-\x1f\x7f-\x9f\ufffe\uffff\ud800-\udfff\U0010ffff]'
)


def correct(sfn, eventbridge):
    start, fail, describe = sfn._start_execution, sfn._fail_execution, sfn._describe_execution
    put_events, output_path = sfn._invoke_events_put_events, sfn._apply_output_path
    qualifiers = {}  # execution ARN -> the version and alias of its start

    def machine_of(execution):
        return sfn._state_machines.get(execution["stateMachineArn"]) or {}

    def start_execution(data):
        """Refuses as AWS does, and takes the same name and input of a running execution as the same request."""
        arn, text = data.get("stateMachineArn", ""), data.get("input", "{}")
        name = data.get("name") or sfn.new_uuid()
        if len(name) > 80 or FORBIDDEN_IN_NAME.search(name):
            return sfn.error_response_json("InvalidName", f"Invalid Name: '{name}'", 400)
        if len(text.encode()) > MAX_INPUT_BYTES:
            return sfn.error_response_json(
                "ValidationException",
                "1 validation error detected: Value at 'input' failed to satisfy constraint: "
                f"Member must have length less than or equal to {MAX_INPUT_BYTES}",
                400,
            )
        if not is_json(text):
            return sfn.error_response_json(
                "InvalidExecutionInput", "Invalid State Machine Execution Input: expected JSON", 400
            )
        machine = sfn._state_machines.get(sfn._resolve_state_machine_arn(arn) or "")
        if machine is None:
            return start(data)

        execution_arn = f"{machine['stateMachineArn'].replace(':stateMachine:', ':execution:')}:{name}"
        known = sfn._executions.get(execution_arn)
        if known and machine["type"] == "EXPRESS":
            sfn._executions.pop(execution_arn)  # names of EXPRESS executions may be used again at once
        elif known and known["status"] == "RUNNING" and known["input"] == text:
            return sfn.json_response({"executionArn": execution_arn, "startDate": known["startDate"]})
        elif not known:
            qualifiers[execution_arn] = (
                sfn._execution_version_arn(arn),
                arn if arn in sfn._state_machine_aliases else None,
            )
        return start({**data, "name": name})

    def fail_execution(execution, error, cause):
        # A task may fail after its execution was stopped or timed out; an execution ends once.
        if execution["status"] == "RUNNING":
            fail(execution, error, cause)

    def describe_execution(data):
        """Leaves out the output unless the execution succeeded, and adds AWS's further fields."""
        response = describe(data)
        execution = sfn._executions.get(data.get("executionArn"))
        if response[0] != 200 or execution is None:
            return response
        answer = json.loads(response[2])
        if execution["status"] != "SUCCEEDED":
            answer.pop("output"), answer.pop("outputDetails")
        version, alias = qualifiers.get(execution["executionArn"], (None, None))
        answer.update(redriving(execution), stateMachineVersionArn=version, stateMachineAliasArn=alias)
        return sfn.json_response({key: value for key, value in answer.items() if value is not None})

    def emit_status_event(execution):
        """A status change of a STANDARD execution, with all of AWS's keys, null without a value."""
        if machine_of(execution).get("type") == "EXPRESS":
            return
        status = execution["status"]
        version, alias = qualifiers.get(execution["executionArn"], (None, None))
        detail = {
            "executionArn": execution["executionArn"],
            "stateMachineArn": execution["stateMachineArn"],
            "name": execution["name"],
            "status": status,
            "startDate": sfn._iso_to_epoch_ms(execution["startDate"]),
            "stopDate": sfn._iso_to_epoch_ms(execution.get("stopDate")),
            "input": execution["input"],
            "output": execution["output"] if status == "SUCCEEDED" else None,
            "stateMachineVersionArn": version,
            "stateMachineAliasArn": alias,
            **redriving(execution, sfn._iso_to_epoch_ms),
            "inputDetails": {"included": True},
            "outputDetails": {"included": True} if status == "SUCCEEDED" else None,
            "error": execution.get("error"),
            "cause": execution.get("cause"),
        }
        # Drops the input if both are too long together, and the output, too, if it is too long alone.
        sizes = {key: len(json.dumps(detail[key] or "", ensure_ascii=False).encode()) for key in ("input", "output")}
        if sizes["input"] + sizes["output"] > MAX_EVENT_BYTES:
            detail.update(input=None, inputDetails={"included": False})
        if sizes["output"] > MAX_EVENT_BYTES:
            detail.update(output=None, outputDetails={"included": False})
        entry = {
            "Source": "aws.states",
            "DetailType": "Step Functions Execution Status Change",
            "Detail": json.dumps(detail),
            "Resources": [execution["executionArn"]],
        }
        eventbridge._put_events({"Entries": [entry]}, allow_aws_source=True)

    def put_events_task(resource, arguments):
        """The task `events:putEvents`: a Detail may be an object, and a failed entry fails the task."""
        entries = [
            {**entry, "Detail": detail if isinstance(detail := entry.get("Detail"), str) else json.dumps(detail)}
            for entry in arguments.get("Entries", [])
        ]
        result = put_events(resource, {**arguments, "Entries": entries})
        if result["FailedEntryCount"]:
            raise sfn._ExecutionError("EventBridge.FailedEntry", json.dumps(result))
        return result

    def apply_output_path(state, data, context=None):
        """A state's output; the emulator ignores the `Output` of a Succeed state."""
        if state.get("Type") == "Succeed" and sfn._state_query_language(state, context) == "JSONata":
            return sfn._apply_jsonata_output(state, data, context, default=data)
        return output_path(state, data, context)

    sfn._SERVICE_DISPATCH["arn:aws:states:::events:putEvents"] = put_events_task
    sfn._apply_output_path = apply_output_path
    sfn._start_execution, sfn._describe_execution = start_execution, describe_execution
    sfn._fail_execution = fail_execution
    sfn._emit_execution_status_event = emit_status_event
    executions.correct(sfn, qualifiers)
