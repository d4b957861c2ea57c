//! The control calls of Momento's SDKs: create, delete and list caches.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, Request, State};
use axum::response::Response;
use axum::routing::post;
use momento_protos::control_client::{
    Cache, CreateCacheRequest, CreateCacheResponse, DeleteCacheRequest, DeleteCacheResponse,
    ListCachesRequest, ListCachesResponse,
};
use tonic::Status;

use super::{key, unary};
use crate::tools::local::topics::service::Service;

pub(in crate::tools::local::topics) fn router(service: Arc<Service>) -> Router {
    Router::new()
        .route("/control_client.ScsControl/{method}", post(call))
        .with_state(service)
}

async fn call(
    State(service): State<Arc<Service>>,
    Path(method): Path<String>,
    request: Request<Body>,
) -> Response {
    match method.as_str() {
        "CreateCache" => unary(request, move |request| create(&service, request)).await,
        "DeleteCache" => unary(request, move |request| delete(&service, request)).await,
        "ListCaches" => unary(request, move |request| list(&service, request)).await,
        _ => {
            let text = format!(
                "expected `CreateCache`, `DeleteCache` or `ListCaches`, found `{method}`; this server has no other control calls"
            );
            Status::unimplemented(text).into_http()
        }
    }
}

fn create(
    service: &Service,
    request: tonic::Request<CreateCacheRequest>,
) -> Result<CreateCacheResponse, Status> {
    service.authorize_sdk(key(request.metadata()))?;
    service.create_cache(&request.into_inner().cache_name)?;
    Ok(CreateCacheResponse {})
}

fn delete(
    service: &Service,
    request: tonic::Request<DeleteCacheRequest>,
) -> Result<DeleteCacheResponse, Status> {
    service.authorize_sdk(key(request.metadata()))?;
    service.delete_cache(&request.into_inner().cache_name)?;
    Ok(DeleteCacheResponse {})
}

/// All caches on one page.
fn list(
    service: &Service,
    request: tonic::Request<ListCachesRequest>,
) -> Result<ListCachesResponse, Status> {
    service.authorize_sdk(key(request.metadata()))?;
    let cache = |cache_name| Cache {
        cache_name,
        ..Cache::default()
    };
    Ok(ListCachesResponse {
        cache: service.caches.list().into_iter().map(cache).collect(),
        next_token: String::new(),
    })
}
