"""Functions in Python and Node.js."""

import io
import json
import shutil
import sys
import unittest
import zipfile

import running

PYTHON = """
import logging, os
logging.getLogger().setLevel(logging.INFO)
class Refused(Exception): pass
def handler(event, context):
    print("printed", event)
    logging.info("logged")
    if event == "refuse":
        raise Refused("not this one")
    return {"event": event, "environment": dict(os.environ), "id": context.aws_request_id}
"""
NODE = """
export const handler = async (event) => {
  console.log("printed", event);
  if (event === "refuse") { const e = new Error("not this one"); e.name = "Refused"; throw e; }
  return { event, environment: process.env };
};
"""


class Runtimes(running.Running):
    def make(self, runtime, handler, **files):
        code = io.BytesIO()
        with zipfile.ZipFile(code, "w") as archive:
            for name, text in files.items():
                archive.writestr(name.replace("__", "/").replace("_", "."), text)
        self.client("lambda").create_function(
            FunctionName="own", Runtime=runtime, Handler=handler, Role=running.ROLE, Code={"ZipFile": code.getvalue()},
            Timeout=20, Environment={"Variables": {"OWN": "yes", "LOG_LEVEL": "mine"}},
        )  # fmt: skip

    def invoke(self, event):
        answer = self.client("lambda").invoke(FunctionName="own", Payload=json.dumps(event))
        return json.load(answer["Payload"])

    def log(self):
        found = self.client("logs").filter_log_events(logGroupName="/aws/lambda/own")
        return "\n".join(event["message"] for event in found["events"])

    def test_a_python_function_of_any_version_runs(self):
        self.make("python3.9", "src/app.handler", src__app_py=PYTHON)
        answer = self.invoke({"a": 1})
        self.assertEqual(answer["event"], {"a": 1})
        environment = answer["environment"]
        self.assertEqual((environment["OWN"], environment["LOG_LEVEL"]), ("yes", "mine"))
        for name in ("ONLY_IN_THE_SHELL", "GATEWAY_PORT", "TMPDIR"):
            self.assertNotIn(name, environment)
        self.assertIn("printed {'a': 1}", self.log())
        self.assertRegex(self.log(), r"\[INFO\]\t.*\tlogged")

    def test_an_error_has_its_class_and_is_in_the_log(self):
        self.make("python3.13", "app.handler", app_py=PYTHON)
        error = self.invoke("refuse")
        self.assertEqual((error["errorType"], error["errorMessage"]), ("Refused", "not this one"))
        self.assertIn("Refused: not this one", self.log())

    def test_a_catch_names_the_class(self):
        self.make("python3.13", "app.handler", app_py=PYTHON)
        arguments = {"FunctionName": "own", "Payload": "refuse"}
        task = {"Type": "Task", "Resource": "arn:aws:states:::lambda:invoke", "Arguments": arguments, "End": True}
        task["Catch"] = [{"ErrorEquals": ["Refused"], "Output": "{% $states.errorOutput %}", "Next": "Caught"}]
        machine = self.machine({"Call": task, "Caught": {"Type": "Succeed"}}, QueryLanguage="JSONata")
        execution = self.start(machine)["executionArn"]
        ended = running.until(lambda: (e := self.states.describe_execution(executionArn=execution))["status"] != "RUNNING" and e)
        output = json.loads(ended["output"])
        self.assertEqual((ended["status"], output["Error"]), ("SUCCEEDED", "Refused"))
        self.assertEqual(json.loads(output["Cause"])["errorMessage"], "not this one")

    def test_a_module_that_cannot_be_imported_is_named(self):
        for number, (text, kind, part) in enumerate([
            ("import no_such_module", "Runtime.ImportModuleError", "no_such_module"),
            ("def handler(:", "Runtime.UserCodeSyntaxError", "invalid syntax"),
            ("x = 1", "Runtime.HandlerNotFound", "handler"),
            ("1 / 0", "ZeroDivisionError", "division by zero"),
        ]):  # fmt: skip
            with self.subTest(text=text):
                self.client = self.emulator.account()
                self.make("python3.13", "app.handler", app_py=text)
                error = self.invoke(number)
                self.assertEqual(error["errorType"], kind)
                self.assertIn(part, error["errorMessage"])
                self.assertIn(part, self.log())

    def test_a_node_function_runs_and_its_errors_have_their_names(self):
        if not shutil.which("node"):
            print("no `node` on the PATH: the functions in Node.js were not tested", file=sys.stderr)
            return
        self.make("nodejs22.x", "src/index.handler", src__index_mjs=NODE)
        answer = self.invoke([1])
        self.assertEqual((answer["event"], answer["environment"]["OWN"]), ([1], "yes"))
        self.assertNotIn("GATEWAY_PORT", answer["environment"])
        self.assertIn("printed [ 1 ]", self.log())
        error = self.invoke("refuse")
        self.assertEqual((error["errorType"], error["errorMessage"]), ("Refused", "not this one"))

    def test_a_node_module_that_cannot_be_imported_is_named(self):
        if not shutil.which("node"):
            print("no `node` on the PATH: the functions in Node.js were not tested", file=sys.stderr)
            return
        self.make("nodejs22.x", "index.handler", index_js='require("no-such-module")')
        error = self.invoke({})
        self.assertEqual(error["errorType"], "Runtime.ImportModuleError")
        self.assertIn("no-such-module", error["errorMessage"])
        self.assertIn("no-such-module", self.log())


if __name__ == "__main__":
    unittest.main()
