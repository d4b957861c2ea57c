//! The webhook behind Lambda's triggers: what they do to a request is undone before [`super::http`] sees it.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use lambda_http::aws_lambda_events::query_map::QueryMap;
use lambda_http::http::header::HOST;
use lambda_http::http::{HeaderMap, Uri};
use lambda_http::request::{LambdaRequest, RequestContext};
use lambda_http::tower::Service;
use lambda_http::{Adapter, Error, LambdaEvent, Request, RequestExt, service_fn};

use tokio::time::Instant;

use super::http::Webhook;
use crate::telemetry;

/// Serves the events of a Function URL, API Gateway (REST and HTTP) and an ALB until the environment ends.
///
/// The first sender has waited since the function `began` to start, so its answer has that much less time.
///
/// # Errors
///
/// When the Runtime API cannot be reached.
pub async fn run(webhook: Arc<Webhook>, began: Instant) -> Result<(), Error> {
    let mut waited = began.elapsed();
    let mut adapter = Adapter::from(service_fn(move |request| {
        let webhook = webhook.clone();
        let budget = webhook.settings.answer_within;
        let left = budget.saturating_sub(std::mem::take(&mut waited));
        async move {
            let left = left.max(budget / 4);
            Ok::<_, Error>(webhook.answer(&without_stage(request), left).await)
        }
    }));
    lambda_runtime::run(service_fn(move |mut event: LambdaEvent<LambdaRequest>| {
        telemetry::invoked(&event.context.request_id);
        tame(&mut event.payload);
        adapter.call(event)
    }))
    .await
}

/// Undoes what `lambda_http` would make of a request.
///
/// - REST APIs and ALBs give the last value of each header beside all of them, and it lets the last one win: a second
///   signature must not go unnoticed.
/// - It panics where host, path or query make no URL, or a body is no base64 though the event says so. The webhook needs
///   no host and no query, and takes such a body for the bytes that it is: the signature decides.
fn tame(request: &mut LambdaRequest) {
    match request {
        LambdaRequest::ApiGatewayV1(event) => {
            keep_every_value(&mut event.headers, &event.multi_value_headers);
            event.headers.remove(HOST);
            event.request_context.domain_name = None;
            event.query_string_parameters = QueryMap::default();
            event.multi_value_query_string_parameters = QueryMap::default();
            rooted(&mut event.path);
            honest(&mut event.is_base64_encoded, event.body.as_deref());
        }
        LambdaRequest::ApiGatewayV2(event) => {
            event.headers.remove(HOST);
            event.request_context.domain_name = None;
            event.query_string_parameters = QueryMap::default();
            event.raw_query_string = None;
            rooted(&mut event.raw_path);
            honest(&mut event.is_base64_encoded, event.body.as_deref());
        }
        LambdaRequest::Alb(event) => {
            keep_every_value(&mut event.headers, &event.multi_value_headers);
            event.headers.remove(HOST);
            event.query_string_parameters = QueryMap::default();
            event.multi_value_query_string_parameters = QueryMap::default();
            rooted(&mut event.path);
            honest(&mut event.is_base64_encoded, event.body.as_deref());
        }
        _ => {}
    }
}

fn keep_every_value(single: &mut HeaderMap, all: &HeaderMap) {
    for name in all.keys() {
        single.remove(name);
    }
}

fn rooted(path: &mut Option<String>) {
    if path.as_ref().is_some_and(|path| !path.starts_with('/')) {
        *path = None;
    }
}

/// Takes the flag back from a body that is no base64; looks at no body without the flag.
fn honest(is_base64_encoded: &mut bool, body: Option<&str>) {
    if *is_base64_encoded {
        *is_base64_encoded = body.is_none_or(|body| STANDARD.decode(body).is_ok());
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
