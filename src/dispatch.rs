//! A message and the routes that match it, made into executions and events, or kept where they can become so.
//!
//! A ladder of three rungs: the target, within its part of the time; then a queue, which is parking for what a later
//! attempt may mend and the dead letters for what none can; then the honest answer that nobody has it.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::Instant;

use crate::letter::{Letter, Reason};
use crate::message::TopicMessage;
use crate::metrics::{Measurements, Metric};
use crate::ports::{
    Event, EventBus, Fault, FaultKind, NewExecution, Queue, Resumed, Started, Tasks, Workflows,
};
use crate::request::{Request, request};
use crate::retry::{Patience, retry};
use crate::routes::{Route, Routes};
use crate::xray::{Trace, Tracer};

/// Where messages belong.
#[derive(Clone)]
pub struct Targets {
    pub workflows: Arc<dyn Workflows>,
    pub event_bus: Arc<dyn EventBus>,
    pub tasks: Arc<dyn Tasks>,
    /// Tells the trace that executions and events become a part of.
    pub tracer: Tracer,
}

/// Where messages wait that their targets did not take.
#[derive(Clone)]
pub struct Queues {
    pub parked: Arc<dyn Queue>,
    pub dead_letters: Arc<dyn Queue>,
}

/// When the rungs of the ladder end.
#[derive(Clone, Copy, Debug)]
pub struct Ladder {
    /// The end of the target's time.
    pub target: Instant,
    /// The end of the queue's time, which begins when the target gave up.
    pub queue: Instant,
}

impl Ladder {
    /// Keeps the last three eighths of `budget`, which ends at `end`, for the queue.
    pub fn within(budget: Duration, end: Instant) -> Self {
        Self {
            target: end.checked_sub(budget * 3 / 8).unwrap_or(end),
            queue: end,
        }
    }

    /// The end of what comes before the targets. It takes half of the queue's time if it must: a message that cannot be
    /// verified cannot be kept.
    pub fn secrets(&self) -> Instant {
        self.target + self.queue.saturating_duration_since(self.target) / 2
    }
}

/// How one route ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    pub route: String,
    pub outcome: Outcome,
    /// How many times the target was asked.
    pub attempts: u32,
    /// How long until the target had it, or had not.
    pub took: Duration,
    /// Why the target has not got it.
    pub fault: Option<Fault>,
    /// Why the queue has not got it either.
    pub queue_fault: Option<Fault>,
    /// The message asked for a reply to a topic that its route does not allow.
    pub reply_refused: bool,
}

/// The outcome of a route, by its name in answers and logs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// An execution was started.
    Started,
    /// The execution of this message was there already.
    Duplicate,
    /// The event bus took the event.
    EventPut,
    /// A task that waited for this message goes on.
    Resumed,
    /// The task waits no more: it was answered before, or its time was over.
    Closed,
    /// The parking queue has it, and will try the target again.
    Parked,
    /// The dead-letter queue has it: the target would refuse it again.
    DeadLettered,
    /// Nobody has it.
    NotStored,
}

impl Delivery {
    /// Counts what came of the route.
    pub fn measure(&self, measured: &mut Measurements) {
        let route = Some(self.route.as_str());
        measure_denial(self.fault.as_ref(), route, measured);
        match self.outcome {
            Outcome::NotStored => {}
            Outcome::Parked => measured.count_route(Metric::Parked, route),
            Outcome::DeadLettered => {
                let reason = self.fault.as_ref().map(|fault| Reason::of(fault).name());
                measured.add(Metric::DeadLettered, 1, route, reason);
            }
            outcome => outcome.measure(&self.route, self.took, measured),
        }
    }
}

/// Counts an attempt that a target refused for a missing permission.
pub fn measure_denial(fault: Option<&Fault>, route: Option<&str>, measured: &mut Measurements) {
    if fault.is_some_and(|fault| fault.kind == FaultKind::Later) {
        measured.count_route(Metric::Denied, route);
    }
}

impl Outcome {
    /// Counts a target that took a message, `took` after the bridge had it.
    pub fn measure(self, route: &str, took: Duration, measured: &mut Measurements) {
        let metric = match self {
            Self::Started => Metric::Started,
            Self::Duplicate => Metric::Duplicate,
            Self::EventPut => Metric::EventPut,
            Self::Resumed => Metric::Resumed,
            Self::Closed => Metric::Closed,
            Self::Parked | Self::DeadLettered | Self::NotStored => return,
        };
        measured.count_route(metric, Some(route));
        let took = i64::try_from(took.as_millis()).unwrap_or(i64::MAX);
        measured.add(Metric::AcceptedToStarted, took, Some(route), None);
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::Started => "started",
            Self::Duplicate => "duplicate",
            Self::EventPut => "event_put",
            Self::Resumed => "resumed",
            Self::Closed => "closed",
            Self::Parked => "parked",
            Self::DeadLettered => "dead_lettered",
            Self::NotStored => "not_stored",
        }
    }
}

