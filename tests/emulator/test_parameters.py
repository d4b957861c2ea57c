"""Parameter Store, and the stacks of workflows that keep their routes there."""

import json

from running import REGION, ROLE, Running, package, until

PREFIX = "/workflow-bridge/x/routes/"
PATTERN = {
    "source": ["aws.ssm"],
    "detail-type": ["Parameter Store Change"],
    "detail": {"name": [{"prefix": PREFIX}], "operation": ["Create", "Update", "Delete"]},
}
WAITING = {"StartAt": "Wait", "States": {"Wait": {"Type": "Wait", "Seconds": 60, "End": True}}}
HANDLER = """
def handle(event):
    return None
"""


class Parameters(Running):
    def setUp(self):
        super().setUp()
        self.parameters, self.stacks = self.client("ssm"), self.client("cloudformation")

    def put(self, name, value="{}", **more):
        return self.parameters.put_parameter(Name=name, Value=value, **{"Type": "String", **more})

    def named(self, **more):
        return self.parameters.get_parameters_by_path(**{"Path": PREFIX, "Recursive": True, **more})

    def waited(self, name, state):
        waiter = self.stacks.get_waiter(f"stack_{state}_complete")
        waiter.wait(StackName=name, WaiterConfig={"Delay": 0.1})

    def create(self, name, template, **more):
        more = {"Capabilities": ["CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"], **more}
        self.stacks.create_stack(StackName=name, TemplateBody=json.dumps(template), **more)
        self.waited(name, "create")

    def update(self, name, template):
        capabilities = ["CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"]
        self.stacks.update_stack(StackName=name, TemplateBody=json.dumps(template), Capabilities=capabilities)
        self.waited(name, "update")

    def rolled_back(self, name):
        def ended():
            return self.stacks.describe_stacks(StackName=name)["Stacks"][0]["StackStatus"] == "ROLLBACK_COMPLETE"

        until(ended)

    def delete(self, name):
        self.stacks.delete_stack(StackName=name)
        self.waited(name, "delete")


class Changes(Parameters):
    def setUp(self):
        super().setUp()
        self.following = self.events_of(PATTERN)

    def assert_next(self, operation, name, **more):
        event = self.following()
        self.assertEqual(event["detail"], {"operation": operation, "name": name, "type": "String", **more})
        self.assertEqual((event["source"], event["detail-type"]), ("aws.ssm", "Parameter Store Change"))
        (resource,) = event["resources"]
        self.assertTrue(resource.endswith(f":parameter{name}"), resource)

    def test_every_change_is_an_event(self):
        name = f"{PREFIX}a"
        self.put(f"{PREFIX[:-1]}-of-another/a")
        self.put(name, Description="the route of a")
        self.assert_next("Create", name, description="the route of a")
        self.assertEqual(self.refused(self.put, name=name), "ParameterAlreadyExists")
        self.put(name, "[]", Overwrite=True)
        self.assert_next("Update", name, description="the route of a")
        self.parameters.delete_parameter(Name=name)
        self.assert_next("Delete", name, description="the route of a")
        self.assertEqual(self.refused(self.parameters.delete_parameter, Name=name), "ParameterNotFound")
        self.put(name)
        self.assert_next("Create", name)
        self.parameters.delete_parameters(Names=[f"{PREFIX}none", name])
        self.assert_next("Delete", name)
        self.assertIsNone(self.following(wait=0))

    def test_a_template_changes_parameters_likewise(self):
        def template(value, name="a"):
            properties = {"Type": "String", "Name": PREFIX + name, "Value": value}
            return {"Resources": {"Route": {"Type": "AWS::SSM::Parameter", "Properties": properties}}}

        self.create("routes", template("1"))
        self.assert_next("Create", f"{PREFIX}a")
        self.update("routes", template("2"))
        self.assert_next("Update", f"{PREFIX}a")
        (found,) = self.named()["Parameters"]
        self.assertEqual((found["Value"], found["Version"]), ("2", 2))
        self.update("routes", template("2", name="b"))
        self.assert_next("Create", f"{PREFIX}b")
        self.assert_next("Delete", f"{PREFIX}a")
        self.delete("routes")
        self.assert_next("Delete", f"{PREFIX}b")
        self.assertEqual(self.named()["Parameters"], [])

    def test_an_event_calls_a_function_of_a_template(self):
        # The template's function records its calls in the file of this one.
        calls = self.function(HANDLER, name="other")
        variables = self.client("lambda").get_function_configuration(FunctionName="other")["Environment"]
        objects = self.client("s3")
        objects.create_bucket(Bucket="code-of-routes", CreateBucketConfiguration={"LocationConstraint": REGION})
        objects.put_object(Bucket="code-of-routes", Key="code", Body=package(HANDLER))
        properties = {
            "Runtime": "provided.al2023", "Handler": "bootstrap", "Role": ROLE,
            "CodeUri": "s3://code-of-routes/code", "Environment": variables,
            "Events": {
                "Changes": {"Type": "EventBridgeRule", "Properties": {"Pattern": PATTERN}},
                "Often": {"Type": "Schedule", "Properties": {"Schedule": "rate(5 minutes)"}},
            },
        }  # fmt: skip
        template = {
            "Transform": "AWS::Serverless-2016-10-31",
            "Resources": {"Routes": {"Type": "AWS::Serverless::Function", "Properties": properties}},
        }
        self.create("bridge", template)
        self.put(f"{PREFIX}a")
        self.put("/elsewhere")
        (call,) = until(calls)
        self.assertEqual(call["event"]["detail"], {"operation": "Create", "name": f"{PREFIX}a", "type": "String"})


