"""DynamoDB and S3, as the bridge's stores use them."""

import json
import threading
import urllib.error
import urllib.request

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError
from running import ECHO, Running


class Stacks(Running):
    """Tests whose resources come from a template."""

    def deploy(self, **resources):
        """Deploys the resources; returns their physical IDs."""
        stacks = self.client("cloudformation")
        body = json.dumps({"Resources": resources})
        stacks.create_stack(StackName="data", TemplateBody=body, Capabilities=["CAPABILITY_IAM"])
        stacks.get_waiter("stack_create_complete").wait(StackName="data", WaiterConfig={"Delay": 0.1})
        found = stacks.describe_stack_resources(StackName="data")["StackResources"]
        return {resource["LogicalResourceId"]: resource["PhysicalResourceId"] for resource in found}


class Tables(Stacks):
    def setUp(self):
        super().setUp()
        properties = {
            "BillingMode": "PAY_PER_REQUEST",
            "AttributeDefinitions": [{"AttributeName": "pk", "AttributeType": "S"}],
            "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}],
            "TimeToLiveSpecification": {"AttributeName": "expires", "Enabled": True},
        }
        self.table = self.deploy(Table={"Type": "AWS::DynamoDB::Table", "Properties": properties})["Table"]
        self.tables = self.client("dynamodb")

    def put(self, pk="a", **item):
        self.tables.put_item(TableName=self.table, Item={"pk": {"S": pk}, **item})

    def get(self, pk="a"):
        return self.tables.get_item(TableName=self.table, Key={"pk": {"S": pk}}, ConsistentRead=True).get("Item")

    def update(self, expression, client=None, pk="a", **more):
        client = client or self.tables
        return client.update_item(TableName=self.table, Key={"pk": {"S": pk}}, UpdateExpression=expression, **more)

    def test_properties_of_the_template_apply(self):
        table = self.tables.describe_table(TableName=self.table)["Table"]
        self.assertEqual(table["BillingModeSummary"]["BillingMode"], "PAY_PER_REQUEST")
        ttl = self.tables.describe_time_to_live(TableName=self.table)["TimeToLiveDescription"]
        self.assertEqual((ttl["TimeToLiveStatus"], ttl["AttributeName"]), ("ENABLED", "expires"))

    def test_a_missing_or_expired_claim_can_be_taken(self):
        claim = {
            "ConditionExpression": "attribute_not_exists(pk) OR #status = :failed OR (#status = :claimed AND #until < :now)",
            "ExpressionAttributeNames": {"#status": "status", "#until": "until"},
            "ReturnValues": "ALL_NEW",
            "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
        }

        def values(now):
            texts = {":failed": {"S": "failed"}, ":claimed": {"S": "claimed"}, ":topics": {"SS": ["t"]}}
            return {**texts, ":now": {"N": str(now)}, ":until": {"N": str(now + 10)}}

        take = "SET #status = :claimed, #until = :until ADD topics :topics"
        item = self.update(take, ExpressionAttributeValues=values(100), **claim)["Attributes"]
        taken = {"pk": {"S": "a"}, "status": {"S": "claimed"}, "until": {"N": "110"}, "topics": {"SS": ["t"]}}
        self.assertEqual(item, taken)
        with self.assertRaises(ClientError) as caught:
            self.update(take, ExpressionAttributeValues=values(110), **claim)
        answer = caught.exception.response
        self.assertEqual(answer["Error"]["Code"], "ConditionalCheckFailedException")
        self.assertEqual(answer["Item"], taken)
        item = self.update(take, ExpressionAttributeValues=values(111), **claim)["Attributes"]
        self.assertEqual(item["until"], {"N": "121"})

    def test_a_conditional_put(self):
        condition = {"ConditionExpression": "attribute_not_exists(pk)", "ReturnValuesOnConditionCheckFailure": "ALL_OLD"}
        self.tables.put_item(TableName=self.table, Item={"pk": {"S": "a"}, "n": {"N": "1"}}, **condition)
        with self.assertRaises(ClientError) as caught:
            self.tables.put_item(TableName=self.table, Item={"pk": {"S": "a"}, "n": {"N": "2"}}, **condition)
        answer = caught.exception.response
        self.assertEqual(answer["Error"]["Code"], "ConditionalCheckFailedException")
        self.assertEqual(answer["Item"], {"pk": {"S": "a"}, "n": {"N": "1"}})
        self.assertEqual(self.get()["n"], {"N": "1"})

    def test_a_put_replaces_the_expected_version_only(self):
        def put(version, previous):
            item = {"pk": {"S": "a"}, "version": {"N": str(version)}}
            more = {"ExpressionAttributeNames": {"#v": "version"}, "ExpressionAttributeValues": {":p": {"N": str(previous)}}}
            self.tables.put_item(TableName=self.table, Item=item, ConditionExpression="#v = :p", **more)

        refusal = "ConditionalCheckFailedException"
        self.assertEqual(self.refused(put, version=1, previous=0), refusal)
        self.put(version={"N": "9"})
        put(10, previous=9)
        self.assertEqual(self.refused(put, version=11, previous=9), refusal)
        self.assertEqual(self.get()["version"], {"N": "10"})

    def test_a_condition_on_a_missing_item(self):
        code = self.refused(self.update, expression="SET n = :n", ConditionExpression="attribute_exists(pk)",
                            ExpressionAttributeValues={":n": {"N": "1"}})  # fmt: skip
        self.assertEqual(code, "ConditionalCheckFailedException")
        self.assertIsNone(self.get())

    def test_a_reserved_word_needs_a_name(self):
        code = self.refused(self.update, expression="SET status = :v", ExpressionAttributeValues={":v": {"S": "x"}})
        self.assertEqual(code, "ValidationException")

    def test_lists_and_sets_of_strings(self):
        self.put(some={"SS": ["a", "b"]}, all={"L": [{"S": "x"}]})
        values = {":gone": {"SS": ["a"]}, ":more": {"L": [{"S": "y"}]}}
        names = {"#all": "all"}
        expression = "SET #all = list_append(#all, :more) DELETE #some :gone"
        names["#some"] = "some"
        self.update(expression, ExpressionAttributeNames=names, ExpressionAttributeValues=values)
        item = self.get()
        self.assertEqual((item["some"], item["all"]), ({"SS": ["b"]}, {"L": [{"S": "x"}, {"S": "y"}]}))
        self.assertEqual(self.refused(self.put, empty={"SS": []}), "ValidationException")

    def test_a_batch_has_up_to_a_hundred_keys(self):
        for i in range(0, 100, 2):
            self.put(str(i))
        keys = [{"pk": {"S": str(i)}} for i in range(100)]
        answer = self.tables.batch_get_item(RequestItems={self.table: {"Keys": keys, "ConsistentRead": True}})
        self.assertEqual(len(answer["Responses"][self.table]), 50)
        self.assertEqual(answer["UnprocessedKeys"], {})
        many = {self.table: {"Keys": [*keys, {"pk": {"S": "100"}}]}}
        self.assertEqual(self.refused(self.tables.batch_get_item, RequestItems=many), "ValidationException")

    def test_one_of_many_concurrent_updates_wins(self):
        for round in range(10):
            won, start = [], threading.Barrier(8)

            def claim(i):
                client = self.client("dynamodb")
                start.wait()
                try:
                    self.update("SET winner = :i", client, pk=str(round), ConditionExpression="attribute_not_exists(pk)",
                                ExpressionAttributeValues={":i": {"N": str(i)}})  # fmt: skip
                    won.append(str(i))
                except ClientError as error:
                    if error.response["Error"]["Code"] != "ConditionalCheckFailedException":
                        won.append(repr(error))

            threads = [threading.Thread(target=claim, args=[i]) for i in range(8)]
            [thread.start() for thread in threads]
            [thread.join() for thread in threads]
            self.assertEqual(won, [self.get(str(round))["winner"]["N"]])


