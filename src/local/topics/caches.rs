//! Which caches exist, and the control calls of Momento's SDKs: create, delete and list caches.

use std::collections::BTreeSet;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

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

use super::grpc::{key, unary};
use super::service::{Refusal, Service};

/// Caches of one server.
pub(super) const MAX_CACHES: usize = 1_000;

/// The names of the caches, or every name.
pub(super) struct Caches(Option<RwLock<BTreeSet<String>>>);

impl Caches {
    pub fn new(names: Option<BTreeSet<String>>) -> Self {
        Self(names.map(RwLock::new))
    }

    pub fn check(&self, cache: &str) -> Result<(), Refusal> {
        match &self.0 {
            Some(names) if !read(names).contains(cache) => {
                Err(Refusal::CacheNotFound(cache.to_owned()))
            }
            _ => Ok(()),
        }
    }

    pub fn create(&self, cache: &str) -> Result<(), Refusal> {
        let Some(names) = &self.0 else {
            return Err(Refusal::CacheExists(cache.to_owned()));
        };
        let mut names = names.write().unwrap_or_else(PoisonError::into_inner);
        if names.contains(cache) {
            return Err(Refusal::CacheExists(cache.to_owned()));
        }
        if names.len() >= MAX_CACHES {
            return Err(Refusal::TooManyCaches);
        }
        names.insert(cache.to_owned());
        Ok(())
    }

    pub fn delete(&self, cache: &str) -> Result<(), Refusal> {
        let Some(names) = &self.0 else {
            return Ok(());
        };
        let mut names = names.write().unwrap_or_else(PoisonError::into_inner);
        match names.remove(cache) {
            true => Ok(()),
            false => Err(Refusal::CacheNotFound(cache.to_owned())),
        }
    }

    /// In alphabetical order; none where every name is a cache.
    pub fn list(&self) -> Vec<String> {
        let names = self.0.iter();
        names.flat_map(|names| read(names).clone()).collect()
    }
}

fn read(names: &RwLock<BTreeSet<String>>) -> RwLockReadGuard<'_, BTreeSet<String>> {
    names.read().unwrap_or_else(PoisonError::into_inner)
}

pub(super) fn router(service: Arc<Service>) -> Router {
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
