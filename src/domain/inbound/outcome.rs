//! The outcome of each route of a message, for the answer, the log and the metrics.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::domain::fault::{Fault, FaultKind};
use crate::domain::inbound::letter::Reason;
use crate::domain::inbound::message::{MessageId, TopicMessage};
use crate::domain::inbound::routes::Route;
use crate::telemetry::metrics::{Measurements, Metric};

/// The outcome of one route, with its attempts and faults.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    pub route: String,
    pub outcome: Outcome,
    /// Attempts at the target.
    pub attempts: u32,
    /// Time until the target took the message or the attempts ended.
    pub took: Duration,
    /// The target's fault.
    pub fault: Option<Fault>,
    /// The queue's fault, if neither queue took the message.
    pub queue_fault: Option<Fault>,
    /// Stored after the answer was due.
    pub late: bool,
    /// The name of the keyed execution.
    pub execution: Option<String>,
    /// The message requested a reply topic outside its route's `allow`.
    pub reply_refused: bool,
}

/// The outcome of a route, as named in answers and logs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// An execution was started.
    Started,
    /// The execution of this message already existed.
    Duplicate,
    /// The event bus took the event.
    EventPut,
    /// A waiting task resumed.
    Resumed,
    /// The execution was stopped.
    Stopped,
    /// The task no longer waits: it was answered before, or its time was over. Or the execution to be stopped had ended
    /// before, or never started.
    Closed,
    /// The parking queue took it, and the redrive will try the target again.
    Parked,
    /// The dead-letter queue took it: the target would refuse it again.
    DeadLettered,
    /// Neither the target nor a queue took it.
    NotStored,
}

impl Delivery {
    /// Counts the route's outcome.
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

/// Counts an attempt refused for a missing permission.
pub fn measure_denial(fault: Option<&Fault>, route: Option<&str>, measured: &mut Measurements) {
    if fault.is_some_and(|fault| fault.kind == FaultKind::Later) {
        measured.count_route(Metric::Denied, route);
    }
}

impl Outcome {
    /// Counts a delivery to the target, `took` after the bridge received the message.
    pub fn measure(self, route: &str, took: Duration, measured: &mut Measurements) {
        let metric = match self {
            Self::Started => Metric::Started,
            Self::Duplicate => Metric::Duplicate,
            Self::EventPut => Metric::EventPut,
            Self::Resumed => Metric::Resumed,
            Self::Stopped => Metric::Stopped,
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
            Self::Stopped => "stopped",
            Self::Closed => "closed",
            Self::Parked => "parked",
            Self::DeadLettered => "dead_lettered",
            Self::NotStored => "not_stored",
        }
    }
}

/// Every route with its outcome, for the log: `uppercase=started audit=parked`.
pub fn outcomes(deliveries: &[Delivery]) -> String {
    let mut outcomes = String::new();
    for delivery in deliveries {
        let space = if outcomes.is_empty() { "" } else { " " };
        outcomes.extend([space, &delivery.route, "=", delivery.outcome.name()]);
    }
    outcomes
}

/// Progress of a delivery: the message's id, and each route with its outcome so far.
#[derive(Debug, Default)]
pub struct Progress(Mutex<Option<SoFar>>);

#[derive(Clone, Debug)]
pub struct SoFar {
    pub id: MessageId,
    pub outcomes: Vec<(String, Outcome)>,
}

impl Progress {
    pub fn now(&self) -> Option<SoFar> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    pub(super) fn begin(&self, message: &TopicMessage, routes: &[&Route]) {
        let outcomes = routes
            .iter()
            .map(|route| (route.name.clone(), Outcome::NotStored));
        let so_far = SoFar {
            id: message.id.clone(),
            outcomes: outcomes.collect(),
        };
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(so_far);
    }

    pub(super) fn end(&self, index: usize, outcome: Outcome) {
        let mut so_far = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(so_far) = &mut *so_far {
            so_far.outcomes[index].1 = outcome;
        }
    }
}
