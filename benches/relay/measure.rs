//! One run: a new server, a new subject, and the figures of both.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use tokio::time::MissedTickBehavior;
use workflow_bridge::tools::local::topics::{Limits, TopicsOptions, TopicsServer, local_api_key};

use crate::child::{CACHE, Report, Source, topic};
use crate::figures::{Run, percentile};
use crate::payload;
use crate::subject::Running;
use crate::usage;

pub const RATE: &str = "messages/s";
pub const P50: &str = "p50 ms";
pub const P99: &str = "p99 ms";
pub const CPU: &str = "CPU s / 10,000";
pub const IDLE: &str = "idle MB";
pub const PEAK: &str = "peak MB";
pub const LOST: &str = "lost";

/// Messages published at once at full speed. The next wave follows once all but the last one were received, so that two are
/// under way.
const WAVE: u64 = 1_000;
/// Interval of messages at the low rate.
const PACE: Duration = Duration::from_millis(5);
/// Deadline for messages after the last publication; later ones count as lost.
const DRAINS_WITHIN: Duration = Duration::from_secs(30);
/// Deadline of a run.
const ENDS_WITHIN: Duration = Duration::from_secs(180);

/// A subject, and a Topics server with room for all messages under way.
pub struct Publisher {
    server: TopicsServer,
    topics: Vec<String>,
    pub running: Running,
    pub published: u64,
}

impl Publisher {
    /// `forget` is for a long-poll.
    pub async fn start(subject: &str, topics: u16, forget: Option<Duration>) -> Result<Self> {
        let history = 3 * WAVE as usize;
        let key = local_api_key();
        let server = TopicsServer::start(TopicsOptions {
            keys: [(key.clone(), None)].into(),
            limits: Limits {
                history,
                history_bytes: history * payload::BYTES,
                // The next poll of a topic may come before the end of the last one.
                subscribers: 2 * usize::from(topics) + 100,
                topics: usize::from(topics) + 100,
                ..Limits::default()
            },
            ..TopicsOptions::default()
        });
        let server = server.await.context("cannot start the Topics server")?;
        let source = Source {
            subject: subject.to_owned(),
            endpoint: server.endpoint(),
            key,
            topics,
            forget,
        };
        Ok(Self {
            running: Running::start(&source).await?,
            server,
            topics: (0..topics).map(topic).collect(),
            published: 0,
        })
    }

    /// Publishes the next message, to the next topic.
    pub fn publish(&mut self, at_ns: u64) -> Result<()> {
        let topic = &self.topics[self.published as usize % self.topics.len()];
        let text = payload::write(self.published, at_ns);
        self.server.publish(CACHE, topic, text.as_str())?;
        self.published += 1;
        Ok(())
    }

    /// Waits until the subject has received all messages but the last `under_way`, for `within` at most.
    pub async fn received(&mut self, under_way: u64, within: Duration) -> Result<Report> {
        let messages = self.published - under_way;
        let line = format!("[{messages}, {}]", within.as_millis());
        self.running.counter.ask(&line).await
    }

    pub async fn stop(self) -> Result<()> {
        self.running.stop().await?;
        self.server.shutdown().await;
        Ok(())
    }
}

/// # Errors
///
/// When the subject did not start, ended early, or took longer than [`ENDS_WITHIN`].
pub async fn run(subject: &str, topics: u16, round: usize, long: Duration) -> Result<Run> {
    let run = async {
        let mut publisher = Publisher::start(subject, topics, None).await?;
        let figures = measure(&mut publisher, long).await?;
        publisher.stop().await?;
        Ok(Run {
            setting: vec![topics.to_string()],
            subject: subject.to_owned(),
            round,
            figures: figures.into(),
        })
    };
    let run = tokio::time::timeout(ENDS_WITHIN, run).await;
    run.with_context(|| format!("expected a run of at most {ENDS_WITHIN:?}"))?
}

async fn measure(publisher: &mut Publisher, long: Duration) -> Result<[(&'static str, f64); 7]> {
    let pid = publisher.running.pid();
    let idle = usage::of(pid)?;

    // Every topic once, so that set-up at the first message is done.
    for _ in 0..publisher.topics.len() {
        publisher.publish(0)?;
    }
    publisher.received(0, DRAINS_WITHIN).await?;

    let mut ticks = tokio::time::interval(PACE);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let started = Instant::now();
    while started.elapsed() < long {
        ticks.tick().await;
        publisher.publish(payload::now_ns())?;
    }
    let mut paced = publisher.received(0, DRAINS_WITHIN).await?;

    let (before, first) = (usage::of(pid)?, publisher.published);
    let started = Instant::now();
    while started.elapsed() < long {
        for _ in 0..WAVE {
            publisher.publish(0)?;
        }
        publisher.received(WAVE, DRAINS_WITHIN).await?;
    }
    let last = publisher.received(0, DRAINS_WITHIN).await?;
    let seconds = started.elapsed().as_secs_f64();
    let after = usage::of(pid)?;

    let messages = (publisher.published - first) as f64;
    let cpu_seconds = after.cpu_seconds - before.cpu_seconds;
    Ok([
        (RATE, messages / seconds),
        (P50, percentile(&mut paced.latencies_ms, 50)),
        (P99, percentile(&mut paced.latencies_ms, 99)),
        (CPU, cpu_seconds * 10_000.0 / messages),
        (IDLE, idle.now_mb),
        (PEAK, after.peak_mb),
        (LOST, (publisher.published - last.received) as f64),
    ])
}
