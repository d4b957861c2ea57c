//! The relay's webhook: accepts and counts every message at once. Only the relay's requests at its start get the answers of
//! the real webhook.

use std::borrow::Cow;
use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::json;
use workflow_bridge::clock;

use super::Tally;
use crate::serving::on_loopback;

/// An older message is `stale`, as by the webhook's default.
const MAX_AGE_MS: i64 = 60_000;

#[derive(Deserialize)]
struct Post<'a> {
    publish_timestamp: i64,
    #[serde(borrow)]
    text: Cow<'a, str>,
}

/// Serves until the process ends; returns the address.
pub async fn serve(tally: Arc<Tally>) -> String {
    let name = json!({"name": "workflow-bridge", "version": workflow_bridge::VERSION});
    let router = Router::new()
        .route("/", get(|| async { Json(name) }).post(take))
        .with_state(tally);
    let (address, serving) = on_loopback(router).await;
    tokio::spawn(serving);
    address
}

async fn take(State(tally): State<Arc<Tally>>, body: Bytes) -> impl IntoResponse {
    let (status, answer) = match serde_json::from_slice::<Post<'_>>(&body) {
        Ok(post) if post.publish_timestamp < clock::now_ms() - MAX_AGE_MS => {
            (StatusCode::FORBIDDEN, r#"{"code":"stale"}"#)
        }
        Ok(post) => {
            tally.note(&post.text);
            (StatusCode::OK, r#"{"code":"accepted"}"#)
        }
        Err(_) => (StatusCode::BAD_REQUEST, r#"{"code":"malformed"}"#),
    };
    (status, [(header::CONTENT_TYPE, "application/json")], answer)
}
