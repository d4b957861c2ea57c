"""DynamoDB with concurrent threads."""

import concurrent.futures
import time
import unittest
from unittest import mock

import running  # noqa: F401  puts the corrections on the path


class Threads(unittest.TestCase):
    """Runs in this process, because the timing is critical."""

    def setUp(self):
        from corrections import tables
        from ministack.services import dynamodb

        for operation in tables.OPERATIONS:
            name = f"_{operation}"
            self.addCleanup(setattr, dynamodb, name, getattr(dynamodb, name))
        tables.correct(dynamodb)
        self.dynamodb = dynamodb
        key = {"AttributeName": "id"}
        properties = {
            "TableName": "busy", "BillingMode": "PAY_PER_REQUEST",
            "AttributeDefinitions": [{**key, "AttributeType": "S"}], "KeySchema": [{**key, "KeyType": "HASH"}],
        }  # fmt: skip
        dynamodb._create_table(properties)
        self.addCleanup(dynamodb._delete_table, {"TableName": "busy"})
        # Each evaluation of a condition yields to the other threads.
        judge = dynamodb._evaluate_condition
        slowly = mock.patch.object(dynamodb, "_evaluate_condition", lambda *a, **b: (judge(*a, **b), time.sleep(0.01))[0])
        slowly.start()
        self.addCleanup(slowly.stop)

    def at_once(self, function):
        with concurrent.futures.ThreadPoolExecutor(10) as pool:
            return [status for status, *_ in pool.map(lambda _: function(), range(10))]

    def test_one_conditional_put_wins(self):
        put = {"TableName": "busy", "Item": {"id": {"S": "a"}}, "ConditionExpression": "attribute_not_exists(id)"}
        self.assertEqual(sorted(self.at_once(lambda: self.dynamodb._put_item(put))), [200] + [400] * 9)

    def test_one_transaction_wins_and_counts(self):
        put = {"TableName": "busy", "Item": {"id": {"S": "b"}}, "ConditionExpression": "attribute_not_exists(id)"}
        add = {"TableName": "busy", "Key": {"id": {"S": "n"}}, "UpdateExpression": "ADD events :one",
               "ExpressionAttributeValues": {":one": {"N": "1"}}}  # fmt: skip
        items = {"TransactItems": [{"Put": put}, {"Update": add}]}
        self.assertEqual(sorted(self.at_once(lambda: self.dynamodb._transact_write_items(items))), [200] + [400] * 9)
        self.assertEqual(self.dynamodb._tables["busy"]["items"]["n"]["__no_sort__"]["events"], {"N": "1"})
