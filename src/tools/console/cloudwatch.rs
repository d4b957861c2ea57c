//! CloudWatch's metrics and alarms.

use aws_config::SdkConfig;
use aws_sdk_cloudwatch::Client;
use aws_sdk_cloudwatch::primitives::DateTime;
use aws_sdk_cloudwatch::types::{
    AlarmType, Dimension, Metric, MetricAlarm, MetricDataQuery, MetricDataResult, MetricStat,
};

use crate::adapters::aws::fault::fault;
use crate::clock::now_ms;
use crate::domain::fault::Fault;

/// The searched range of ages. SQS sends a value each minute, and the first ones of an idle queue up to 15 minutes late.
const LOOK_BACK_SECONDS: i64 = 15 * 60;

/// DescribeAlarms' largest page.
const PAGE: i32 = 100;

/// Pages of alarms, at most: other stacks' names may begin with this one's.
const MOST_PAGES: usize = 10;

/// A client of CloudWatch.
pub struct CloudWatch {
    client: Client,
}

impl CloudWatch {
    pub fn new(aws: &SdkConfig) -> Self {
        Self {
            client: Client::new(aws),
        }
    }

    /// The ages of the oldest messages of these queues, in ms; none where a queue has no value yet.
    ///
    /// # Errors
    ///
    /// When GetMetricData is refused.
    pub async fn ages(&self, queues: &[String]) -> Result<Vec<Option<i64>>, Fault> {
        let queries = queues.iter().enumerate();
        let queries = queries.map(|(index, queue)| query(id(index), queue));
        let now = now_ms() / 1000;
        let call = self.client.get_metric_data();
        let call = call
            .set_metric_data_queries(Some(queries.collect()))
            .start_time(DateTime::from_secs(now - LOOK_BACK_SECONDS))
            .end_time(DateTime::from_secs(now + 60));
        let output = call.send().await.map_err(|e| fault(&e))?;
        let age = |index: usize| {
            let id = id(index);
            let mut results = output.metric_data_results().iter();
            newest(results.find(|result| result.id() == Some(&id))?)
        };
        Ok((0..queues.len()).map(age).collect())
    }

    /// The alarms of a stack and of those whose names begin with its name and `-`; all of the account without one.
    ///
    /// # Errors
    ///
    /// When DescribeAlarms is refused.
    pub async fn alarms(&self, stack: Option<&str>) -> Result<Vec<MetricAlarm>, Fault> {
        let call = self.client.describe_alarms();
        let call = call
            .alarm_types(AlarmType::MetricAlarm)
            .set_alarm_name_prefix(stack.map(|stack| format!("{stack}-")));
        let mut pages = call.into_paginator().page_size(PAGE).send();
        let mut found = Vec::new();
        for _ in 0..MOST_PAGES {
            let Some(page) = pages.next().await else {
                break;
            };
            let page = page.map_err(|e| fault(&e))?;
            found.extend(page.metric_alarms.unwrap_or_default());
        }
        Ok(found)
    }
}

/// The id of a query.
fn id(index: usize) -> String {
    format!("queue{index}")
}

fn query(id: String, queue: &str) -> MetricDataQuery {
    let dimension = Dimension::builder().name("QueueName").value(queue);
    let metric = Metric::builder()
        .namespace("AWS/SQS")
        .metric_name("ApproximateAgeOfOldestMessage")
        .dimensions(dimension.build());
    let stat = MetricStat::builder()
        .metric(metric.build())
        .period(60)
        .stat("Maximum");
    let query = MetricDataQuery::builder().id(id);
    query.metric_stat(stat.build()).build()
}

/// The newest value of a result, in seconds, as ms.
fn newest(result: &MetricDataResult) -> Option<i64> {
    let pairs = result.timestamps().iter().zip(result.values());
    let (_, seconds) = pairs.max_by_key(|(time, _)| **time)?;
    Some((seconds * 1000.0) as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_value_counts_in_either_order() {
        let result = |pairs: &[(i64, f64)]| {
            let mut result = MetricDataResult::builder();
            for (time, value) in pairs {
                let time = DateTime::from_secs(*time);
                result = result.timestamps(time).values(*value);
            }
            result.build()
        };
        for pairs in [[(60, 7.0), (120, 1.5)], [(120, 1.5), (60, 7.0)]] {
            assert_eq!(newest(&result(&pairs)), Some(1_500));
        }
        assert_eq!(newest(&result(&[])), None);
    }
}
