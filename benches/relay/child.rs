//! The bench's own processes: plain subscribers, and the webhook behind the relay. Each prints a line when it is ready, then
//! answers each line `[MESSAGES, MILLISECONDS]` with a [`Report`] once that many were received, or when the time is over. It
//! ends when its standard input does, so none outlives the bench.

mod grpc;
mod long_poll;
mod sdk;
mod webhook;

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::sync::watch;

use crate::payload;

/// The cache of all topics.
pub const CACHE: &str = "bench";
/// The variable with a child's [`Source`], whose key must not be on a command line.
pub const SOURCE: &str = "BENCH_SOURCE";

/// The name of a topic.
pub fn topic(number: u16) -> String {
    format!("topic-{number:04}")
}

/// The source of the messages.
#[derive(Serialize, Deserialize)]
pub struct Source {
    pub subject: String,
    pub endpoint: String,
    pub key: String,
    pub topics: u16,
    /// For a long-poll: send each request without a position, this long after the last answer.
    pub forget: Option<Duration>,
}

#[derive(Serialize, Deserialize)]
pub struct Report {
    /// Different messages received so far.
    pub received: u64,
    /// From publish to receipt, of the messages with a time since the last report.
    pub latencies_ms: Vec<f64>,
}

/// `None` in the bench itself.
pub fn source() -> Result<Option<Source>> {
    let source = std::env::var(SOURCE).ok();
    let source = source.map(|source| serde_json::from_str(&source));
    source.transpose().context("expected a source in JSON")
}

/// # Errors
///
/// When a subscription cannot be opened, or the port of the webhook.
pub async fn run(source: Source) -> Result<()> {
    let tally = Arc::new(Tally::default());
    let mut address = None;
    match source.subject.as_str() {
        "grpc" => grpc::subscribe(&source, &tally).await?,
        "sdk" => sdk::subscribe(&source, &tally).await?,
        "long-poll" => long_poll::subscribe(&source, &tally).await?,
        // The relay itself is another process.
        _ => address = Some(webhook::serve(tally.clone()).await),
    }
    println!("{}", json!({"server.address": address}));
    let mut requests = BufReader::new(tokio::io::stdin()).lines();
    while let Some(request) = requests.next_line().await? {
        let (messages, within_ms) = serde_json::from_str(&request)?;
        let report = tally.reach(messages, Duration::from_millis(within_ms));
        println!("{}", serde_json::to_string(&report.await)?);
    }
    std::process::exit(0)
}

/// Ends the process after a subscription ended: the figures would be wrong.
fn broken(topic: &str, why: &str) -> ! {
    eprintln!("the subscription to {topic} ended: {why}");
    std::process::exit(1)
}

/// The received messages.
#[derive(Default)]
struct Tally(watch::Sender<Seen>);

#[derive(Default)]
struct Seen {
    /// A bit for each message number.
    numbers: Vec<u64>,
    received: u64,
    /// The number of messages that a request waits for.
    awaited: u64,
    latencies_ms: Vec<f64>,
}

impl Tally {
    /// Counts a message of the bench.
    fn note(&self, text: &str) {
        let Some((number, at_ns)) = payload::read(text) else {
            return;
        };
        self.0.send_if_modified(|seen| {
            if at_ns > 0 {
                let took_ns = payload::now_ns().saturating_sub(at_ns);
                seen.latencies_ms.push(took_ns as f64 / 1e6);
            }
            let (word, bit) = ((number / 64) as usize, 1 << (number % 64));
            if word >= seen.numbers.len() {
                seen.numbers.resize(word + 1, 0);
            }
            if seen.numbers[word] & bit == 0 {
                seen.numbers[word] |= bit;
                seen.received += 1;
            }
            seen.received == seen.awaited
        });
    }

    /// Waits until `messages` were received, for `within` at most; the report has the number.
    async fn reach(&self, messages: u64, within: Duration) -> Report {
        self.0.send_modify(|seen| seen.awaited = messages);
        let mut seen = self.0.subscribe();
        let reached = seen.wait_for(|seen| seen.received >= messages);
        let _ = tokio::time::timeout(within, reached).await;
        let mut latencies_ms = Vec::new();
        self.0
            .send_modify(|seen| latencies_ms = std::mem::take(&mut seen.latencies_ms));
        Report {
            received: self.0.borrow().received,
            latencies_ms,
        }
    }
}
