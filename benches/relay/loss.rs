//! The messages missed by a long-poll without a position.
//!
//! A request without a position waits for the next message, so messages published between an answer and the next request are
//! lost. On loopback that gap is a fraction of a millisecond; over a network it is a round trip at least, for which the runs
//! have a gap of 20 ms. A subscriber has no position until its first answer, and again after each answer without items.

use std::time::{Duration, Instant};

use anyhow::Result;
use fastrand::Rng;

use crate::figures::Run;
use crate::figures::Show::{self, Median};
use crate::measure::Publisher;

pub const SUBJECT: &str = "long-poll";
const RATES: [u32; 3] = [10, 100, 1_000];
const GAPS_MS: [u64; 2] = [0, 20];
/// Deadline for the last messages.
const DRAINS_WITHIN: Duration = Duration::from_secs(1);
/// Seed of the times of publishing, the same in each run.
const SEED: u64 = 42;

pub const SETTINGS: [&str; 2] = ["messages/s without a position", "gap ms"];
pub const COLUMNS: [(&str, Show); 2] = [("published", Median(0)), ("missed %", Median(1))];

/// # Errors
///
/// When the subscriber did not start or ended early.
pub async fn all(long: Duration) -> Result<Vec<Run>> {
    let mut losses = Vec::new();
    for gap_ms in GAPS_MS {
        for rate in RATES {
            losses.push(of(rate, gap_ms, long).await?);
        }
    }
    Ok(losses)
}

async fn of(rate: u32, gap_ms: u64, long: Duration) -> Result<Run> {
    let gap = Some(Duration::from_millis(gap_ms));
    let mut publisher = Publisher::start(SUBJECT, 1, gap).await?;
    let mut random = Rng::with_seed(SEED);
    let started = Instant::now();
    let mut at = Duration::ZERO;
    while at < long {
        // The runtime's own timer has a resolution of a millisecond.
        let left = at.saturating_sub(started.elapsed());
        tokio::task::block_in_place(|| std::thread::sleep(left));
        publisher.publish(0)?;
        // Exponential gaps: messages of many independent publishers.
        at += Duration::from_secs_f64(-(1.0 - random.f64()).ln() / f64::from(rate));
    }
    let report = publisher.received(0, DRAINS_WITHIN).await?;
    let published = publisher.published as f64;
    let missed = (published - report.received as f64) / published;
    publisher.stop().await?;
    Ok(Run {
        setting: vec![rate.to_string(), gap_ms.to_string()],
        subject: SUBJECT.to_owned(),
        round: 0,
        figures: [("published", published), ("missed %", missed * 100.0)].into(),
    })
}
