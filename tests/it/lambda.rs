//! A Lambda environment on loopback: the Runtime API, which passes events to the real binary, and AWS endpoints, which replay
//! answers or misbehave.

use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde_json::{Value, json};
use tokio::io::AsyncReadExt;
use tokio::net::TcpListener;
use tokio::process::{Child, Command};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

pub const MACHINE: &str = "arn:aws:states:us-east-1:123456789012:stateMachine:Uppercase";
pub const SECRET: &str = "the signing secret";

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
    events: UnboundedSender<Value>,
    answers: tokio::sync::Mutex<UnboundedReceiver<Value>>,
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

struct RuntimeApi {
    events: tokio::sync::Mutex<UnboundedReceiver<Value>>,
    answers: UnboundedSender<Value>,
    /// The function's timeout.
    timeout: Duration,
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
        let (events, to_function) = unbounded_channel();
        let (from_function, answers) = unbounded_channel();
        let api = Arc::new(RuntimeApi {
            events: tokio::sync::Mutex::new(to_function),
            answers: from_function,
            timeout,
        });
        let api = serve(
            Router::new()
                .route("/2018-06-01/runtime/invocation/next", get(next))
                .route(
                    "/2018-06-01/runtime/invocation/{id}/response",
                    post(answered),
                )
                .route("/2018-06-01/runtime/invocation/{id}/error", post(answered))
                .with_state(api),
        )
        .await;
        let (aws, endpoint) = aws.start().await;
        let child = command(binary)
            .env("AWS_LAMBDA_RUNTIME_API", &api)
            .env("AWS_ENDPOINT_URL", endpoint)
            .envs(variables.iter().copied())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the binary starts");
        Self {
            child,
            events,
            answers: tokio::sync::Mutex::new(answers),
            aws,
        }
    }

    pub fn aws(&self) -> &AwsStub {
        &self.aws
    }

    /// Sends an event and waits for the function's answer.
    pub async fn invoke(&self, event: Value) -> Value {
        let mut answers = self.answers.lock().await;
        self.events.send(event).expect("the Runtime API runs");
        let answer = tokio::time::timeout(Duration::from_secs(60), answers.recv());
        answer
            .await
            .expect("an answer within a minute")
            .expect("the Runtime API runs")
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
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("it is bound").to_string();
    tokio::spawn(async move { axum::serve(listener, router).await });
    address
}

async fn next(State(api): State<Arc<RuntimeApi>>) -> Response {
    let Some(event) = api.events.lock().await.recv().await else {
        return StatusCode::GONE.into_response();
    };
    let deadline = (SystemTime::now() + api.timeout).duration_since(SystemTime::UNIX_EPOCH);
    let headers = [
        (
            "lambda-runtime-aws-request-id",
            "8476a536-e9f4-11e8-9739-2dfe598c3fcd".to_owned(),
        ),
        (
            "lambda-runtime-deadline-ms",
            deadline.expect("after 1970").as_millis().to_string(),
        ),
        (
            "lambda-runtime-invoked-function-arn",
            "arn:aws:lambda:us-east-1:123456789012:function:f".to_owned(),
        ),
        (
            "lambda-runtime-trace-id",
            "Root=1-5bef4de7-ad49b0e87f6ef6c87fc2e700".to_owned(),
        ),
    ];
    (headers, axum::Json(event)).into_response()
}

async fn answered(
    State(api): State<Arc<RuntimeApi>>,
    Path(_): Path<String>,
    body: Bytes,
) -> StatusCode {
    let answer = serde_json::from_slice(&body).unwrap_or(Value::Null);
    let _ = api.answers.send(answer);
    StatusCode::ACCEPTED
}

async fn aws_call(State(stub): State<Arc<AwsStub>>, headers: HeaderMap, body: Bytes) -> Response {
    let target = headers
        .get("x-amz-target")
        .and_then(|t| t.to_str().ok())
        .unwrap_or("")
        .to_owned();
    let operation = target.rsplit('.').next().unwrap_or_default().to_owned();
    let body: Value = serde_json::from_slice(&body).unwrap_or(Value::Null);
    let trace = headers.get("x-amzn-trace-id").and_then(|t| t.to_str().ok());
    let trace = (operation.clone(), trace.unwrap_or_default().to_owned());
    stub.traces.lock().unwrap().push(trace);
    stub.calls.lock().unwrap().push((target, body.clone()));
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
    let answer = match operation.as_str() {
        "StartExecution" => {
            json!({"executionArn": "arn:aws:states:us-east-1:123456789012:execution:x", "startDate": 1.0})
        }
        "PutEvents" => json!({"FailedEntryCount": 0, "Entries": [{"EventId": "1"}]}),
        "SendMessage" => json!({"MessageId": "1", "MD5OfMessageBody": "0"}),
        "GetQueueAttributes" => json!({"Attributes": {"ApproximateNumberOfMessages": "0"}}),
        "GetSecretValue" if body["VersionStage"] == "AWSPREVIOUS" => {
            let error =
                json!({"__type": "ResourceNotFoundException", "message": "no such version"});
            return (StatusCode::BAD_REQUEST, axum::Json(error)).into_response();
        }
        "GetSecretValue" => json!({"SecretString": value}),
        // The answers of an empty table.
        "GetItem" | "PutItem" => json!({}),
        "GetParameter" => json!({"Parameter": {"Name": "p", "Value": value}}),
        _ => return (StatusCode::BAD_REQUEST, "{}").into_response(),
    };
    axum::Json(answer).into_response()
}
