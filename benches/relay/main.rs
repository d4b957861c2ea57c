//! The cost of subscribing to topics, over gRPC and by long-poll, and the cost that the relay adds.
//!
//! ```sh
//! cargo bench --features cli --bench relay                       # about ten minutes
//! cargo bench --features cli --bench relay -- --quick --topics 1,100 --json figures.json
//! ```
//!
//! Every subject is a process of its own and reads from the project's own Topics server, which runs in this process together
//! with the publisher. All of it is on loopback. The subjects take turns, three rounds of them; the table has the medians,
//! and ratios to the plain gRPC subscriber of the same round.
//!
//! | subject | is |
//! |---|---|
//! | `grpc` | a subscriber that only reads: Momento's protocol, 100 streams a channel |
//! | `sdk` | the same with the `momento` SDK, 400 subscriptions a client |
//! | `long-poll` | the same over the documented HTTP API, with the position in each request |
//! | `relay` | `bridge relay` with its defaults, in front of a webhook that accepts everything |
//! | `relay-64` | the same with `--concurrency 64` |
//!
//! A run has three parts: the memory with all subscriptions open; the time from publish to receipt at a low, regular rate;
//! and as many messages as the subject takes, published in waves so that none leaves the server's history unread.
//! [`loss`] adds the messages missed by a long-poll without a position.

mod child;
mod figures;
mod loss;
#[path = "../shared/markdown.rs"]
mod markdown;
mod measure;
mod options;
mod payload;
mod protocol;
#[path = "../shared/statistics.rs"]
mod statistics;
mod subject;
mod table;
mod usage;
mod worker;

use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Parser;
use serde_json::json;

use figures::{Run, summaries};
use options::{Cli, Options};

#[tokio::main]
async fn main() -> Result<ExitCode> {
    let cli = Cli::parse();
    match cli.child {
        Some(child) => child::run(child).await.map(|()| ExitCode::SUCCESS),
        None => bench(cli.options).await,
    }
}

async fn bench(options: Options) -> Result<ExitCode> {
    let machine = usage::machine();
    let effort = options.effort();
    let mut runs = Vec::new();
    let mut failures = Vec::new();
    for round in 0..options.rounds() {
        for &topics in &options.topics {
            let mut subjects = options.subjects.clone();
            // No subject is always first, or always behind the same one.
            subjects.rotate_left(round % options.subjects.len());
            for subject in subjects {
                let measured = measure::run(subject, topics, round, effort).await;
                match measured {
                    Ok(run) => {
                        progress(&run);
                        runs.push(run);
                    }
                    Err(error) => {
                        let failure = format!("{topics} topics, {subject}: {error:#}");
                        eprintln!("{failure}");
                        failures.push(failure);
                    }
                }
            }
        }
    }
    let losses = match options.subjects.contains(&subject::Subject::LongPoll) {
        true => loss::check(effort).await?,
        false => Vec::new(),
    };

    let order: Vec<_> = options.subjects.iter().map(ToString::to_string).collect();
    let summaries = summaries(&runs, &order);
    println!("{machine}\n\n{}", table::of_summaries(&summaries));
    if !losses.is_empty() {
        println!("{}", table::of_losses(&losses));
    }
    if let Some(file) = &options.json {
        let document = json!({
            "machine": machine,
            "summaries": summaries,
            "losses": losses,
            "runs": runs,
            "failures": failures,
        });
        let text = serde_json::to_string_pretty(&document)?;
        std::fs::write(file, text).with_context(|| format!("cannot write {}", file.display()))?;
    }
    Ok(match failures.is_empty() {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    })
}

/// Prints one line per run to standard error.
fn progress(run: &Run) {
    eprintln!(
        "round {}, {} topics, {}: {:.0} messages/s, {:.2} ms",
        run.round + 1,
        run.topics,
        run.subject,
        run.per_second(),
        f64::from(run.latency_p50_us) / 1_000.0,
    );
}
