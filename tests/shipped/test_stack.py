"""relay.yaml, deployed beside template.yaml with the command in the first stack's outputs."""

import io
import json
import re
import shlex
import sys
import time
import unittest
import zipfile

from options import ROOT, documented

sys.path.insert(0, str(ROOT / "tests/emulator"))

from running import REGION, Running, until  # noqa: E402

DIGEST = "bridge@sha256:" + "0" * 64
REPOSITORY = f"arn:aws:ecr:{REGION}:123456789012:repository/bridge"


def first_stack(bucket):
    """template.yaml as packaged by `sam package`; the tests call no function."""
    template = (ROOT / "template.yaml").read_text()
    template = template.replace("CodeUri: .\n", f"CodeUri: {{Bucket: {bucket}, Key: nothing.zip}}\n")
    in_place = lambda found: "Definition: " + json.dumps(json.loads((ROOT / found[1]).read_text()))
    return re.sub(r"DefinitionUri: (\S+)", in_place, template)


class RelayStack(Running):
    maxDiff = None

    def deploy(self, name, body, parameters):
        """Creates a stack from the bucket, since a request has no room for a long template; returns its outputs."""
        self.client("s3").put_object(Bucket=self.bucket, Key=f"{name}.yaml", Body=body)
        stacks = self.client("cloudformation")
        stacks.create_stack(
            StackName=name,
            TemplateURL=f"http://127.0.0.1:{self.emulator.port}/{self.bucket}/{name}.yaml",
            Parameters=[{"ParameterKey": key, "ParameterValue": value} for key, value in parameters.items()],
            Capabilities=["CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"],
        )

        def ended():
            [stack] = stacks.describe_stacks(StackName=name)["Stacks"]
            return stack["StackStatus"] != "CREATE_IN_PROGRESS" and stack

        stack = until(ended, 60)
        self.assertEqual(stack["StackStatus"], "CREATE_COMPLETE", stack.get("StackStatusReason"))
        return {output["OutputKey"]: output["OutputValue"] for output in stack["Outputs"]}

    def setUp(self):
        super().setUp()
        nothing = io.BytesIO()
        with zipfile.ZipFile(nothing, "w") as archive:
            archive.writestr("bootstrap", "")
        objects = self.client("s3")
        self.bucket = f"code-{time.monotonic_ns()}"  # buckets are not an account's own
        objects.create_bucket(Bucket=self.bucket, CreateBucketConfiguration={"LocationConstraint": REGION})
        objects.put_object(Bucket=self.bucket, Key="nothing.zip", Body=nothing.getvalue())
        # The emulator refers to a stack's secrets by name, AWS by ARN, so these are the operator's own.
        secret = lambda name: self.client("secretsmanager").create_secret(Name=name, SecretString="unused")["ARN"]
        secrets = {"SigningSecretArn": secret("signing"), "MomentoSecretArn": secret("momento")}
        self.first = self.deploy("bridge", first_stack(self.bucket), {"MomentoEndpoint": "cell.example.com"} | secrets)

        words = shlex.split(self.first["DeployRelay"])
        self.assertEqual(words[:3], ["aws", "cloudformation", "deploy"])
        option = lambda name: words[words.index(name) + 1]
        self.name, self.template = option("--stack-name"), option("--template-file")
        overrides = words[words.index("--parameter-overrides") + 1 :]
        self.parameters = dict(override.split("=", 1) for override in overrides)

    def relay(self, **parameters):
        """Deploys the relay with the placeholders filled in; returns its container and its two roles' statements."""
        self.assertEqual({key for key, value in self.parameters.items() if value.isupper()}, {"ImageUri", "ImageRepositoryArn", "VpcId", "SubnetIds"})
        own = {"ImageUri": DIGEST, "ImageRepositoryArn": "", "VpcId": "vpc-1", "SubnetIds": "subnet-1,subnet-2"}
        # The emulator reads a parameter's number as text and would start the tasks.
        template = (ROOT / self.template).read_text().replace("DesiredCount: !Ref DesiredCount", "DesiredCount: 0")
        self.deploy(self.name, template, self.parameters | own | parameters)
        _, task = self.service_and_task()
        [container] = task["containerDefinitions"]
        return container, self.statements(task["taskRoleArn"]), self.statements(task["executionRoleArn"])

    def service_and_task(self):
        containers = self.client("ecs")
        [cluster] = containers.list_clusters()["clusterArns"]
        names = containers.list_services(cluster=cluster)["serviceArns"]
        [service] = containers.describe_services(cluster=cluster, services=names)["services"]
        return service, containers.describe_task_definition(taskDefinition=service["taskDefinition"])["taskDefinition"]

    def statements(self, role):
        """The permissions of a role: actions with their resource and condition."""
        roles, name = self.client("iam"), role.rsplit("/", 1)[-1]
        allowed = {}
        for policy in roles.list_role_policies(RoleName=name)["PolicyNames"]:
            document = roles.get_role_policy(RoleName=name, PolicyName=policy)["PolicyDocument"]
            for statement in document["Statement"]:
                self.assertEqual(statement["Effect"], "Allow")
                key = statement["Action"], statement["Resource"]
                self.assertNotIn(key, allowed)
                allowed[key] = statement.get("Condition")
        return allowed

    def test_tasks_have_exactly_the_variables_and_rights_they_need(self):
        container, task_role, execution_role = self.relay()
        variables = {variable["name"]: variable["value"] for variable in container["environment"]}
        self.assertEqual(
            variables,
            {
                "AWS_REGION": REGION,
                "ROUTES": f"ssm:{self.first['RoutesParameter']}",
                "ROUTES_TABLE": self.first["LedgerTableName"],
                "WEBHOOK_URL": self.first["WebhookUrl"],
                "SIGNING_SECRET_ID": self.first["SigningSecretId"],
                "MOMENTO_ENDPOINT": "cell.example.com",
                "MOMENTO_SECRET_ID": self.first["MomentoSecretId"],
                "RELAY_STATE": f"dynamodb:{self.first['LedgerTableName']}",
                "RELAY_CONCURRENCY": "16",
                "GAP_EVENT_BUS": "default",
                "POWERTOOLS_METRICS_NAMESPACE": "workflow-bridge/bridge",
                "HEALTH_LISTEN": "127.0.0.1:8080",
            },
        )
        # Not options of the relay, but common to every part of the bridge.
        self.assertLessEqual(set(variables) - {"AWS_REGION", "POWERTOOLS_METRICS_NAMESPACE"}, documented())

        parameter = self.client("ssm").get_parameter(Name=variables["ROUTES"].removeprefix("ssm:"))["Parameter"]
        self.assertIn("uppercase-in", [route["from"]["topic"] for route in json.loads(parameter["Value"])["routes"]])
        account = parameter["ARN"].split(":")[4]
        arn = lambda service, name: f"arn:aws:{service}:{REGION}:{account}:{name}"
        table = arn("dynamodb", "table/" + variables["RELAY_STATE"].removeprefix("dynamodb:"))
        self.assertEqual(table, self.client("dynamodb").describe_table(TableName=self.first["LedgerTableName"])["Table"]["TableArn"])
        cursors = {"ForAllValues:StringLike": {"dynamodb:LeadingKeys": ["relay#*"]}}
        routes = {"ForAllValues:StringLike": {"dynamodb:LeadingKeys": ["relay#*", "routes"]}}
        gaps = {"StringEquals": {"events:source": "workflow-bridge", "events:detail-type": "Sequence Gap"}}
        self.assertEqual(
            task_role,
            {
                ("ssm:GetParameter", parameter["ARN"]): None,
                ("secretsmanager:GetSecretValue", variables["SIGNING_SECRET_ID"]): None,
                ("secretsmanager:GetSecretValue", variables["MOMENTO_SECRET_ID"]): None,
                ("dynamodb:GetItem", table): routes,
                ("dynamodb:BatchGetItem", table): cursors,
                ("dynamodb:PutItem", table): cursors,
                ("events:PutEvents", arn("events", "event-bus/" + variables["GAP_EVENT_BUS"])): gaps,
            },
        )
        name = container["logConfiguration"]["options"]["awslogs-group"]
        [group] = self.client("logs").describe_log_groups(logGroupNamePrefix=name)["logGroups"]
        self.assertEqual(execution_role, {("logs:CreateLogStream", group["arn"]): None, ("logs:PutLogEvents", group["arn"]): None})

    def test_topics_and_a_private_image_are_options(self):
        topics = "demo/orders-eu,demo/orders-us"
        container, _, execution_role = self.relay(Topics=topics, ImageRepositoryArn=REPOSITORY)
        self.assertIn({"name": "RELAY_TOPICS", "value": topics}, container["environment"])
        self.assertIn("RELAY_TOPICS", documented())
        images = {action: resource for action, resource in execution_role if action.startswith("ecr:")}
        self.assertEqual(images.pop("ecr:GetAuthorizationToken"), "*")
        wanted = ["BatchCheckLayerAvailability", "BatchGetImage", "GetDownloadUrlForLayer"]
        self.assertEqual(images, {f"ecr:{action}": REPOSITORY for action in wanted})

    def test_a_task_has_a_health_check_and_no_inbound_traffic(self):
        container, _, _ = self.relay()
        variables = {variable["name"]: variable["value"] for variable in container["environment"]}
        # The emulator stores the health check under names missing in its answer.
        probe = f'[CMD, bridge, health, "http://{variables["HEALTH_LISTEN"]}/live"]'
        self.assertIn(f"Command: {probe}\n", (ROOT / self.template).read_text())
        self.assertGreater(container["stopTimeout"], 20)
        self.assertTrue(container["readonlyRootFilesystem"])
        self.assertNotIn(container["user"].split(":")[0], ["", "0", "root"])

        service, _ = self.service_and_task()
        network = service["networkConfiguration"]["awsvpcConfiguration"]
        self.assertEqual(network["assignPublicIp"], "DISABLED")
        [group] = self.client("ec2").describe_security_groups(GroupIds=network["securityGroups"])["SecurityGroups"]
        self.assertEqual(group["IpPermissions"], [])
        self.assertEqual([(rule["IpProtocol"], rule["FromPort"], rule["ToPort"]) for rule in group["IpPermissionsEgress"]], [("tcp", 443, 443)])


if __name__ == "__main__":
    unittest.main()
