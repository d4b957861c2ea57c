//! A trace, and its shape as JSON (docs/trace.md). Times are ms since the epoch.

use std::fmt::Display;

use serde::Serialize;

use crate::tools::execution::{Failure, Status, Visit};

/// The version of the JSON.
pub const SCHEMA: u32 = 1;

/// A part of the bridge.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Part {
    Webhook,
    Redrive,
    Workflow,
    Sweep,
    Completion,
    Replay,
    Relay,
    /// A message in the dead-letter queue now.
    DeadLetters,
    /// A result in the dead-letter queue of results now.
    DeadResults,
}

impl Part {
    /// The parts that write logs.
    pub const LOGGING: [Self; 4] = [Self::Webhook, Self::Redrive, Self::Completion, Self::Sweep];

    /// Whether it handles results, not messages.
    pub fn is_of_results(self) -> bool {
        matches!(self, Self::Completion | Self::DeadResults)
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::Webhook => "webhook",
            Self::Redrive => "redrive",
            Self::Workflow => "workflow",
            Self::Sweep => "sweep",
            Self::Completion => "completion",
            Self::Replay => "replay",
            Self::Relay => "relay",
            Self::DeadLetters | Self::DeadResults => "dead letter",
        }
    }
}

/// The answer to one query.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    pub schema: u32,
    /// The query as given.
    pub asked: String,
    pub stack: String,
    /// Start of the logs' range.
    pub since: i64,
    pub until: i64,
    /// Newest first; several for a reused number or a key.
    pub messages: Vec<Trace>,
    /// The sources that failed.
    pub unanswered: Vec<Unanswered>,
    /// Where no message is found: possible reasons.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nothing: Option<String>,
}

/// A source that failed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Unanswered {
    pub source: String,
    pub error: String,
}

impl Unanswered {
    pub fn new(source: &str, error: impl Display) -> Self {
        Self {
            source: source.to_owned(),
            error: error.to_string(),
        }
    }
}

/// The history of one message.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Trace {
    pub message: Head,
    /// Oldest first.
    pub events: Vec<Event>,
    /// The state of each route now.
    pub routes: Vec<Verdict>,
    pub links: Vec<Link>,
}

/// The message; unknown fields are null.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Head {
    /// 32 hex digits; the first 16 where the rest is unknown.
    pub id: Option<String>,
    pub cache: Option<String>,
    pub topic: Option<String>,
    pub number: Option<u64>,
    pub token_id: Option<String>,
    pub published_at: Option<i64>,
    pub came_in_at: Option<i64>,
    pub xray_trace_id: Option<String>,
}

/// An event of the timeline.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Event {
    pub at: i64,
    /// Since the message was published.
    pub after_ms: Option<i64>,
    pub part: Part,
    pub route: Option<String>,
    #[serde(flatten)]
    pub what: What,
}

impl Event {
    pub(super) fn new(at: i64, part: Part, route: Option<&str>, what: What) -> Self {
        Self {
            at,
            after_ms: None,
            part,
            route: route.map(ToOwned::to_owned),
            what,
        }
    }

    /// Its execution, where it is the start of one.
    pub fn run(&self) -> Option<&Run> {
        match &self.what {
            What::Ran(run) => Some(run),
            _ => None,
        }
    }
}

/// The kind of an event.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "what", rename_all = "snake_case")]
pub enum What {
    /// The webhook took the message, or refused it; `at` is when it came in.
    Answered(Answer),
    /// The redrive handed a parked message to its target.
    Redriven { outcome: String },
    /// The redrive tried; the message goes on waiting.
    Waits { error: Option<String> },
    /// A message or a result became a dead letter.
    DeadLettered {
        reason: String,
        error: Option<String>,
        attempts: Option<u32>,
    },
    /// A dead letter was put back, at an unknown time before this.
    Replayed,
    /// An execution, from its start on.
    Ran(Box<Run>),
    /// The completion processed an execution's end.
    Ended {
        status: String,
        outcome: String,
        #[serde(flatten)]
        published: Publication,
    },
    /// The completion published a workflow's `Topic Publish` event.
    Published(Publication),
    /// The sweep found an end whose event was lost.
    Found { status: String },
    /// Another line of a log.
    Noted {
        level: String,
        text: String,
        error: Option<String>,
    },
}

