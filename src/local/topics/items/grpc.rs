//! `cache_client.Scs`, of which `Get` and `Set` are served. Its generated trait asks for some sixty methods more.

use std::future::{Ready, ready};
use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::{Path, Request, State};
use axum::response::Response;
use momento_protos::cache_client::{
    ECacheResult, GetRequest, GetResponse, SetRequest, SetResponse,
};
use tonic::Status;
use tonic::metadata::MetadataMap;
use tonic::server::{Grpc, UnaryService};
use tonic_prost::ProstCodec;

use super::super::grpc::key;
use super::super::{Refusal, Service};

/// What is read of a request, so that an item over the limit is refused as Momento refuses it.
const MAX_REQUEST_BYTES: usize = 16 * 1024 * 1024;

struct Get(Arc<Service>);
struct Set(Arc<Service>);

pub(super) async fn call(
    State(service): State<Arc<Service>>,
    Path(method): Path<String>,
    request: Request<Body>,
) -> Response {
    let response = match method.as_str() {
        "Get" => {
            let mut grpc = Grpc::new(ProstCodec::default());
            grpc.unary(Get(service), request).await
        }
        "Set" => {
            let mut grpc = Grpc::new(ProstCodec::default())
                .apply_max_message_size_config(Some(MAX_REQUEST_BYTES), None);
            grpc.unary(Set(service), request).await
        }
        _ => Status::unimplemented(format!("expected `Get` or `Set`, found `{method}`; this server has no other calls of Momento Cache")).into_http(),
    };
    response.map(Body::new)
}

impl UnaryService<GetRequest> for Get {
    type Response = GetResponse;
    type Future = Ready<Result<tonic::Response<GetResponse>, Status>>;

    fn call(&mut self, request: tonic::Request<GetRequest>) -> Self::Future {
        ready(get(&self.0, request))
    }
}

impl UnaryService<SetRequest> for Set {
    type Response = SetResponse;
    type Future = Ready<Result<tonic::Response<SetResponse>, Status>>;

    fn call(&mut self, request: tonic::Request<SetRequest>) -> Self::Future {
        ready(set(&self.0, request))
    }
}

fn get(
    service: &Service,
    request: tonic::Request<GetRequest>,
) -> Result<tonic::Response<GetResponse>, Status> {
    service.authorize(key(request.metadata()))?;
    let cache = cache(request.metadata())?.to_owned();
    let found = service.get_item(&cache, request.into_inner().cache_key)?;
    let result = match found {
        Some(_) => ECacheResult::Hit,
        None => ECacheResult::Miss,
    };
    Ok(tonic::Response::new(GetResponse {
        result: result.into(),
        cache_body: found.unwrap_or_default().into(),
        message: String::new(),
    }))
}

fn set(
    service: &Service,
    request: tonic::Request<SetRequest>,
) -> Result<tonic::Response<SetResponse>, Status> {
    service.authorize(key(request.metadata()))?;
    let cache = cache(request.metadata())?.to_owned();
    let SetRequest {
        cache_key,
        cache_body,
        ttl_milliseconds,
    } = request.into_inner();
    service.set_item(&cache, cache_key, Bytes::from(cache_body), ttl_milliseconds)?;
    Ok(tonic::Response::new(SetResponse {
        result: ECacheResult::Ok.into(),
        message: String::new(),
    }))
}

/// The cache's name, which the SDKs send as a header.
fn cache(metadata: &MetadataMap) -> Result<&str, Refusal> {
    let name = metadata.get("cache").and_then(|name| name.to_str().ok());
    name.ok_or(Refusal::BadName("cache"))
}
