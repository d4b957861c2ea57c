//! What a call is, and the errors that the proxy answers in the upstream's place.

use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, HeaderValue, Request, Response, header};
use serde_json::{Value, json};
use tonic::metadata::{MetadataMap, MetadataValue};
use tonic::{Code, Status};

/// One request of a client.
#[derive(Clone, Debug)]
pub struct Call {
    /// The last part of `X-Amz-Target`, such as `StartExecution`; without that header, the path.
    pub operation: String,
    pub grpc: bool,
    /// The request's own, in which AWS answers too.
    content_type: Option<HeaderValue>,
}

impl Call {
    pub fn of<B>(request: &Request<B>) -> Self {
        let headers = request.headers();
        let target = text(headers, "x-amz-target").and_then(|target| target.rsplit('.').next());
        let content_type = headers.get(header::CONTENT_TYPE).cloned();
        Self {
            operation: target.unwrap_or(request.uri().path()).to_owned(),
            grpc: text(headers, "content-type").is_some_and(|t| t.starts_with("application/grpc")),
            content_type,
        }
    }
}

/// The error of a service that throttles (429), is broken (500) or unavailable (503), in the call's own protocol.
pub fn status(call: &Call, status: u16) -> Response<Body> {
    let (code, kind, message) = match status {
        429 => (
            Code::ResourceExhausted,
            "ThrottlingException",
            "Rate exceeded",
        ),
        503 => (
            Code::Unavailable,
            "ServiceUnavailable",
            "Service unavailable",
        ),
        _ => (Code::Internal, "InternalFailure", "Internal failure"),
    };
    if call.grpc {
        return grpc(code);
    }
    let body = json!({"__type": kind, "message": message});
    aws(call, status, body.to_string())
}

/// A gRPC answer that has nothing but this code.
pub fn grpc(code: Code) -> Response<Body> {
    let mut metadata = MetadataMap::new();
    if code == Code::ResourceExhausted {
        // By this Momento tells a rate, which gives way, from a size, which does not.
        let rate = MetadataValue::from_static("operations_rate_limit_exceeded");
        metadata.insert("err", rate);
    }
    Status::with_metadata(code, "a fault of the test", metadata).into_http()
}

/// An answer of an AWS service that speaks JSON.
pub fn aws(call: &Call, status: u16, body: String) -> Response<Body> {
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status.try_into().expect("a status");
    let headers = response.headers_mut();
    headers.insert(
        "x-amzn-requestid",
        HeaderValue::from_static("00000000-0000-4000-8000-000000000000"),
    );
    if let Some(content_type) = &call.content_type {
        headers.insert(header::CONTENT_TYPE, content_type.clone());
    }
    response
}

/// The answer of PutEvents when none of the events that `request` puts was taken.
pub fn no_event_taken(call: &Call, request: &Bytes) -> Response<Body> {
    let request: Value = serde_json::from_slice(request).unwrap_or_default();
    let count = request["Entries"].as_array().map_or(0, Vec::len);
    let entry = json!({"ErrorCode": "InternalFailure", "ErrorMessage": "Internal failure"});
    let body = json!({"FailedEntryCount": count, "Entries": vec![entry; count]});
    aws(call, 200, body.to_string())
}

/// Removes what is about one connection, not about the message.
pub fn remove_hop_by_hop(headers: &mut HeaderMap) {
    for name in [
        "connection",
        "keep-alive",
        "proxy-connection",
        "transfer-encoding",
        "upgrade",
    ] {
        headers.remove(name);
    }
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}