/// The webhook's answer.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Answer {
    pub code: String,
    pub status: Option<i64>,
    pub targets: Vec<Target>,
    pub took_ms: Option<i64>,
    pub error: Option<String>,
}

/// What the completion published.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Publication {
    /// As `cache/topic`.
    #[serde(rename = "published")]
    pub to: Vec<String>,
    /// How many of the values became claims.
    pub claims: Option<i64>,
}

/// A route with its outcome.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Target {
    pub route: String,
    pub outcome: String,
}

/// An execution.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Run {
    pub arn: String,
    pub name: String,
    /// `RUNNING`, `SUCCEEDED` and so on.
    pub status: String,
    pub stopped_at: Option<i64>,
    pub redrives: u32,
    pub error: Option<String>,
    /// Where it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
    /// May quote a payload: only with `--payloads`, or of the local stack.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cause: Option<String>,
    pub states: Vec<State>,
    /// The ledger's entry on its end: `publishing`, `waiting`, `queued` or `done`; null without one.
    pub ledger: Option<Entry>,
}

/// The ledger's entry on an end.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Entry {
    pub state: String,
    /// The publications so far, where the end is not done, as `cache/topic`.
    pub published: Vec<String>,
}

/// A state that an execution entered.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct State {
    pub name: String,
    pub entered_at: i64,
    pub left_at: Option<i64>,
    /// `open`, `left`, `failed`, or `caught`: it failed, and the workflow went on elsewhere.
    pub end: &'static str,
    /// Retries of its task.
    pub retries: u32,
    /// The last error's name.
    pub error: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub input: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output: Option<String>,
}

impl State {
    /// `payloads` keeps input and output.
    pub fn of(visit: Visit, payloads: bool) -> Self {
        Self {
            name: visit.name,
            entered_at: visit.entered_at,
            left_at: visit.left_at,
            end: match visit.status {
                Status::Running | Status::Waiting => "open",
                Status::Succeeded => "left",
                Status::Caught => "caught",
                Status::Failed | Status::Aborted => "failed",
            },
            retries: visit.retries,
            error: visit.error,
            input: visit.input.filter(|_| payloads),
            output: visit.output.filter(|_| payloads),
        }
    }
}

/// The state of a route, with its sentence.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Verdict {
    /// None for a message without a route, or a refused one.
    pub route: Option<String>,
    #[serde(flatten)]
    pub state: RouteState,
    /// The state in words.
    pub sentence: String,
}

/// The state of a message on one route.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum RouteState {
    /// Its result is published.
    Published {
        /// How the workflow ended, where known.
        status: Option<String>,
        /// None where only the ledger has it.
        at: Option<i64>,
        to: Vec<String>,
        claims: i64,
    },
    /// The workflow runs.
    Running { since: i64 },
    /// The workflow was started; its outcome is unknown.
    Started { at: i64 },
    /// An EXPRESS workflow was started, which keeps no history.
    Express { at: i64 },
    /// The workflow ended, and its result is not published.
    Unpublished {
        status: String,
        ended_at: i64,
        ledger: Option<String>,
    },
    /// The workflow ended, and there is nothing to publish.
    Silent { status: String, ended_at: i64 },
    /// The result is a dead letter.
    ResultDead {
        reason: String,
        since: i64,
        error: Option<String>,
    },
    /// The message is an event on a bus.
    OnTheBus { at: i64 },
    /// The message answered a workflow that waited.
    Resumed { at: i64 },
    /// The message stopped an execution.
    Stopped { at: i64 },
    /// The message came too late to answer a workflow, or to stop one.
    Closed { at: i64 },
    /// It is parked.
    Waits {
        since: i64,
        tries: u32,
        next_by: i64,
        error: Option<String>,
    },
    /// It is a dead letter.
    Dead {
        reason: String,
        since: i64,
        error: Option<String>,
        gone: bool,
    },
    /// It was not stored, and the sender got an error.
    NotStored { at: i64 },
    /// Refused by the webhook.
    Refused { at: i64, code: String },
    /// An outcome of a newer version.
    Other { at: i64, outcome: String },
}

/// A link to details.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Link {
    pub what: String,
    /// The address of a page.
    pub to: String,
}
