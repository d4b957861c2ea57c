//! Calls, and the error responses of the proxy.

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
    /// The request's content type, which AWS also uses for the answer.
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

/// The error response of a throttling (429), broken (500) or unavailable (503) service, in the call's protocol.
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

/// A gRPC answer with only this code.
pub fn grpc(code: Code) -> Response<Body> {
    let mut metadata = MetadataMap::new();
    if code == Code::ResourceExhausted {
        // Momento uses this value for a rate limit, which is transient, unlike a size limit.
        let rate = MetadataValue::from_static("operations_rate_limit_exceeded");
        metadata.insert("err", rate);
    }
    Status::with_metadata(code, "a fault of the test", metadata).into_http()
}

/// A JSON answer of an AWS service.
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

/// The answer of PutEvents if all entries of `request` failed.
pub fn all_entries_failed(call: &Call, request: &Bytes) -> Response<Body> {
    let request: Value = serde_json::from_slice(request).unwrap_or_default();
    let count = request["Entries"].as_array().map_or(0, Vec::len);
    let entry = json!({"ErrorCode": "InternalFailure", "ErrorMessage": "Internal failure"});
    let body = json!({"FailedEntryCount": count, "Entries": vec![entry; count]});
    aws(call, 200, body.to_string())
}

/// Removes headers of the connection, which are not part of the message.
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
