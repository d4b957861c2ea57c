"""Starts the local AWS emulator, corrected where it differs from AWS.

    python start.py [--state FOLDER] [--port N]

Needs the packages of `requirements.txt` beside this file. Prints one line, `{"port": N}`, as soon as the emulator answers
on http://127.0.0.1:N, and nothing else on stdout. It ends, and every function that it started with it, when its stdin
ends, so at the latest with its parent, or on SIGTERM, SIGINT or SIGHUP. All its files live in one new folder under FOLDER
(default: the system's temporary folder), which it removes at the end.

The emulator is ministack, in exactly one version: the corrections in the folder beside this file replace its functions by
name. `stand_ins.py` beside it stands in for two services missing in ministack.
"""

import argparse
import asyncio
import importlib.metadata
import json
import logging
import os
import shutil
import signal
import socket
import sys
import tempfile
import threading
import urllib.request

sys.dont_write_bytecode = True  # nothing appears beside the sources
import stand_ins  # noqa: E402
from corrections import (  # noqa: E402
    event_bridge,
    functions,
    histories,
    logs,
    metrics,
    parameters,
    queues,
    runtimes,
    step_functions,
    tables,
    tasks,
    templates,
)

sys.dont_write_bytecode = False

VERSION = "1.5.33"

# Inherited from the caller's environment. All others would reach the functions, where a variable of the developer's
# shell would hide its absence in the template.
INHERITED = ("PATH", "LANG", "LC_ALL", "TZ", "RUST_LOG", "RUST_BACKTRACE")


def main():
    parser = argparse.ArgumentParser(description="Start the local AWS emulator; it ends when stdin does.")
    parser.add_argument("--state", metavar="FOLDER", help="where the folder with its files is made")
    parser.add_argument("--port", type=int, default=0, help="port of 127.0.0.1 to listen on; a free one by default")
    arguments = parser.parse_args()
    refuse_other_versions()

    # A group of its own, so that ending the group ends the functions and no other process.
    if os.getpgrp() != os.getpid():
        os.setpgid(0, 0)
    # Bound before the port is announced: no other process can take it in between, and early connections wait.
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
    from ministack.core import iam_evaluator, lambda_runtime, responses, router
    from ministack.services import (
        cloudwatch,
        cloudwatch_logs,
        dynamodb,
        eventbridge,
        lambda_svc,
        s3,
        sqs,
        ssm,
        stepfunctions,
        translate,
    )
    from ministack.services.cloudformation import provisioners

    logging.getLogger("kms").setLevel(logging.ERROR)  # it would warn of an unneeded package
    step_functions.correct(stepfunctions, eventbridge)
    tasks.correct(stepfunctions)
    histories.correct(stepfunctions)
    event_bridge.correct(eventbridge)
    parameters.correct(ssm, eventbridge)
    functions.correct(lambda_svc, iam_evaluator, responses, settings)
    runtimes.correct(lambda_runtime, lambda_svc, settings)
    queues.correct(sqs, lambda_svc)
    tables.correct(dynamodb)
    metrics.correct(cloudwatch, sqs)
    logs.correct(cloudwatch_logs, lambda_runtime)
    templates.correct(provisioners, dynamodb, s3, eventbridge)
    stand_ins.put(app, router, responses, stepfunctions, translate)

    threading.Thread(target=announce, args=(port, quiet_stdout()), daemon=True).start()
    asyncio.run(serve(functions.join_repeated_headers(app.app), listener))


def refuse_other_versions():
    try:
        found = importlib.metadata.version("ministack")
    except importlib.metadata.PackageNotFoundError:
        found = "none"
    if found != VERSION:
        sys.exit(
            f"expected ministack {VERSION}, whose functions are corrected here, found {found}: "
            "install requirements.txt into this virtual environment"
        )


# ---------------------------------------------------------------- the process

def set_environment(port, folder):
    """Replaces the environment by the variables of emulator and functions, and returns the emulator's part."""
    settings = {
        "GATEWAY_PORT": str(port),
        "BIND_HOST": "127.0.0.1",
        "MINISTACK_HOST": "127.0.0.1",  # in queue URLs; `localhost` may be looked up as ::1
        "LOG_LEVEL": os.environ.get("LOG_LEVEL", "WARNING"),
        "PERSIST_STATE": "0",
        "STATE_DIR": folder,
        "S3_DATA_DIR": folder,
        "TMPDIR": folder,
        # Switches off listeners on fixed ports and a search for leftover containers.
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
        # Unpacking and starting a function needs this lock, so no new function can appear while it is held.
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
    """Redirects output to stderr from now on, and returns the real stdout."""
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


if __name__ == "__main__":
    main()
