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
mod loss;
mod measure;
mod payload;
#[path = "../shared/mod.rs"]
mod shared;
mod subject;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Result, ensure};
use clap::Parser;
use clap::builder::PossibleValuesParser;

use figures::Show::{Median, RatioByRound, Sum};
use figures::{Show, Table};
use measure::{CPU, IDLE, LOST, P50, P99, PEAK, RATE};
use shared::{figures, program, serving, usage};
use subject::SUBJECTS;

#[derive(Parser)]
#[command(
    name = "relay",
    about = "The cost of subscribing to topics, over gRPC and by long-poll, and of the relay"
)]
struct Options {
    /// Numbers of topics, one set of runs for each
    #[arg(long, value_name = "N,…", value_delimiter = ',', default_value = "1,100,1000",
          value_parser = clap::value_parser!(u16).range(1..=5_000))]
    topics: Vec<u16>,

    /// The subjects; the ratios refer to `grpc`
    #[arg(long, value_name = "NAME,…", value_delimiter = ',', default_values = SUBJECTS,
          value_parser = PossibleValuesParser::new(SUBJECTS))]
    subjects: Vec<String>,

    /// One round and short runs: a check that everything works, not for figures
    #[arg(long)]
    quick: bool,

    /// Also write all figures to a file
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,

    /// Added by `cargo bench`
    #[arg(long, hide = true)]
    bench: bool,
}

const COLUMNS: [(&str, Show); 10] = [
    (RATE, Median(0)),
    (RATE, RatioByRound),
    (P50, Median(2)),
    (P99, Median(2)),
    (CPU, Median(3)),
    (CPU, RatioByRound),
    (IDLE, Median(1)),
    (PEAK, Median(1)),
    (PEAK, RatioByRound),
    (LOST, Sum),
];

#[tokio::main]
async fn main() -> Result<()> {
    match child::source()? {
        Some(source) => child::run(source).await,
        None => bench(Options::parse()).await,
    }
}

async fn bench(mut options: Options) -> Result<()> {
    let machine = usage::machine();
    let (rounds, long) = match options.quick {
        true => (1, Duration::from_secs(1)),
        false => (3, Duration::from_secs(4)),
    };
    let mut runs = Vec::new();
    let mut failed = 0;
    for round in 0..rounds {
        for &topics in &options.topics {
            for subject in &options.subjects {
                eprintln!(
                    "round {} of {rounds}, {topics} topics, {subject}",
                    round + 1
                );
                match measure::run(subject, topics, round, long).await {
                    Ok(run) => runs.push(run),
                    Err(error) => {
                        eprintln!("{error:#}");
                        failed += 1;
                    }
                }
            }
            // No subject is always first, or always behind the same one.
            options.subjects.rotate_left(1);
        }
    }
    if options.subjects.iter().any(|name| name == loss::SUBJECT) {
        runs.extend(loss::all(long).await?);
    }

    println!("{machine}\n");
    for (settings, columns) in [
        (&["topics"][..], &COLUMNS[..]),
        (&loss::SETTINGS, &loss::COLUMNS),
    ] {
        let table = Table {
            settings,
            subjects: &SUBJECTS,
            columns,
            reference: &|_| "grpc",
        };
        println!("{}", table.of(&runs));
    }
    if let Some(file) = options.json {
        figures::save(&file, &machine, &runs)?;
    }
    ensure!(failed == 0, "{failed} runs failed; see above");
    Ok(())
}
