//! The subjects, each a process of its own.

use std::fmt;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::ValueEnum;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use workflow_bridge::tools::local::process::{Guarded, command, last_lines};

use crate::child::{CACHE, topic};
use crate::worker::Worker;

/// Deadline for the relay to be ready.
const READY_WITHIN: Duration = Duration::from_secs(30);
const READY_EVERY: Duration = Duration::from_millis(20);

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Subject {
    Grpc,
    Sdk,
    LongPoll,
    Relay,
    #[value(name = "relay-64")]
    Relay64,
}

impl Subject {
    pub const ALL: [Self; 5] = [
        Self::Grpc,
        Self::Sdk,
        Self::LongPoll,
        Self::Relay,
        Self::Relay64,
    ];
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = self.to_possible_value();
        f.write_str(value.as_ref().map_or("", |value| value.get_name()))
    }
}

/// The server of a subject.
pub struct Server<'a> {
    pub endpoint: &'a str,
    pub key: &'a str,
    pub topics: u16,
}

/// A subject with all its subscriptions open.
pub struct Running {
    /// The process that counts messages: the subscriber itself, or the webhook behind the relay.
    pub counter: Worker,
    relay: Option<Relay>,
}

impl Running {
    pub async fn start(subject: Subject, server: &Server<'_>) -> Result<Self> {
        let concurrency = match subject {
            Subject::Relay => None,
            Subject::Relay64 => Some("64"),
            Subject::Grpc | Subject::Sdk | Subject::LongPoll => {
                let counter = subscriber(&subject.to_string(), server, &[]).await?;
                let relay = None;
                return Ok(Self { counter, relay });
            }
        };
        let counter = Worker::start(&["webhook".to_owned()], server.key).await?;
        let port = counter.ready.port.context("expected a port, found none")?;
        let webhook = format!("http://127.0.0.1:{port}/");
        let relay = Relay::start(&webhook, server, concurrency).await?;
        Ok(Self {
            counter,
            relay: Some(relay),
        })
    }

    /// The measured process.
    pub fn pid(&self) -> u32 {
        self.relay
            .as_ref()
            .map_or(self.counter.pid, |relay| relay.pid)
    }

    /// Ends its processes and waits until they are gone.
    pub async fn stop(self) -> Result<()> {
        drop(self.relay);
        self.counter.stop().await
    }
}

/// A plain subscriber.
pub async fn subscriber(name: &str, server: &Server<'_>, more: &[String]) -> Result<Worker> {
    let topics = server.topics.to_string();
    let arguments = [name, "--endpoint", server.endpoint, "--topics", &topics];
    let mut arguments = arguments.map(str::to_owned).to_vec();
    arguments.extend_from_slice(more);
    Worker::start(&arguments, server.key).await
}

/// Prints its process id, then becomes the relay, whose log goes into a file.
const BECOME: &str = r#"echo $$; exec "$0" relay >"$1" 2>&1"#;

/// `bridge relay`, as shipped.
struct Relay {
    process: Guarded,
    pid: u32,
    folder: Folder,
}

impl Relay {
    async fn start(webhook: &str, server: &Server<'_>, concurrency: Option<&str>) -> Result<Self> {
        let folder = Folder::new()?;
        let secret = folder.file("secret");
        std::fs::write(&secret, "a secret of this bench")?;
        let topics = (0..server.topics).map(|number| format!("{CACHE}/{}", topic(number)));
        let health = free_address()?;
        let mut command = command("/bin/sh");
        command
            .args(["-c", BECOME, env!("CARGO_BIN_EXE_bridge")])
            .arg(folder.file("log"))
            .env_clear()
            .env("WEBHOOK_URL", webhook)
            .env("SIGNING_SECRET_FILE", &secret)
            .env("MOMENTO_ENDPOINT", server.endpoint)
            .env("MOMENTO_API_KEY", server.key)
            .env("RELAY_TOPICS", topics.collect::<Vec<_>>().join(","))
            .env("RELAY_STATE", folder.file("cursors.json"))
            .env("HEALTH_LISTEN", &health)
            .stdout(Stdio::piped());
        if let Some(concurrency) = concurrency {
            command.env("RELAY_CONCURRENCY", concurrency);
        }
        let mut process = Guarded::spawn(command)?;
        let output = process.stdout().context("expected a pipe, found none")?;
        let pid = BufReader::new(output).lines().next_line().await?;
        let pid = pid.context("expected a process id, found none")?.parse()?;
        let mut relay = Self {
            process,
            pid,
            folder,
        };
        relay.wait(&health).await?;
        Ok(relay)
    }

    /// Waits until the relay is ready.
    async fn wait(&mut self, health: &str) -> Result<()> {
        let client = reqwest::Client::builder().no_proxy().build()?;
        let url = format!("http://{health}/ready");
        let ready = async {
            loop {
                let answer = client.get(&url).send().await;
                if answer.is_ok_and(|answer| answer.status().is_success()) {
                    return;
                }
                tokio::time::sleep(READY_EVERY).await;
            }
        };
        let why = tokio::select! {
            () = ready => return Ok(()),
            ended = self.process.wait() => format!("ended ({})", ended?),
            () = tokio::time::sleep(READY_WITHIN) => format!("not ready after {READY_WITHIN:?}"),
        };
        let log = std::fs::read_to_string(self.folder.file("log")).unwrap_or_default();
        bail!(
            "bridge relay: {why}; its log ends with:\n{}",
            last_lines(&log, 5)
        )
    }
}

/// An address free a moment ago, for a program that cannot choose one.
fn free_address() -> Result<String> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    Ok(listener.local_addr()?.to_string())
}

/// A folder for one run of the relay under `target/`, removed when dropped.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Result<Self> {
        let name = format!("bench-relay-{:016x}", rand::random::<u64>());
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        std::fs::create_dir_all(&path)?;
        Ok(Self(path))
    }

    fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
