//! Delivers a message to the targets of its matching routes, or stores it in a queue.
//!
//! The target comes first, within its share of the time. Then the queues: after a permanent fault the dead letters, else the
//! parking queue. A queue that refuses is followed by the other one, until one takes the message or the time is over.

use std::sync::Arc;

use futures_util::future::join_all;
use tokio::time::Instant;

use crate::domain::fault::{Fault, FaultKind};
use crate::domain::inbound::letter::{Letter, Reason};
use crate::domain::inbound::message::TopicMessage;
use crate::domain::inbound::outcome::{Delivery, Outcome, Progress};
use crate::domain::inbound::queues::{Deadlines, Place, Queues, store};
use crate::domain::inbound::request::{Request, keyed_execution, request};
use crate::domain::inbound::routes::Route;
use crate::domain::ports::{EventBus, Resumed, Started, Stopped, Stopping, Tasks, Workflows};
use crate::domain::retry::{RetryPolicy, retry};
use crate::telemetry::xray::{Trace, Tracer};

/// The targets of routes.
#[derive(Clone)]
pub struct Targets {
    pub workflows: Arc<dyn Workflows>,
    pub event_bus: Arc<dyn EventBus>,
    pub tasks: Arc<dyn Tasks>,
    pub stopping: Arc<dyn Stopping>,
    /// The traces of executions and events.
    pub tracer: Tracer,
}

impl Targets {
    /// The trace of a message.
    pub fn trace(&self, message: &TopicMessage) -> Trace {
        self.tracer
            .trace(message.id.as_str(), message.event_timestamp)
    }
}

/// A verified message, as it came in.
#[derive(Clone, Copy)]
pub struct Incoming<'a> {
    pub message: &'a TopicMessage,
    pub trace: &'a Trace,
    /// As received.
    pub body: &'a str,
    /// When the delivery was received, in ms since the epoch.
    pub now_ms: i64,
    pub progress: &'a Progress,
}

/// Sends a message down all of these routes concurrently.
///
/// Each route has its own attempts, outcome and letter, so a failing route repeats no successful one.
pub async fn deliver(
    incoming: Incoming<'_>,
    matching: Vec<&Route>,
    targets: &Targets,
    queues: &Queues,
    deadlines: Deadlines,
) -> Vec<Delivery> {
    incoming.progress.begin(incoming.message, &matching);
    let deliveries = matching
        .into_iter()
        .enumerate()
        .map(async |(index, route)| {
            let delivery = deliver_one(incoming, route, targets, queues, deadlines).await;
            incoming.progress.end(index, delivery.outcome);
            delivery
        });
    join_all(deliveries).await
}

async fn deliver_one(
    incoming: Incoming<'_>,
    route: &Route,
    targets: &Targets,
    queues: &Queues,
    deadlines: Deadlines,
) -> Delivery {
    let began = Instant::now();
    let Incoming { message, trace, .. } = incoming;
    let (result, attempts) = attempt(message, trace, route, targets, deadlines.target).await;
    let took = began.elapsed();
    let reply = route.reply.as_ref();
    let reply_refused = reply.is_some_and(|reply| reply.refuses(message));
    let execution = keyed_execution(message, route);
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
                late: false,
                execution,
                reply_refused,
            };
        }
        Err(fault) => fault,
    };
    let place = match fault.kind {
        FaultKind::Transient | FaultKind::Later => Place::Parked,
        FaultKind::Permanent => Place::DeadLetters,
    };
    let letter = Letter {
        attempts,
        ..Letter::about(
            message,
            incoming.body,
            Some(&route),
            Reason::of(&fault),
            fault.to_string(),
            incoming.now_ms,
        )
    };
    let stored = store(letter, place, queues, deadlines).await;
    let (outcome, queue_fault) = match stored {
        Ok(Place::Parked) => (Outcome::Parked, None),
        Ok(Place::DeadLetters) => (Outcome::DeadLettered, None),
        Err(fault) => (Outcome::NotStored, Some(fault)),
    };
    Delivery {
        route,
        outcome,
        attempts,
        took,
        fault: Some(fault),
        late: queue_fault.is_none() && Instant::now() > deadlines.answer,
        queue_fault,
        execution,
        reply_refused,
    }
}

/// Sends a message down one route, without storing it. Also returns the number of attempts at the target.
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
    let policy = RetryPolicy::until(deadline);
    let trace = trace.header();
    match &request {
        Request::Start(execution) => {
            let start = || targets.workflows.start(execution, trace);
            let (result, attempts) = retry(policy, start).await;
            let outcome = result.map(|started| match started {
                Started::Now => Outcome::Started,
                Started::Already => Outcome::Duplicate,
            });
            (outcome, attempts)
        }
        Request::Put(event) => {
            let put = || targets.event_bus.put(event, Some(trace));
            let (result, attempts) = retry(policy, put).await;
            (result.map(|()| Outcome::EventPut), attempts)
        }
        Request::Answer(answer) => {
            let (result, attempts) = retry(policy, || targets.tasks.answer(answer)).await;
            let outcome = result.map(|resumed| match resumed {
                Resumed::Now => Outcome::Resumed,
                Resumed::Closed => Outcome::Closed,
            });
            (outcome, attempts)
        }
        Request::Stop(stop) => {
            let (result, attempts) = retry(policy, || targets.stopping.stop(stop)).await;
            let outcome = result.map(|stopped| match stopped {
                Stopped::Now => Outcome::Stopped,
                Stopped::Closed => Outcome::Closed,
            });
            (outcome, attempts)
        }
    }
}

#[cfg(test)]
mod tests;
