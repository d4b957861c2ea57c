//! No page shows a key or a secret, wherever its text comes from.

use std::sync::Arc;

use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::http::header;
use axum::middleware::Next;
use axum::response::Response;

/// The stack, as its pages show it.
#[derive(Clone, Debug, Default)]
pub struct Shown {
    /// For people: "the local stack", or its name and region.
    pub name: String,
    pub local: bool,
    /// Whether pages may change something.
    pub changes: bool,
    /// Values that no page may show: keys and secrets.
    pub secrets: Vec<String>,
}

impl Shown {
    /// The text without keys and secrets.
    pub fn redacted(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for secret in self.secrets.iter().filter(|one| !one.is_empty()) {
            if text.contains(secret.as_str()) {
                text = text.replace(secret.as_str(), "(secret)");
            }
        }
        text
    }
}

/// Replaces keys and secrets in an answer. Streams do so themselves.
pub async fn redact(place: Arc<Shown>, request: Request, next: Next) -> Response {
    let response = next.run(request).await;
    let kind = response.headers().get(header::CONTENT_TYPE);
    let kind = kind.and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    if kind.starts_with("text/event-stream") {
        return response;
    }
    let (mut parts, body) = response.into_parts();
    let Ok(bytes) = to_bytes(body, usize::MAX).await else {
        return Response::from_parts(parts, Body::empty());
    };
    let text = String::from_utf8_lossy(&bytes);
    let redacted = place.redacted(&text);
    if redacted == text {
        return Response::from_parts(parts, Body::from(bytes));
    }
    parts.headers.remove(header::CONTENT_LENGTH);
    Response::from_parts(parts, Body::from(redacted))
}
