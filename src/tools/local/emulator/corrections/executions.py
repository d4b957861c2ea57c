"""Step Functions: running, time-outs, listing and redrives of executions."""

import contextvars
import copy
import json
import re
import threading
import time

from . import expressions

DEFAULT_PAGE, LARGEST_PAGE = 100, 1000
STATUSES = ("RUNNING", "SUCCEEDED", "FAILED", "TIMED_OUT", "ABORTED", "PENDING_REDRIVE")
LISTED = ("executionArn", "stateMachineArn", "name", "status", "startDate", "stopDate")
UNSUCCESSFUL = ("FAILED", "TIMED_OUT", "ABORTED")
TOKEN_SECONDS = 15 * 60
EXECUTION = re.compile(r"arn:aws[a-z-]*:states:[a-z0-9-]+:\d{12}:execution:[^:]+:[^:]+")


def redriving(execution, stamp=lambda iso: iso):
    """The redrive fields of status events and DescribeExecution."""
    status = execution["status"]
    can = status in UNSUCCESSFUL
    date = execution.get("redriveDate")
    return {
        "redriveCount": execution.get("redriveCount", 0),
        "redriveDate": stamp(date) if date else None,
        "redriveStatus": "REDRIVABLE" if can else "NOT_REDRIVABLE",
        "redriveStatusReason": None if can else f"Execution is {status} and cannot be redriven",
    }


