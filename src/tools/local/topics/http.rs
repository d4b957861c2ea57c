//! The HTTP API of Momento Topics as its document describes it (`docs/topics/api-reference/http-api.md` in
//! momentohq/public-dev-docs): publish with POST, long-poll with GET, both on `/topics/{cache}/{topic}`.
//!
//! Beyond the document: a `Content-Type` other than `application/octet-stream` means text (the document's own examples use
//! `curl -d`, which sends a form); a poll without position (0 and 0) begins as a subscription without one; a poll that timed
//! out answers with its position as a discontinuity, so that the next poll misses nothing; the answer to a publication has the
//! message's place in headers ([`NUMBER`], [`PAGE`], [`TIME`]). In the document's example the
//! `new_topic_sequence` of a discontinuity is the number of the message after it.

pub(super) mod items;

use std::sync::Arc;

use axum::body::{Body, to_bytes};
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::json;

use super::broker::{BrokerError, Delivery, Position, Value};
use super::grpc::unimplemented;
use super::refusal::Refusal;
use super::service::Service;

/// Bytes read of a request body before its refusal as too large, so that most clients see the answer.
const MAX_BODY_BYTES: usize = 1024 * 1024;
/// The message's sequence number, in the answer to its publication.
pub const NUMBER: &str = "x-topic-sequence-number";
/// The page of the number.
pub const PAGE: &str = "x-topic-sequence-page";
/// When the message was published, in ms since the epoch.
pub const TIME: &str = "x-event-timestamp";
/// Messages in one answer to a poll.
const MAX_POLL_ITEMS: usize = 256;

pub(super) fn router(service: Arc<Service>) -> Router {
    Router::new()
        .route("/topics/{cache}/{topic}", get(poll).post(publish))
        .fallback(no_such_path)
        .with_state(service)
}

const NO_SUCH_PATH: &str =
    "expected `/topics/{cache}/{topic}` or `/cache/{cache}`, with the names percent-encoded";

async fn no_such_path(request: Request) -> Response {
    let refusal = || HttpRefusal::new(StatusCode::NOT_FOUND, NO_SUCH_PATH).into_response();
    unimplemented(&request).unwrap_or_else(refusal)
}

type Names = Result<Path<(String, String)>, PathRejection>;
pub(super) type Parameters<T> = Result<Query<T>, QueryRejection>;

#[derive(Deserialize)]
struct PublishParameters {
    token: Option<String>,
}

async fn publish(
    State(service): State<Arc<Service>>,
    names: Names,
    parameters: Parameters<PublishParameters>,
    headers: HeaderMap,
    body: Body,
) -> Result<impl IntoResponse, HttpRefusal> {
    let Query(parameters) = parameters.map_err(HttpRefusal::bad_request)?;
    let publisher = service.authorize(key(&headers, parameters.token.as_deref())?)?;
    let Path((cache, topic)) = names.map_err(HttpRefusal::bad_request)?;
    let body = to_bytes(body, MAX_BODY_BYTES).await;
    let body = body.map_err(|_| Refusal::TooLarge(MAX_BODY_BYTES))?;
    let value = if is_binary(&headers) {
        Value::Binary(body.into())
    } else {
        let text = String::from_utf8(body.into()).map_err(|_| {
            HttpRefusal::bad_request(
                "expected a body in UTF-8, found other bytes; send binary data as `application/octet-stream`",
            )
        })?;
        Value::Text(text)
    };
    let message = service.publish(&cache, &topic, value, publisher)?;
    let place = [
        (NUMBER, message.sequence.to_string()),
        (PAGE, message.page.to_string()),
        (TIME, message.at_ms.to_string()),
    ];
    Ok((StatusCode::NO_CONTENT, place))
}

/// Whether the media type is `application/octet-stream`, in any case and with any parameters.
fn is_binary(headers: &HeaderMap) -> bool {
    let content_type = headers.get(header::CONTENT_TYPE);
    let content_type = content_type.and_then(|value| value.to_str().ok());
    let media_type = content_type.and_then(|value| value.split(';').next());
    media_type.is_some_and(|name| name.trim().eq_ignore_ascii_case("application/octet-stream"))
}

