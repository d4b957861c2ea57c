"""CloudWatch: the age of a queue's oldest message, which ministack does not measure."""

import time

NAME = "ApproximateAgeOfOldestMessage"


def correct(cloudwatch, sqs):
    data_of = cloudwatch._get_metric_data

    def get_metric_data(params, body, *protocol):
        """Measures when it is asked; only the present age is known."""
        metrics = [(query.get("MetricStat") or {}).get("Metric") or {} for query in body.get("MetricDataQueries", [])]
        for metric in metrics:
            dimensions = metric.get("Dimensions") or []
            if metric.get("MetricName") == NAME and [one.get("Name") for one in dimensions] == ["QueueName"]:
                measure(dimensions)
        return data_of(params, body, *protocol)

    def measure(dimensions):
        dimensions = {one["Name"]: one["Value"] for one in dimensions}
        points, now = cloudwatch._metric_bucket(("AWS/SQS", NAME, cloudwatch._dims_key(dimensions))), time.time()
        points.clear()
        with sqs._queues_lock:
            queue = sqs._queues.get(sqs._queue_name_to_url.get(dimensions["QueueName"]))
            sent = [message["sent_at"] for message in queue["messages"]] if queue else []
        if sent:
            points.append({"Timestamp": now, "Unit": "Seconds", "Dimensions": dimensions, "Value": now - min(sent)})

    cloudwatch._get_metric_data = get_metric_data
