//! The relay's counters and gauges, for its health and metrics endpoints.

use std::fmt::{Display, Write as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

use super::clock::Clock;

/// Counters and gauges of one relay.
#[derive(Debug)]
pub struct Status {
    topics: AtomicU64,
    /// Whether `topics` counts those of all routes.
    is_complete: AtomicBool,
    clock: Arc<Clock>,
    subscribed: AtomicU64,
    in_flight: AtomicU64,
    waiting: AtomicU64,
    received: AtomicU64,
    delivered: AtomicU64,
    retried: AtomicU64,
    refused: AtomicU64,
    repeated: AtomicU64,
    older: AtomicU64,
    subscriptions: AtomicU64,
    gaps: AtomicU64,
    missed: AtomicU64,
}

/// Holds a gauge up by one until it is dropped.
#[derive(Debug)]
pub struct Ongoing<'a>(&'a AtomicU64);

impl Drop for Ongoing<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

fn ongoing(gauge: &AtomicU64) -> Ongoing<'_> {
    gauge.fetch_add(1, Relaxed);
    Ongoing(gauge)
}

impl Status {
    pub fn new(topics: usize, clock: Arc<Clock>) -> Self {
        Self {
            topics: AtomicU64::new(topics as u64),
            is_complete: AtomicBool::new(true),
            clock,
            subscribed: AtomicU64::default(),
            in_flight: AtomicU64::default(),
            waiting: AtomicU64::default(),
            received: AtomicU64::default(),
            delivered: AtomicU64::default(),
            retried: AtomicU64::default(),
            refused: AtomicU64::default(),
            repeated: AtomicU64::default(),
            older: AtomicU64::default(),
            subscriptions: AtomicU64::default(),
            gaps: AtomicU64::default(),
            missed: AtomicU64::default(),
        }
    }

    /// Sets the number of topics, and whether the routes of all of them are known.
    pub fn want(&self, topics: usize, is_complete: bool) {
        self.topics.store(topics as u64, Relaxed);
        self.is_complete.store(is_complete, Relaxed);
    }

    /// The number of topics.
    pub fn topics(&self) -> u64 {
        self.topics.load(Relaxed)
    }

