//! The measured servers, each a process of its own, and the stub of AWS, in this process.

use std::process::Stdio;

use aws_sdk_sfn::Client;
use axum::Router;
use axum::body::Bytes;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::net::TcpListener;
use tokio::process::{Child, Command};
use workflow_bridge::adapters::aws;

pub const SECRET: &str = "the signing secret";
const MACHINE: &str = "arn:aws:states:us-east-1:123456789012:stateMachine:Uppercase";

/// The variable that makes this program one of the servers.
const ROLE: &str = "BENCH_ROLE";

/// A running server.
pub struct Server {
    pub url: String,
    child: Child,
}

pub fn role() -> Option<String> {
    std::env::var(ROLE).ok()
}

/// Runs one of the servers until it is killed.
pub fn run(role: &str) {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(async {
        let router = match role {
            "bare" => Router::new().fallback(async |body: Bytes| {
                std::hint::black_box(body.len());
                StatusCode::OK
            }),
            _ => {
                let config = aws::of_machine().await.expect("trusted roots");
                let client = Client::new(&config);
                Router::new().fallback(async move |body: Bytes| {
                    let input = String::from_utf8_lossy(&body);
                    let call = client.start_execution().state_machine_arn(MACHINE);
                    match call.name("name").input(input).send().await {
                        Ok(_) => StatusCode::OK,
                        Err(_) => StatusCode::SERVICE_UNAVAILABLE,
                    }
                })
            }
        };
        let listener = listener().await;
        let address = listener.local_addr().expect("it is bound");
        println!("{}", json!({"server.address": address.to_string()}));
        axum::serve(listener, router).await.expect("it serves");
    });
}

/// The bare handler, the one that calls AWS, and `bridge serve`.
pub async fn start() -> [Server; 3] {
    let endpoint = stub().await;
    let this = std::env::current_exe().expect("this program has a path");
    let role = |role| {
        let mut command = Command::new(&this);
        command.env(ROLE, role);
        command
    };
    let mut bridge = Command::new(env!("CARGO_BIN_EXE_bridge"));
    let route = json!({"name": "r", "from": {"cache": "chat", "topic": "in"}, "to": {"stateMachine": MACHINE}});
    bridge
        .args(["serve", "--listen", "127.0.0.1:0"])
        .env("ROUTES", json!({"routes": [route]}).to_string())
        .env("SIGNING_SECRET_ID", "signing")
        .env("PARKING_QUEUE_URL", "http://127.0.0.1/parked")
        .env("DEAD_LETTER_QUEUE_URL", "http://127.0.0.1/dead")
        // The message is signed once, at the start.
        .env("MAX_AGE_SECONDS", "86400");
    [
        spawn(role("bare"), &endpoint).await,
        spawn(role("calls AWS"), &endpoint).await,
        spawn(bridge, &endpoint).await,
    ]
}

async fn spawn(mut command: Command, endpoint: &str) -> Server {
    let mut child = command
        .env("AWS_ENDPOINT_URL", endpoint)
        .env("AWS_REGION", "us-east-1")
        .env("AWS_ACCESS_KEY_ID", "test")
        .env("AWS_SECRET_ACCESS_KEY", "test")
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("the server starts");
    let mut lines = BufReader::new(child.stdout.take().expect("it is piped")).lines();
    let address = loop {
        let line = lines.next_line().await.expect("text");
        let line: Value =
            serde_json::from_str(&line.expect("it prints its address")).expect("JSON lines");
        if let Some(address) = line["server.address"].as_str() {
            break address.to_owned();
        }
    };
    // Drains the logs, so that the pipe does not fill up.
    let mut logs = lines.into_inner();
    tokio::spawn(async move { tokio::io::copy(&mut logs, &mut tokio::io::sink()).await });
    let url = format!("http://{address}");
    Server { url, child }
}

impl Server {
    /// Peak resident memory, if the system has it.
    pub fn most_memory(&self) -> String {
        let pid = self.child.id().unwrap_or_default();
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        line.map_or("unknown".to_owned(), |line| line.trim().to_owned())
    }
}

async fn listener() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").await.expect("a free port")
}

/// Stubs of Step Functions and Secrets Manager, which answer at once.
async fn stub() -> String {
    let router = Router::new().fallback(async |headers: HeaderMap, _: Bytes| -> Response {
        let target = headers.get("x-amz-target").map(|target| target.as_bytes());
        match target {
            Some(b"AWSStepFunctions.StartExecution") => {
                r#"{"executionArn":"arn:aws:states:us-east-1:123456789012:execution:m:n","startDate":1.0}"#
                    .into_response()
            }
            Some(b"secretsmanager.GetSecretValue") => {
                axum::Json(json!({"SecretString": SECRET})).into_response()
            }
            _ => StatusCode::BAD_REQUEST.into_response(),
        }
    });
    let listener = listener().await;
    let address = listener.local_addr().expect("it is bound");
    tokio::spawn(async move { axum::serve(listener, router).await });
    format!("http://{address}")
}
