//! Explains the effect of the routes on a message, before or after it is sent. Calls nothing.
//!
//! An explanation has the webhook's own data: [`Route::obstacles`] agrees with [`Routes::matching`], and each [`Request`] is
//! the one that [`crate::domain::inbound::dispatch`] would send.

mod source;
pub mod words;

use serde::Serialize;

pub use source::{Holder, NoMessage, Source};

use crate::domain::fault::Fault;
use crate::domain::inbound::letter::{Letter, Reason};
use crate::domain::inbound::message::TopicMessage;
use crate::domain::inbound::request::{Request, request};
use crate::domain::inbound::routes::{Format, Obstacle, Reply, Route, Routes, Target};
use crate::domain::ports::{NewEvent, NewExecution, StopRequest, TaskAnswer, Verdict};

/// The default of `MAX_AGE_SECONDS`, in ms.
const MAX_AGE_MS: i64 = 60_000;
/// The default of `MAX_SKEW_SECONDS`, in ms.
const MAX_SKEW_MS: i64 = 30_000;

/// A message and the effect of every route on it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Explanation {
    pub message: About,
    /// The letter that held the message.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub letter: Option<LetterFields>,
    /// In the order of the document.
    pub routes: Vec<Explained>,
    pub fate: Fate,
}

/// The fields of a message.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct About {
    pub id: String,
    pub cache: String,
    pub topic: String,
    pub topic_sequence_number: u64,
    pub sequence_page: Option<u64>,
    pub token_id: Option<String>,
    /// In ms since the epoch.
    pub event_timestamp: i64,
    /// In ms since the epoch.
    pub publish_timestamp: i64,
    /// Since `publish_timestamp`, in ms; negative for a time in the future.
    pub age_ms: i64,
    pub freshness: Freshness,
    /// Whether the text is JSON, as conditions on it and paths into it require.
    pub is_json: bool,
}

/// The webhook's check of the age now, with the defaults of `MAX_AGE_SECONDS` and `MAX_SKEW_SECONDS`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Freshness {
    Fresh,
    Stale,
    FromTheFuture,
}

/// The fields of a letter beside its message.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LetterFields {
    pub route: Option<String>,
    pub reason: &'static str,
    pub detail: String,
    pub attempts: u32,
    /// In ms since the epoch.
    pub first_at: i64,
    /// In ms since the epoch.
    pub last_at: i64,
}

/// The effect of one route on the message.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Explained {
    pub name: String,
    pub matches: bool,
    /// All reasons why it does not match.
    pub why_not: Vec<Obstacle>,
    /// The call to its target; none where it does not fire.
    #[serde(rename = "does", skip_serializing_if = "Option::is_none")]
    pub call: Option<Call>,
    /// The result's address; none without a publication.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reply: Option<Address>,
}

/// A call to a target. `input`, `detail` and `output` are JSON, byte for byte as sent.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "action", rename_all = "snake_case")]
pub enum Call {
    StartExecution {
        state_machine: String,
        name: String,
        input: String,
    },
    PutEvent {
        bus: String,
        source: String,
        detail_type: String,
        detail: String,
    },
    TaskSuccess {
        token: String,
        output: String,
    },
    TaskFailure {
        token: String,
        error: String,
        cause: Option<String>,
    },
    StopExecution {
        execution: String,
        error: Option<String>,
        cause: Option<String>,
    },
    /// No call: the target would refuse it.
    DeadLetter {
        reason: &'static str,
        detail: String,
    },
}

/// The address of a result.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Address {
    pub cache: String,
    pub topics: Vec<String>,
    pub failures: Vec<String>,
    /// Topics of the announcement that the execution started.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub started: Vec<String>,
    pub format: Format,
    /// The topic that the message asks for by `reply.from`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub asked: Option<Asked>,
}

/// A topic that a message may name for its reply.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Asked {
    /// The path.
    pub from: String,
    pub allow: Vec<String>,
    /// The value at the path, as JSON.
    pub found: Option<String>,
    /// Whether the reply goes there.
    pub granted: bool,
}

/// The outcome for the message as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Fate {
    /// Some routes take it.
    Accepted,
    /// No route takes it: a dead letter, unless `UNROUTED=ignore`.
    Unrouted,
    /// The letter's route is missing or switched off: a dead letter.
    RouteGone,
}

