"""Starts the local AWS emulator and makes it answer as AWS does where it does not by itself.

    python start.py [--state FOLDER] [--port N]

Needs the packages of `requirements.txt` beside this file. Prints one line, `{"port": N}`, as soon as the emulator answers
on http://127.0.0.1:N, and nothing else on stdout. It ends, and every function that it started with it, when its stdin
ends, which is when the program that started it is gone for whatever reason, or on SIGTERM, SIGINT or SIGHUP. All its
files live in one new folder under FOLDER (default: the system's temporary folder), which it removes at the end.

The emulator is ministack, in exactly one version: the corrections below replace functions of it by name.
"""

import argparse
import asyncio
import base64
import contextvars
import importlib.metadata
import json
import logging
import os
import re
import shutil
import signal
import socket
import sys
import tempfile
import threading
import urllib.request

VERSION = "1.5.33"

# What is handed on from the caller's environment. All the rest would reach the functions, where a variable that only
# the developer's shell has would hide that the template lacks it.
INHERITED = ("PATH", "LANG", "LC_ALL", "TZ", "RUST_LOG", "RUST_BACKTRACE")


def main():
    parser = argparse.ArgumentParser(description="Start the local AWS emulator; it ends when stdin does.")
    parser.add_argument("--state", metavar="FOLDER", help="where the folder with its files is made")
    parser.add_argument("--port", type=int, default=0, help="port of 127.0.0.1 to listen on; a free one by default")
    arguments = parser.parse_args()
    refuse_other_versions()

    # A group of its own, so that ending the group ends the functions too and nobody else.
    if os.getpgrp() != os.getpid():
        os.setpgid(0, 0)
    # Bound before anything is told the port: nobody can take it in between, and who connects early just waits.
    try:
        listener = socket.create_server(("127.0.0.1", arguments.port), backlog=512)
    except OSError as error:
        sys.exit(f"expected port {arguments.port} of 127.0.0.1 to be free, found: {error.strerror}; choose another")
    port = listener.getsockname()[1]
    folder = tempfile.mkdtemp(prefix="emulator-", dir=arguments.state)
    end_with_the_caller(folder)
    settings = set_environment(port, folder)

    # Only now, because ministack reads its environment while it is imported.
    from ministack import app
    from ministack.services import eventbridge, lambda_svc, stepfunctions

    logging.getLogger("kms").setLevel(logging.ERROR)  # it would warn of a package that nothing here needs
    correct_step_functions(stepfunctions, eventbridge)
    correct_eventbridge(eventbridge)
    correct_functions(lambda_svc, settings)

    threading.Thread(target=announce, args=(port, quiet_stdout()), daemon=True).start()
    asyncio.run(serve(join_repeated_headers(app.app), listener))


def refuse_other_versions():
    try:
        found = importlib.metadata.version("ministack")
    except importlib.metadata.PackageNotFoundError:
        found = "none"
    if found != VERSION:
        sys.exit(
            f"expected ministack {VERSION}, whose functions this file corrects, found {found}: "
            "install requirements.txt into this virtual environment"
        )


# ---------------------------------------------------------------- the process


def set_environment(port, folder):
    """Replaces the environment by what the emulator and the functions need, and returns the emulator's part of it."""
    settings = {
        "GATEWAY_PORT": str(port),
        "BIND_HOST": "127.0.0.1",
        "MINISTACK_HOST": "127.0.0.1",  # in queue URLs; `localhost` may be looked up as ::1
        "LOG_LEVEL": os.environ.get("LOG_LEVEL", "WARNING"),
        "PERSIST_STATE": "0",
        "STATE_DIR": folder,
        "S3_DATA_DIR": folder,
        "TMPDIR": folder,
        # Listeners on fixed ports and a search for leftover containers that nothing here needs.
        "IOT_MTLS_ENABLED": "0",
        "SFTP_ENABLED": "0",
        "DOCKER_HOST": f"unix://{folder}/no-docker",
    }
    inherited = {name: os.environ[name] for name in INHERITED if name in os.environ}
    os.environ.clear()
    os.environ.update(inherited)
    os.environ.update(settings)
    # This one is for the functions: their AWS clients talk to the emulator.
    os.environ["AWS_ENDPOINT_URL"] = f"http://127.0.0.1:{port}"
    tempfile.tempdir = folder
    return settings


def end_with_the_caller(folder):
    def end(*_):
        # Whoever unpacks or starts a function holds this lock, so while it is held none can appear behind our back.
        functions = sys.modules.get("ministack.services.lambda_svc")
        lock = getattr(functions, "_provided_code_lock", None)
        if lock is not None:
            lock.acquire(timeout=1)
        shutil.rmtree(folder, ignore_errors=True)
        # Functions, threads and this process at once; nothing in the emulator is worth an orderly end.
        os.killpg(os.getpgrp(), signal.SIGKILL)

    def wait_for_end_of_stdin():
        while os.read(0, 4096):
            pass
        end()

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda *_: threading.Thread(target=end).start())
    threading.Thread(target=wait_for_end_of_stdin, daemon=True).start()


