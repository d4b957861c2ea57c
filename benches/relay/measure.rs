//! One run: a new server, a new subject, and the figures of both.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use tokio::time::MissedTickBehavior;
use workflow_bridge::tools::local::topics::{Limits, TopicsOptions, TopicsServer, local_api_key};

use crate::child::{CACHE, topic};
use crate::figures::Run;
use crate::options::Effort;
use crate::payload;
use crate::statistics::percentile;
use crate::subject::{Running, Server, Subject};
use crate::usage;

/// Messages published at once at full speed. The next wave follows once all but the last one were received, so that two are
/// under way.
const WAVE: u64 = 1_000;
/// Interval of messages at the low rate.
const PACE: Duration = Duration::from_millis(5);
/// Deadline for messages after the last publication; later ones count as lost.
const DRAINS_WITHIN: Duration = Duration::from_secs(30);
/// Deadline of a run.
const ENDS_WITHIN: Duration = Duration::from_secs(180);

/// A Topics server with room for all messages under way, and the number published.
pub struct Publisher {
    server: TopicsServer,
    key: String,
    topics: Vec<String>,
    pub published: u64,
}

impl Publisher {
    pub async fn start(topics: u16) -> Result<Self> {
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
        Ok(Self {
            server: server.await.context("cannot start the Topics server")?,
            key,
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

    pub async fn stop(self) {
        self.server.shutdown().await;
    }

    /// The server's address for a subject; the caller owns the endpoint.
    pub fn server<'a>(&'a self, endpoint: &'a str) -> Server<'a> {
        Server {
            endpoint,
            key: &self.key,
            topics: self.topics.len() as u16,
        }
    }

    pub fn endpoint(&self) -> String {
        self.server.endpoint()
    }
}

/// # Errors
///
/// When the subject did not start, ended early, or took longer than [`ENDS_WITHIN`].
pub async fn run(subject: Subject, topics: u16, round: usize, effort: Effort) -> Result<Run> {
    let run = async {
        let mut publisher = Publisher::start(topics).await?;
        let endpoint = publisher.endpoint();
        let mut running = Running::start(subject, &publisher.server(&endpoint)).await?;
        let run = measure(&mut running, &mut publisher, effort).await?;
        running.stop().await?;
        publisher.stop().await;
        Ok(Run {
            round,
            topics,
            subject: subject.to_string(),
            full_requests: run.full_requests.filter(|_| subject == Subject::LongPoll),
            ..run
        })
    };
    let run = tokio::time::timeout(ENDS_WITHIN, run).await;
    run.with_context(|| format!("expected a run of at most {ENDS_WITHIN:?}"))?
}

async fn measure(running: &mut Running, publisher: &mut Publisher, effort: Effort) -> Result<Run> {
    let pid = running.pid();
    let idle = usage::of(pid)?;

    // Every topic once, so that set-up at the first message is done.
    for _ in 0..publisher.topics.len() {
        publisher.publish(0)?;
    }
    running
        .counter
        .reach(publisher.published, DRAINS_WITHIN)
        .await?;

    paced(publisher, effort.paced).await?;
    running
        .counter
        .reach(publisher.published, DRAINS_WITHIN)
        .await?;
    let report = running.counter.latencies().await?;
    let mut latencies = report.latencies_us;

    let (before, bench_before) = (usage::of(pid)?, usage::of(std::process::id())?);
    let first = publisher.published;
    let started = Instant::now();
    while started.elapsed() < effort.full && publisher.published - first < effort.most {
        for _ in 0..WAVE {
            publisher.publish(0)?;
        }
        let enough = publisher.published - WAVE;
        running.counter.reach(enough, DRAINS_WITHIN).await?;
    }
    let last = running
        .counter
        .reach(publisher.published, DRAINS_WITHIN)
        .await?;
    let full_seconds = started.elapsed().as_secs_f64();
    let (after, bench_after) = (usage::of(pid)?, usage::of(std::process::id())?);

    Ok(Run {
        full_messages: publisher.published - first,
        full_seconds,
        full_cpu_seconds: after.cpu_seconds - before.cpu_seconds,
        full_server_cpu_seconds: bench_after.cpu_seconds - bench_before.cpu_seconds,
        full_requests: Some(last.requests - report.requests),
        latency_p50_us: percentile(&mut latencies, 50),
        latency_p99_us: percentile(&mut latencies, 99),
        idle_kib: idle.rss_kib,
        peak_kib: after.peak_kib,
        missing: publisher.published - last.received,
        repeated: last.repeated,
        ..Run::default()
    })
}

/// Publishes with a time stamp every [`PACE`].
async fn paced(publisher: &mut Publisher, long: Duration) -> Result<()> {
    let mut ticks = tokio::time::interval(PACE);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let started = Instant::now();
    while started.elapsed() < long {
        ticks.tick().await;
        publisher.publish(payload::now_ns())?;
    }
    Ok(())
}
