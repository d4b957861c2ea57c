//! The messages missed by a long-poll without a position.
//!
//! A request without a position waits for the next message, so messages published between an answer and the next request are
//! lost. On loopback that gap is a fraction of a millisecond; over a network it is a round trip at least, for which the runs
//! have a gap of 20 ms. A subscriber has no position until its first answer, and again after each answer without items.

use std::time::{Duration, Instant};

use anyhow::Result;

use crate::figures::Loss;
use crate::measure::Publisher;
use crate::options::Effort;
use crate::subject::subscriber;

const RATES: [u32; 3] = [10, 100, 1_000];
const GAPS_MS: [u64; 2] = [0, 20];
/// Deadline for the last messages.
const DRAINS_WITHIN: Duration = Duration::from_secs(1);
/// Seed of the times of publishing, the same in each run.
const SEED: u64 = 42;

/// # Errors
///
/// When the subscriber did not start or ended early.
pub async fn check(effort: Effort) -> Result<Vec<Loss>> {
    let mut losses = Vec::new();
    for gap_ms in GAPS_MS {
        for rate in RATES {
            losses.push(missed(rate, gap_ms, effort.paced).await?);
        }
    }
    Ok(losses)
}

async fn missed(rate: u32, gap_ms: u64, long: Duration) -> Result<Loss> {
    let mut publisher = Publisher::start(1).await?;
    let endpoint = publisher.endpoint();
    let more = ["--forget", "--gap-ms", &gap_ms.to_string()].map(str::to_owned);
    let mut counter = subscriber("long-poll", &publisher.server(&endpoint), &more).await?;

    let mut random = fastrand::Rng::with_seed(SEED);
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
    let report = counter.reach(publisher.published, DRAINS_WITHIN).await?;
    let loss = Loss {
        rate,
        gap_ms,
        published: publisher.published,
        missing: publisher.published - report.received,
    };
    counter.stop().await?;
    publisher.stop().await;
    Ok(loss)
}
