//! The webhook behind Lambda's triggers: what they do to a request is undone before [`super::http`] sees it.

use std::sync::Arc;

use lambda_http::http::{HeaderMap, Uri};
use lambda_http::request::{LambdaRequest, RequestContext};
use lambda_http::tower::Service;
use lambda_http::{Adapter, Error, LambdaEvent, Request, RequestExt, service_fn};

use super::http::Webhook;

/// Serves the events of a Function URL, API Gateway (REST and HTTP) and an ALB until the environment ends.
///
/// # Errors
///
/// When the Runtime API cannot be reached.
pub async fn run(webhook: Arc<Webhook>) -> Result<(), Error> {
    let mut adapter = Adapter::from(service_fn(move |request| {
        let webhook = webhook.clone();
        async move { Ok::<_, Error>(webhook.answer(&without_stage(request)).await) }
    }));
    lambda_runtime::run(service_fn(move |mut event: LambdaEvent<LambdaRequest>| {
        keep_every_value(&mut event.payload);
        adapter.call(event)
    }))
    .await
}

/// REST APIs and ALBs give the last value of each header beside all of them, and `lambda_http` lets the last one win.
/// A second signature must not go unnoticed.
fn keep_every_value(request: &mut LambdaRequest) {
    let (single, all): (&mut HeaderMap, &HeaderMap) = match request {
        LambdaRequest::ApiGatewayV1(event) => (&mut event.headers, &event.multi_value_headers),
        LambdaRequest::Alb(event) => (&mut event.headers, &event.multi_value_headers),
        _ => return,
    };
    for name in all.keys() {
        single.remove(name);
    }
}

/// The request with the path that its caller asked for: without the stage that API Gateway puts before it.
fn without_stage(mut request: Request) -> Request {
    let stage = match request.request_context_ref() {
        Some(RequestContext::ApiGatewayV1(context)) => context.stage.clone(),
        Some(RequestContext::ApiGatewayV2(context)) => context.stage.clone(),
        _ => None,
    };
    let prefix = stage.map(|stage| format!("/{stage}"));
    let path = prefix.and_then(|prefix| {
        request
            .uri()
            .path()
            .strip_prefix(&prefix)
            .map(str::to_owned)
    });
    if let Some(path) = path.filter(|path| path.is_empty() || path.starts_with('/')) {
        *request.uri_mut() = path.parse().unwrap_or_else(|_| Uri::from_static("/"));
    }
    request
}