def quiet_stdout():
    """Sends everything that is printed from now on to stderr, and returns the real stdout."""
    stdout = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    return stdout


def announce(port, stdout):
    # The listener takes the connection at once; the answer comes when the emulator has started.
    urllib.request.build_opener(urllib.request.ProxyHandler({})).open(f"http://127.0.0.1:{port}/_ministack/health").read()
    with stdout:
        print(json.dumps({"port": port}), file=stdout)


async def serve(app, listener):
    from hypercorn.asyncio import serve as run
    from hypercorn.config import Config

    config = Config()
    config.bind = [f"fd://{listener.detach()}"]
    config.loglevel = os.environ["LOG_LEVEL"]
    config.accesslog = None
    config.keep_alive_timeout = 75
    # A trigger of its own keeps hypercorn from installing signal handlers over ours.
    await run(app, config, shutdown_trigger=asyncio.Event().wait)


# ---------------------------------------------------------------- Step Functions

MAX_INPUT_BYTES = 262_144
MAX_EVENT_BYTES = 248 * 1024
# What AWS forbids in the name of an execution: white space, brackets, wildcards, special and control characters.
FORBIDDEN_IN_NAME = re.compile(
    r'[\s<>{}\[\]?*"#%\\^|~`$&,;:/\x00-\x1f\x7f-\x9f\ufffe\uffff\ud800-\udfff\U0010ffff]'
)


def correct_step_functions(sfn, eventbridge):
    start, run, fail, describe = sfn._start_execution, sfn._run_execution, sfn._fail_execution, sfn._describe_execution
    put_events = sfn._invoke_events_put_events
    qualifiers = {}  # execution ARN -> the version and alias it was started through

    def machine_of(execution):
        return sfn._state_machines.get(execution["stateMachineArn"]) or {}

    def start_execution(data):
        """Refuses what AWS refuses, and takes the same name and input of a running execution as the same request."""
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

    def run_execution(arn):
        """Ends an execution that outlives the TimeoutSeconds of its state machine."""
        execution = sfn._executions.get(arn)
        definition = json.loads(machine_of(execution).get("definition", "{}")) if execution else {}
        seconds = definition.get("TimeoutSeconds")
        if not seconds:
            return run(arn)

        def time_out():
            if execution["status"] == "RUNNING":
                execution.update(status="TIMED_OUT", stopDate=sfn.now_iso())
                sfn._add_event(execution, "ExecutionTimedOut", {"executionTimedOutEventDetails": {}})
                sfn._emit_execution_status_event(execution)

        # The account and the region are in the context, which threads do not inherit.
        timer = threading.Timer(seconds, contextvars.copy_context().run, [time_out])
        timer.daemon = True
        timer.start()
        try:
            run(arn)
        finally:
            timer.cancel()

    def fail_execution(execution, error, cause):
        # A task may fail after its execution was stopped or timed out; an execution ends once.
        if execution["status"] == "RUNNING":
            fail(execution, error, cause)

    def redrive(execution):
        """The redrive fields that status events and DescribeExecution share."""
        status = execution["status"]
        can = status in ("FAILED", "TIMED_OUT", "ABORTED")
        return {
            "redriveCount": 0,
            "redriveDate": None,
            "redriveStatus": "REDRIVABLE" if can else "NOT_REDRIVABLE",
            "redriveStatusReason": None if can else f"Execution is {status} and cannot be redriven",
        }

    def describe_execution(data):
        """Leaves out the output of whatever did not succeed, and tells what AWS tells besides."""
        response = describe(data)
        execution = sfn._executions.get(data.get("executionArn"))
        if response[0] != 200 or execution is None:
            return response
        answer = json.loads(response[2])
        if execution["status"] != "SUCCEEDED":
            answer.pop("output"), answer.pop("outputDetails")
        version, alias = qualifiers.get(execution["executionArn"], (None, None))
        answer.update(redrive(execution), stateMachineVersionArn=version, stateMachineAliasArn=alias)
        return sfn.json_response({key: value for key, value in answer.items() if value is not None})

    def emit_status_event(execution):
        """A status change of a STANDARD execution, with every key that AWS sends, null where it has no value."""
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
            **redrive(execution),
            "inputDetails": {"included": True},
            "outputDetails": {"included": True} if status == "SUCCEEDED" else None,
            "error": execution.get("error"),
            "cause": execution.get("cause"),
        }
        # The input goes first when both are too long together; an output that is too long alone goes too.
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

    sfn._SERVICE_DISPATCH["arn:aws:states:::events:putEvents"] = put_events_task
    sfn._start_execution, sfn._run_execution = start_execution, run_execution
    sfn._fail_execution, sfn._describe_execution = fail_execution, describe_execution
    sfn._emit_execution_status_event = emit_status_event


