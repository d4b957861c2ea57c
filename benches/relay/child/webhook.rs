//! The relay's webhook: accepts and counts every message at once. Only the relay's requests at its start get the answers of
//! the real webhook.

use std::borrow::Cow;
use std::net::Ipv4Addr;
use std::sync::Arc;

use anyhow::Result;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use axum::serve::ListenerExt as _;
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::json;
use tokio::net::TcpListener;
use workflow_bridge::clock;

use super::Tally;

/// An older message is `stale`, as by the webhook's default.
const MAX_AGE_MS: i64 = 60_000;

#[derive(Deserialize)]
struct Post<'a> {
    publish_timestamp: i64,
    #[serde(borrow)]
    text: Cow<'a, str>,
}

/// Serves until the process ends; returns the port.
pub async fn serve(tally: Arc<Tally>) -> Result<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let port = listener.local_addr()?.port();
    let name = json!({"name": "workflow-bridge", "version": workflow_bridge::VERSION});
    let app = Router::new()
        .route("/", get(|| async { Json(name) }).post(take))
        .with_state(tally);
    // An answer goes out at once, even if earlier data is unacknowledged.
    let listener = listener.tap_io(|stream| {
        let _ = stream.set_nodelay(true);
    });
    tokio::spawn(axum::serve(listener, app).into_future());
    Ok(port)
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
