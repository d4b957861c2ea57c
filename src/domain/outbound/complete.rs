//! Publishes results of executions and events of workflows: once, as far as the ledger knows.

mod failed;

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

pub use self::failed::Failed;
use crate::domain::fault::Fault;
use crate::domain::inbound::execution_name::id_in_name;
use crate::domain::inbound::live_routes::{LiveRoutes, Snapshot};
use crate::domain::outbound::claims::Unclaimed;
use crate::domain::outbound::publisher::{Begin, Publisher, Turn, Unpublished};
use crate::domain::outbound::result::{
    ASKS_FOR_NO_REPLY, Address, Execution, NoAddress, Origin, Publication, Status,
};
use crate::domain::ports::{Answer, Executions};
use crate::domain::retry::{RetryPolicy, retry};
use crate::telemetry;
use crate::telemetry::metrics::{Measurements, Metric, Metrics};
use crate::telemetry::xray::{Segment, Trace, Tracer};

/// The completion's work, with its ports.
pub struct Complete {
    pub routes: Arc<LiveRoutes>,
    pub executions: Arc<dyn Executions>,
    pub publisher: Publisher,
    pub metrics: Metrics,
    pub tracer: Tracer,
    /// The time, in ms since the epoch.
    pub now_ms: fn() -> i64,
}

/// Time from an execution's end after which its result is late, in ms.
const LATE_MS: i64 = 60_000;

/// The outcome of an event without a further attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Done {
    Published,
    Ignored,
    /// Done before.
    Repeated,
}

/// A `Topic Publish`: a workflow's own publications.
#[derive(Debug)]
pub struct TopicPublish<'a> {
    /// The id of the event, for the ledger.
    pub id: String,
    /// The ARN of the execution that put the event, as Step Functions names it.
    pub execution: Option<&'a str>,
    pub trace_id: Option<&'a str>,
    pub publications: Vec<Publication>,
}

impl Complete {
    /// Publishes the result of an ended execution, or the announcement of a started one.
    ///
    /// # Errors
    ///
    /// When the event needs another attempt, or cannot be published at all: [`Failed::reason`].
    pub async fn status_change(
        &self,
        execution: Execution,
        deadline: Instant,
    ) -> Result<Done, Failed> {
        if execution.status == Status::Running {
            return self.started(execution, deadline).await;
        }
        if !execution.has_ended() {
            return Ok(Done::Ignored);
        }
        let origin = execution.origin();
        correlate(&execution, &origin, None);
        let id = execution.end_id();
        let act = async |turn: &Turn| self.result(execution, origin, turn, deadline).await;
        self.in_turn(id, deadline, act).await
    }

    /// Announces that an execution started, unless its result was published before.
    async fn started(&self, mut execution: Execution, deadline: Instant) -> Result<Done, Failed> {
        if execution.lacks_input() {
            let describe = || self.executions.describe(&execution.execution_arn);
            let (described, _) = retry(RetryPolicy::until(deadline), describe).await;
            execution.fill_in_input(described.map_err(Failed::Describe)?);
        }
        let origin = execution.origin();
        correlate(&execution, &origin, None);
        // The end of the execution reports a refused address.
        let Ok(address) = self.address(&execution, origin, deadline).await? else {
            return Ok(Done::Ignored);
        };
        if address.reply.started.is_empty() {
            return Ok(Done::Ignored);
        }
        let act = async |turn: &Turn| {
            let publications = execution.announcements(&address);
            let publishing = self.publisher.publish(turn, &publications, deadline);
            publishing.await?;
            tracing::info!(
                execution.arn = execution.execution_arn,
                route = address.route,
                key = address.key,
                published.to = to(&publications),
                "announced an execution"
            );
            let route = Some(address.route.as_str());
            self.metrics.add(Metric::Announced, 1, route, None);
            Ok(Done::Published)
        };
        self.in_turn(execution.started_id(), deadline, act).await
    }