def is_json(text, kind=object):
    def refuse(constant):
        raise ValueError(f"{constant} is not JSON")

    try:
        return isinstance(json.loads(text, parse_constant=refuse), kind)
    except (TypeError, ValueError, RecursionError):
        return False


# ---------------------------------------------------------------- EventBridge


def correct_eventbridge(eventbridge):
    put = eventbridge._put_events

    def put_events(data, allow_aws_source=False):
        """Refuses malformed entries one by one, in their places, and passes the others on."""
        entries = data.get("Entries") or []
        if not 1 <= len(entries) <= 10:
            return eventbridge.error_response_json(
                "ValidationException",
                f"1 validation error detected: Value at 'entries' of length {len(entries)} failed to satisfy constraint: "
                "Member must have length between 1 and 10",
                400,
            )
        results = [refusal(entry) for entry in entries]
        good = [entry for entry, refused in zip(entries, results) if not refused]
        answer = json.loads(put({**data, "Entries": good}, allow_aws_source)[2]) if good else {"Entries": []}
        passed = iter(answer["Entries"])
        results = [refused or next(passed) for refused in results]
        failed = sum("ErrorCode" in result for result in results)
        return eventbridge.json_response({"FailedEntryCount": failed, "Entries": results})

    def refusal(entry):
        for name in ("Source", "DetailType", "Detail"):
            if not entry.get(name):
                return invalid(name, f"{name} is a required argument.")
        if len(entry["DetailType"]) > 128:
            return invalid("DetailType", "DetailType is longer than 128 characters.")
        if not is_json(entry["Detail"], kind=dict):
            return {"ErrorCode": "MalformedDetail", "ErrorMessage": "Detail is malformed."}
        return None

    def invalid(name, reason):
        return {"ErrorCode": "InvalidArgument", "ErrorMessage": f"Parameter {name} is not valid. Reason: {reason}"}

    eventbridge._put_events = put_events


# ---------------------------------------------------------------- Lambda


def correct_functions(functions, settings):
    environment_of, event_of = functions._provided_worker_env, functions._build_function_url_event
    concurrency_of = functions._sqs_esm_concurrency

    def worker_environment(config, *rest):
        """What a function finds in its environment: none of the emulator's settings, but its logging configuration."""
        own = (config.get("Environment") or {}).get("Variables") or {}
        environment = {
            name: value for name, value in environment_of(config, *rest).items() if name in own or name not in settings
        }
        log = config.get("LoggingConfig") or {}
        environment["AWS_LAMBDA_LOG_FORMAT"] = log.get("LogFormat", "Text")
        environment["AWS_LAMBDA_LOG_GROUP_NAME"] = log.get("LogGroup") or f"/aws/lambda/{config['FunctionName']}"
        if "ApplicationLogLevel" in log:
            environment["AWS_LAMBDA_LOG_LEVEL"] = log["ApplicationLogLevel"]
        return environment

    def function_url_event(url_id, account_id, region, method, path, headers, body, *rest, **named):
        """A body that is not UTF-8 goes as base64 whatever its content type, instead of losing bytes."""
        event = event_of(url_id, account_id, region, method, path, headers, body, *rest, **named)
        if body and not event["isBase64Encoded"] and event["body"].encode() != body:
            event.update(body=base64.b64encode(body).decode(), isBase64Encoded=True)
        return event

    def queue_concurrency(mapping, *rest):
        """A MaximumConcurrency that a template takes from a parameter arrives as text; CloudFormation makes it a number."""
        scaling = mapping.get("ScalingConfig") or {}
        scaling.update({key: int(value) for key, value in scaling.items()})
        return concurrency_of(mapping, *rest)

    functions._provided_worker_env, functions._build_function_url_event = worker_environment, function_url_event
    functions._sqs_esm_concurrency = queue_concurrency


def join_repeated_headers(app):
    """Joins the values of a header that comes twice with a bare comma, as a Function URL does."""

    async def joined(scope, receive, send):
        if scope["type"] == "http":
            headers = {}
            for name, value in scope["headers"]:
                headers.setdefault(name.lower(), []).append(value)
            # Cookies are told apart by the emulator itself.
            headers = [(n, v) for n, vs in headers.items() for v in (vs if n == b"cookie" else [b",".join(vs)])]
            scope = {**scope, "headers": headers}
        await app(scope, receive, send)

    return joined


if __name__ == "__main__":
    main()
