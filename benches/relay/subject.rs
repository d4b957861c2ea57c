//! The subjects, each a process of its own.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::Value;
use tokio::process::Command;

use crate::child::{CACHE, SOURCE, Source, topic};
use crate::program::Program;

/// Deadline for the relay to be ready.
const READY_WITHIN: Duration = Duration::from_secs(30);
const READY_EVERY: Duration = Duration::from_millis(20);

pub const SUBJECTS: [&str; 5] = ["grpc", "sdk", "long-poll", "relay", RELAY_64];
const RELAY_64: &str = "relay-64";

/// A subject with all its subscriptions open.
pub struct Running {
    /// The process that counts messages: the subscriber itself, or the webhook behind the relay.
    pub counter: Program,
    relay: Option<Program>,
}

impl Running {
    pub async fn start(source: &Source) -> Result<Self> {
        let mut child = Command::new(std::env::current_exe()?);
        child
            .env_clear()
            .env(SOURCE, serde_json::to_string(source)?);
        let mut counter = Program::start(&mut child)?;
        let ready: Value = counter.next().await?;
        let relay = match ready["server.address"].as_str() {
            Some(webhook) => Some(relay(webhook, source).await?),
            None => None,
        };
        Ok(Self { counter, relay })
    }

    /// The measured process.
    pub fn pid(&self) -> u32 {
        self.relay.as_ref().unwrap_or(&self.counter).pid
    }

    /// Ends its processes and waits until they are gone, so that they take no CPU time from the next ones.
    pub async fn stop(self) -> Result<()> {
        if let Some(relay) = self.relay {
            relay.stop().await?;
        }
        self.counter.stop().await
    }
}

/// `bridge relay`, as shipped, in front of the webhook.
async fn relay(webhook: &str, source: &Source) -> Result<Program> {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("bench-relay");
    if folder.exists() {
        // The cursors of an earlier run.
        std::fs::remove_dir_all(&folder)?;
    }
    std::fs::create_dir_all(&folder)?;
    let secret = folder.join("secret");
    std::fs::write(&secret, "a secret of this bench")?;
    let topics = (0..source.topics).map(|number| format!("{CACHE}/{}", topic(number)));
    let mut command = Command::new(env!("CARGO_BIN_EXE_bridge"));
    command
        .arg("relay")
        .env_clear()
        .env("WEBHOOK_URL", format!("http://{webhook}/"))
        .env("SIGNING_SECRET_FILE", secret)
        .env("MOMENTO_ENDPOINT", &source.endpoint)
        .env("MOMENTO_API_KEY", &source.key)
        .env("RELAY_TOPICS", topics.collect::<Vec<_>>().join(","))
        .env("RELAY_STATE", folder.join("cursors.json"))
        .env("HEALTH_LISTEN", "127.0.0.1:0");
    if source.subject == RELAY_64 {
        command.env("RELAY_CONCURRENCY", "64");
    }
    let mut relay = Program::start(&mut command)?;
    let health = relay.address().await.context("no address of the relay")?;
    let client = reqwest::Client::builder().no_proxy().build()?;
    let ready = async {
        loop {
            let answer = client.get(format!("http://{health}/ready")).send().await;
            if answer.is_ok_and(|answer| answer.status().is_success()) {
                return;
            }
            tokio::time::sleep(READY_EVERY).await;
        }
    };
    let ready = tokio::time::timeout(READY_WITHIN, ready).await;
    ready.context("expected the relay to be ready, found it is not")?;
    Ok(relay)
}
