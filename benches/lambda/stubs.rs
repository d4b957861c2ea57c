//! Stubs of AWS: every call succeeds, after the service time.
//!
//! Each service has a port of its own, since on AWS it has a host of its own: the figures include opening a connection to it,
//! and a call to the wrong one is refused.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use anyhow::Result;
use http_body_util::Full;
use hyper::body::Bytes;
use hyper::{Request, Response, StatusCode};
use serde_json::{Value, json};
use tokio_rustls::TlsAcceptor;

use super::serving::{Answers, Server, serve};

/// The number of collected routes.
const COLLECTED: usize = 100;

/// A host of AWS.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Service {
    Secrets,
    StepFunctions,
    Queues,
    Events,
    /// All others.
    Tables,
}

impl Service {
    pub const ALL: [Self; 5] = [
        Self::Secrets,
        Self::StepFunctions,
        Self::Queues,
        Self::Events,
        Self::Tables,
    ];

    /// The variable with its endpoint.
    pub fn variable(self) -> &'static str {
        match self {
            Self::Secrets => "AWS_ENDPOINT_URL_SECRETS_MANAGER",
            Self::StepFunctions => "AWS_ENDPOINT_URL_SFN",
            Self::Queues => "AWS_ENDPOINT_URL_SQS",
            Self::Events => "AWS_ENDPOINT_URL_EVENTBRIDGE",
            Self::Tables => "AWS_ENDPOINT_URL",
        }
    }
}

pub struct Aws {
    servers: BTreeMap<Service, Server>,
    scheme: &'static str,
    /// The number of started executions.
    pub started: Rc<Cell<usize>>,
}

#[derive(Clone)]
struct Face {
    service: Service,
    secret: Rc<str>,
    service_time: Duration,
    started: Rc<Cell<usize>>,
}

impl Aws {
    /// `secret` is the value of every secret.
    pub async fn start(
        secret: &str,
        tls: Option<TlsAcceptor>,
        service_time: Duration,
    ) -> Result<Self> {
        let scheme = if tls.is_some() { "https" } else { "http" };
        let started = Rc::new(Cell::new(0));
        let mut servers = BTreeMap::new();
        for service in Service::ALL {
            let face = Face {
                service,
                secret: secret.into(),
                service_time,
                started: started.clone(),
            };
            servers.insert(service, serve(tls.clone(), face).await?);
        }
        Ok(Self {
            servers,
            scheme,
            started,
        })
    }

    /// The URL of a service.
    pub fn endpoint(&self, service: Service) -> String {
        format!("{}://{}", self.scheme, self.servers[&service].address)
    }
}

impl Answers for Face {
    async fn answer(&self, request: Request<Bytes>) -> Response<Full<Bytes>> {
        let target = request.headers().get("x-amz-target");
        let Some(target) = target.and_then(|target| target.to_str().ok()) else {
            // Not a call: it opens a connection ahead of one.
            return respond(StatusCode::NOT_FOUND, &json!({}));
        };
        if !self.service_time.is_zero() {
            tokio::time::sleep(self.service_time).await;
        }
        let operation = target.rsplit('.').next().unwrap_or_default();
        let (status, answer) = self.call(operation, request.body());
        respond(status, &answer)
    }
}

impl Face {
    fn call(&self, operation: &str, body: &[u8]) -> (StatusCode, Value) {
        let answer = match (self.service, operation) {
            (Service::StepFunctions, "StartExecution") => {
                self.started.set(self.started.get() + 1);
                let arn = "arn:aws:states:us-east-1:123456789012:execution:Uppercase:x";
                json!({"executionArn": arn, "startDate": 1.0})
            }
            (Service::Secrets, "GetSecretValue") => {
                if body.windows(11).any(|part| part == b"AWSPREVIOUS") {
                    let error = json!({"__type": "ResourceNotFoundException", "message": "no such version"});
                    return (StatusCode::BAD_REQUEST, error);
                }
                json!({"Name": "secret", "SecretString": &*self.secret})
            }
            (Service::Events, "PutEvents") => {
                json!({"FailedEntryCount": 0, "Entries": [{"EventId": "1"}]})
            }
            (Service::Queues, "SendMessage") => json!({"MessageId": "1", "MD5OfMessageBody": "0"}),
            (Service::Tables, "GetItem") => json!({"Item": collected_routes()}),
            (Service::Tables, "PutItem" | "UpdateItem") => json!({}),
            _ => {
                let error = json!({"__type": "UnknownOperationException"});
                return (StatusCode::BAD_REQUEST, error);
            }
        };
        (StatusCode::OK, answer)
    }
}

/// The item with the collected routes: a hundred, of which none takes the messages.
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

fn respond(status: StatusCode, answer: &Value) -> Response<Full<Bytes>> {
    let response = Response::builder()
        .status(status)
        .header("content-type", "application/x-amz-json-1.1")
        .header("x-amzn-requestid", "c0ffee00-0000-4000-8000-000000000000");
    response
        .body(Full::new(answer.to_string().into()))
        .expect("the headers are valid")
}
