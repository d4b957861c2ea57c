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
use serde::{Deserialize, Deserializer, de};
use serde_json::value::RawValue;
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
    lambda_runtime::run(service_fn(move |event: LambdaEvent<Event>| {
        let (Event(mut request), context) = event.into_parts();
        telemetry::invoked(&context.request_id);
        tame(&mut request);
        adapter.call(LambdaEvent::new(request, context))
    }))
    .await
}

/// What a trigger sends.
///
/// `lambda_http` tries one shape after the other, each on the whole event; a Function URL's is the second one. This one looks
/// at the version that the event tells first.
struct Event(LambdaRequest);

/// The version of the shape: Function URLs and HTTP APIs tell 2.0, REST APIs and ALBs none.
#[derive(Deserialize)]
struct Shape<'a> {
    #[serde(borrow, default)]
    version: Option<&'a RawValue>,
}

impl<'de> Deserialize<'de> for Event {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let event = <&RawValue>::deserialize(deserializer)?.get();
        let shape = serde_json::from_str::<Shape<'_>>(event);
        let version = shape.ok().and_then(|shape| shape.version);
        if version.is_some_and(|version| version.get() == "\"2.0\"")
            && let Ok(request) = serde_json::from_str(event)
        {
            return Ok(Self(LambdaRequest::ApiGatewayV2(request)));
        }
        serde_json::from_str(event)
            .map(Self)
            .map_err(de::Error::custom)
    }
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_event_is_read_as_lambda_http_reads_it() {
        let http =
            json!({"method": "POST", "path": "/", "protocol": "HTTP/1.1", "sourceIp": "192.0.2.1"});
        let identity = json!({"sourceIp": "192.0.2.1"});
        let elb = json!({"targetGroupArn": "arn:aws:elasticloadbalancing:us-east-1:123456789012:targetgroup/t/1"});
        for (context, more) in [
            (
                json!({"http": http, "timeEpoch": 1}),
                json!({"version": "2.0", "rawPath": "/"}),
            ),
            (
                json!({"identity": identity, "stage": "s"}),
                json!({"httpMethod": "POST", "path": "/"}),
            ),
            // An HTTP API that was told to send the shape of a REST API.
            (
                json!({"identity": identity}),
                json!({"version": "1.0", "httpMethod": "POST"}),
            ),
            (
                json!({"elb": elb}),
                json!({"httpMethod": "POST", "path": "/"}),
            ),
            // Not what it says it is.
            (
                json!({"elb": elb}),
                json!({"version": "2.0", "httpMethod": "POST"}),
            ),
        ] {
            let mut event = more;
            event["requestContext"] = context;
            event["headers"] = json!({"momento-signature": "0"});
            event["body"] = json!("\u{e9}\"\n");
            event["isBase64Encoded"] = json!(false);
            let event = event.to_string();
            let expected = serde_json::from_str::<LambdaRequest>(&event);
            let found = serde_json::from_slice::<Event>(event.as_bytes());
            let found = found.map(|Event(request)| format!("{request:?}"));
            let expected = expected.map(|request| format!("{request:?}"));
            assert_eq!(found.ok(), expected.ok(), "{event}");
        }
        for event in ["{}", "[]", "7", r#"{"version":"2.0"}"#] {
            assert_eq!(
                serde_json::from_str::<Event>(event).is_ok(),
                serde_json::from_str::<LambdaRequest>(event).is_ok(),
                "{event}"
            );
        }
    }
}
