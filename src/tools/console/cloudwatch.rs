//! CloudWatch's metrics and alarms, by its JSON protocol.
//!
//! Its SDK would add 14 crates, old versions of `http` and `http-body` among them, for these two reads. `aws-sigv4` is in use by
//! the other SDKs.

use std::time::{Duration, SystemTime};

use aws_config::SdkConfig;
use aws_sdk_sqs::config::ProvideCredentials;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4::SigningParams;
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::byte_stream::ByteStream;
use serde_json::{Value, json};
use tokio::time::timeout;

use super::alarms::Described;
use crate::adapters::aws::{HttpClient, RootsError, http_of_machine};
use crate::clock::now_ms;
use crate::domain::fault::Fault;

/// Deadline of a call.
const WITHIN: Duration = Duration::from_secs(10);

/// The target of its operations.
const TARGET: &str = "GraniteServiceVersion20100801";

/// The searched range of ages. SQS sends a value each minute, and the first ones of an idle queue up to 15 minutes late.
const LOOK_BACK_SECONDS: i64 = 15 * 60;

/// DescribeAlarms' largest page.
const PAGE: u32 = 100;

/// Pages of alarms, at most: other stacks' names may begin with this one's.
const MOST_PAGES: usize = 10;

/// A client of CloudWatch.
pub struct CloudWatch {
    config: SdkConfig,
    http: HttpClient,
}

impl CloudWatch {
    /// # Errors
    ///
    /// When a variable names an unreadable file of trusted roots.
    pub fn new(config: &SdkConfig) -> Result<Self, RootsError> {
        Ok(Self {
            config: config.clone(),
            http: http_of_machine()?,
        })
    }

    /// The ages of the oldest messages of these queues, in ms; none where a queue has no value yet.
    ///
    /// # Errors
    ///
    /// When GetMetricData is refused.
    pub async fn ages(&self, queues: &[String]) -> Result<Vec<Option<i64>>, Fault> {
        let queries = queues.iter().enumerate().map(|(index, queue)| {
            let metric = json!({
                "Namespace": "AWS/SQS",
                "MetricName": "ApproximateAgeOfOldestMessage",
                "Dimensions": [{"Name": "QueueName", "Value": queue}],
            });
            let stat = json!({"Metric": metric, "Period": 60, "Stat": "Maximum"});
            json!({"Id": format!("queue{index}"), "MetricStat": stat})
        });
        let now = now_ms() / 1000;
        let request = json!({
            "MetricDataQueries": queries.collect::<Vec<_>>(),
            "StartTime": now - LOOK_BACK_SECONDS,
            "EndTime": now + 60,
        });
        let answer = self.call("GetMetricData", &request).await?;
        let results = answer["MetricDataResults"].as_array();
        let age = |index: usize| {
            let id = format!("queue{index}");
            let result = results?.iter().find(|result| result["Id"] == *id)?;
            newest(result)
        };
        Ok((0..queues.len()).map(age).collect())
    }

    /// The alarms of a stack and of those whose names begin with its name and `-`; all of the account without one.
    ///
    /// # Errors
    ///
    /// When DescribeAlarms is refused.
    pub async fn alarms(&self, stack: Option<&str>) -> Result<Vec<Described>, Fault> {
        let mut request = json!({"AlarmTypes": ["MetricAlarm"], "MaxRecords": PAGE});
        if let Some(stack) = stack {
            request["AlarmNamePrefix"] = format!("{stack}-").into();
        }
        let mut found = Vec::new();
        for _ in 0..MOST_PAGES {
            let answer = self.call("DescribeAlarms", &request).await?;
            found.extend(Described::read(&answer));
            match answer["NextToken"].as_str() {
                Some(token) if !token.is_empty() => request["NextToken"] = token.into(),
                _ => break,
            }
        }
        Ok(found)
    }

    async fn call(&self, operation: &str, body: &Value) -> Result<Value, Fault> {
        let called = timeout(WITHIN, self.signed(operation, body.to_string()));
        called.await.unwrap_or_else(|_| Err(Fault::timed_out()))
    }