def correct(sfn, qualifiers):
    expressions.correct(sfn)
    handle, listed = sfn.handle_request, sfn._list_executions

    def run_execution(arn):
        """Runs an execution, after a redrive from its unsuccessful step, and ends it at its time-out."""
        execution = sfn._executions.get(arn)
        machine = execution and sfn._state_machines.get(execution["stateMachineArn"])
        if not machine:
            return execution and sfn._fail_execution(execution, "StateMachineDeleted", "State machine no longer exists")
        # A redrive keeps the definition of the execution's start.
        definition = execution.setdefault("definition", machine["definition"])
        definition = json.loads(definition)

        def time_out():
            if execution["status"] == "RUNNING":
                execution.update(status="TIMED_OUT", stopDate=sfn.now_iso())
                sfn._add_event(execution, "ExecutionTimedOut", {"executionTimedOutEventDetails": {}})
                sfn._emit_execution_status_event(execution)

        timer = None
        if definition.get("TimeoutSeconds"):
            # Account and region are in the context, which threads do not inherit.
            timer = threading.Timer(definition["TimeoutSeconds"], contextvars.copy_context().run, [time_out])
            timer.daemon = True
            timer.start()
        try:
            output = walk(execution, machine, definition)
            if execution["status"] == "RUNNING":
                execution.update(status="SUCCEEDED", output=json.dumps(output), stopDate=sfn.now_iso())
                details = {"executionSucceededEventDetails": {"output": execution["output"]}}
                sfn._add_event(execution, "ExecutionSucceeded", details)
                sfn._emit_execution_status_event(execution)
        except sfn._ExecutionError as error:
            sfn._fail_execution(execution, error.error, error.cause)
        except Exception as error:
            sfn.logger.exception("unexpected error in %s", arn)
            sfn._fail_execution(execution, "States.Runtime", str(error))
        finally:
            if timer:
                timer.cancel()

    def walk(execution, machine, definition):
        time.sleep(0.15)  # an execution is seen running before it ends
        whole = json.loads(execution["input"])
        # The beginning of the next step, noted at each one: a redrive begins there.
        name, current, variables = execution.get("step") or (definition["StartAt"], whole, {})
        context = {
            "QueryLanguage": definition.get("QueryLanguage", "JSONPath"),
            "Execution": {
                "Id": execution["executionArn"],
                "Input": whole,
                "Name": execution["name"],
                "StartTime": execution["startDate"],
                "RedriveCount": execution.get("redriveCount", 0),
            },
            "StateMachine": {"Id": execution["stateMachineArn"], "Name": machine["name"]},
            "variables": copy.deepcopy(variables),
        }
        if execution.get("redriveDate"):
            context["Execution"]["RedriveTime"] = execution["redriveDate"]
        while name and execution["status"] == "RUNNING":
            state = definition["States"].get(name)
            if not state:
                raise sfn._ExecutionError("States.Runtime", f"State '{name}' not found in definition")
            execution["step"] = (name, copy.deepcopy(current), copy.deepcopy(context["variables"]))
            current, name = step(execution, state, name, current, context)
        return current

    def run_sub_machine(states, start, data, execution, context):
        """Runs a branch of a Parallel state, or an iteration of a Map."""
        name, current = start, copy.deepcopy(data)
        while name and execution["status"] == "RUNNING":
            state = states.get(name)
            if not state:
                raise sfn._ExecutionError("States.Runtime", f"State '{name}' not found")
            current, name = step(execution, state, name, current, context)
        return current

    def step(execution, state, name, current, context):
        """Runs one state between its two events: its output, and the name of the next one."""
        context["State"] = {"Name": name, "EnteredTime": sfn.now_iso(), "RetryCount": 0}
        current, following = enter(execution, state, name, current, context)
        details = {"name": name, "output": json.dumps(current)}
        sfn._add_event(execution, f"{state['Type']}StateExited", {"stateExitedEventDetails": details})
        return current, following

    def enter(execution, state, name, current, context):
        """Runs one state: its output, and the name of the next one."""
        kind = state.get("Type")
        details = {"name": name, "input": json.dumps(current)}
        event = sfn._add_event(execution, f"{kind}StateEntered", {"stateEnteredEventDetails": details})
        try:
            return run(execution, state, kind, current, context)
        except sfn._ExecutionError as error:
            raise expressions.located(sfn, error, execution, state, name, event["id"]) from None

    def run(execution, state, kind, current, context):
        if kind == "Succeed":
            current = sfn._apply_input_path(state, current, context)
            return sfn._apply_output_path(state, current, context), None
        if kind == "Fail":
            raise sfn._ExecutionError(*sfn._fail_state_error(state, current, context))
        if kind in ("Pass", "Choice", "Wait"):
            return getattr(sfn, f"_execute_{kind.lower()}")(state, current, context)
        if kind in ("Task", "Parallel", "Map"):
            return getattr(sfn, f"_execute_{kind.lower()}")(state, current, execution, context)
        raise sfn._ExecutionError("States.Runtime", f"Unknown state type: {kind}")

    def redrive_execution(data):
        """Goes on from the unsuccessful step, under the same ARN; Parallel and Map states start over as a whole."""
        arn, token = data.get("executionArn") or "", data.get("clientToken")
        if not EXECUTION.fullmatch(arn):
            return sfn.error_response_json("InvalidArn", f"Invalid Arn: '{arn}'", 400)
        execution = sfn._executions.get(arn)
        machine = execution and sfn._state_machines.get(execution["stateMachineArn"])
        if not machine or machine["type"] == "EXPRESS":
            return sfn.error_response_json("ExecutionDoesNotExist", f"Execution Does Not Exist: '{arn}'", 400)
        known, at = execution.get("redriveToken", (None, 0))
        if token and token == known and time.time() < at + TOKEN_SECONDS:
            return sfn.json_response({"redriveDate": execution["redriveDate"]})
        reason = redriving(execution)["redriveStatusReason"]
        if reason:
            return sfn.error_response_json("ExecutionNotRedrivable", reason, 400)
        # A new record: threads of the old one find it ended and change nothing.
        again = copy.deepcopy(execution)
        again.update(
            status="RUNNING", stopDate=None, output=None, error=None, cause=None,
            redriveCount=execution.get("redriveCount", 0) + 1, redriveDate=sfn.now_iso(), redriveToken=(token, time.time()),
        )  # fmt: skip
        sfn._executions[arn] = again
        details = {"executionRedrivenEventDetails": {"redriveCount": again["redriveCount"]}}
        sfn._add_event(again, "ExecutionRedriven", details)
        sfn._emit_execution_status_event(again)
        threading.Thread(target=contextvars.copy_context().run, args=(sfn._run_execution, arn), daemon=True).start()
        return sfn.json_response({"redriveDate": again["redriveDate"]})

    def list_executions(data):
        """Lists the executions of one state machine, or of a version or alias of it, newest start first."""
        if data.get("mapRunArn"):
            return listed(data)
        asked, status = data.get("stateMachineArn") or "", data.get("statusFilter")
        size = data.get("maxResults") or DEFAULT_PAGE
        if not 0 < size <= LARGEST_PAGE:
            return invalid("maxResults", size, f"Member must have value less than or equal to {LARGEST_PAGE}")
        if status and status not in STATUSES:
            return invalid("statusFilter", status, f"Member must satisfy enum value set: [{', '.join(STATUSES)}]")
        machine = sfn._state_machines.get(sfn._resolve_state_machine_arn(asked) or "")
        if machine is None:
            return sfn.error_response_json("StateMachineDoesNotExist", f"State Machine Does Not Exist: '{asked}'", 400)
        if machine["type"] == "EXPRESS":
            reason = "This operation is not supported by this type of state machine"
            return sfn.error_response_json("StateMachineTypeNotSupported", reason, 400)
        after = None
        if data.get("nextToken"):
            after = sfn._decode_execution_token(data["nextToken"])
            if after is None:
                return sfn.error_response_json("InvalidToken", "Invalid Token: 'Invalid token'", 400)

        own = asked == machine["stateMachineArn"]
        found = sorted(
            (
                execution
                for arn, execution in list(sfn._executions.items())
                if execution["stateMachineArn"] == machine["stateMachineArn"]
                and (own or asked in qualifiers.get(arn, ()))
                and (not status or execution["status"] == status)
                and (after is None or position(execution) < after)
            ),
            key=position,
            reverse=True,
        )
        page = found[:size]
        answer = {"executions": [item(execution) for execution in page]}
        if len(found) > size:
            answer["nextToken"] = token_of(page[-1])
        return sfn.json_response(answer)

    def position(execution):
        return (execution["startDate"], execution["executionArn"])

    def item(execution):
        version, alias = qualifiers.get(execution["executionArn"], (None, None))
        entry = {
            **{key: execution[key] for key in LISTED},
            "redriveCount": execution.get("redriveCount", 0),
            "redriveDate": execution.get("redriveDate"),
            "stateMachineVersionArn": version,
            "stateMachineAliasArn": alias,
        }
        return {key: value for key, value in entry.items() if value is not None}

    def token_of(execution):
        return sfn._encode_execution_token({**execution, "stopDate": None})

    def invalid(name, value, constraint):
        message = f"1 validation error detected: Value '{value}' at '{name}' failed to satisfy constraint: {constraint}"
        return sfn.error_response_json("ValidationException", message, 400)

    async def handle_request(method, path, headers, body, query):
        if headers.get("x-amz-target", "").endswith(".RedriveExecution"):
            return sfn._finalize_response(redrive_execution(json.loads(body or "{}")))
        return await handle(method, path, headers, body, query)

    sfn._run_execution, sfn._run_sub_machine = run_execution, run_sub_machine
    sfn._list_executions, sfn.handle_request = list_executions, handle_request
