//! The relay's own endpoints: `/live`, `/ready` and `/metrics`.

use http::header::{CONTENT_TYPE, HeaderValue};
use http::{Method, Request, Response, StatusCode};

use super::status::Status;
use crate::service::server;

/// Answers `/live`, `/ready` and `/metrics`, and 404 to anything else.
pub fn answer<B>(request: &Request<B>, status: &Status) -> Response<String> {
    let health = || server::health(request, || status.missing());
    health()
        .or_else(|| metrics(request, status))
        .unwrap_or_else(|| {
            let mut response = Response::new("expected GET /live, /ready or /metrics\n".to_owned());
            *response.status_mut() = StatusCode::NOT_FOUND;
            response
        })
}

/// Answers GET `/metrics`, in Prometheus's text format; `None` for any other request.
pub fn metrics<B>(request: &Request<B>, status: &Status) -> Option<Response<String>> {
    if request.method() != Method::GET || request.uri().path() != "/metrics" {
        return None;
    }
    let mut response = Response::new(status.metrics());
    let text = HeaderValue::from_static("text/plain; version=0.0.4");
    response.headers_mut().insert(CONTENT_TYPE, text);
    Some(response)
}