class ByPath(Parameters):
    def test_a_page_has_ten_parameters_at_most(self):
        names = [f"{PREFIX}{number:02}" for number in range(22)]
        for name in names + ["/workflow-bridge/x/other", "/workflow-bridge/x-2/routes/00"]:
            self.put(name)
        self.put(f"{PREFIX}team/a")
        found, pages, token = [], [], {}
        while True:
            page = self.named(MaxResults=10, **token)
            pages.append(len(page["Parameters"]))
            found += [parameter["Name"] for parameter in page["Parameters"]]
            if not page.get("NextToken"):
                break
            token = {"NextToken": page["NextToken"]}
        self.assertEqual((pages, found), ([10, 10, 3], names + [f"{PREFIX}team/a"]))
        self.assertEqual(len(self.named()["Parameters"]), 10)
        for path in (PREFIX, PREFIX[:-1]):
            self.assertEqual(len(self.named(Path=path, MaxResults=4)["Parameters"]), 4)
        flat = self.named(Recursive=False, MaxResults=10, **{"NextToken": self.named(MaxResults=10)["NextToken"]})
        self.assertNotIn(f"{PREFIX}team/a", [parameter["Name"] for parameter in flat["Parameters"]])

    def test_invalid_requests_are_refused(self):
        for request in ({"MaxResults": 11}, {"MaxResults": 0}, {"Path": PREFIX[1:]}):
            with self.subTest(request):
                self.assertEqual(self.refused(self.named, **request), "ValidationException")
        self.assertEqual(self.refused(self.named, NextToken="nonsense"), "InvalidNextToken")

    def test_a_value_has_the_length_of_its_tier(self):
        self.put("/a", "x" * 4096)
        self.assertEqual(self.refused(self.put, name="/b", value="x" * 4097), "ValidationException")
        self.put("/b", "x" * 8192, Tier="Advanced")
        self.put("/c", "x" * 4097, Tier="Intelligent-Tiering")
        for tier in ("Advanced", "Intelligent-Tiering"):
            self.assertEqual(self.refused(self.put, name="/d", value="x" * 8193, Tier=tier), "ValidationException")


