//! A relay killed at random moments and restarted after random pauses, some longer than the Topics server's history: each
//! message starts one execution or is in a gap. Meanwhile the webhook sometimes fails or loses its answers.
//!
//! ```text
//! cargo test --all-features --test it relay::kills -- --nocapture
//! RELAY_MESSAGES=10000 RELAY_SEED=42 cargo test --all-features --test it relay::kills -- --nocapture
//! ```
//!
//! `RELAY_MESSAGES` defaults to 500, `RELAY_SEED` to a random number. The run prints the seed, also in front of a failure. A
//! seed repeats the times of the kills and pauses, not the relay's state at those times.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use fastrand::Rng;
use serde_json::Value;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use workflow_bridge::clock::now_ms;

use super::deployed::{command, relayed};
use super::process::{Folder, RelayCommand};
use crate::deployed::RUNTIME;
use crate::messages::until;
use crate::proxy::{Fault, Proxy, Span};

mod report;

use report::{Gap, Report, check};

/// Topics, each with a route of the same name.
const TOPICS: [&str; 4] = ["killed-0", "killed-1", "killed-2", "killed-3"];
/// The time between two messages, published on one topic after the other.
const EVERY: Duration = Duration::from_millis(30);
const LOST: &str = "Momento has lost messages, or no longer keeps them";

/// By topic, the publication time of each message, in ms since the epoch.
type Published = BTreeMap<&'static str, Vec<i64>>;

/// One life of the relay.
#[derive(Debug, Default)]
struct Life {
    /// The cursors at its start, by topic.
    found: BTreeMap<String, u64>,
    gaps: Vec<Gap>,
}

fn setting(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    let number = text.parse();
    Some(number.unwrap_or_else(|_| panic!("expected a number in `{name}`, found `{text}`")))
}

#[test]
fn every_message_is_executed_once_or_reported_missing() {
    let messages = setting("RELAY_MESSAGES").unwrap_or(500);
    let seed = setting("RELAY_SEED").unwrap_or_else(|| fastrand::u64(..1_000_000));
    eprintln!("kills: seed {seed}, {messages} messages");
    let report = RUNTIME.block_on(run(messages, seed));
    eprintln!("{report}");
    assert!(
        report.problems.is_empty(),
        "seed {seed}; repeat with `RELAY_MESSAGES={messages} RELAY_SEED={seed} cargo test --all-features --test it relay::kills -- --nocapture`:\n{}",
        report.problems.join("\n")
    );
}

async fn run(messages: u64, seed: u64) -> Report {
    let began = Instant::now();
    let stack = relayed().await;
    let folder = Folder::new();
    let state = folder.file("cursors");
    let emulator = stack.emulator().endpoint();
    let proxy = Proxy::start(emulator).await.unwrap();
    let webhook = stack.webhook_url().replace(emulator, &proxy.endpoint());
    let mut command = command(stack)
        .variable("WEBHOOK_URL", &webhook)
        .option("--state", state.display())
        .option("--gap-bus", "default");
    for topic in TOPICS {
        command = command.option("--topic", format!("demo/{topic}"));
    }
    // Creates cursors, so that messages published before the next start count.
    command.start().await.stop().await;

    let (end, ended) = watch::channel(());
    let publishing = async {
        let mut published = Published::new();
        for number in 0..messages {
            let topic = TOPICS[(number % TOPICS.len() as u64) as usize];
            published.entry(topic).or_default().push(now_ms());
            let text = format!("message {number}");
            stack
                .topics()
                .publish("demo", topic, text.as_str())
                .unwrap();
            sleep(EVERY).await;
        }
        drop(end);
        published
    };
    let mut report = Report {
        seed,
        messages,
        ..Report::default()
    };
    let all = TOPICS.iter().zip(0..);
    let all = all
        .map(|(topic, index)| ((*topic).to_owned(), of_topic(messages, index)))
        .collect();
    let faults = fail(&proxy, seed, ended.clone());
    let lives = live_and_die(&command, &state, &all, seed, ended);
    let (published, lives, faults) = tokio::join!(publishing, lives, faults);
    (report.kills, report.faults) = (lives.len() - 1, faults);
    check(&mut report, stack, &lives, &published).await;
    report.took = began.elapsed();
    report
}

/// Injects webhook faults until all is published; returns their number.
async fn fail(proxy: &Proxy, seed: u64, mut ended: watch::Receiver<()>) -> usize {
    let mut rng = Rng::with_seed(seed.wrapping_add(1));
    let mut faults = 0;
    let mut goes_on = async |ms| {
        let ended = timeout(Duration::from_millis(ms), ended.changed());
        ended.await.is_err()
    };
    while goes_on(rng.u64(500..3000)).await {
        let kinds = [Fault::Status(503), Fault::LoseReply, Fault::Refuse];
        proxy.fault(rng.choice(kinds).unwrap(), Span::Until);
        faults += 1;
        goes_on(rng.u64(200..1000)).await;
        proxy.heal().unwrap();
    }
    faults
}

/// Kills relays until all is published; the last one lives until it has delivered everything.
async fn live_and_die(
    command: &RelayCommand,
    state: &Path,
    all: &BTreeMap<String, u64>,
    seed: u64,
    mut ended: watch::Receiver<()>,
) -> Vec<Life> {
    let mut rng = Rng::with_seed(seed);
    let mut lives = Vec::new();
    loop {
        let found = cursors(state);
        let relay = command.spawn();
        // May end before the relay is ready.
        let life = Duration::from_millis(rng.u64(200..5000));
        let over = timeout(life, ended.changed()).await.is_ok();
        if over {
            until("all is delivered", async || cursors(state) == *all).await;
        }
        let lines = if over {
            relay.stop().await
        } else {
            relay.kill().await
        };
        lives.push(Life {
            found,
            gaps: lines
                .iter()
                .filter(|line| line["message"] == LOST)
                .map(Gap::logged)
                .collect(),
        });
        if over {
            return lives;
        }
        // The first pause is always long, so that the run has a gap.
        let pause = if lives.len() == 1 || rng.u8(..8) == 0 {
            rng.u64(5500..7500)
        } else {
            rng.u64(..300)
        };
        // The end of publishing ends a pause, too.
        let _ = timeout(Duration::from_millis(pause), ended.changed()).await;
    }
}

fn cursors(state: &Path) -> BTreeMap<String, u64> {
    let document: Value = serde_json::from_slice(&std::fs::read(state).unwrap()).unwrap();
    let cursors = document["cursors"].as_array().unwrap().iter();
    cursors
        .map(|cursor| {
            (
                cursor["topic"].as_str().unwrap().to_owned(),
                // Numbers start at 1.
                cursor["next"].as_u64().unwrap() - 1,
            )
        })
        .collect()
}

/// The number of messages of the topic with this index.
fn of_topic(messages: u64, index: u64) -> u64 {
    messages.saturating_sub(index).div_ceil(TOPICS.len() as u64)
}
