//! SQS batches of EventBridge events in, publications out: the only place that decides whether a record is done, ignored,
//! given back to the queue, or a dead letter.

mod failed;

use std::sync::Arc;

use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::time::Instant;

use self::failed::Failed;
use super::records::{Batch, Ended, Failures, Record, Repeats};
use crate::claims::Unclaimed;
use crate::dispatch::{self, Deadlines};
use crate::input;
use crate::letter::{Letter, Reason};
use crate::metrics::{Measurements, Metric, Metrics};
use crate::ports::{Answer, Executions, Fault, Queue};
use crate::publisher::{Begin, Publisher, Turn, Unpublished};
use crate::result::{self, Decision, Execution, Publication, Unreadable};
use crate::retry::{Patience, retry};
use crate::routes::Routes;
use crate::telemetry;
use crate::xray::{Segment, Trace, Tracer};

/// The completion.
pub struct Completion {
    pub routes: Routes,
    pub executions: Arc<dyn Executions>,
    pub publisher: Publisher,
    /// Without it, what cannot be published goes back to the queue, whose own redrive policy ends it.
    pub dead_letters: Option<Arc<dyn Queue>>,
    pub repeats: Repeats,
    pub metrics: Metrics,
    pub tracer: Tracer,
}

/// How long after its execution's end a result is late, in ms.
const LATE_MS: i64 = 60_000;

/// How a record ended that need not come again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Done {
    Published,
    Ignored,
    /// All of it was published before.
    Repeated,
}

