"""Schedules that SAM creates for a function's events."""

import json

from running import ECHO, REGION, ROLE, Running, package


class Schedules(Running):
    def test_both_kinds_of_schedule_events_deploy(self):
        """Checks the resources only, since the first run is a minute away."""
        objects = self.client("s3")
        objects.create_bucket(Bucket="code-of-schedules", CreateBucketConfiguration={"LocationConstraint": REGION})
        objects.put_object(Bucket="code-of-schedules", Key="code", Body=package(ECHO))
        properties = {
            "Runtime": "provided.al2023", "Handler": "bootstrap", "Role": ROLE,
            "CodeUri": "s3://code-of-schedules/code",
            "Events": {
                "Old": {"Type": "Schedule", "Properties": {"Schedule": "rate(1 minute)"}},
                "New": {"Type": "ScheduleV2", "Properties": {"ScheduleExpression": "rate(1 minute)"}},
            },
        }  # fmt: skip
        template = {
            "Transform": "AWS::Serverless-2016-10-31",
            "Resources": {"Sweep": {"Type": "AWS::Serverless::Function", "Properties": properties}},
        }
        stacks = self.client("cloudformation")
        stacks.create_stack(StackName="s", TemplateBody=json.dumps(template), Capabilities=["CAPABILITY_IAM"])
        stacks.get_waiter("stack_create_complete").wait(StackName="s", WaiterConfig={"Delay": 0.1})
        resources = stacks.describe_stack_resources(StackName="s")["StackResources"]
        made = {resource["ResourceType"]: resource["PhysicalResourceId"] for resource in resources}
        kinds = {"Lambda::Function", "Lambda::Permission", "Events::Rule", "Scheduler::Schedule", "IAM::Role"}
        self.assertEqual(set(made), {f"AWS::{kind}" for kind in kinds})
        rule = self.events.describe_rule(Name=made["AWS::Events::Rule"])
        self.assertEqual((rule["ScheduleExpression"], rule["State"]), ("rate(1 minute)", "ENABLED"))
        (schedule,) = self.client("scheduler").list_schedules()["Schedules"]
        schedule = self.client("scheduler").get_schedule(Name=schedule["Name"], GroupName=schedule["GroupName"])
        self.assertEqual((schedule["ScheduleExpression"], schedule["State"]), ("rate(1 minute)", "ENABLED"))
        (target,) = self.events.list_targets_by_rule(Rule=made["AWS::Events::Rule"])["Targets"]
        for arn in (schedule["Target"]["Arn"], target["Arn"]):
            self.assertTrue(arn.endswith(":function:" + made["AWS::Lambda::Function"]), arn)
