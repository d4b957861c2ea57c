//! A Lambda environment on loopback: the Runtime API, which passes events to the real binary, and AWS endpoints, which replay
//! answers or misbehave.

#[path = "../shared/lambda/answers.rs"]
pub mod answers;
#[path = "../shared/lambda/runtime_api.rs"]
mod runtime_api;
#[path = "../shared/lambda/serving.rs"]
pub mod serving;

use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use tokio::io::AsyncReadExt;
use tokio::process::{Child, Command};

pub use answers::{MACHINE, SECRET};
use runtime_api::RuntimeApi;

/// How the AWS endpoint behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Aws {
    Answers,
    /// Accepts connections and never answers calls of these operations, separated by a space.
    Hangs(&'static str),
    /// Answers 500 to these operations.
    Breaks(&'static str),
    /// Answers 200 with this body to this operation.
    Replays(&'static str, &'static str),
    /// Answers 400 with this body to this operation.
    Refuses(&'static str, &'static str),
}

/// One running function.
pub struct Function {
    child: Child,
    api: RuntimeApi,
    aws: Arc<AwsStub>,
}

/// The AWS endpoint: recorded calls and behaviour.
pub struct AwsStub {
    calls: Mutex<Vec<(String, Value)>>,
    /// The header `X-Amzn-Trace-Id` of each call.
    traces: Mutex<Vec<(String, String)>>,
    behaviour: Mutex<Aws>,
    /// The value of every secret and every parameter.
    value: Mutex<String>,
}

pub fn routes(list: Value) -> String {
    json!({"routes": list}).to_string()
}

impl Function {
    /// Starts `binary` with Lambda's variables; `variables` override them.
    pub async fn start(
        binary: &str,
        variables: &[(&str, &str)],
        timeout: Duration,
        aws: AwsStub,
    ) -> Self {
        let api = RuntimeApi::start(timeout).await;
        let (aws, endpoint) = aws.start().await;
        let child = command(binary)
            .env("AWS_LAMBDA_RUNTIME_API", &api.address)
            .env("AWS_ENDPOINT_URL", endpoint)
            .envs(variables.iter().copied())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the binary starts");
        Self { child, api, aws }
    }

    pub fn aws(&self) -> &AwsStub {
        &self.aws
    }

    /// Sends an event and waits for the function's answer.
    pub async fn invoke(&self, event: Value) -> Value {
        let answer = self.api.invoke(event.to_string());
        let answer = tokio::time::timeout(Duration::from_secs(60), answer);
        let (_, answer) = answer.await.expect("an answer within a minute");
        serde_json::from_slice(&answer).unwrap_or_default()
    }

    pub fn pid(&self) -> u32 {
        self.child.id().expect("the function runs")
    }

    /// Waits for the function to exit; returns its exit code and its log.
    pub async fn ended(&mut self) -> (Option<i32>, String) {
        let log = self.log().await;
        let status = self.child.wait().await.expect("its status");
        (status.code(), log)
    }

    /// Stops the function and returns its log.
    pub async fn stop(mut self) -> String {
        self.child.start_kill().expect("the function runs");
        self.log().await
    }

    async fn log(&mut self) -> String {
        let mut log = String::new();
        let mut stdout = self.child.stdout.take().expect("it is piped");
        stdout
            .read_to_string(&mut log)
            .await
            .expect("the log is text");
        log
    }
}

/// A function's process with Lambda's variables.
pub fn command(binary: &str) -> Command {
    let mut command = Command::new(binary);
    command
        .env_clear()
        .env("AWS_LAMBDA_FUNCTION_NAME", "function")
        .env("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST")
        .env("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "128")
        .env("AWS_REGION", "us-east-1")
        .env("AWS_ACCESS_KEY_ID", "test")
        .env("AWS_SECRET_ACCESS_KEY", "test")
        .stdin(Stdio::null())
        .kill_on_drop(true);
    command
}

impl AwsStub {
    pub fn new(value: &str, behaviour: Aws) -> Self {
        Self {
            calls: Mutex::default(),
            traces: Mutex::default(),
            behaviour: Mutex::new(behaviour),
            value: Mutex::new(value.to_owned()),
        }
    }

    /// Serves on a free port; returns its URL, too.
    pub async fn start(self) -> (Arc<Self>, String) {
        let stub = Arc::new(self);
        let address = serve(stub.clone().router()).await;
        (stub, format!("http://{address}"))
    }

    /// The answers as a router, for another server.
    pub fn router(self: Arc<Self>) -> Router {
        Router::new().fallback(aws_call).with_state(self)
    }

    pub fn behave(&self, behaviour: Aws) {
        *self.behaviour.lock().unwrap() = behaviour;
    }

    /// Replaces the value of every secret and every parameter.
    pub fn hold(&self, value: &str) {
        value.clone_into(&mut self.value.lock().unwrap());
    }

    /// The bodies of the calls to `operation`.
    pub fn bodies(&self, operation: &str) -> Vec<Value> {
        let calls = self.calls.lock().unwrap();
        let matching = calls
            .iter()
            .filter(|(target, _)| target.ends_with(operation));
        matching.map(|(_, body)| body.clone()).collect()
    }

    /// The trace headers of the calls to `operation`.
    pub fn traces(&self, operation: &str) -> Vec<String> {
        let traces = self.traces.lock().unwrap();
        let matching = traces.iter().filter(|(of, _)| of == operation);
        matching.map(|(_, trace)| trace.clone()).collect()
    }
}

/// Serves on a free port of loopback; returns its address.
pub async fn serve(router: Router) -> String {
    let (address, serving) = serving::on_loopback(router).await;
    tokio::spawn(serving);
    address
}

async fn aws_call(State(stub): State<Arc<AwsStub>>, headers: HeaderMap, body: Bytes) -> Response {
    let operation = answers::operation(&headers).unwrap_or_default().to_owned();
    let trace = headers.get("x-amzn-trace-id").and_then(|t| t.to_str().ok());
    let trace = (operation.clone(), trace.unwrap_or_default().to_owned());
    stub.traces.lock().unwrap().push(trace);
    let call = serde_json::from_slice(&body).unwrap_or(Value::Null);
    stub.calls.lock().unwrap().push((operation.clone(), call));
    let behaviour = *stub.behaviour.lock().unwrap();
    match behaviour {
        Aws::Hangs(hung) if hung.split(' ').any(|o| o == operation) => std::future::pending().await,
        Aws::Breaks(broken) if broken.split(' ').any(|o| o == operation) => {
            return (StatusCode::INTERNAL_SERVER_ERROR, "{}").into_response();
        }
        Aws::Refuses(refused, answer) if refused == operation => {
            return (StatusCode::BAD_REQUEST, answer).into_response();
        }
        Aws::Replays(replayed, answer) if replayed == operation => return answer.into_response(),
        _ => {}
    }
    let value = stub.value.lock().unwrap().clone();
    answers::answer(&operation, &body, &value)
}