/// The parts of an EventBridge event that matter here.
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
    /// Publishes what the records ask for, all at once, and names those that have to come again.
    ///
    /// `deadline` is the end of the invocation.
    ///
    /// # Errors
    ///
    /// When a failed record has no id: then the whole batch has to come again.
    pub async fn handle(&self, batch: Batch, deadline: Instant) -> Result<Failures, String> {
        let handle = async |record, deadline| self.record(record, deadline).await;
        self.repeats.each(&batch, deadline, handle).await
    }

    async fn record(&self, record: Record<'_>, deadline: Instant) -> Ended {
        // The rest is for the ledger and for a dead letter.
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
        self.bury(record, &failed, reason, deadlines.store).await
    }

    /// Tells how long a record that goes back has waited since it was first in the queue.
    fn measure_wait(&self, record: Record<'_>) {
        let Some(sent_at) = record.sent_at else {
            return;
        };
        let event: Option<Event> = serde_json::from_str(record.body).ok();
        let route = event.and_then(|event| self.route_of(event.detail.get()));
        let age = (self.repeats.now_ms)().saturating_sub(sent_at).max(0);
        let route = route.as_deref();
        self.metrics.add(Metric::ResultAge, age, route, None);
    }

    async fn bury(
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
        let detail = failed.to_string();
        let now_ms = (self.repeats.now_ms)();
        let letter = Letter {
            attempts: failed.attempts().saturating_add(record.earlier_receives),
            route: event
                .as_ref()
                .and_then(|event| self.route_of(event.detail.get())),
            ..Letter::about_event(
                id,
                record.body,
                reason,
                detail,
                record.sent_at.unwrap_or(now_ms),
            )
        };
        let letter = Letter {
            last_at: now_ms,
            ..letter
        };
        match dispatch::post(&letter, queue, deadline).await {
            Ok(()) => {
                let route = letter.route.as_deref();
                let reason = Some(reason.name());
                self.metrics.add(Metric::DeadLettered, 1, route, reason);
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

    /// The route of a status change, where its name tells.
    fn route_of(&self, detail: &str) -> Option<String> {
        let execution: Execution = serde_json::from_str(detail).ok()?;
        let route = self
            .routes
            .of_execution(&execution.state_machine_arn, &execution.name)?;
        Some(route.name.clone())
    }

    async fn event(&self, record: Record<'_>, deadline: Instant) -> Result<Done, Failed> {
        let event: Event = read("an EventBridge event in JSON", record.body)?;
        let detail = event.detail.get();
        match (event.source.as_str(), event.detail_type.as_str()) {
            ("aws.states", "Step Functions Execution Status Change") => {
                let execution: Execution = read("the detail of a status change", detail)?;
                if !execution.has_ended() {
                    return Ok(Done::Ignored);
                }
                correlate(&execution, None);
                let id = execution.ledger_id();
                let act = async |turn: &Turn| self.status_change(execution, turn, deadline).await;
                self.in_turn(id, deadline, act).await
            }
            ("workflow-bridge", "Topic Publish") => {
                let publications = result::topic_publish(detail)?;
                // Step Functions names the execution that put the event.
                let is_execution = |arn: &&String| arn.contains(":execution:");
                let execution = event.resources.iter().find(is_execution);
                let digits = execution.and_then(|arn| input::id_in_name(arn));
                if let Some(digits) = digits {
                    telemetry::correlate(digits, record.trace.and_then(Trace::id_in));
                }
                // An event without an id is none of EventBridge's; its record has one.
                let id = Some(event.id.as_str()).filter(|id| !id.is_empty());
                let id = format!("event#{}", id.unwrap_or(record.id));
                let act = async |turn: &Turn| {
                    let publishing = self.publisher.publish(turn, &publications, deadline);
                    let claims = publishing.await?;
                    tracing::info!(
                        execution.arn = execution,
                        publications = publications.len(),
                        published.to = to(&publications),
                        published.claims = claims,
                        "published for a workflow"
                    );
                    self.measure(None, claims, None);
                    Ok(Done::Published)
                };
                self.in_turn(id, deadline, act).await
            }
            _ => Err(Failed::UnknownEvent(event.detail_type, event.source)),
        }
    }

    /// Does `act` unless the ledger knows it as done, and tells the ledger how it ended.
    async fn in_turn(
        &self,
        id: String,
        deadline: Instant,
        act: impl AsyncFnOnce(&Turn) -> Result<Done, Failed>,
    ) -> Result<Done, Failed> {
        let turn = match self.publisher.begin(id, deadline).await {
            Ok(Begin::Turn(turn)) => turn,
            Ok(Begin::Done) => {
                tracing::info!("an event came again whose publications are done");
                return Ok(Done::Repeated);
            }
            Ok(Begin::Busy(wait)) => return Err(Failed::Busy(wait)),
            Err(fault) => return Err(Failed::Ledger(fault)),
        };
        let result = act(&turn).await;
        match result {
            Ok(_) => self.publisher.finish(turn).await,
            Err(_) => self.publisher.give_back(turn).await,
        }
        result
    }

    async fn status_change(
        &self,
        mut execution: Execution,
        turn: &Turn,
        deadline: Instant,
    ) -> Result<Done, Failed> {
        let began = (self.repeats.now_ms)();
        if execution.lacks_detail() {
            let describe = || -> Answer<'_, Execution> {
                let mut execution = execution.clone();
                Box::pin(async move {
                    let described = self.executions.describe(&execution.execution_arn).await?;
                    let filled = execution.fill_in(described);
                    filled.map_err(|stale| Fault::transient("Stale", stale.to_string()))?;
                    Ok(execution)
                })
            };
            let (described, _) = retry(Patience::until(deadline), describe).await;
            execution = described.map_err(Failed::Describe)?;
        }
        let message = execution.message();
        let tracer = &self.tracer;
        let trace = message.as_ref().map(|(id, time)| tracer.trace(id, *time));
        correlate(&execution, trace.as_ref());
        let (route, publications, claims, refused) = match execution.decide(&self.routes)? {
            Decision::Ignore(reason) => {
                tracing::info!(
                    execution.arn = execution.execution_arn,
                    execution.status = execution.status.name(),
                    outcome = "ignored",
                    reason,
                    "an execution ended"
                );
                self.metrics.add(Metric::Ignored, 1, None, None);
                return Ok(Done::Ignored);
            }
            Decision::Refuse(refused) => {
                self.metrics.add(Metric::AddressRefused, 1, None, None);
                return Err(refused.into());
            }
            Decision::Publish {
                route,
                publications,
                refused,
            } => {
                let publishing = self.publisher.publish(turn, &publications, deadline);
                match publishing.await {
                    Err(Unpublished::Value {
                        cause: cause @ Unclaimed::TooLarge { .. },
                        ..
                    }) => {
                        let saying = self.say_too_large(&execution, &cause, turn, deadline);
                        (route, saying.await?, 0, refused)
                    }
                    claims => (route, publications, claims?, refused),
                }
            }
        };
        if refused {
            tracing::warn!(
                execution.arn = execution.execution_arn,
                route,
                "the address in an execution's input is not believed; the result went to its route's own"
            );
            self.metrics.add(Metric::AddressRefused, 1, None, None);
        }
        tracing::info!(
            execution.arn = execution.execution_arn,
            execution.status = execution.status.name(),
            execution.stopped_at = execution.stop_date,
            route,
            outcome = "published",
            published.to = to(&publications),
            published.claims = claims,
            "an execution ended"
        );
        self.measure(Some(&route), claims, Some(&execution));
        if let (Some((id, _)), Some(trace)) = (&message, &trace) {
            let segment = Segment {
                name: "completion",
                started_at: began,
                ended_at: (self.repeats.now_ms)(),
                outcome: "published",
                fault: false,
                message_id: id,
                route: Some(&route),
            };
            tracer.go_on(trace, &segment);
        }
        Ok(Done::Published)
    }

    /// Counts what was published, for the end of `execution` if it was for one.
    fn measure(&self, route: Option<&str>, claims: usize, execution: Option<&Execution>) {
        let mut measured = Measurements::default();
        measured.count_route(Metric::Published, route);
        if claims > 0 {
            let claims = i64::try_from(claims).unwrap_or(i64::MAX);
            measured.add(Metric::Claimed, claims, route, None);
        }
        if let Some(stopped) = execution.and_then(|execution| execution.stop_date) {
            let late = (self.repeats.now_ms)().saturating_sub(stopped).max(0);
            measured.add(Metric::EndToPublished, late, route, None);
            if late > LATE_MS {
                measured.count_route(Metric::PublishedLate, route);
            }
            if let Some(started) = execution.and_then(|execution| execution.start_date) {
                let took = stopped.saturating_sub(started).max(0);
                measured.add(Metric::StartToEnd, took, route, None);
            }
        }
        self.metrics.write(measured);
    }

    /// Publishes that the result is too large to be published, where failures go.
    async fn say_too_large(
        &self,
        execution: &Execution,
        cause: &Unclaimed,
        turn: &Turn,
        deadline: Instant,
    ) -> Result<Vec<Publication>, Failed> {
        tracing::warn!(
            execution.arn = execution.execution_arn,
            error.text = %cause,
            "a result is too large to be published"
        );
        match execution.decide_without_value(&self.routes, &cause.to_string())? {
            Decision::Ignore(_) | Decision::Refuse(_) => Ok(Vec::new()),
            Decision::Publish { publications, .. } => {
                let publishing = self.publisher.publish(turn, &publications, deadline);
                publishing.await?;
                Ok(publications)
            }
        }
    }
}

/// Tells the log which message the execution is of, as far as that is known.
fn correlate(execution: &Execution, trace: Option<&Trace>) {
    let message = execution.message();
    let digits = input::id_in_name(&execution.name);
    if let Some(id) = message.as_ref().map(|(id, _)| id.as_str()).or(digits) {
        telemetry::correlate(id, trace.map(Trace::id));
    }
}

/// Where publications go, for the log: `demo/uppercase-out demo/audit`.
fn to(publications: &[Publication]) -> String {
    let to = publications
        .iter()
        .map(|p| format!("{}/{}", p.cache, p.topic));
    to.collect::<Vec<_>>().join(" ")
}

fn read<'a, T: Deserialize<'a>>(expected: &'static str, text: &'a str) -> Result<T, Unreadable> {
    serde_json::from_str(text).map_err(|e| result::unreadable(expected, &e))
}

#[cfg(test)]
mod tests;
