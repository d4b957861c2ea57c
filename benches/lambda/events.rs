//! The functions' events.

use serde_json::{Value, json};
use workflow_bridge::clock::now_ms;
use workflow_bridge::domain::inbound::signature::sign;

use super::subject::Job;

pub const MACHINE: &str = "arn:aws:states:us-east-1:123456789012:stateMachine:Uppercase";
pub const SECRET: &str = "the signing secret";

/// The event number `number`, with a text of `size` bytes.
pub fn event(job: Job, number: usize, size: usize) -> Vec<u8> {
    let event = match job {
        Job::Start | Job::Nothing => request(number, &text(size)),
        Job::Publish => batch(number, &text(size)),
    };
    event.to_string().into_bytes()
}

/// Whether an answer reports success.
pub fn is_good(job: Job, answer: &[u8]) -> bool {
    let answer: Value = serde_json::from_slice(answer).unwrap_or_default();
    match job {
        Job::Start | Job::Nothing => answer["statusCode"] == 200,
        Job::Publish => answer["batchItemFailures"] == json!([]),
    }
}

/// Plain text: as an envelope, 200 KB of JSON would exceed Step Functions' limit.
fn text(size: usize) -> String {
    const WORDS: &str =
        "All happy families are alike; each unhappy family is unhappy in its own way. ";
    WORDS.chars().cycle().take(size).collect()
}

/// A signed message behind a Function URL.
fn request(number: usize, text: &str) -> Value {
    let now = now_ms();
    let body = json!({
        "cache": "chat", "topic": "in", "event_timestamp": now, "publish_timestamp": now,
        "topic_sequence_number": number, "token_id": "", "text": text,
    })
    .to_string();
    let host = "abcdefghijklmnopqrstuvwxyz012345.lambda-url.us-east-1.on.aws";
    json!({
        "version": "2.0", "routeKey": "$default", "rawPath": "/", "rawQueryString": "",
        "headers": {
            "content-type": "application/json",
            "host": host,
            "momento-signature": sign(SECRET, body.as_bytes()),
            "user-agent": "Momento/1.0 (Webhooks; +https://docs.momentohq.com/topics/webhooks)",
            "x-amzn-trace-id": "Root=1-5bef4de7-ad49b0e87f6ef6c87fc2e700",
            "x-forwarded-for": "192.0.2.1", "x-forwarded-port": "443", "x-forwarded-proto": "https",
        },
        "requestContext": {
            "accountId": "anonymous", "apiId": "abcdefghijklmnopqrstuvwxyz012345",
            "domainName": host, "domainPrefix": "abcdefghijklmnopqrstuvwxyz012345",
            "http": {
                "method": "POST", "path": "/", "protocol": "HTTP/1.1", "sourceIp": "192.0.2.1",
                "userAgent": "Momento/1.0",
            },
            "requestId": "e1506fd5-9e7b-434f-bd42-4f8fa224b599", "routeKey": "$default", "stage": "$default",
            "time": "26/Nov/2026:12:00:00 +0000", "timeEpoch": now,
        },
        "body": body, "isBase64Encoded": false,
    })
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
