//! Tries parked messages again: the only place that decides whether a letter keeps waiting.
//!
//! The signature was checked before parking, and the message's age no longer matters.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::records::{Batch, Ended, Failures, Record, Repeats};
use crate::domain::fault::{Fault, FaultKind};
use crate::domain::inbound::dispatch::{self, Targets};
use crate::domain::inbound::letter::{Letter, Reason};
use crate::domain::inbound::live_routes::{LiveRoutes, Snapshot};
use crate::domain::inbound::message::TopicMessage;
use crate::domain::inbound::outcome::{self, Outcome};
use crate::domain::inbound::queues::{self, Deadlines, Queues};
use crate::domain::inbound::routes::MATCHING_STEPS;
use crate::domain::inbound::signature::Verified;
use crate::telemetry;
use crate::telemetry::metrics::{Measurements, Metric, Metrics};
use crate::telemetry::xray::{Segment, Trace};

/// Matching steps allowed here, as a multiple of the webhook's: a few seconds.
const MORE_TIME: usize = 100;

/// The maximum age of the routes when a letter's route counts as gone.
const ROUTES_AGE: Duration = Duration::from_secs(3);

/// The redrive.
pub struct Redrive {
    pub routes: Arc<LiveRoutes>,
    pub targets: Targets,
    pub queues: Queues,
    pub repeats: Repeats,
    pub metrics: Metrics,
}

/// An undeliverable letter.
struct Undeliverable {
    reason: Reason,
    detail: String,
    attempts: u32,
}

/// The result of an attempt.
enum Tried {
    Delivered(Outcome),
    /// Parked once for each of these routes.
    Split(String),
    Waits(Fault, u32),
    Undeliverable(Undeliverable),
}

impl Redrive {
    /// Tries each letter once more. Returns those that keep waiting. `deadline` is the end of the invocation.
    ///
    /// # Errors
    ///
    /// When a failed record has no id: then the whole batch is received again.
    pub async fn handle(&self, batch: Batch, deadline: Instant) -> Result<Failures, String> {
        let handle = async |record, deadline| self.record(record, deadline).await;
        self.repeats.each(&batch, deadline, handle).await
    }

    async fn record(&self, record: Record<'_>, deadline: Instant) -> Ended {
        let budget = deadline.saturating_duration_since(Instant::now());
        let deadlines = Deadlines::within(budget, deadline, deadline);
        let letter: Letter = match serde_json::from_str(record.body) {
            Ok(letter) => letter,
            Err(e) => {
                let detail = format!(
                    "expected a parked message, found {}",
                    crate::json::error_without_content(&e)
                );
                let letter = Letter::about_event(
                    record.id,
                    record.body,
                    Reason::Unreadable,
                    detail,
                    self.now_ms(),
                );
                return self.dead_letter(letter, deadlines).await;
            }
        };
        let began = self.now_ms();
        telemetry::correlate(&letter.id, None);
        let body = letter.message.as_ref().map_or("", |message| message.get());
        let parsed = TopicMessage::parse(Verified::stored(body.as_bytes()));
        let parsed = parsed.map(|(message, _)| (self.targets.trace(&message), message));
        if let Ok((trace, _)) = &parsed {
            telemetry::correlate(&letter.id, Some(trace.id()));
        }
        let tried = match &parsed {
            Ok((trace, message)) => self.deliver(&letter, message, trace, deadlines).await,
            Err(e) => Tried::Undeliverable(Undeliverable {
                reason: Reason::Unreadable,
                detail: e.to_string(),
                attempts: 0,
            }),
        };
        let tried = match tried {
            Tried::Waits(fault, attempts) if record.is_last => {
                Tried::Undeliverable(Undeliverable {
                    reason: Reason::GaveUp,
                    detail: fault.to_string(),
                    attempts,
                })
            }
            tried => tried,
        };
        let trace = parsed.as_ref().ok().map(|(trace, _)| trace);
        self.report(&letter, &tried, trace, began);
        match tried {
            Tried::Delivered(_) | Tried::Split(_) => Ended::Done,
            Tried::Waits(..) => Ended::Again,
            Tried::Undeliverable(Undeliverable {
                reason,
                detail,
                attempts,
            }) => {
                let attempts = attempts.saturating_add(record.earlier_receives);
                let letter = letter.again(reason, detail, attempts, self.now_ms());
                self.dead_letter(letter, deadlines).await
            }
        }
    }

