"""Functions in Python and Node.js: their environment, their errors and their log."""

import re
import sys
import threading
import types

# An exception that the handler raises, and one while its module is imported: the workers report their texts alone.
PYTHON = [
    ('"error": str(e), "trace"', '"error": str(e), "type": type(e).__name__, "trace"'),
    (
        'json.dumps({"status": "error", "error": str(e)})',
        'json.dumps({"status": "error", "error": json.dumps([type(e).__name__, str(e), traceback.format_exc()])})',
    ),
    (
        "        mod = importlib.import_module(module_name)\n",
        # Lambda's runtime logs this way, too; without a handler, a logger set to INFO would stay silent.
        '        import logging\n        logging.basicConfig(format="[%(levelname)s]\\t%(asctime)s\\t%(message)s")\n'
        "        mod = importlib.import_module(module_name)\n",
    ),
]
NODE = [
    (
        'status: "error", error: String(err.message || err), trace',
        'status: "error", error: String(err.message || err), type: err.name || "Error", trace',
    ),
    ('status: "error", error: e.message, trace', 'status: "error", error: e.message, type: e.name, trace'),
    (
        'status: "error", error: e.message\n',
        'status: "error", error: JSON.stringify([e.code || e.name, e.message, e.stack])\n',
    ),
]

# The type of an error while a module is imported, as Lambda's runtimes report it.
IMPORT_ERRORS = {
    "ModuleNotFoundError": "Runtime.ImportModuleError",
    "ImportError": "Runtime.ImportModuleError",
    "MODULE_NOT_FOUND": "Runtime.ImportModuleError",
    "ERR_MODULE_NOT_FOUND": "Runtime.ImportModuleError",
    "SyntaxError": "Runtime.UserCodeSyntaxError",
    "AttributeError": "Runtime.HandlerNotFound",
}
IMPORTING = "Worker init failed: "


def correct(runtimes, functions, settings):
    runtimes._PYTHON_WORKER_SCRIPT = replaced(runtimes._PYTHON_WORKER_SCRIPT, PYTHON)
    runtimes._NODEJS_WORKER_SCRIPT = replaced(runtimes._NODEJS_WORKER_SCRIPT, NODE)
    own_environment(runtimes, settings)
    name_errors(runtimes, functions)


def replaced(script, pairs):
    for old, new in pairs:
        if old not in script:
            sys.exit(f"expected `{old}` in ministack's worker, which is corrected here, found none")
        script = script.replace(old, new)
    return script


def own_environment(runtimes, settings):
    """Starts a worker without the emulator's settings. Its own variables of the same names follow in its first message."""
    start = runtimes.subprocess.Popen

    def start_worker(command, *rest, env=None, **named):
        if str(command[-1]).endswith(("_worker.py", "_worker.js")):
            env = {name: value for name, value in env.items() if name not in settings}
        return start(command, *rest, env=env, **named)

    runtimes.subprocess = types.SimpleNamespace(**{**vars(runtimes.subprocess), "Popen": start_worker})


def name_errors(runtimes, functions):
    """Reports the class of an error as its type, which the Catch of a workflow names, and shows each error in the log."""
    last = threading.local()
    invoke_of, execute_of = runtimes.Worker.invoke, functions._execute_function_warm

    def invoke(self, *rest, **named):
        last.type = None
        answer = invoke_of(self, *rest, **named)
        last.type = answer.get("type")
        return answer

    def execute(func, event, request_id):
        last.type = None
        result = execute_of(func, event, request_id)
        body = result.get("body")
        if not result.get("error") or not isinstance(body, dict) or "errorMessage" not in body:
            return result
        text = body["errorMessage"]
        imported = re.match(re.escape(IMPORTING) + r"(\[.*)", text, re.DOTALL)
        if last.type:
            body["errorType"] = last.type
        elif imported:
            kind, text, trace = functions.json.loads(imported[1])
            body.update(errorType=IMPORT_ERRORS.get(kind, kind), errorMessage=text)
            result["log"] = trace
        elif text.startswith(IMPORTING):
            body.update(errorType="Runtime.HandlerNotFound", errorMessage=text.removeprefix(IMPORTING))
        body["requestId"] = request_id
        result["log"] = result.get("log") or body["errorMessage"]
        return result

    runtimes.Worker.invoke, functions._execute_function_warm = invoke, execute
