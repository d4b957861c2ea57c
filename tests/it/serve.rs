//! `bridge serve` as a process: its answers, its limits, its start and stop.

mod answers;
mod bounds;
mod credentials;
mod health;
mod relay;
mod stopping;

use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::{Request, Response, body::Incoming};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader};
use tokio::process::Child;
use tokio::sync::watch;
use workflow_bridge::domain::inbound::signature::{HEADER, sign};

use crate::lambda::{Aws, AwsStub, MACHINE, SECRET, command, routes};

/// The timeout for a condition, so that no test hangs.
const TIMEOUT: Duration = Duration::from_secs(60);

/// One running server.
struct Server {
    child: Child,
    /// `127.0.0.1:PORT`.
    address: String,
    log: watch::Receiver<Vec<Value>>,
    aws: Arc<AwsStub>,
}

/// The required variables.
fn variables() -> Vec<(String, String)> {
    let routes = routes(json!([
        {"name": "uppercase", "from": {"cache": "chat", "topic": "in"}, "to": {"stateMachine": MACHINE}},
    ]));
    [
        ("LISTEN", "127.0.0.1:0"),
        ("ROUTES", &routes),
        ("SIGNING_SECRET_ID", "signing"),
        ("PARKING_QUEUE_URL", "http://127.0.0.1/parked"),
        ("DEAD_LETTER_QUEUE_URL", "http://127.0.0.1/dead"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .to_vec()
}

fn serve_command() -> tokio::process::Command {
    let mut command = command(env!("CARGO_BIN_EXE_bridge"));
    command.arg("serve").envs(variables());
    command
}

impl Server {
    /// Starts a server and waits until it is ready.
    async fn start(variables: &[(&str, &str)]) -> Self {
        let (aws, endpoint) = AwsStub::new(SECRET, Aws::Answers).start().await;
        let mut command = serve_command();
        command
            .env("AWS_ENDPOINT_URL", endpoint)
            .envs(variables.iter().copied());
        let server = Self::spawn(command, aws).await;
        server.ready().await;
        server
    }

    async fn spawn(mut command: tokio::process::Command, aws: Arc<AwsStub>) -> Self {
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary starts");
        let stdout = child.stdout.take().expect("it is piped");
        let (lines, log) = watch::channel(Vec::new());
        tokio::spawn(async move {
            let mut stdout = BufReader::new(stdout).lines();
            while let Ok(Some(line)) = stdout.next_line().await {
                let line =
                    serde_json::from_str(&line).unwrap_or_else(|_| panic!("no JSON: {line}"));
                lines.send_modify(|lines: &mut Vec<Value>| lines.push(line));
            }
        });
        let mut server = Self {
            child,
            address: String::new(),
            log,
            aws,
        };
        let line = server
            .logged(|line| line["server.address"].is_string())
            .await;
        server.address = line["server.address"].as_str().unwrap().to_owned();
        let expected = format!("listening on http://{}", server.address);
        assert_eq!(line["message"], expected);
        server
    }

    /// Waits for a line of the log.
    async fn logged(&self, is_it: impl Fn(&Value) -> bool) -> Value {
        let mut log = self.log.clone();
        let found = tokio::time::timeout(TIMEOUT, log.wait_for(|lines| lines.iter().any(&is_it)));
        let lines = found.await.expect("the line comes").expect("it runs");
        lines.iter().find(|line| is_it(line)).unwrap().clone()
    }

    async fn ready(&self) {
        let answered = async {
            while get(&self.address, "/ready").await.0 != 200 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let ready = tokio::time::timeout(TIMEOUT, answered).await;
        ready.expect("it becomes ready");
    }

    /// Waits until AWS received `times` calls of `operation`.
    async fn asked(&self, operation: &str, times: usize) {
        let asked = async {
            while self.aws.bodies(operation).len() < times {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(TIMEOUT, asked)
            .await
            .expect("the calls arrive");
    }

    fn signal(&self, name: &str) {
        let pid = self.child.id().expect("it runs").to_string();
        let kill = std::process::Command::new("kill")
            .args([name, &pid])
            .status();
        assert!(kill.unwrap().success());
    }

    /// Waits for the end of the process; standard error must be empty.
    async fn ended(mut self) -> ExitStatus {
        let status = tokio::time::timeout(TIMEOUT, self.child.wait()).await;
        let mut errors = String::new();
        let mut stderr = self.child.stderr.take().expect("it is piped");
        stderr.read_to_string(&mut errors).await.unwrap();
        assert_eq!(errors, "");
        status.expect("it ends").unwrap()
    }

    /// Stops it gracefully.
    async fn stop(self) {
        self.signal("-TERM");
        assert_eq!(self.ended().await.code(), Some(0));
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }
}

type Http = Client<HttpConnector, Full<Bytes>>;

/// A client for each version of HTTP.
fn clients() -> [Http; 2] {
    let http1 = Client::builder(TokioExecutor::new()).build_http();
    let http2 = Client::builder(TokioExecutor::new())
        .http2_only(true)
        .build_http();
    [http1, http2]
}

/// A POST of `body`, with these values of the signature header.
fn post(server: &Server, signatures: &[&str], body: impl Into<Bytes>) -> Request<Full<Bytes>> {
    let mut request = Request::post(server.url("/"));
    for signature in signatures {
        request = request.header(HEADER, *signature);
    }
    request.body(Full::new(body.into())).unwrap()
}

fn signed(server: &Server, body: &str) -> Request<Full<Bytes>> {
    let signature = sign(SECRET, body.as_bytes());
    post(server, &[&signature], body.to_owned())
}

async fn send(http: &Http, request: Request<Full<Bytes>>) -> Response<Incoming> {
    let answer = tokio::time::timeout(TIMEOUT, http.request(request));
    answer.await.expect("an answer in time").expect("an answer")
}

async fn read(response: Response<Incoming>) -> (u16, Value) {
    let status = response.status().as_u16();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    let body = serde_json::from_slice(&body);
    (status, body.expect("a JSON body"))
}

async fn ask(http: &Http, request: Request<Full<Bytes>>) -> (u16, Value) {
    read(send(http, request).await).await
}

async fn get(address: &str, path: &str) -> (u16, Value) {
    let request = Request::get(format!("http://{address}{path}"));
    let [http1, _] = clients();
    ask(&http1, request.body(Full::default()).unwrap()).await
}
