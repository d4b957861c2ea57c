//! `Get` and `Set` of `cache_client.Scs`. The generated trait would need some sixty methods more.

use std::sync::Arc;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Path, Request, State};
use axum::response::Response;
use axum::routing::post;
use momento_protos::cache_client::{
    ECacheResult, GetRequest, GetResponse, SetRequest, SetResponse,
};
use tonic::Status;
use tonic::metadata::MetadataMap;

use super::{key, unary};
use crate::tools::local::topics::refusal::Refusal;
use crate::tools::local::topics::service::Service;

pub(in crate::tools::local::topics) fn router(service: Arc<Service>) -> Router {
    Router::new()
        .route("/cache_client.Scs/{method}", post(call))
        .with_state(service)
}

async fn call(
    State(service): State<Arc<Service>>,
    Path(method): Path<String>,
    request: Request<Body>,
) -> Response {
    match method.as_str() {
        "Get" => unary(request, move |request| get(&service, request)).await,
        "Set" => unary(request, move |request| set(&service, request)).await,
        _ => Status::unimplemented(format!("expected `Get` or `Set`, found `{method}`; this server has no other calls of Momento Cache")).into_http(),
    }
}

fn get(service: &Service, request: tonic::Request<GetRequest>) -> Result<GetResponse, Status> {
    service.authorize_sdk(key(request.metadata()))?;
    let cache = cache(request.metadata())?.to_owned();
    let found = service.get_item(&cache, request.into_inner().cache_key)?;
    let result = match found {
        Some(_) => ECacheResult::Hit,
        None => ECacheResult::Miss,
    };
    Ok(GetResponse {
        result: result.into(),
        cache_body: found.unwrap_or_default().into(),
        message: String::new(),
    })
}

fn set(service: &Service, request: tonic::Request<SetRequest>) -> Result<SetResponse, Status> {
    service.authorize_sdk(key(request.metadata()))?;
    let cache = cache(request.metadata())?.to_owned();
    let SetRequest {
        cache_key,
        cache_body,
        ttl_milliseconds,
    } = request.into_inner();
    service.set_item(&cache, cache_key, Bytes::from(cache_body), ttl_milliseconds)?;
    Ok(SetResponse {
        result: ECacheResult::Ok.into(),
        message: String::new(),
    })
}

/// The cache's name, which the SDKs send as a header.
fn cache(metadata: &MetadataMap) -> Result<&str, Refusal> {
    let name = metadata.get("cache").and_then(|name| name.to_str().ok());
    name.ok_or(Refusal::BadName("cache"))
}