class Buckets(Stacks):
    def setUp(self):
        super().setUp()
        properties = {
            "LifecycleConfiguration": {"Rules": [{"Id": "expire", "Status": "Enabled", "ExpirationInDays": 1}]},
            "PublicAccessBlockConfiguration": {
                name: True for name in ("BlockPublicAcls", "BlockPublicPolicy", "IgnorePublicAcls", "RestrictPublicBuckets")
            },
            "BucketEncryption": {
                "ServerSideEncryptionConfiguration": [{"ServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}]
            },
            "OwnershipControls": {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]},
        }
        self.bucket = self.deploy(Bucket={"Type": "AWS::S3::Bucket", "Properties": properties})["Bucket"]
        self.objects = self.client("s3")

    def test_properties_of_the_template_apply(self):
        (rule,) = self.objects.get_bucket_lifecycle_configuration(Bucket=self.bucket)["Rules"]
        self.assertEqual((rule["Status"], rule["Expiration"]), ("Enabled", {"Days": 1}))
        block = self.objects.get_public_access_block(Bucket=self.bucket)["PublicAccessBlockConfiguration"]
        self.assertEqual(set(block.values()), {True})
        encryption = self.objects.get_bucket_encryption(Bucket=self.bucket)["ServerSideEncryptionConfiguration"]
        applied = encryption["Rules"][0]["ApplyServerSideEncryptionByDefault"]
        self.assertEqual(applied["SSEAlgorithm"], "AES256")

    def test_an_object_and_its_presigned_url(self):
        """With the credentials of a function, which have a session token."""
        self.function(ECHO)
        answer = self.client("lambda").invoke(FunctionName="function")
        environment = json.loads(json.load(answer["Payload"])["body"])["environment"]
        own = boto3.client(
            "s3", endpoint_url=environment["AWS_ENDPOINT_URL"], region_name=environment["AWS_REGION"],
            aws_access_key_id=environment["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=environment["AWS_SECRET_ACCESS_KEY"],
            aws_session_token=environment["AWS_SESSION_TOKEN"],
            config=Config(signature_version="s3v4", s3={"addressing_style": "path"}),
        )  # fmt: skip
        body = "é\u2028".encode() * 500_000
        own.put_object(Bucket=self.bucket, Key="a/b c.json", Body=body, ContentType="application/json")

        def presigned(key):
            return own.generate_presigned_url("get_object", Params={"Bucket": self.bucket, "Key": key}, ExpiresIn=60)

        self.assertIn("X-Amz-Security-Token=", presigned("a/b c.json"))
        with urllib.request.urlopen(presigned("a/b c.json")) as answer:
            self.assertEqual((answer.read(), answer.headers["Content-Type"]), (body, "application/json"))
        with self.assertRaises(urllib.error.HTTPError) as caught:
            urllib.request.urlopen(presigned("none"))
        caught.exception.close()
        self.assertEqual(caught.exception.code, 404)

    def test_a_missing_bucket(self):
        code = self.refused(self.objects.put_object, Bucket="no-such-bucket-at-all", Key="a", Body=b"")
        self.assertEqual(code, "NoSuchBucket")
