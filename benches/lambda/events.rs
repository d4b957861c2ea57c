//! The functions' events.

use serde_json::{Value, json};
use workflow_bridge::clock::now_ms;
use workflow_bridge::domain::inbound::signature::sign;

use super::answers::SECRET;

const FUNCTION_URL: &str = include_str!("../../tests/fixtures/events/function_url.json");

/// The event number `number`, with a text of `size` bytes: a batch with one value to publish, or a signed message.
pub fn event(publishes: bool, number: usize, size: usize) -> String {
    // As an envelope, 200 KB of JSON would exceed Step Functions' limit.
    const WORDS: &str =
        "All happy families are alike; each unhappy family is unhappy in its own way. ";
    let text: String = WORDS.chars().cycle().take(size).collect();
    match publishes {
        true => batch(number, &text).to_string(),
        false => request(number, &text).to_string(),
    }
}

/// Whether an answer reports success.
pub fn is_good(publishes: bool, answer: &[u8]) -> bool {
    let answer: Value = serde_json::from_slice(answer).unwrap_or_default();
    match publishes {
        true => answer["batchItemFailures"] == json!([]),
        false => answer["statusCode"] == 200,
    }
}

/// A signed message behind a Function URL.
fn request(number: usize, text: &str) -> Value {
    let now = now_ms();
    let body = json!({
        "cache": "chat", "topic": "in", "event_timestamp": now, "publish_timestamp": now,
        "topic_sequence_number": number, "token_id": "", "text": text,
    })
    .to_string();
    let mut event: Value = serde_json::from_str(FUNCTION_URL).expect("a fixture in JSON");
    event["headers"]["momento-signature"] = json!(sign(SECRET, body.as_bytes()));
    event["requestContext"]["timeEpoch"] = json!(now);
    event["body"] = json!(body);
    event
}

/// A batch of the queue with one value to publish.
fn batch(number: usize, value: &str) -> Value {
    let event = json!({
        "version": "0", "id": "17793124-05d4-b198-2fde-7ededc63b103", "detail-type": "Topic Publish",
        "source": "workflow-bridge", "account": "123456789012", "time": "2026-11-26T12:00:00Z",
        "region": "us-east-1", "resources": [],
        "detail": {"cache": "chat", "topic": "out", "value": value},
    });
    json!({"Records": [{
        "messageId": format!("message-{number}"), "receiptHandle": "handle", "body": event.to_string(),
        "attributes": {"ApproximateReceiveCount": "1", "SentTimestamp": now_ms().to_string()},
        "messageAttributes": {}, "md5OfBody": "0", "eventSource": "aws:sqs",
        "eventSourceARN": "arn:aws:sqs:us-east-1:123456789012:completions", "awsRegion": "us-east-1",
    }]})
}
