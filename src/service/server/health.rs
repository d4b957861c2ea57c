//! Liveness and readiness, for orchestrators.

use http::header::{CONTENT_TYPE, HeaderValue};
use http::{Method, Request, Response, StatusCode};
use serde_json::json;

/// Answers GET and HEAD of `/live` and `/ready`; `None` for any other request.
///
/// `missing` names the unmet conditions of readiness: without any, `/ready` answers 200. `/live` always does.
pub fn health<B>(
    request: &Request<B>,
    missing: impl FnOnce() -> Vec<&'static str>,
) -> Option<Response<String>> {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return None;
    }
    let (status, body) = match request.uri().path() {
        "/live" => (StatusCode::OK, json!({"status": "live"})),
        "/ready" => match missing() {
            none if none.is_empty() => (StatusCode::OK, json!({"status": "ready"})),
            missing => (
                StatusCode::SERVICE_UNAVAILABLE,
                json!({"status": "not ready", "missing": missing}),
            ),
        },
        _ => return None,
    };
    let mut response = Response::new(body.to_string());
    *response.status_mut() = status;
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(CONTENT_TYPE, json);
    Some(response)
}