class Workflows(Parameters):
    """A bridge exports what the stacks of its workflows import, and one rule serves them all."""

    BRIDGE = {
        "Resources": {
            "Logs": {"Type": "AWS::IAM::ManagedPolicy", "Properties": {"PolicyDocument": {"Version": "2012-10-17", "Statement": []}}},
            "Ends": {"Type": "AWS::SQS::Queue"},
            "WorkflowEnds": {
                "Type": "AWS::Events::Rule",
                "Properties": {
                    "Name": {"Fn::Sub": "${AWS::StackName}_ends"},
                    "EventPattern": {
                        "source": ["aws.states"],
                        "detail": {
                            "stateMachineArn": [{"prefix": {"Fn::Sub": "arn:${AWS::Partition}:states:${AWS::Region}:${AWS::AccountId}:stateMachine:${AWS::StackName}_"}}],
                            "status": ["ABORTED"],
                        },
                    },
                    "Targets": [{"Id": "ends", "Arn": {"Fn::GetAtt": ["Ends", "Arn"]}}],
                },
            },
        },
        "Outputs": {"Logs": {"Value": {"Ref": "Logs"}, "Export": {"Name": {"Fn::Sub": "${AWS::StackName}-WorkflowLogs"}}}},
    }  # fmt: skip

    def workflow(self, bridge, topic="in"):
        route = {"name": "w", "to": {"stateMachine": {"Ref": "Workflow"}}, "from": {"topic": topic}}
        return {
            "Transform": ["AWS::LanguageExtensions", "AWS::Serverless-2016-10-31"],
            "Parameters": {"Bridge": {"Type": "String", "Default": bridge}},
            "Resources": {
                "Workflow": {
                    "Type": "AWS::Serverless::StateMachine",
                    "Properties": {
                        "Name": {"Fn::Sub": "${Bridge}_w"},
                        "Definition": WAITING,
                        "Policies": [{"Fn::ImportValue": {"Fn::Sub": "${Bridge}-WorkflowLogs"}}],
                    },
                },
                "Route": {
                    "Type": "AWS::SSM::Parameter",
                    "Properties": {
                        "Type": "String",
                        "Name": {"Fn::Sub": "/workflow-bridge/${Bridge}/routes/w"},
                        "Value": {"Fn::ToJsonString": route},
                    },
                },
            },
        }

    def resources(self, name):
        resources = self.stacks.describe_stack_resources(StackName=name)["StackResources"]
        return {resource["LogicalResourceId"]: resource["PhysicalResourceId"] for resource in resources}

    def machines(self):
        return [machine["name"] for machine in self.states.list_state_machines()["stateMachines"]]

    def ended(self, bridge):
        """The machines whose ends are in a bridge's queue."""
        url = self.resources(bridge)["Ends"]
        messages = self.queues.receive_message(QueueUrl=url, MaxNumberOfMessages=10, VisibilityTimeout=0).get("Messages", [])
        return [json.loads(message["Body"])["detail"]["stateMachineArn"] for message in messages]

    def test_a_rule_hears_the_workflows_of_its_bridge_only(self):
        machines = {}
        for bridge in ("x", "x-2"):
            self.create(bridge, self.BRIDGE)
            self.create(f"{bridge}-w", self.workflow(bridge))
            machines[bridge] = self.resources(f"{bridge}-w")["Workflow"]
            execution = self.start(machines[bridge])["executionArn"]
            self.states.stop_execution(executionArn=execution)
        for bridge, machine in machines.items():
            self.assertTrue(machine.endswith(f":{bridge}_w"))
            self.assertEqual(until(lambda bridge=bridge: self.ended(bridge)), [machine])

    def test_a_workflow_comes_changes_and_goes(self):
        self.create("x", self.BRIDGE)
        self.create("x-w", self.workflow("x"))
        (found,) = self.named()["Parameters"]
        route = json.loads(found["Value"])
        self.assertEqual((route["name"], route["to"]["stateMachine"]), ("w", self.resources("x-w")["Workflow"]))
        roles = self.client("iam").list_attached_role_policies(RoleName=self.resources("x-w")["WorkflowRole"])
        self.assertIn(self.resources("x")["Logs"], [policy["PolicyArn"] for policy in roles["AttachedPolicies"]])
        # The bridge stays while a workflow uses it.
        self.assertEqual(self.refused(self.stacks.delete_stack, StackName="x"), "ValidationError")
        self.update("x-w", self.workflow("x", topic="other"))
        (found,) = self.named()["Parameters"]
        self.assertEqual((json.loads(found["Value"])["from"], found["Version"]), ({"topic": "other"}, 2))
        self.delete("x-w")
        self.assertEqual((self.named()["Parameters"], self.machines()), ([], []))
        self.create("x-w", self.workflow("x"))
        (found,) = self.named()["Parameters"]
        self.assertEqual((found["Version"], self.machines()), (1, ["x_w"]))
        self.delete("x-w")
        self.delete("x")

    def test_without_its_bridge_a_workflow_does_not_deploy(self):
        body = json.dumps(self.workflow("nowhere"))
        capabilities = ["CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"]
        self.stacks.create_stack(StackName="w", TemplateBody=body, Capabilities=capabilities)
        self.rolled_back("w")
        self.assertEqual((self.named()["Parameters"], self.machines()), ([], []))

    def test_refused_rules_do_not_deploy(self):
        for number, properties in enumerate([
            {"Name": "n" * 65, "EventPattern": {"source": ["here"]}},
            {"EventPattern": {"source": "here"}},
            {"EventPattern": {"detail": {"name": [{"prefixes": "a"}]}}},
        ]):  # fmt: skip
            rule = {"Type": "AWS::Events::Rule", "Properties": properties}
            self.stacks.create_stack(StackName=f"r{number}", TemplateBody=json.dumps({"Resources": {"Rule": rule}}))
            self.rolled_back(f"r{number}")
        self.assertEqual(self.events.list_rules()["Rules"], [])
