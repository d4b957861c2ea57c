//! What Lambda's triggers do to a request before [`super::http`] sees it.

use lambda_http::http::Uri;
use lambda_http::request::RequestContext;
use lambda_http::{Request, RequestExt};

/// The request with the path that its caller asked for: without the stage that API Gateway puts before it.
pub fn without_stage(mut request: Request) -> Request {
    let stage = match request.request_context_ref() {
        Some(RequestContext::ApiGatewayV1(context)) => context.stage.clone(),
        Some(RequestContext::ApiGatewayV2(context)) => context.stage.clone(),
        _ => None,
    };
    let path = stage.and_then(|stage| {
        request
            .uri()
            .path()
            .strip_prefix(&format!("/{stage}"))
            .map(str::to_owned)
    });
    if let Some(path) = path.filter(|path| path.is_empty() || path.starts_with('/')) {
        *request.uri_mut() = path.parse().unwrap_or_else(|_| Uri::from_static("/"));
    }
    request
}