    async fn signed(&self, operation: &str, body: String) -> Result<Value, Fault> {
        let refused =
            |error: &dyn std::error::Error| Fault::permanent("NotSigned", error.to_string());
        let region = self.config.region().map_or("us-east-1", AsRef::as_ref);
        let provider = self.config.credentials_provider();
        let provider =
            provider.ok_or_else(|| Fault::permanent("NoCredentials", "none are configured"))?;
        let credentials = provider.provide_credentials().await;
        let identity = credentials.map_err(|error| refused(&error))?.into();
        let parameters = SigningParams::builder()
            .identity(&identity)
            .region(region)
            .name("monitoring")
            .time(SystemTime::now())
            .settings(SigningSettings::default())
            .build();
        let parameters = parameters.map_err(|error| refused(&error))?.into();
        let url = self.endpoint(region);
        let target = format!("{TARGET}.{operation}");
        let headers = [
            ("content-type", "application/x-amz-json-1.0"),
            ("x-amz-target", target.as_str()),
        ];
        let signable = SignableRequest::new(
            "POST",
            url.as_str(),
            headers.into_iter(),
            SignableBody::Bytes(body.as_bytes()),
        );
        let signed = signable.and_then(|signable| sign(signable, &parameters));
        let (instructions, _) = signed.map_err(|error| refused(&error))?.into_parts();
        let request = http::Request::post(url.as_str());
        let request = headers.iter().fold(request, |request, (name, value)| {
            request.header(*name, *value)
        });
        let request = request.body(SdkBody::from(body));
        let mut request = request.map_err(|error| refused(&error))?;
        instructions.apply_to_request_http1x(&mut request);
        let request = HttpRequest::try_from(request).map_err(|error| refused(&error))?;
        let lost = |error: &dyn std::error::Error| Fault::transient("NoAnswer", error.to_string());
        let response = self
            .http
            .send(request)
            .await
            .map_err(|error| lost(&error))?;
        let status = response.status();
        let text = ByteStream::new(response.into_body()).collect().await;
        let text = text.map_err(|error| lost(&error))?.into_bytes();
        let answer: Value = serde_json::from_slice(&text).unwrap_or_default();
        match status.is_success() {
            true => Ok(answer),
            false => Err(error_of(status.as_u16(), &answer)),
        }
    }

    fn endpoint(&self, region: &str) -> String {
        if let Some(url) = self.config.endpoint_url() {
            return format!("{}/", url.trim_end_matches('/'));
        }
        let fips = match self.config.use_fips() {
            Some(true) => "-fips",
            _ => "",
        };
        let suffix = match region.starts_with("cn-") {
            true => "amazonaws.com.cn",
            false => "amazonaws.com",
        };
        format!("https://monitoring{fips}.{region}.{suffix}/")
    }
}

/// The newest value of a result, in seconds, as ms.
fn newest(result: &Value) -> Option<i64> {
    let times = result["Timestamps"].as_array()?.iter();
    let values = result["Values"].as_array()?.iter();
    let pairs = times.zip(values);
    let pairs = pairs.filter_map(|(time, value)| Some((time.as_f64()?, value.as_f64()?)));
    let (_, seconds) = pairs.max_by(|(a, _), (b, _)| a.total_cmp(b))?;
    Some((seconds * 1000.0) as i64)
}

/// The error of an answer: its code without its namespace.
fn error_of(status: u16, answer: &Value) -> Fault {
    let code = answer["__type"].as_str().unwrap_or("Unknown");
    let code = code.rsplit('#').next().unwrap_or(code);
    let text = answer["message"].as_str().or(answer["Message"].as_str());
    let text = text.map_or_else(|| format!("status {status}"), str::to_owned);
    Fault::permanent(code, text)
}

#[cfg(test)]
mod tests {
    use aws_config::Region;

    use super::*;

    #[test]
    fn the_newest_value_counts_in_either_order() {
        for result in [
            json!({"Timestamps": [60.0, 120.0], "Values": [7.0, 1.5]}),
            json!({"Timestamps": [120, 60], "Values": [1.5, 7]}),
        ] {
            assert_eq!(newest(&result), Some(1_500));
        }
        assert_eq!(newest(&json!({"Timestamps": [], "Values": []})), None);
    }

    #[test]
    fn an_error_has_its_code_and_text() {
        let answer =
            json!({"__type": "com.amazon.coral.service#AccessDenied", "Message": "not authorized"});
        assert_eq!(
            error_of(403, &answer).to_string(),
            "AccessDenied: not authorized"
        );
        assert_eq!(
            error_of(503, &Value::Null).to_string(),
            "Unknown: status 503"
        );
    }

    #[test]
    fn the_endpoint_is_that_of_the_region() {
        let url = |region: &'static str, fips: bool| {
            let config = SdkConfig::builder().use_fips(fips).build();
            CloudWatch::new(&config.into_builder().region(Region::new(region)).build())
                .unwrap()
                .endpoint(region)
        };
        assert_eq!(
            url("eu-west-1", false),
            "https://monitoring.eu-west-1.amazonaws.com/"
        );
        assert_eq!(
            url("us-gov-west-1", true),
            "https://monitoring-fips.us-gov-west-1.amazonaws.com/"
        );
        assert_eq!(
            url("cn-north-1", false),
            "https://monitoring.cn-north-1.amazonaws.com.cn/"
        );
    }
}
