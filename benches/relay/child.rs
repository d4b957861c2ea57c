//! The bench's own processes: plain subscribers, and the webhook behind the relay. Each sends [`Ready`], answers each
//! [`Request`] and ends when its standard input does, so none outlives the bench.

mod grpc;
mod long_poll;
mod sdk;
mod webhook;

use std::io::{BufRead, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result};
use clap::{Args, Subcommand};
use tokio::sync::{Notify, mpsc};

use crate::payload;
use crate::protocol::{Ready, Report, Request};

/// The cache of all topics.
pub const CACHE: &str = "bench";
/// The variable with the API key, which must not be on a command line.
pub const KEY_VARIABLE: &str = "MOMENTO_API_KEY";
/// Messages beyond this number are not counted: bounds [`Seen::numbers`].
const MAX_NUMBER: u64 = 100_000_000;

/// The name of a topic.
pub fn topic(number: u16) -> String {
    format!("topic-{number:04}")
}

#[derive(Subcommand)]
#[command(hide = true)]
pub enum Child {
    Grpc(Source),
    Sdk(Source),
    LongPoll {
        #[command(flatten)]
        source: Source,
        /// Send each request without a position
        #[arg(long)]
        forget: bool,
        /// Milliseconds from an answer to the next request
        #[arg(long, default_value_t = 0)]
        gap_ms: u64,
    },
    Webhook,
}

/// The source of the messages.
#[derive(Args)]
pub struct Source {
    #[arg(long)]
    endpoint: String,
    #[arg(long)]
    topics: u16,
    #[arg(long, env = KEY_VARIABLE, hide_env_values = true)]
    key: String,
}

/// # Errors
///
/// When a subscription cannot be opened, or the port of the webhook.
pub async fn run(child: Child) -> Result<()> {
    let requests = requests();
    let tally = Arc::new(Tally::default());
    let port = match child {
        Child::Grpc(source) => grpc::subscribe(&source, &tally).await.map(|()| None),
        Child::Sdk(source) => sdk::subscribe(&source, &tally).await.map(|()| None),
        Child::LongPoll {
            source,
            forget,
            gap_ms,
        } => {
            let gap = Duration::from_millis(gap_ms);
            let opened = long_poll::subscribe(&source, &tally, forget, gap).await;
            opened.map(|()| None)
        }
        Child::Webhook => webhook::serve(tally.clone()).await.map(Some),
    }?;
    send(&Ready { port })?;
    answer(requests, &tally).await
}

/// The lines of standard input. Its end ends the process at once.
fn requests() -> mpsc::UnboundedReceiver<String> {
    let (sender, requests) = mpsc::unbounded_channel();
    std::thread::spawn(move || {
        let lines = std::io::stdin().lock().lines();
        for line in lines.map_while(Result::ok) {
            if sender.send(line).is_err() {
                break;
            }
        }
        std::process::exit(0);
    });
    requests
}

async fn answer(mut requests: mpsc::UnboundedReceiver<String>, tally: &Tally) -> Result<()> {
    while let Some(line) = requests.recv().await {
        let latencies_us = match serde_json::from_str(&line).context("expected a request")? {
            Request::Reach {
                messages,
                within_ms,
            } => {
                tally
                    .reach(messages, Duration::from_millis(within_ms))
                    .await;
                Vec::new()
            }
            Request::Latencies => std::mem::take(&mut tally.seen().latencies_us),
        };
        let (received, repeated) = {
            let seen = tally.seen();
            (seen.received, seen.repeated)
        };
        send(&Report {
            received,
            repeated,
            requests: tally.requests.load(Ordering::Relaxed),
            latencies_us,
        })?;
    }
    Ok(())
}

fn send(document: &impl serde::Serialize) -> Result<()> {
    let mut line = serde_json::to_vec(document)?;
    line.push(b'\n');
    let mut out = std::io::stdout().lock();
    out.write_all(&line)?;
    Ok(out.flush()?)
}

/// Ends the process after a subscription ended: the figures would be wrong.
fn broken(topic: &str, why: &str) -> ! {
    eprintln!("the subscription to {topic} ended: {why}");
    std::process::exit(1)
}

/// The received messages.
#[derive(Default)]
struct Tally {
    seen: Mutex<Seen>,
    reached: Notify,
    requests: AtomicU64,
}

#[derive(Default)]
struct Seen {
    /// A bit for each message number.
    numbers: Vec<u64>,
    received: u64,
    repeated: u64,
    /// The number of messages that a request waits for.
    awaited: Option<u64>,
    latencies_us: Vec<u32>,
}

impl Tally {
    /// Counts a message of the bench; other texts are not counted.
    fn note(&self, text: &str) {
        let Some((number, at_ns)) = payload::read(text).filter(|(number, _)| *number < MAX_NUMBER)
        else {
            return;
        };
        let mut seen = self.seen();
        if at_ns > 0 {
            let us = payload::now_ns().saturating_sub(at_ns) / 1_000;
            seen.latencies_us.push(us.try_into().unwrap_or(u32::MAX));
        }
        let (word, bit) = ((number / 64) as usize, 1 << (number % 64));
        if word >= seen.numbers.len() {
            seen.numbers.resize(word + 1, 0);
        }
        if seen.numbers[word] & bit != 0 {
            seen.repeated += 1;
            return;
        }
        seen.numbers[word] |= bit;
        seen.received += 1;
        if seen.awaited.is_some_and(|count| seen.received >= count) {
            seen.awaited = None;
            self.reached.notify_one();
        }
    }

    /// Waits until `messages` were received, for `within` at most.
    async fn reach(&self, messages: u64, within: Duration) {
        let reached = async {
            loop {
                {
                    let mut seen = self.seen();
                    if seen.received >= messages {
                        return;
                    }
                    seen.awaited = Some(messages);
                }
                self.reached.notified().await;
            }
        };
        // The report has the number received.
        let _ = tokio::time::timeout(within, reached).await;
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
