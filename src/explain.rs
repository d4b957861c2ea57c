//! What would become of a message, told before it is sent, or after: nothing is called.
//!
//! The words are made of what the webhook itself uses: [`Route::obstacles`] agrees with [`Routes::matching`], and a target is
//! shown the very [`Request`] that [`crate::dispatch`] would send.

mod source;

use serde::Serialize;

pub use source::{Holder, NoMessage, Source};

use crate::letter::{Letter, Reason};
use crate::message::TopicMessage;
use crate::ports::Fault;
use crate::request::{Request, request};
use crate::resume::{TaskAnswer, Verdict};
use crate::routes::{Format, Obstacle, Reply, Route, Routes, Target};

/// The default of `MAX_AGE_SECONDS`, in ms.
const MAX_AGE_MS: i64 = 60_000;
/// The default of `MAX_SKEW_SECONDS`, in ms.
const MAX_SKEW_MS: i64 = 30_000;

/// A message and all routes, each with what it does with it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Explanation {
    pub message: About,
    /// The letter that held the message.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub letter: Option<Kept>,
    /// In the order of the document.
    pub routes: Vec<Explained>,
    pub fate: Fate,
}

/// What a message says of itself.
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
    /// Of `publish_timestamp`, in ms; negative for one that is ahead.
    pub age_ms: i64,
    pub freshness: Freshness,
    /// Whether the text is JSON, so that conditions and paths can look into it.
    pub is_json: bool,
}

/// What the webhook would say of the age now, with the defaults of `MAX_AGE_SECONDS` and `MAX_SKEW_SECONDS`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Freshness {
    Fresh,
    Stale,
    FromTheFuture,
}

/// What a letter says beside its message.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Kept {
    pub route: Option<String>,
    pub reason: &'static str,
    pub detail: String,
    pub attempts: u32,
    /// In ms since the epoch.
    pub first_at: i64,
    /// In ms since the epoch.
    pub last_at: i64,
}

/// One route, and the message.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Explained {
    pub name: String,
    pub matches: bool,
    /// Every reason why it does not match.
    pub why_not: Vec<Obstacle>,
    /// What it does; none for a route that does nothing.
    #[serde(rename = "does", skip_serializing_if = "Option::is_none")]
    pub deed: Option<Deed>,
    /// Where the result goes; none where nothing is published.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reply: Option<Address>,
}

/// What a route makes of the message. `input`, `detail` and `output` are JSON, byte for byte as the target gets them.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "action", rename_all = "snake_case")]
pub enum Deed {
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
    /// The target could only refuse it.
    DeadLetter {
        reason: &'static str,
        detail: String,
    },
}

/// Where a result goes.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Address {
    pub cache: String,
    pub topics: Vec<String>,
    pub failures: Vec<String>,
    pub format: Format,
    /// What `reply.from` makes of the message.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub asked: Option<Asked>,
}

/// A topic that a message may name for its reply.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Asked {
    /// The path.
    pub from: String,
    pub allow: Vec<String>,
    /// What stands there, as JSON.
    pub found: Option<String>,
    /// Whether the reply goes there.
    pub granted: bool,
}

/// What becomes of the message as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Fate {
    /// Some routes take it.
    Accepted,
    /// None does: a dead letter, unless `UNROUTED=ignore`.
    Unrouted,
    /// The letter's route is gone or switched off: a dead letter.
    RouteGone,
}

/// Tells what `routes` would do with a message that came at `now_ms`, or that `letter` holds.
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
    let fires = explained.iter().any(|route| route.deed.is_some());
    Explanation {
        message: About::of(message, now_ms),
        letter: letter.map(Kept::of),
        routes: explained,
        fate: match (fires, only) {
            (true, _) => Fate::Accepted,
            (false, None) => Fate::Unrouted,
            (false, Some(_)) => Fate::RouteGone,
        },
    }
}

/// The redrive sends a letter to the route that it names, `only`, without asking again whether that one matches.
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
        deed: fires.then(|| Deed::of(request(message, route))),
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

impl Kept {
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

impl Deed {
    fn of(request: Result<Request<'_>, Fault>) -> Self {
        match request {
            Ok(Request::Start {
                state_machine,
                name,
                input,
            }) => Self::StartExecution {
                state_machine: state_machine.to_owned(),
                name,
                input: input.to_string(),
            },
            Ok(Request::Put {
                bus,
                source,
                detail_type,
                detail,
            }) => Self::PutEvent {
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
