//! AWS's answers to successful calls.

use axum::Json;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::json;

pub const MACHINE: &str = "arn:aws:states:us-east-1:123456789012:stateMachine:Uppercase";
pub const SECRET: &str = "the signing secret";

/// The operation of a call; none for a request that only opens a connection.
pub fn operation(headers: &HeaderMap) -> Option<&str> {
    let target = headers.get("x-amz-target")?.to_str().ok()?;
    target.rsplit('.').next()
}

/// `value` is that of every secret and every parameter.
pub fn answer(operation: &str, body: &[u8], value: &str) -> Response {
    let answer = match operation {
        "StartExecution" => {
            json!({"executionArn": "arn:aws:states:us-east-1:123456789012:execution:x", "startDate": 1.0})
        }
        "PutEvents" => json!({"FailedEntryCount": 0, "Entries": [{"EventId": "1"}]}),
        "SendMessage" => json!({"MessageId": "1", "MD5OfMessageBody": "0"}),
        "GetQueueAttributes" => json!({"Attributes": {"ApproximateNumberOfMessages": "0"}}),
        "GetSecretValue" if body.windows(11).any(|part| part == b"AWSPREVIOUS") => {
            let error =
                json!({"__type": "ResourceNotFoundException", "message": "no such version"});
            return (StatusCode::BAD_REQUEST, Json(error)).into_response();
        }
        "GetSecretValue" => json!({"SecretString": value}),
        // The answers of an empty table.
        "GetItem" | "PutItem" => json!({}),
        "GetParameter" => json!({"Parameter": {"Name": "p", "Value": value}}),
        _ => return (StatusCode::BAD_REQUEST, "{}").into_response(),
    };
    Json(answer).into_response()
}
