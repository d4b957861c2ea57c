"""CloudWatch alone: the age of a queue's oldest message."""

import time
import unittest

from running import Running


class Metrics(Running):
    def age(self, name):
        now = time.time()
        metric = {
            "Namespace": "AWS/SQS",
            "MetricName": "ApproximateAgeOfOldestMessage",
            "Dimensions": [{"Name": "QueueName", "Value": name}],
        }
        query = {"Id": "age", "MetricStat": {"Metric": metric, "Period": 60, "Stat": "Maximum"}}
        answer = self.client("cloudwatch").get_metric_data(
            MetricDataQueries=[query], StartTime=now - 900, EndTime=now + 60
        )
        return answer["MetricDataResults"][0]["Values"]

    def test_a_queue_has_the_age_of_its_oldest_message(self):
        url, _ = self.queue("old")
        self.assertEqual(self.age("old"), [])
        began = time.time()
        self.queues.send_message(QueueUrl=url, MessageBody="first")
        sent = time.time()
        self.queues.send_message(QueueUrl=url, MessageBody="second")
        before = time.time()
        (age,) = self.age("old")
        self.assertGreaterEqual(age, before - sent)
        self.assertLessEqual(age, time.time() - began)
        self.queues.purge_queue(QueueUrl=url)
        self.assertEqual(self.age("old"), [])
        self.assertEqual(self.age("missing"), [])


if __name__ == "__main__":
    unittest.main()
