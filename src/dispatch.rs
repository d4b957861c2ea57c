//! A message and the routes that match it, made into executions and events, or kept where they can become so.
//!
//! First the target, within its part of the time; then a queue, which is parking for what a later attempt may mend and the dead
//! letters for what none can, or the other one where that one refuses; and so on until the message is stored or the time is over.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::{Instant, sleep};

use crate::letter::{Letter, Reason};
use crate::message::{MessageId, TopicMessage};
use crate::metrics::{Measurements, Metric};
use crate::ports::{
    Event, EventBus, Fault, FaultKind, NewExecution, Queue, Resumed, Started, Tasks, Workflows,
};
use crate::request::{Request, request};
use crate::retry::{Patience, retry};
use crate::routes::Route;
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

/// The queue of a letter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    Parked,
    DeadLetters,
}

impl Place {
    fn other(self) -> Self {
        match self {
            Self::Parked => Self::DeadLetters,
            Self::DeadLetters => Self::Parked,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Parked => "parking queue",
            Self::DeadLetters => "dead-letter queue",
        }
    }
}

impl Queues {
    fn of(&self, place: Place) -> &Arc<dyn Queue> {
        match place {
            Place::Parked => &self.parked,
            Place::DeadLetters => &self.dead_letters,
        }
    }
}

/// When the attempts of a message end.
#[derive(Clone, Copy, Debug)]
pub struct Deadlines {
    /// The end of the target's time.
    pub target: Instant,
    /// When the answer is due; what is left after the target is the queues' time.
    pub answer: Instant,
    /// The end of storing a message that neither target nor queue has taken by then.
    pub store: Instant,
}

/// The least time of a target, and of both queues, where getting the signing secret took the budget.
const LEAST: Duration = Duration::from_secs(1);

/// The least time of an attempt to reach a queue, connection set-up included.
const LEAST_ATTEMPT: Duration = Duration::from_millis(750);

/// The waits after both queues refused a letter.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

impl Deadlines {
    /// Keeps the last three eighths of `budget`, which ends at `answer`, for the queues.
    pub fn within(budget: Duration, answer: Instant, store: Instant) -> Self {
        Self {
            target: answer.checked_sub(budget * 3 / 8).unwrap_or(answer),
            answer,
            store: store.max(answer),
        }
    }

    /// The end of getting a signing secret, without which a message cannot be kept: where a message may be stored late, all but
    /// the least time for the target and the queues.
    pub fn secrets(&self) -> Instant {
        let late = self.store.checked_sub(2 * LEAST);
        late.map_or(self.reread(), |late| late.max(self.reread()))
    }

    /// The end of getting a newer signing secret, for a signature that may as well be forged: half of the queues' time.
    pub fn reread(&self) -> Instant {
        self.target + self.answer.saturating_duration_since(self.target) / 2
    }

    /// The same for a message that is verified late: its target has some time, too.
    pub fn once_verified(self, now: Instant) -> Self {
        let latest = self.store.checked_sub(LEAST).unwrap_or(self.target);
        let target = self.target.max((now + LEAST).min(latest));
        Self { target, ..self }
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
    /// Why no queue has got it either.
    pub queue_fault: Option<Fault>,
    /// It was stored after the answer was due.
    pub late: bool,
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
        if self.late {
            measured.count_route(Metric::StoredLate, route);
        }
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

/// How far a delivery is: the message's id, and each route with its outcome so far.
#[derive(Debug, Default)]
pub struct Progress(Mutex<Option<Begun>>);

#[derive(Clone, Debug)]
pub struct Begun {
    pub id: MessageId,
    pub outcomes: Vec<(String, Outcome)>,
}

impl Progress {
    pub fn now(&self) -> Option<Begun> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn begin(&self, message: &TopicMessage, routes: &[&Route]) {
        let outcomes = routes
            .iter()
            .map(|route| (route.name.clone(), Outcome::NotStored));
        let begun = Begun {
            id: message.id.clone(),
            outcomes: outcomes.collect(),
        };
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(begun);
    }

    fn end(&self, place: usize, outcome: Outcome) {
        let mut begun = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(begun) = &mut *begun {
            begun.outcomes[place].1 = outcome;
        }
    }
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
    pub progress: &'a Progress,
}

/// Sends a message down every one of these routes, all at once.
///
/// A route that fails repeats none that worked: each has its own attempts, its own outcome and its own letter.
pub async fn deliver(
    delivered: Delivered<'_>,
    matching: Vec<&Route>,
    targets: &Targets,
    queues: &Queues,
    deadlines: Deadlines,
) -> Vec<Delivery> {
    delivered.progress.begin(delivered.message, &matching);
    let deliveries = matching
        .into_iter()
        .enumerate()
        .map(async |(place, route)| {
            let delivery = deliver_one(delivered, route, targets, queues, deadlines).await;
            delivered.progress.end(place, delivery.outcome);
            delivery
        });
    join_all(deliveries).await
}

async fn deliver_one(
    delivered: Delivered<'_>,
    route: &Route,
    targets: &Targets,
    queues: &Queues,
    deadlines: Deadlines,
) -> Delivery {
    let began = Instant::now();
    let Delivered { message, trace, .. } = delivered;
    let (result, attempts) = attempt(message, trace, route, targets, deadlines.target).await;
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
                late: false,
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
            delivered.body,
            Some(&route),
            Reason::of(&fault),
            fault.to_string(),
            delivered.now_ms,
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
        reply_refused,
    }
}

/// Puts a letter into a queue.
///
/// # Errors
///
/// When the queue does not take it before `deadline`.
pub async fn post(letter: &Letter, queue: &Arc<dyn Queue>, deadline: Instant) -> Result<(), Fault> {
    post_by(letter, queue, deadline, deadline).await
}

/// The same, with half of the time until the answer for an attempt: a connection that is dead may cost one, but not the message.
async fn post_by(
    letter: &Letter,
    queue: &Arc<dyn Queue>,
    answer: Instant,
    deadline: Instant,
) -> Result<(), Fault> {
    let body = letter.to_json();
    let time = answer.saturating_duration_since(Instant::now());
    let patience = Patience {
        per_attempt: (time / 2).max(LEAST_ATTEMPT),
        ..Patience::until(deadline)
    };
    retry(patience, || queue.send(&body)).await.0
}

/// Puts a letter into the queue `first`, or, where that one refuses it or has not taken it shortly before the end of storing, into
/// the other one: a dead letter can be put back on its path, and a parked one is tried again.
///
/// # Errors
///
/// That of `first`, when neither takes it in time.
pub async fn store(
    letter: Letter,
    first: Place,
    queues: &Queues,
    deadlines: Deadlines,
) -> Result<Place, Fault> {
    let Deadlines { answer, store, .. } = deadlines;
    let mut pause = FIRST_PAUSE;
    loop {
        let now = Instant::now();
        let end = store.checked_sub(LEAST).filter(|end| *end > answer);
        let end = end.map_or(store, |end| end.max(now));
        let Err(fault) = post_by(&letter, queues.of(first), answer, end).await else {
            return Ok(first);
        };
        let elsewhere = Letter {
            detail: format!(
                "{}; the {} did not take it: {fault}",
                letter.detail,
                first.name()
            ),
            ..letter.clone()
        };
        let end = store.min(Instant::now() + LEAST);
        let posted = post_by(&elsewhere, queues.of(first.other()), answer, end).await;
        if posted.is_ok() {
            return Ok(first.other());
        }
        if Instant::now() + pause >= store {
            return Err(fault);
        }
        sleep(pause).await;
        pause = (2 * pause).min(LONGEST_PAUSE);
    }
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
