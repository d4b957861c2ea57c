//! AWS: every call succeeds, after the service time.
//!
//! Each service has a port of its own, since on AWS it has a host of its own: the figures include a connection to each.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::{Json, Router};
use serde_json::{Value, json};

use super::answers::{SECRET, answer, operation};
use super::serving::{Encrypted, on_loopback};

/// The number of collected routes.
const COLLECTED: usize = 100;
/// The variables of the endpoints; the last one is that of all other services.
const VARIABLES: [&str; 5] = [
    "AWS_ENDPOINT_URL_SECRETS_MANAGER",
    "AWS_ENDPOINT_URL_SFN",
    "AWS_ENDPOINT_URL_SQS",
    "AWS_ENDPOINT_URL_EVENTBRIDGE",
    "AWS_ENDPOINT_URL",
];

/// The state of all places.
#[derive(Clone)]
pub struct Account {
    /// The number of started executions.
    pub started: Arc<AtomicUsize>,
    /// The value of the secret `momento`.
    pub key: Arc<str>,
}

/// The transport to AWS, and AWS's service time.
pub struct Place {
    pub name: String,
    pub tls: bool,
    pub service_ms: u64,
    /// The variables of the endpoints, with their URLs.
    pub endpoints: Vec<(&'static str, String)>,
}

impl Place {
    /// Serves until the process ends.
    pub async fn start(tls: bool, service_ms: u64, account: &Account) -> Self {
        let router = Router::new().fallback(call);
        let router = router.with_state((Duration::from_millis(service_ms), account.clone()));
        let mut endpoints = Vec::new();
        for variable in VARIABLES {
            let router = router.clone();
            let endpoint = if tls {
                let listener = Encrypted::bind("here.pem").await;
                let endpoint = listener.endpoint();
                tokio::spawn(async move { axum::serve(listener, router).await });
                endpoint
            } else {
                let (address, serving) = on_loopback(router).await;
                tokio::spawn(serving);
                format!("http://{address}")
            };
            endpoints.push((variable, endpoint));
        }
        let transport = if tls { "TLS" } else { "HTTP" };
        Self {
            name: format!("{transport}, {service_ms} ms"),
            tls,
            service_ms,
            endpoints,
        }
    }
}

async fn call(
    State((service_time, account)): State<(Duration, Account)>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let Some(operation) = operation(&headers) else {
        // It opens a connection ahead of a call.
        return StatusCode::NOT_FOUND.into_response();
    };
    if !service_time.is_zero() {
        tokio::time::sleep(service_time).await;
    }
    match operation {
        "GetItem" => return Json(json!({"Item": collected_routes()})).into_response(),
        "StartExecution" => {
            account.started.fetch_add(1, Ordering::Relaxed);
        }
        "GetSecretValue" if String::from_utf8_lossy(&body).contains("momento") => {
            return answer(operation, &body, &account.key);
        }
        _ => {}
    }
    answer(operation, &body, SECRET)
}

/// The item with the collected routes, of which none takes the messages.
fn collected_routes() -> Value {
    let routes = (0..COLLECTED).map(|i| {
        json!({
            "name": format!("workflow-{i}"), "from": {"cache": "chat", "topic": format!("workflow-{i}-in")},
            "to": {"stateMachine": format!("arn:aws:states:us-east-1:123456789012:stateMachine:bridge_workflow-{i}")},
            "reply": {"topics": [format!("workflow-{i}-out")], "failures": [format!("workflow-{i}-failed")]},
        })
    });
    let document = json!({"routes": routes.collect::<Vec<_>>()}).to_string();
    json!({
        "id": {"S": "routes"}, "version": {"N": "1"}, "document": {"S": document}, "parameters": {"S": "{}"},
    })
}
