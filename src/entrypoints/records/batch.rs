//! The relevant fields of a queue's event source and of its response.

use serde::{Deserialize, Serialize};

/// The records of one invocation.
#[derive(Deserialize)]
pub struct Batch {
    #[serde(rename = "Records")]
    pub(super) records: Vec<Message>,
}

/// A record as Lambda sends it. All fields are there, but none is required.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Message {
    pub(super) message_id: Option<String>,
    pub(super) receipt_handle: Option<String>,
    pub(super) body: Option<String>,
    attributes: Option<Attributes>,
}

/// A message's attributes, numbers as text.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Attributes {
    approximate_receive_count: Option<String>,
    sent_timestamp: Option<String>,
    #[serde(rename = "AWSTraceHeader")]
    trace: Option<String>,
}

impl Message {
    /// Number of receives, including this one.
    pub(super) fn receives(&self) -> Option<u32> {
        let count = &self.attributes.as_ref()?.approximate_receive_count;
        count.as_ref()?.parse().ok()
    }

    /// When it was put into the queue, in ms since the epoch.
    pub(super) fn sent_at(&self) -> Option<i64> {
        let sent_at = &self.attributes.as_ref()?.sent_timestamp;
        sent_at.as_ref()?.parse().ok()
    }

    /// The sender's header `X-Amzn-Trace-Id`.
    pub(super) fn trace(&self) -> Option<&str> {
        self.attributes.as_ref()?.trace.as_deref()
    }
}

/// The messages to be received again: the queue deletes the others.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Failures {
    pub batch_item_failures: Vec<Failure>,
}

/// A message to be received again.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Failure {
    pub item_identifier: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_is_read_in_the_shape_of_sqs() {
        // A record as documented by AWS, beside a minimal one.
        let batch = r#"{"Records": [{
            "messageId": "059f36b4-87a3-44ab-83d2-661975830a7d", "receiptHandle": "AQEBwJnKyrHigUMZj6rYigCgxlaS3SLy0a",
            "body": "\u00e9\"\n", "attributes": {
                "ApproximateReceiveCount": "3", "SentTimestamp": "1545082649183", "SenderId": "AIDAIENQZJOLO23YVJ4VO",
                "AWSTraceHeader": "Root=1-5bef4de7-ad49b0e87f6ef6c87fc2e700", "ApproximateFirstReceiveTimestamp": "1545082649185"
            },
            "messageAttributes": {"a": {"stringValue": "100", "binaryValue": null, "dataType": "Number"}},
            "md5OfBody": "e4e68fb7bd0e697a0ae8f1bb342846b3", "eventSource": "aws:sqs",
            "eventSourceARN": "arn:aws:sqs:us-east-2:123456789012:my-queue", "awsRegion": "us-east-2"
        }, {"messageId": null, "attributes": {"SentTimestamp": "now"}, "messageAttributes": 7}, {"attributes": null}]}"#;
        let batch: Batch = serde_json::from_str(batch).unwrap();
        let full = &batch.records[0];
        let id = full.message_id.as_deref();
        assert_eq!(id, Some("059f36b4-87a3-44ab-83d2-661975830a7d"));
        let receipt = full.receipt_handle.as_deref();
        assert_eq!(receipt, Some("AQEBwJnKyrHigUMZj6rYigCgxlaS3SLy0a"));
        assert_eq!(full.body.as_deref(), Some("\u{e9}\"\n"));
        assert_eq!(
            (full.receives(), full.sent_at()),
            (Some(3), Some(1_545_082_649_183))
        );
        assert_eq!(
            full.trace(),
            Some("Root=1-5bef4de7-ad49b0e87f6ef6c87fc2e700")
        );
        for bare in &batch.records[1..] {
            assert_eq!(
                (&bare.message_id, &bare.receipt_handle, &bare.body),
                (&None, &None, &None)
            );
            assert_eq!(
                (bare.receives(), bare.sent_at(), bare.trace()),
                (None, None, None)
            );
        }
        assert_eq!(batch.records.len(), 3);
        for none in ["{}", "7", r#"{"Records": null}"#, r#"{"Records": [7]}"#] {
            assert!(serde_json::from_str::<Batch>(none).is_err(), "{none}");
        }
    }

    #[test]
    fn an_answer_has_the_shape_of_sqs() {
        let answer = |ids: &[&str]| {
            let failures = ids.iter().map(|id| Failure {
                item_identifier: (*id).to_owned(),
            });
            let answer = Failures {
                batch_item_failures: failures.collect(),
            };
            serde_json::to_string(&answer).unwrap()
        };
        assert_eq!(answer(&[]), r#"{"batchItemFailures":[]}"#);
        let two = r#"{"batchItemFailures":[{"itemIdentifier":"a"},{"itemIdentifier":"b"}]}"#;
        assert_eq!(answer(&["a", "b"]), two);
    }
}