/// Every route with its outcome, for a log: `uppercase=started audit=parked`.
pub fn outcomes(deliveries: &[Delivery]) -> String {
    let mut outcomes = String::new();
    for delivery in deliveries {
        let space = if outcomes.is_empty() { "" } else { " " };
        outcomes.extend([space, &delivery.route, "=", delivery.outcome.name()]);
    }
    outcomes
}

/// A verified message, with the delivery that brought it.
#[derive(Clone, Copy)]
pub struct Delivered<'a> {
    pub message: &'a TopicMessage,
    pub trace: &'a Trace,
    /// As it came.
    pub body: &'a str,
    /// In ms since the epoch.
    pub now_ms: i64,
}

/// Sends a message down every route that matches, all at once. An empty list means that none matches.
///
/// A route that fails repeats none that worked: each has its own attempts, its own outcome and its own letter.
pub async fn deliver(
    delivered: Delivered<'_>,
    routes: &Routes,
    targets: &Targets,
    queues: &Queues,
    ladder: Ladder,
) -> Vec<Delivery> {
    let matching = routes.matching(delivered.message).into_iter();
    join_all(matching.map(|route| climb_down(delivered, route, targets, queues, ladder))).await
}

async fn climb_down(
    delivered: Delivered<'_>,
    route: &Route,
    targets: &Targets,
    queues: &Queues,
    ladder: Ladder,
) -> Delivery {
    let began = Instant::now();
    let Delivered { message, trace, .. } = delivered;
    let (result, attempts) = attempt(message, trace, route, targets, ladder.target).await;
    let took = began.elapsed();
    let reply = route.reply.as_ref();
    let reply_refused = reply.is_some_and(|reply| reply.refuses(message));
    let route = route.name.clone();
    let fault = match result {
        Ok(outcome) => {
            return Delivery {
                route,
                outcome,
                attempts,
                took,
                fault: None,
                queue_fault: None,
                reply_refused,
            };
        }
        Err(fault) => fault,
    };
    let (queue, kept) = match fault.kind {
        FaultKind::Transient | FaultKind::Later => (&queues.parked, Outcome::Parked),
        FaultKind::Permanent => (&queues.dead_letters, Outcome::DeadLettered),
    };
    let letter = Letter {
        attempts,
        ..Letter::about(
            message,
            delivered.body,
            Some(&route),
            Reason::of(&fault),
            fault.to_string(),
            delivered.now_ms,
        )
    };
    let sent = post(&letter, queue, ladder.queue).await;
    Delivery {
        route,
        outcome: if sent.is_ok() {
            kept
        } else {
            Outcome::NotStored
        },
        attempts,
        took,
        fault: Some(fault),
        queue_fault: sent.err(),
        reply_refused,
    }
}

/// Puts a letter into a queue.
///
/// # Errors
///
/// When the queue does not take it before `deadline`.
pub async fn post(letter: &Letter, queue: &Arc<dyn Queue>, deadline: Instant) -> Result<(), Fault> {
    let body = letter.to_json();
    let time = deadline.saturating_duration_since(Instant::now());
    let patience = Patience {
        // A connection that is dead may cost one attempt, but not the message.
        per_attempt: time / 2,
        ..Patience::until(deadline)
    };
    retry(patience, || queue.send(&body)).await.0
}

/// Sends a message down one route, and keeps it nowhere. Returns how many times the target was asked, too.
pub async fn attempt(
    message: &TopicMessage,
    trace: &Trace,
    route: &Route,
    targets: &Targets,
    deadline: Instant,
) -> (Result<Outcome, Fault>, u32) {
    let request = match request(message, route) {
        Ok(request) => request,
        Err(fault) => return (Err(fault), 0),
    };
    let patience = Patience::until(deadline);
    let trace = trace.header();
    match &request {
        Request::Start {
            state_machine,
            name,
            input,
        } => {
            let execution = NewExecution {
                state_machine,
                name,
                input,
                trace,
            };
            let (result, attempts) = retry(patience, || targets.workflows.start(execution)).await;
            let outcome = result.map(|started| match started {
                Started::Now => Outcome::Started,
                Started::Already => Outcome::Duplicate,
            });
            (outcome, attempts)
        }
        Request::Put {
            bus,
            source,
            detail_type,
            detail,
        } => {
            let event = Event {
                bus,
                source,
                detail_type,
                detail,
                trace: Some(trace),
            };
            let (result, attempts) = retry(patience, || targets.event_bus.put(event)).await;
            (result.map(|()| Outcome::EventPut), attempts)
        }
        Request::Answer(answer) => {
            let (result, attempts) = retry(patience, || targets.tasks.answer(answer)).await;
            let outcome = result.map(|resumed| match resumed {
                Resumed::Now => Outcome::Resumed,
                Resumed::Closed => Outcome::Closed,
            });
            (outcome, attempts)
        }
    }
}

#[cfg(test)]
mod tests;
