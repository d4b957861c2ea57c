//! The figures of runs, and their summaries.

use serde::Serialize;

use super::statistics::median;

/// The reference of the ratios.
pub const REFERENCE: &str = "grpc";

/// One run of one subject.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Run {
    pub round: usize,
    pub topics: u16,
    pub subject: String,
    /// Messages published at full speed, and the time from the first publish to the last receipt.
    pub full_messages: u64,
    pub full_seconds: f64,
    /// CPU seconds of the subject meanwhile.
    pub full_cpu_seconds: f64,
    /// CPU seconds of the bench meanwhile: Topics server and publisher.
    pub full_server_cpu_seconds: f64,
    /// Requests of the subject meanwhile, if its transport has requests.
    pub full_requests: Option<u64>,
    /// From publish to receipt at a low rate.
    pub latency_p50_us: u32,
    pub latency_p99_us: u32,
    /// Resident memory with all subscriptions open and no message yet, and the peak of the whole run.
    pub idle_kib: u64,
    pub peak_kib: u64,
    /// Lost and repeated messages of the whole run.
    pub missing: u64,
    pub repeated: u64,
}

impl Run {
    pub fn per_second(&self) -> f64 {
        self.full_messages as f64 / self.full_seconds
    }

    /// CPU seconds of the subject for 10,000 messages.
    pub fn cpu_per_10k(&self) -> f64 {
        self.full_cpu_seconds * 10_000.0 / self.full_messages as f64
    }

    /// CPU seconds of server and publisher for 10,000 messages.
    pub fn server_cpu_per_10k(&self) -> f64 {
        self.full_server_cpu_seconds * 10_000.0 / self.full_messages as f64
    }
}

/// Medians of a subject's rounds with one number of topics.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Summary {
    pub topics: u16,
    pub subject: String,
    pub rounds: usize,
    pub per_second: f64,
    pub latency_p50_us: f64,
    pub latency_p99_us: f64,
    pub cpu_per_10k: f64,
    pub server_cpu_per_10k: f64,
    pub idle_kib: f64,
    pub peak_kib: f64,
    pub requests_per_1k: Option<f64>,
    /// Of all rounds together.
    pub missing: u64,
    pub repeated: u64,
    /// To the reference of the same round; `None` if it was not measured.
    pub ratios: Option<Ratios>,
}

/// Each the median of the rounds' ratios.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Ratios {
    pub per_second: f64,
    pub cpu_per_10k: f64,
    pub peak_kib: f64,
}

/// A summary for each number of topics and each subject, the subjects in the order given.
pub fn summaries(runs: &[Run], order: &[String]) -> Vec<Summary> {
    let mut counts: Vec<_> = runs.iter().map(|run| run.topics).collect();
    counts.sort_unstable();
    counts.dedup();
    let groups = counts.into_iter().flat_map(|topics| {
        order.iter().map(move |subject| {
            let own = runs.iter();
            let own = own.filter(|run| run.topics == topics && run.subject == *subject);
            own.collect::<Vec<_>>()
        })
    });
    groups.filter_map(|own| summary(&own, runs)).collect()
}

/// `None` without runs.
fn summary(own: &[&Run], all: &[Run]) -> Option<Summary> {
    let first = own.first()?;
    let middle = |figure: fn(&Run) -> f64| median(own.iter().map(|run| figure(run)));
    let ratio = |figure: fn(&Run) -> f64| {
        let ratios = own.iter().filter_map(|run| {
            let reference = all.iter().find(|other| {
                (other.round, other.topics) == (run.round, run.topics) && other.subject == REFERENCE
            })?;
            // A run with less CPU time than the unit of `/proc` has no ratio.
            Some(figure(run) / figure(reference)).filter(|ratio| ratio.is_finite())
        });
        median(ratios)
    };
    let requests = own.iter().filter_map(|run| {
        let requests = run.full_requests?;
        Some(requests as f64 * 1_000.0 / run.full_messages as f64)
    });
    let ratios = || {
        Some(Ratios {
            per_second: ratio(Run::per_second)?,
            cpu_per_10k: ratio(Run::cpu_per_10k)?,
            peak_kib: ratio(|run| run.peak_kib as f64)?,
        })
    };
    Some(Summary {
        topics: first.topics,
        subject: first.subject.clone(),
        rounds: own.len(),
        per_second: middle(Run::per_second)?,
        latency_p50_us: middle(|run| run.latency_p50_us.into())?,
        latency_p99_us: middle(|run| run.latency_p99_us.into())?,
        cpu_per_10k: middle(Run::cpu_per_10k)?,
        server_cpu_per_10k: middle(Run::server_cpu_per_10k)?,
        idle_kib: middle(|run| run.idle_kib as f64)?,
        peak_kib: middle(|run| run.peak_kib as f64)?,
        requests_per_1k: median(requests),
        missing: own.iter().map(|run| run.missing).sum(),
        repeated: own.iter().map(|run| run.repeated).sum(),
        ratios: ratios(),
    })
}

/// The messages missed by a long-poll without a position.
#[derive(Clone, Debug, Serialize)]
pub struct Loss {
    /// Messages a second, at random times.
    pub rate: u32,
    /// From an answer to the next request.
    pub gap_ms: u64,
    pub published: u64,
    pub missing: u64,
}
