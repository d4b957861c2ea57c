//! A child process `bridge relay` and its output.

use std::fmt::Display;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::TIMEOUT;

/// A folder of a test, removed when dropped.
pub struct Folder(PathBuf);

impl Folder {
    pub fn new() -> Self {
        let name = format!("bridge-relay-{:016x}", fastrand::u64(..));
        let folder = std::env::temp_dir().join(name);
        std::fs::create_dir(&folder).unwrap();
        Self(folder)
    }

    pub fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A relay to be started.
#[derive(Clone, Default)]
pub struct RelayCommand {
    arguments: Vec<String>,
    variables: Vec<(String, String)>,
}

impl RelayCommand {
    pub fn new() -> Self {
        Self::default()
    }

    pub fn option(mut self, name: &str, value: impl Display) -> Self {
        self.arguments.extend([name.to_owned(), value.to_string()]);
        self
    }

    /// Removes all occurrences of an option.
    pub fn without(mut self, name: &str) -> Self {
        while let Some(at) = self.arguments.iter().position(|argument| argument == name) {
            self.arguments.drain(at..at + 2);
        }
        self
    }

    /// Replaces the value of an option.
    pub fn but(self, name: &str, value: impl Display) -> Self {
        self.without(name).option(name, value)
    }

    pub fn variable(mut self, name: &str, value: &str) -> Self {
        self.variables.retain(|(known, _)| known != name);
        self.variables.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Starts it without waiting.
    pub fn spawn(&self) -> Relay {
        let mut child = Command::new(env!("CARGO_BIN_EXE_bridge"))
            .arg("relay")
            .args(&self.arguments)
            .env_clear()
            .envs(self.variables.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("the binary starts");
        let (sender, lines) = watch::channel(Vec::new());
        let stdout = child.stdout.take().expect("it is piped");
        let reading = tokio::spawn(read(stdout, sender));
        Relay {
            child,
            lines,
            reading,
        }
    }

    /// Starts it and waits until it relays.
    pub async fn start(&self) -> Relay {
        let mut relay = self.spawn();
        let began = relay.lines.clone();
        let waiting = async {
            tokio::select! {
                biased;
                () = any_line(began, |line| line["webhook"].is_string()) => true,
                _ = relay.child.wait() => false,
            }
        };
        if timeout(TIMEOUT, waiting).await != Ok(true) {
            let (_, error) = relay.ended().await;
            panic!("the relay does not start: {error}");
        }
        relay
    }

    /// Runs it to its failure; returns standard error.
    pub async fn fail(&self) -> String {
        let (status, error) = self.spawn().ended().await;
        assert_eq!(status.code(), Some(1), "{error}");
        error
    }
}

async fn read(stdout: impl AsyncRead + Unpin, sender: watch::Sender<Vec<Value>>) {
    let mut lines = BufReader::new(stdout).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        let line = serde_json::from_str(&line).unwrap_or_else(|_| json!(line));
        sender.send_modify(|lines| lines.push(line));
    }
}

async fn any_line(mut lines: watch::Receiver<Vec<Value>>, wanted: impl Fn(&Value) -> bool) {
    if lines
        .wait_for(|lines| lines.iter().any(&wanted))
        .await
        .is_err()
    {
        std::future::pending().await
    }
}

/// A running relay; killed when dropped.
pub struct Relay {
    child: Child,
    lines: watch::Receiver<Vec<Value>>,
    reading: JoinHandle<()>,
}

impl Relay {
    /// The log lines so far.
    pub fn lines(&self) -> Vec<Value> {
        self.lines.borrow().clone()
    }

    /// The log lines so far whose message contains `message`.
    pub fn lines_with(&self, message: &str) -> Vec<Value> {
        let lines = self.lines.borrow();
        let found = lines.iter().filter(|line| {
            let text = line["message"].as_str();
            text.is_some_and(|text| text.contains(message))
        });
        found.cloned().collect()
    }

    /// Waits for `times` lines whose message contains `message`; returns them.
    pub async fn logged(&self, message: &str, times: usize) -> Vec<Value> {
        let mut lines = self.lines.clone();
        let waiting = async {
            while self.lines_with(message).len() < times {
                lines.changed().await.expect("the relay runs");
            }
        };
        if timeout(TIMEOUT, waiting).await.is_err() {
            panic!(
                "expected `{message}` {times} times, found {:#?}",
                self.lines()
            );
        }
        self.lines_with(message)
    }

    /// Status and body of an endpoint.
    pub async fn get(&self, path: &str) -> (u16, String) {
        let lines = self.lines.borrow().clone();
        let address = lines
            .iter()
            .find_map(|line| line["server.address"].as_str());
        let url = format!("http://{}{path}", address.expect("a line with the address"));
        let response = reqwest::get(url).await.unwrap();
        (response.status().as_u16(), response.text().await.unwrap())
    }

    /// The value of a metric.
    pub async fn metric(&self, name: &str) -> u64 {
        self.number(name).await.try_into().expect("0 or more")
    }

    /// The value of a metric that may be negative.
    pub async fn number(&self, name: &str) -> i64 {
        let (_, text) = self.get("/metrics").await;
        let name = format!("workflow_bridge_relay_{name} ");
        let value = text.lines().find_map(|line| line.strip_prefix(&name));
        value
            .and_then(|value| value.parse().ok())
            .expect("a number")
    }

    /// Waits until `/ready` answers this status; returns the body.
    pub async fn is_ready(&self, status: u16) -> String {
        let waiting = async {
            loop {
                let (found, body) = self.get("/ready").await;
                if found == status {
                    return body;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let answer = timeout(TIMEOUT, waiting).await;
        answer.unwrap_or_else(|_| panic!("expected {status}: {:#?}", self.lines()))
    }

    /// Waits until `wanted` accepts the value of a metric.
    pub async fn reaches(&self, name: &str, wanted: impl Fn(u64) -> bool) {
        let waiting = async {
            while !wanted(self.metric(name).await) {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        if timeout(TIMEOUT, waiting).await.is_err() {
            panic!(
                "`{name}` stays {}: {:#?}",
                self.metric(name).await,
                self.lines()
            );
        }
    }

    /// Sends SIGTERM.
    pub fn terminate(&self) {
        let pid = self.child.id().expect("it runs").to_string();
        let sent = std::process::Command::new("kill")
            .args(["-TERM", &pid])
            .status();
        assert!(sent.expect("kill runs").success());
    }

    /// Sends SIGKILL and waits for the end; returns the log lines.
    pub async fn kill(mut self) -> Vec<Value> {
        self.child.kill().await.unwrap();
        // Earlier output is still in the pipe.
        let _ = self.reading.await;
        self.lines.borrow().clone()
    }

    /// Stops it gracefully; returns the log lines.
    pub async fn stop(self) -> Vec<Value> {
        self.terminate();
        let lines = self.lines.clone();
        let (status, error) = self.ended().await;
        assert_eq!(status.code(), Some(0), "{error}\n{:#?}", lines.borrow());
        lines.borrow().clone()
    }

    /// Waits for its end; returns the status and standard error.
    pub async fn ended(mut self) -> (ExitStatus, String) {
        let mut error = String::new();
        let mut stderr = self.child.stderr.take().expect("it is piped");
        let ending = async {
            stderr.read_to_string(&mut error).await.unwrap();
            self.child.wait().await.unwrap()
        };
        let Ok(status) = timeout(TIMEOUT, ending).await else {
            panic!("the relay goes on: {:#?}", self.lines.borrow());
        };
        let _ = self.reading.await;
        (status, error)
    }
}
