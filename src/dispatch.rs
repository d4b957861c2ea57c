//! A message and the routes that match it, made into executions and events.

use std::sync::Arc;

use futures_util::future::join_all;
use serde::Serialize;
use tokio::time::Instant;

use crate::dead_letter::DeadLetter;
use crate::input;
use crate::message::TopicMessage;
use crate::ports::{Event, EventBus, Fault, Queue, Started, Workflows};
use crate::retry::{Patience, retry};
use crate::routes::{Input, Route, Routes, Target};

/// Most bytes of an execution's input, by StartExecution's model (`SensitiveData`, UTF-8).
const INPUT_MAX: usize = 262_144;
/// Most characters of an event's detail-type, by PutEvents's model.
const DETAIL_TYPE_MAX: usize = 128;

/// The ways out.
#[derive(Clone)]
pub struct Targets {
    pub workflows: Arc<dyn Workflows>,
    pub event_bus: Arc<dyn EventBus>,
    pub dead_letters: Arc<dyn Queue>,
}

/// How one route ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    pub route: String,
    pub outcome: Outcome,
    /// How many times the target was asked.
    pub attempts: u32,
    /// Why the outcome is [`Outcome::NotStored`].
    pub fault: Option<Fault>,
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
    /// The target did not take it.
    NotStored,
}

impl Outcome {
    pub fn name(self) -> &'static str {
        match self {
            Self::Started => "started",
            Self::Duplicate => "duplicate",
            Self::EventPut => "event_put",
            Self::NotStored => "not_stored",
        }
    }
}

/// Sends `message` down every route that matches, all at once, until `deadline`. An empty list means that none matches.
///
/// A route that fails repeats none that worked: each has its own attempts and its own outcome.
pub async fn deliver(
    message: &TopicMessage,
    routes: &Routes,
    targets: &Targets,
    deadline: Instant,
) -> Vec<Delivery> {
    let matching = routes.matching(message).into_iter();
    join_all(matching.map(|route| deliver_one(message, route, targets, deadline))).await
}

async fn deliver_one(
    message: &TopicMessage,
    route: &Route,
    targets: &Targets,
    deadline: Instant,
) -> Delivery {
    let (result, attempts) = match &route.to {
        Target::StateMachine { arn, input } => {
            start(message, route, arn, *input, targets, deadline).await
        }
        Target::EventBus {
            name,
            source,
            detail_type,
        } => {
            let detail_type: String = detail_type
                .render(message)
                .chars()
                .take(DETAIL_TYPE_MAX)
                .collect();
            let event = Event {
                bus: name,
                source,
                detail_type: &detail_type,
                detail: &detail(message),
            };
            let (result, attempts) =
                retry(Patience::until(deadline), || targets.event_bus.put(event)).await;
            (result.map(|()| Outcome::EventPut), attempts)
        }
    };
    Delivery {
        route: route.name.clone(),
        outcome: *result.as_ref().unwrap_or(&Outcome::NotStored),
        attempts,
        fault: result.err(),
    }
}

async fn start(
    message: &TopicMessage,
    route: &Route,
    state_machine: &str,
    input: Input,
    targets: &Targets,
    deadline: Instant,
) -> (Result<Outcome, Fault>, u32) {
    let name = input::execution_name(&route.name, message);
    let input = match input {
        Input::Envelope => input::envelope(route, message),
        Input::Payload => input::payload(message),
    };
    if input.len() > INPUT_MAX {
        let text = format!(
            "expected an input of at most {INPUT_MAX} bytes, found {}",
            input.len()
        );
        return (Err(Fault::permanent("InputTooLarge", text)), 0);
    }
    let (result, attempts) = retry(Patience::until(deadline), || {
        targets.workflows.start(state_machine, &name, &input)
    })
    .await;
    let outcome = result.map(|started| match started {
        Started::Now => Outcome::Started,
        Started::Already => Outcome::Duplicate,
    });
    (outcome, attempts)
}

/// Keeps a message that no route takes.
pub async fn keep_unrouted(
    message: &TopicMessage,
    body: &str,
    now_ms: i64,
    targets: &Targets,
    deadline: Instant,
) -> Result<(), Fault> {
    let letter = DeadLetter::unrouted(message, now_ms).to_json(body);
    let (result, _) = retry(Patience::until(deadline), || {
        targets.dead_letters.send(&letter)
    })
    .await;
    result
}

/// Momento's body plus `id`: what rules written for Momento's own handler match.
fn detail(message: &TopicMessage) -> String {
    #[derive(Serialize)]
    struct Detail<'a> {
        id: &'a str,
        cache: &'a str,
        topic: &'a str,
        event_timestamp: i64,
        publish_timestamp: i64,
        topic_sequence_number: u64,
        #[serde(skip_serializing_if = "Option::is_none")]
        sequence_page: Option<u64>,
        /// Empty where there is none, as Momento sends it.
        token_id: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        text: Option<&'a str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        binary: Option<&'a str>,
    }
    let detail = Detail {
        id: message.id.as_str(),
        cache: &message.cache,
        topic: &message.topic,
        event_timestamp: message.event_timestamp,
        publish_timestamp: message.publish_timestamp,
        topic_sequence_number: message.topic_sequence_number,
        sequence_page: message.sequence_page,
        token_id: message.token_id.as_deref().unwrap_or_default(),
        text: message.text(),
        binary: message.binary(),
    };
    serde_json::to_string(&detail).expect("strings and numbers always serialize")
}

#[cfg(test)]
mod tests;
