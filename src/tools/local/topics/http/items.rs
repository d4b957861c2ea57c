//! The HTTP API of Momento Cache as its document describes it (`docs/cache/develop/api-reference/http-api.md` in
//! momentohq/public-dev-docs): GET and PUT on `/cache/{cache}?key=…`, or `key_base64=…`.

use std::sync::Arc;

use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use serde::Deserialize;

use super::{HttpRefusal, Parameters, key};
use crate::tools::local::topics::refusal::Refusal;
use crate::tools::local::topics::service::Service;

/// With and without padding.
const BASE64_URL: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::URL_SAFE,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

pub(in crate::tools::local::topics) fn router(service: Arc<Service>) -> Router {
    Router::new()
        .route("/cache/{cache}", axum::routing::get(get).put(put))
        .with_state(service)
}

type Name = Result<Path<String>, PathRejection>;

#[derive(Deserialize)]
pub(super) struct GetParameters {
    token: Option<String>,
    key: Option<String>,
    key_base64: Option<String>,
}

#[derive(Deserialize)]
pub(super) struct PutParameters {
    token: Option<String>,
    key: Option<String>,
    key_base64: Option<String>,
    ttl_seconds: u64,
}

async fn get(
    State(service): State<Arc<Service>>,
    cache: Name,
    parameters: Parameters<GetParameters>,
    headers: HeaderMap,
) -> Result<Response, HttpRefusal> {
    let Query(parameters) = parameters.map_err(HttpRefusal::bad_request)?;
    service.authorize(key(&headers, parameters.token.as_deref())?)?;
    let Path(cache) = cache.map_err(HttpRefusal::bad_request)?;
    let item_key = item_key(parameters.key, parameters.key_base64)?;
    match service.get_item(&cache, item_key)? {
        Some(value) => {
            let octets = [(header::CONTENT_TYPE, "application/octet-stream")];
            Ok((octets, value).into_response())
        }
        None => Err(HttpRefusal::new(
            StatusCode::NOT_FOUND,
            "Key Not Found: expected the key of an item, found none, or an expired one",
        )),
    }
}

async fn put(
    State(service): State<Arc<Service>>,
    cache: Name,
    parameters: Parameters<PutParameters>,
    headers: HeaderMap,
    body: Body,
) -> Result<StatusCode, HttpRefusal> {
    let Query(parameters) = parameters.map_err(HttpRefusal::bad_request)?;
    service.authorize(key(&headers, parameters.token.as_deref())?)?;
    let Path(cache) = cache.map_err(HttpRefusal::bad_request)?;
    let item_key = item_key(parameters.key, parameters.key_base64)?;
    let most = service.items.item_bytes;
    // Reads twice as much, so that most clients see the answer.
    let body: Result<Bytes, _> = to_bytes(body, most * 2).await;
    let body = body.map_err(|_| Refusal::ItemTooLarge {
        found: most * 2,
        most,
    })?;
    let ttl_ms = parameters.ttl_seconds.saturating_mul(1000);
    service.set_item(&cache, item_key, body, ttl_ms)?;
    Ok(StatusCode::NO_CONTENT)
}

/// The item's key, from one of the two parameters.
fn item_key(text: Option<String>, base64: Option<String>) -> Result<Vec<u8>, HttpRefusal> {
    match (text, base64) {
        (Some(text), None) => Ok(text.into_bytes()),
        (None, Some(base64)) => BASE64_URL.decode(base64).map_err(|_| {
            HttpRefusal::bad_request(
                "expected `key_base64` in Base64 for URLs, found something else",
            )
        }),
        _ => Err(HttpRefusal::bad_request(
            "expected one of the parameters `key` and `key_base64`, found none or both",
        )),
    }
}
