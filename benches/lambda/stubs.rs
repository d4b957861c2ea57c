//! AWS as the functions see it: every call succeeds, after the service time.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use anyhow::Result;
use http_body_util::Full;
use hyper::body::Bytes;
use hyper::{Request, Response, StatusCode};
use serde_json::json;
use tokio_rustls::TlsAcceptor;

use crate::serving::{Answers, Server, serve};

pub struct Aws {
    pub server: Server,
    /// How many executions were started.
    pub started: Rc<Cell<usize>>,
}

#[derive(Clone)]
struct Face {
    secret: Rc<str>,
    service_time: Duration,
    started: Rc<Cell<usize>>,
}

impl Aws {
    /// `secret` is what every secret holds.
    pub async fn start(
        secret: &str,
        tls: Option<TlsAcceptor>,
        service_time: Duration,
    ) -> Result<Self> {
        let started = Rc::new(Cell::new(0));
        let face = Face {
            secret: secret.into(),
            service_time,
            started: started.clone(),
        };
        Ok(Self {
            server: serve(tls, face).await?,
            started,
        })
    }
}

impl Answers for Face {
    async fn answer(&self, request: Request<Bytes>) -> Response<Full<Bytes>> {
        if !self.service_time.is_zero() {
            tokio::time::sleep(self.service_time).await;
        }
        let target = request.headers().get("x-amz-target");
        let target = target.and_then(|target| target.to_str().ok());
        let operation = target.and_then(|target| target.rsplit('.').next());
        let previous = || {
            request
                .body()
                .windows(11)
                .any(|part| part == b"AWSPREVIOUS")
        };
        let (status, answer) = match operation.unwrap_or_default() {
            "StartExecution" => {
                self.started.set(self.started.get() + 1);
                let arn = "arn:aws:states:us-east-1:123456789012:execution:Uppercase:x";
                (
                    StatusCode::OK,
                    json!({"executionArn": arn, "startDate": 1.0}),
                )
            }
            "GetSecretValue" if previous() => {
                let error =
                    json!({"__type": "ResourceNotFoundException", "message": "no such version"});
                (StatusCode::BAD_REQUEST, error)
            }
            "GetSecretValue" => {
                let found = json!({"Name": "secret", "SecretString": &*self.secret});
                (StatusCode::OK, found)
            }
            "PutEvents" => {
                let put = json!({"FailedEntryCount": 0, "Entries": [{"EventId": "1"}]});
                (StatusCode::OK, put)
            }
            "SendMessage" => (
                StatusCode::OK,
                json!({"MessageId": "1", "MD5OfMessageBody": "0"}),
            ),
            "GetItem" | "PutItem" | "UpdateItem" => (StatusCode::OK, json!({})),
            _ => (
                StatusCode::BAD_REQUEST,
                json!({"__type": "UnknownOperationException"}),
            ),
        };
        let response = Response::builder()
            .status(status)
            .header("content-type", "application/x-amz-json-1.1")
            .header("x-amzn-requestid", "c0ffee00-0000-4000-8000-000000000000");
        response
            .body(Full::new(answer.to_string().into()))
            .expect("the headers are valid")
    }
}