/// Explains the effect of `routes` on a message that arrives at `now_ms`, or that `letter` holds.
pub fn explain(
    message: &TopicMessage,
    letter: Option<&Letter>,
    routes: &Routes,
    now_ms: i64,
) -> Explanation {
    let only = letter.and_then(|letter| letter.route.as_deref());
    let explained: Vec<_> = routes
        .iter()
        .map(|route| explained(message, route, only))
        .collect();
    let fires = explained.iter().any(|route| route.call.is_some());
    Explanation {
        message: About::of(message, now_ms),
        letter: letter.map(LetterFields::of),
        routes: explained,
        fate: match (fires, only) {
            (true, _) => Fate::Accepted,
            (false, None) => Fate::Unrouted,
            (false, Some(_)) => Fate::RouteGone,
        },
    }
}

/// For a letter, the redrive calls the route `only`, without matching it again.
fn explained(message: &TopicMessage, route: &Route, only: Option<&str>) -> Explained {
    let why_not = route.obstacles(message);
    let fires = match only {
        Some(name) => route.enabled && route.name == name,
        None => why_not.is_empty(),
    };
    let starts = matches!(route.to, Target::StateMachine { .. });
    let reply = route.reply.as_ref().filter(|_| fires && starts);
    Explained {
        name: route.name.clone(),
        matches: why_not.is_empty(),
        why_not,
        call: fires.then(|| Call::of(request(message, route))),
        reply: reply.map(|reply| Address::of(reply, message)),
    }
}

impl About {
    fn of(message: &TopicMessage, now_ms: i64) -> Self {
        let age_ms = now_ms.saturating_sub(message.publish_timestamp);
        Self {
            id: message.id.to_string(),
            cache: message.cache.clone(),
            topic: message.topic.clone(),
            topic_sequence_number: message.topic_sequence_number,
            sequence_page: message.sequence_page,
            token_id: message.token_id.clone(),
            event_timestamp: message.event_timestamp,
            publish_timestamp: message.publish_timestamp,
            age_ms,
            freshness: match age_ms {
                age if age > MAX_AGE_MS => Freshness::Stale,
                age if age < -MAX_SKEW_MS => Freshness::FromTheFuture,
                _ => Freshness::Fresh,
            },
            is_json: message.json().is_some(),
        }
    }
}

impl LetterFields {
    fn of(letter: &Letter) -> Self {
        Self {
            route: letter.route.clone(),
            reason: letter.reason.name(),
            detail: letter.detail.clone(),
            attempts: letter.attempts,
            first_at: letter.first_at,
            last_at: letter.last_at,
        }
    }
}

impl Call {
    fn of(request: Result<Request<'_>, Fault>) -> Self {
        match request {
            Ok(Request::Start(NewExecution {
                state_machine,
                name,
                input,
            })) => Self::StartExecution {
                state_machine: state_machine.to_owned(),
                name,
                input,
            },
            Ok(Request::Put(NewEvent {
                bus,
                source,
                detail_type,
                detail,
            })) => Self::PutEvent {
                bus: bus.to_owned(),
                source: source.to_owned(),
                detail_type,
                detail,
            },
            Ok(Request::Answer(TaskAnswer { token, verdict })) => match verdict {
                Verdict::Success(output) => Self::TaskSuccess { token, output },
                Verdict::Failure { error, cause } => Self::TaskFailure {
                    token,
                    error,
                    cause,
                },
            },
            Ok(Request::Stop(StopRequest {
                execution,
                error,
                cause,
            })) => Self::StopExecution {
                execution,
                error,
                cause,
            },
            Err(fault) => Self::DeadLetter {
                reason: Reason::of(&fault).name(),
                detail: fault.to_string(),
            },
        }
    }
}

impl Address {
    fn of(reply: &Reply, message: &TopicMessage) -> Self {
        let address = reply.address(message);
        Self {
            cache: reply.cache.render(message),
            topics: address.topics,
            failures: address.failures,
            started: address.started,
            format: reply.format,
            asked: reply.asked.as_ref().map(|asked| {
                let found = asked.from.find(message);
                Asked {
                    from: asked.from.to_string(),
                    allow: asked.allow.iter().map(|g| g.as_str().to_owned()).collect(),
                    granted: found.is_some() && !address.refused,
                    found: found.map(|json| json.into_owned()),
                }
            }),
        }
    }
}

#[cfg(test)]
mod tests;