    /// Logs, measures and traces an attempt that began at `began`.
    fn report(&self, letter: &Letter, tried: &Tried, trace: Option<&Trace>, began: i64) {
        let (outcome, error) = match tried {
            Tried::Delivered(outcome) => (outcome.name(), None),
            Tried::Split(routes) => (routes.as_str(), None),
            Tried::Waits(fault, _) => ("waits", Some(fault.to_string())),
            Tried::Undeliverable(dead) => (dead.reason.name(), Some(dead.detail.clone())),
        };
        let code = match tried {
            Tried::Waits(fault, _) => Some(fault.code.as_str()),
            _ => None,
        };
        macro_rules! line {
            ($level:ident, $text:literal) => {
                tracing::$level!(
                    message.id = letter.id,
                    route = letter.route,
                    outcome,
                    attempts = letter.attempts,
                    error.code = code,
                    error.text = error,
                    $text
                )
            };
        }
        match tried {
            Tried::Delivered(_) | Tried::Split(_) => line!(info, "redrove a parked message"),
            _ => line!(warn, "could not deliver a parked message"),
        }

        let now = self.now_ms();
        let waited = now.saturating_sub(letter.first_at).max(0);
        let route = letter.route.as_deref();
        let mut measured = Measurements::default();
        match tried {
            Tried::Delivered(outcome) => {
                measured.count_route(Metric::Redriven, route);
                let waited = Duration::from_millis(waited.unsigned_abs());
                outcome.measure(route.unwrap_or_default(), waited, &mut measured);
            }
            Tried::Waits(fault, _) => {
                outcome::measure_denial(Some(fault), route, &mut measured);
                measured.add(Metric::ParkedAge, waited, route, None);
            }
            // Counted when parked again, and when it becomes a dead letter.
            Tried::Split(_) | Tried::Undeliverable(_) => {}
        }
        self.metrics.write(measured);
        if let Some(trace) = trace {
            let segment = Segment {
                name: "redrive",
                started_at: began,
                ended_at: now,
                outcome,
                fault: error.is_some(),
                message_id: &letter.id,
                route,
            };
            self.targets.tracer.go_on(trace, &segment);
        }
    }

    async fn deliver(
        &self,
        letter: &Letter,
        message: &TopicMessage,
        trace: &Trace,
        deadlines: Deadlines,
    ) -> Tried {
        let Some(name) = &letter.route else {
            return self.park_anew(letter, message, deadlines).await;
        };
        let mut snapshot = self.routes.current().await;
        if snapshot.routes.enabled(name).is_none() {
            snapshot = self.routes.fresh(deadlines.target, ROUTES_AGE).await;
        }
        let Some(route) = snapshot.routes.enabled(name) else {
            if !snapshot.is_current() {
                return Tried::Waits(Snapshot::fault(), 0);
            }
            return Tried::Undeliverable(Undeliverable {
                reason: Reason::RouteGone,
                detail: format!(
                    "expected an enabled route `{name}`, found none; put it back, then replay"
                ),
                attempts: 0,
            });
        };
        let (result, attempts) =
            dispatch::attempt(message, trace, route, &self.targets, deadlines.target).await;
        match result {
            Ok(outcome) => Tried::Delivered(outcome),
            Err(fault) if fault.kind == FaultKind::Permanent => {
                Tried::Undeliverable(Undeliverable {
                    reason: Reason::of(&fault),
                    detail: fault.to_string(),
                    attempts,
                })
            }
            Err(fault) => Tried::Waits(fault, attempts),
        }
    }

    /// Parks a letter for each route that matches now, without an attempt, so that a failing route repeats no other.
    async fn park_anew(
        &self,
        letter: &Letter,
        message: &TopicMessage,
        deadlines: Deadlines,
    ) -> Tried {
        let steps = MORE_TIME * MATCHING_STEPS;
        let snapshot = self.routes.fresh(deadlines.target, ROUTES_AGE).await;
        let Ok(mut routes) = snapshot.routes.matching_within(message, steps) else {
            return Tried::Undeliverable(Undeliverable {
                reason: Reason::Undecided,
                detail: letter.detail.clone(),
                attempts: 0,
            });
        };
        if !snapshot.complete || (routes.is_empty() && snapshot.outdated) {
            return Tried::Waits(Snapshot::fault(), 0);
        }
        routes.retain(|route| !letter.delivered.contains(&route.name));
        if routes.is_empty() && letter.delivered.is_empty() {
            return Tried::Undeliverable(Undeliverable {
                reason: Reason::Unrouted,
                detail: format!(
                    "no enabled route takes cache `{}`, topic `{}`; add one, then replay",
                    message.cache, message.topic
                ),
                attempts: 0,
            });
        }
        for route in &routes {
            let letter = Letter {
                route: Some(route.name.clone()),
                delivered: Vec::new(),
                ..letter.clone()
            };
            if let Err(fault) = queues::post(&letter, &self.queues.parked, deadlines.store).await {
                return Tried::Waits(fault, 0);
            }
        }
        let mut measured = Measurements::default();
        for route in &routes {
            measured.count_route(Metric::Parked, Some(&route.name));
        }
        self.metrics.write(measured);
        let names: Vec<&str> = routes.iter().map(|route| route.name.as_str()).collect();
        Tried::Split(match names.as_slice() {
            [] => "no further route matches".to_owned(),
            names => format!("parked for {}", names.join(", ")),
        })
    }

    async fn dead_letter(&self, letter: Letter, deadlines: Deadlines) -> Ended {
        match queues::post(&letter, &self.queues.dead_letters, deadlines.store).await {
            Ok(()) => {
                let route = letter.route.as_deref();
                let reason = Some(letter.reason.name());
                self.metrics.add(Metric::DeadLettered, 1, route, reason);
                Ended::Done
            }
            Err(fault) => {
                tracing::error!(
                    message.id = letter.id,
                    error.code = fault.code,
                    error.text = fault.text,
                    "the dead-letter queue did not take a message, which keeps waiting"
                );
                Ended::Again
            }
        }
    }

    fn now_ms(&self) -> i64 {
        (self.repeats.now_ms)()
    }
}

#[cfg(test)]
mod tests;