    /// A topic has a subscription.
    pub fn subscribed(&self) -> Ongoing<'_> {
        self.subscriptions.fetch_add(1, Relaxed);
        ongoing(&self.subscribed)
    }

    /// A POST is under way.
    pub fn in_flight(&self) -> Ongoing<'_> {
        ongoing(&self.in_flight)
    }

    /// A message waits after a failed attempt.
    pub fn waiting(&self) -> Ongoing<'_> {
        ongoing(&self.waiting)
    }

    /// An attempt failed and will be repeated.
    pub fn retried(&self) {
        self.retried.fetch_add(1, Relaxed);
    }

    pub fn received(&self) {
        self.received.fetch_add(1, Relaxed);
    }

    pub fn delivered(&self) {
        self.delivered.fetch_add(1, Relaxed);
    }

    pub fn refused(&self) {
        self.refused.fetch_add(1, Relaxed);
    }

    pub fn repeated(&self) {
        self.repeated.fetch_add(1, Relaxed);
    }

    pub fn older(&self) {
        self.older.fetch_add(1, Relaxed);
    }

    pub fn gap(&self, missed: u64) {
        self.gaps.fetch_add(1, Relaxed);
        self.missed.fetch_add(missed, Relaxed);
    }

    /// The numbers of delivered and refused messages so far.
    pub fn done(&self) -> (u64, u64) {
        (self.delivered.load(Relaxed), self.refused.load(Relaxed))
    }

    /// The unmet conditions of readiness: all routes, a subscription for every topic, no message waiting after a failed
    /// attempt, and a clock that agrees with the webhook's.
    pub fn missing(&self) -> Vec<&'static str> {
        let mut missing = Vec::new();
        if !self.is_complete.load(Relaxed) {
            missing.push("the collected routes");
        }
        if self.subscribed.load(Relaxed) < self.topics() {
            missing.push("subscriptions of all topics");
        }
        if self.waiting.load(Relaxed) > 0 {
            missing.push("a webhook that takes the messages");
        }
        if !self.clock.agrees() {
            missing.push("a clock that agrees with the webhook's");
        }
        missing
    }

    /// All numbers in Prometheus's text format.
    pub fn metrics(&self) -> String {
        let rows = [
            ("topics", "gauge", "Relayed topics.", self.topics()),
            (
                "subscribed",
                "gauge",
                "Topics with an open subscription.",
                self.subscribed.load(Relaxed),
            ),
            (
                "in_flight",
                "gauge",
                "Requests to the webhook under way.",
                self.in_flight.load(Relaxed),
            ),
            (
                "waiting",
                "gauge",
                "Messages whose last attempt failed.",
                self.waiting.load(Relaxed),
            ),
            (
                "received_total",
                "counter",
                "Messages received.",
                self.received.load(Relaxed),
            ),
            (
                "delivered_total",
                "counter",
                "Messages answered 2xx.",
                self.delivered.load(Relaxed),
            ),
            (
                "retried_total",
                "counter",
                "Failed attempts, to be repeated.",
                self.retried.load(Relaxed),
            ),
            (
                "refused_total",
                "counter",
                "Messages answered 4xx and skipped.",
                self.refused.load(Relaxed),
            ),
            (
                "repeated_total",
                "counter",
                "Messages that Momento repeated.",
                self.repeated.load(Relaxed),
            ),
            (
                "older_total",
                "counter",
                "Messages published before a subscription; skipped.",
                self.older.load(Relaxed),
            ),
            (
                "subscriptions_total",
                "counter",
                "Subscriptions opened.",
                self.subscriptions.load(Relaxed),
            ),
            (
                "gaps_total",
                "counter",
                "Gaps found.",
                self.gaps.load(Relaxed),
            ),
            (
                "missed_total",
                "counter",
                "Messages missing in gaps, at least.",
                self.missed.load(Relaxed),
            ),
        ];
        let mut text = String::new();
        for (name, kind, help, value) in rows {
            row(&mut text, name, kind, help, value);
        }
        let help =
            "How far this host's clock is ahead of the webhook's; negative where it is behind.";
        row(
            &mut text,
            "clock_skew_ms",
            "gauge",
            help,
            self.clock.skew_ms(),
        );
        text
    }
}

fn row(text: &mut String, name: &str, kind: &str, help: &str, value: impl Display) {
    let name = format!("workflow_bridge_relay_{name}");
    let _ = write!(
        text,
        "# HELP {name} {help}\n# TYPE {name} {kind}\n{name} {value}\n"
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_relay_is_ready_with_all_subscriptions_and_no_waiting_message() {
        let status = Status::new(2, Arc::default());
        let first = status.subscribed();
        assert_eq!(status.missing(), ["subscriptions of all topics"]);
        let _second = status.subscribed();
        assert!(status.missing().is_empty());
        let waiting = status.waiting();
        assert_eq!(status.missing(), ["a webhook that takes the messages"]);
        drop(waiting);
        assert!(status.missing().is_empty());
        drop(first);
        assert_eq!(status.missing().len(), 1);
    }

    #[test]
    fn topics_come_and_go() {
        let status = Status::new(0, Arc::default());
        status.want(0, false);
        assert_eq!(status.missing(), ["the collected routes"]);
        status.want(1, true);
        assert_eq!(status.missing(), ["subscriptions of all topics"]);
        assert!(
            status
                .metrics()
                .contains("\nworkflow_bridge_relay_topics 1\n")
        );
        status.want(0, true);
        assert!(status.missing().is_empty());
    }

    #[test]
    fn metrics_are_in_the_text_format() {
        let status = Status::new(3, Arc::default());
        status.received();
        status.gap(4);
        let text = status.metrics();
        assert!(text.contains("# TYPE workflow_bridge_relay_received_total counter\nworkflow_bridge_relay_received_total 1\n"));
        assert!(text.contains("\nworkflow_bridge_relay_missed_total 4\n"));
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            let (name, value) = line.split_once(' ').unwrap();
            assert!(name.starts_with("workflow_bridge_relay_") && value.parse::<u64>().is_ok());
        }
    }
}
