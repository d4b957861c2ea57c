//! SQS batches of EventBridge events in: the only place that decides whether a record is done, returned to the queue, or a
//! dead letter.

use std::sync::Arc;

use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::time::Instant;

use super::records::{Batch, Ended, Failures, Record, Repeats};
use crate::domain::inbound::letter::{Letter, Reason};
use crate::domain::inbound::queues::{self, Deadlines};
use crate::domain::outbound::complete::{Complete, Done, Failed, TopicPublish};
use crate::domain::outbound::result::{self, Execution, Unreadable};
use crate::domain::ports::Queue;
use crate::telemetry::metrics::Metric;
use crate::telemetry::xray::Trace;

/// The completion.
pub struct Completion {
    pub complete: Complete,
    /// Without it, events that cannot be published return to the queue, whose redrive policy ends them.
    pub dead_letters: Option<Arc<dyn Queue>>,
    pub repeats: Repeats,
}

/// The relevant fields of an EventBridge event.
#[derive(Deserialize)]
struct Event<'a> {
    #[serde(default)]
    id: String,
    source: String,
    #[serde(rename = "detail-type")]
    detail_type: String,
    #[serde(default)]
    resources: Vec<String>,
    #[serde(borrow)]
    detail: &'a RawValue,
}

impl Completion {
    /// Publishes for all records concurrently. Returns the records to be received again.
    ///
    /// `deadline` is the end of the invocation.
    ///
    /// # Errors
    ///
    /// When a failed record has no id: then the whole batch is received again.
    pub async fn handle(&self, batch: Batch, deadline: Instant) -> Result<Failures, String> {
        let handle = async |record, deadline| self.record(record, deadline).await;
        self.repeats.each(&batch, deadline, handle).await
    }

    async fn record(&self, record: Record<'_>, deadline: Instant) -> Ended {
        // Three eighths are left for the ledger and a dead letter.
        let budget = deadline.saturating_duration_since(Instant::now());
        let deadlines = Deadlines::within(budget, deadline, deadline);
        let failed = match self.event(record, deadlines.target).await {
            Ok(_) => return Ended::Done,
            Err(Failed::Busy(wait)) if !record.is_last => return Ended::After(wait),
            Err(failed) => failed,
        };
        let code = failed.fault().map(|fault| fault.code.clone());
        let reason = match failed.reason() {
            None if record.is_last => Reason::GaveUp,
            None => {
                tracing::warn!(error.code = code, error.text = %failed, "a record goes back to the queue");
                self.measure_wait(record);
                return Ended::Again;
            }
            Some(reason) => reason,
        };
        tracing::error!(error.code = code, error.text = %failed, reason = reason.name(), "cannot publish an event");
        self.dead_letter(record, &failed, reason, deadlines.store)
            .await
    }

    async fn event(&self, record: Record<'_>, deadline: Instant) -> Result<Done, Failed> {
        let event: Event = read("an EventBridge event in JSON", record.body)?;
        let detail = event.detail.get();
        match (event.source.as_str(), event.detail_type.as_str()) {
            ("aws.states", "Step Functions Execution Status Change") => {
                let execution: Execution = read("the detail of a status change", detail)?;
                self.complete.status_change(execution, deadline).await
            }
            ("workflow-bridge", "Topic Publish") => {
                let is_execution = |arn: &&String| arn.contains(":execution:");
                // EventBridge gives every event an id; the record has one in any case.
                let id = Some(event.id.as_str()).filter(|id| !id.is_empty());
                let event = TopicPublish {
                    id: format!("event#{}", id.unwrap_or(record.id)),
                    execution: event
                        .resources
                        .iter()
                        .find(is_execution)
                        .map(String::as_str),
                    trace_id: record.trace.and_then(Trace::id_in),
                    publications: result::topic_publish(detail)?,
                };
                self.complete.topic_publish(event, deadline).await
            }
            // The sweep measures how long messages wait here.
            ("workflow-bridge", "Sweep Marker") => self.complete.marked(&event.id, deadline).await,
            (source, detail_type) => Err(Failed::Unreadable(Unreadable {
                expected: "a status change of Step Functions or a `Topic Publish` of `workflow-bridge`",
                found: format!("`{detail_type}` of `{source}`; route no other event to this queue"),
            })),
        }
    }

    /// Measures the time since a returned record first entered the queue.
    fn measure_wait(&self, record: Record<'_>) {
        let Some(sent_at) = record.sent_at else {
            return;
        };
        let age = (self.repeats.now_ms)().saturating_sub(sent_at).max(0);
        let event: Option<Event> = serde_json::from_str(record.body).ok();
        let route = event.and_then(|event| self.route_of(&event));
        self.complete
            .metrics
            .add(Metric::ResultAge, age, route.as_deref(), None);
    }

    /// The route of a status change, by the execution's name.
    fn route_of(&self, event: &Event) -> Option<String> {
        let execution: Execution = serde_json::from_str(event.detail.get()).ok()?;
        self.complete.route_of(&execution)
    }

    async fn dead_letter(
        &self,
        record: Record<'_>,
        failed: &Failed,
        reason: Reason,
        deadline: Instant,
    ) -> Ended {
        let Some(queue) = &self.dead_letters else {
            return Ended::Again;
        };
        let event: Option<Event> = serde_json::from_str(record.body).ok();
        let id = event.as_ref().map_or(record.id, |event| &event.id);
        let route = event.as_ref().and_then(|event| self.route_of(event));
        let now_ms = (self.repeats.now_ms)();
        let first_at = record.sent_at.unwrap_or(now_ms);
        let detail = failed.to_string();
        let letter = Letter {
            attempts: failed.attempts().saturating_add(record.earlier_receives),
            route,
            last_at: now_ms,
            ..Letter::about_event(id, record.body, reason, detail, first_at)
        };
        match queues::post(&letter, queue, deadline).await {
            Ok(()) => {
                let route = letter.route.as_deref();
                let (metrics, reason) = (&self.complete.metrics, Some(reason.name()));
                metrics.add(Metric::DeadLettered, 1, route, reason);
                Ended::Done
            }
            Err(fault) => {
                tracing::error!(
                    error.code = fault.code,
                    error.text = fault.text,
                    "the dead-letter queue did not take an event, which goes back to its queue"
                );
                Ended::Again
            }
        }
    }
}

fn read<'a, T: Deserialize<'a>>(expected: &'static str, text: &'a str) -> Result<T, Unreadable> {
    serde_json::from_str(text).map_err(|e| result::unreadable(expected, &e))
}

#[cfg(test)]
mod tests;