#[derive(Deserialize)]
struct PollParameters {
    token: Option<String>,
    #[serde(default)]
    sequence_number: u64,
    #[serde(default)]
    sequence_page: u64,
}

async fn poll(
    State(service): State<Arc<Service>>,
    names: Names,
    parameters: Parameters<PollParameters>,
    headers: HeaderMap,
) -> Result<Json<serde_json::Value>, HttpRefusal> {
    let Query(parameters) = parameters.map_err(HttpRefusal::bad_request)?;
    service.authorize(key(&headers, parameters.token.as_deref())?)?;
    let Path((cache, topic)) = names.map_err(HttpRefusal::bad_request)?;
    let position = Position {
        sequence: parameters.sequence_number,
        page: parameters.sequence_page,
    };
    let mut subscriber = service.subscribe(&cache, &topic, position)?;
    let batch = tokio::time::timeout(service.poll_wait, subscriber.next(MAX_POLL_ITEMS)).await;
    let batch = match batch {
        Ok(Some(batch)) => batch,
        Ok(None) => match service.ended(&cache) {
            Refusal::Broker(BrokerError::Closed) => Vec::new(),
            refusal => return Err(refusal.into()),
        },
        Err(_) => vec![Delivery::Discontinuity(subscriber.position())],
    };
    let items: Vec<_> = batch.iter().map(element).collect();
    Ok(Json(json!({ "items": items })))
}

fn element(delivery: &Delivery) -> serde_json::Value {
    match delivery {
        Delivery::Message(message) => json!({"item": {
            "sequence_page": message.page,
            "topic_sequence_number": message.sequence,
            "value": message.value,
        }}),
        Delivery::Discontinuity(gap) => json!({"discontinuity": {
            "last_topic_sequence": gap.last,
            "new_topic_sequence": gap.next,
            "new_sequence_page": gap.page,
        }}),
    }
}

/// The API key, from the header or the parameter, but not from both.
pub(super) fn key<'a>(
    headers: &'a HeaderMap,
    token: Option<&'a str>,
) -> Result<Option<&'a str>, HttpRefusal> {
    let header = headers.get(header::AUTHORIZATION);
    if header.is_some() && token.is_some() {
        return Err(HttpRefusal::bad_request(
            "expected the API key in the header `Authorization` or in the parameter `token`, found both; set only one",
        ));
    }
    Ok(header.map_or(token, |header| header.to_str().ok()))
}

/// A refusal as `{"status":"Not Found","description":"…"}`.
pub(super) struct HttpRefusal {
    status: StatusCode,
    description: String,
}

impl HttpRefusal {
    pub(super) fn new(status: StatusCode, description: impl ToString) -> Self {
        Self {
            status,
            description: description.to_string(),
        }
    }

    pub(super) fn bad_request(description: impl ToString) -> Self {
        Self::new(StatusCode::BAD_REQUEST, description)
    }
}

impl From<Refusal> for HttpRefusal {
    /// The document has no 413: all limits answer 429.
    fn from(refusal: Refusal) -> Self {
        let status = match refusal {
            Refusal::Unauthorized => StatusCode::UNAUTHORIZED,
            Refusal::CacheNotFound(_) => StatusCode::NOT_FOUND,
            Refusal::CacheExists(_) => StatusCode::CONFLICT,
            Refusal::BadName(_) | Refusal::NoValue | Refusal::BadTtl(_) => StatusCode::BAD_REQUEST,
            Refusal::TooLarge(_)
            | Refusal::ItemTooLarge { .. }
            | Refusal::TooManyCaches
            | Refusal::Broker(BrokerError::TooManyTopics | BrokerError::TooManySubscribers) => {
                StatusCode::TOO_MANY_REQUESTS
            }
            Refusal::Broker(BrokerError::Closed) => StatusCode::SERVICE_UNAVAILABLE,
        };
        Self::new(status, refusal)
    }
}

impl IntoResponse for HttpRefusal {
    fn into_response(self) -> Response {
        let status = self.status.canonical_reason().unwrap_or_default();
        let body = json!({"status": status, "description": self.description});
        (self.status, Json(body)).into_response()
    }
}