    /// Makes a later announcement of this execution impossible. One under way ends first.
    async fn close_announcement(
        &self,
        execution: &Execution,
        deadline: Instant,
    ) -> Result<(), Failed> {
        match self.publisher.begin(execution.started_id(), deadline).await {
            Ok(Begin::Turn(turn)) => {
                let closing = self.publisher.close(turn, deadline);
                closing.await.map_err(Failed::Ledger)
            }
            Ok(Begin::Done) => Ok(()),
            Ok(Begin::Busy(wait)) => Err(Failed::Busy(wait)),
            Err(fault) => Err(Failed::Ledger(fault)),
        }
    }

    /// Publishes the values of a workflow's event.
    ///
    /// # Errors
    ///
    /// As [`Complete::status_change`].
    pub async fn topic_publish(
        &self,
        event: TopicPublish<'_>,
        deadline: Instant,
    ) -> Result<Done, Failed> {
        let TopicPublish {
            id,
            execution,
            trace_id,
            publications,
        } = event;
        if let Some(digits) = execution.and_then(id_in_name) {
            telemetry::correlate(digits, trace_id);
        }
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

    /// Enters the sweep's marker into the ledger.
    ///
    /// # Errors
    ///
    /// When the ledger does not answer.
    pub async fn marked(&self, id: &str, deadline: Instant) -> Result<Done, Failed> {
        let marking = self.publisher.mark(id, deadline);
        marking.await.map_err(Failed::Ledger)?;
        Ok(Done::Ignored)
    }

    /// The route of an execution, by its state machine and its name.
    pub fn route_of(&self, execution: &Execution) -> Option<String> {
        let (machine, name) = (&execution.state_machine_arn, &execution.name);
        let routes = self.routes.known().routes;
        let route = routes.of_execution(machine, name)?;
        Some(route.name.clone())
    }

    /// Runs `act` unless the event is done in the ledger, and records the outcome there.
    async fn in_turn(
        &self,
        id: String,
        deadline: Instant,
        act: impl AsyncFnOnce(&Turn) -> Result<Done, Failed>,
    ) -> Result<Done, Failed> {
        let turn = match self.publisher.begin(id, deadline).await {
            Ok(Begin::Turn(turn)) => turn,
            Ok(Begin::Done) => {
                tracing::info!("skipped a repeated event: its publications are done");
                return Ok(Done::Repeated);
            }
            Ok(Begin::Busy(wait)) => return Err(Failed::Busy(wait)),
            Err(fault) => return Err(Failed::Ledger(fault)),
        };
        let result = act(&turn).await;
        match result {
            Ok(_) => self.publisher.finish(turn).await,
            Err(_) => self.publisher.release(turn).await,
        }
        result
    }

    async fn result(
        &self,
        mut execution: Execution,
        mut origin: Origin,
        turn: &Turn,
        deadline: Instant,
    ) -> Result<Done, Failed> {
        let began = (self.now_ms)();
        if execution.lacks_detail() {
            execution = self.described(execution, deadline).await?;
            origin = execution.origin();
        }
        let message = origin.message();
        let message = message.map(|message| (message.id.to_string(), message.event_timestamp));
        let trace = message.as_ref();
        let trace = trace.map(|(id, time)| self.tracer.trace(id, *time));
        correlate(&execution, &origin, trace.as_ref());
        let address = match self.address(&execution, origin, deadline).await? {
            Ok(address) => address,
            Err(NoAddress::Ignored(reason)) => {
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
            Err(NoAddress::Refused(refused)) => {
                self.metrics.add(Metric::AddressRefused, 1, None, None);
                return Err(refused.into());
            }
            Err(NoAddress::Unreadable(unreadable)) => return Err(unreadable.into()),
        };
        if !address.reply.started.is_empty() {
            self.close_announcement(&execution, deadline).await?;
        }
        let publications = execution.publications(&address)?;
        let publishing = self.publisher.publish(turn, &publications, deadline);
        let (publications, claims) = match publishing.await {
            Err(Unpublished::Value {
                cause: cause @ Unclaimed::TooLarge { .. },
                ..
            }) => {
                let failure = self.publish_too_large(&execution, &address, &cause, turn, deadline);
                (failure.await?, 0)
            }
            claims => (publications, claims?),
        };
        let route = &address.route;
        if address.refused {
            tracing::warn!(
                execution.arn = execution.execution_arn,
                route,
                "refused the address in an execution's input; the result went to its route's own"
            );
            self.metrics.add(Metric::AddressRefused, 1, None, None);
        }
        tracing::info!(
            execution.arn = execution.execution_arn,
            execution.status = execution.status.name(),
            execution.stopped_at = execution.stop_date,
            route,
            key = address.key,
            outcome = "published",
            published.to = to(&publications),
            published.claims = claims,
            "an execution ended"
        );
        self.measure(Some(route), claims, Some(&execution));
        if let (Some((id, _)), Some(trace)) = (&message, &trace) {
            let segment = Segment {
                name: "completion",
                started_at: began,
                ended_at: (self.now_ms)(),
                outcome: "published",
                fault: false,
                message_id: id,
                route: Some(route),
            };
            self.tracer.go_on(trace, &segment);
        }
        Ok(Done::Published)
    }

    /// The address by the known routes, or by those read now: a route unknown here may have started the execution.
    async fn address(
        &self,
        execution: &Execution,
        origin: Origin,
        deadline: Instant,
    ) -> Result<Result<Address, NoAddress>, Failed> {
        let known = self.routes.current().await;
        let address = execution.address(origin, &known.routes);
        let is_settled = match &address {
            Ok(address) => !address.refused,
            Err(NoAddress::Ignored(reason)) => *reason == ASKS_FOR_NO_REPLY,
            Err(NoAddress::Unreadable(_) | NoAddress::Refused(_)) => false,
        };
        if is_settled || !self.routes.is_live() {
            return Ok(address);
        }
        let fresh = self.routes.fresh(deadline, Duration::ZERO).await;
        if !fresh.is_current() {
            self.metrics.add(Metric::RoutesUnavailable, 1, None, None);
            return Err(Failed::Routes(Snapshot::fault()));
        }
        Ok(execution.address(execution.origin(), &fresh.routes))
    }

    /// The execution with the details missing in its event.
    async fn described(
        &self,
        execution: Execution,
        deadline: Instant,
    ) -> Result<Execution, Failed> {
        let describe = || -> Answer<'_, Execution> {
            let mut execution = execution.clone();
            Box::pin(async move {
                let described = self.executions.describe(&execution.execution_arn).await?;
                let filled = execution.fill_in(described);
                filled.map_err(|stale| Fault::transient("Stale", stale.to_string()))?;
                Ok(execution)
            })
        };
        let (described, _) = retry(RetryPolicy::until(deadline), describe).await;
        described.map_err(Failed::Describe)
    }

    /// Publishes an oversized result's error to the failure topics.
    async fn publish_too_large(
        &self,
        execution: &Execution,
        address: &Address,
        cause: &Unclaimed,
        turn: &Turn,
        deadline: Instant,
    ) -> Result<Vec<Publication>, Failed> {
        tracing::warn!(
            execution.arn = execution.execution_arn,
            error.text = %cause,
            "a result is too large to be published"
        );
        let publications = execution.without_value(address, &cause.to_string());
        let publishing = self.publisher.publish(turn, &publications, deadline);
        publishing.await?;
        Ok(publications)
    }

    /// Counts publications, with the times of `execution` if they are its result.
    fn measure(&self, route: Option<&str>, claims: usize, execution: Option<&Execution>) {
        let mut measured = Measurements::default();
        measured.count_route(Metric::Published, route);
        if claims > 0 {
            let claims = i64::try_from(claims).unwrap_or(i64::MAX);
            measured.add(Metric::Claimed, claims, route, None);
        }
        if let Some(stopped) = execution.and_then(|execution| execution.stop_date) {
            let late = (self.now_ms)().saturating_sub(stopped).max(0);
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
}

/// Adds the message's id, or its digits in the execution's name, to every log line of the invocation.
fn correlate(execution: &Execution, origin: &Origin, trace: Option<&Trace>) {
    let id = origin.message().map(|message| message.id.as_str());
    if let Some(id) = id.or_else(|| id_in_name(&execution.name)) {
        telemetry::correlate(id, trace.map(Trace::id));
    }
}

/// The topics of publications, for the log: `demo/uppercase-out demo/audit`.
fn to(publications: &[Publication]) -> String {
    let to = publications
        .iter()
        .map(|p| format!("{}/{}", p.cache, p.topic));
    to.collect::<Vec<_>>().join(" ")
}
