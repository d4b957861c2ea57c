//! Whom a trace asks.

use super::lines::Line;
use super::model::{Entry, Part, State};
use crate::ports::Answer;

/// A time to look at, in ms since the epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    pub since: i64,
    pub until: i64,
}

/// What to look for in logs, whose answers may hold more than was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Needle {
    /// The digits of an id, or the name of an execution.
    Text(String),
    /// The arrival of a message with this number.
    Number(u64),
}

/// The functions' logs.
pub trait Logs: Send + Sync {
    fn find<'a>(&'a self, part: Part, needle: &'a Needle, window: Window) -> Answer<'a, Vec<Line>>;
}

/// Step Functions.
pub trait Workflows: Send + Sync {
    /// None where there is no such execution, or not any more.
    fn execution<'a>(&'a self, arn: &'a str) -> Answer<'a, Option<Execution>>;

    /// The states that an execution entered, in order.
    fn states<'a>(&'a self, arn: &'a str, payloads: bool) -> Answer<'a, Vec<State>>;

    fn is_express<'a>(&'a self, state_machine: &'a str) -> Answer<'a, bool>;
}

/// The ledger.
pub trait Entries: Send + Sync {
    /// None for an end that nobody took.
    fn entry<'a>(&'a self, id: &'a str) -> Answer<'a, Option<Entry>>;
}

/// The queues.
pub trait Letters: Send + Sync {
    /// The letters of a dead-letter queue that `wanted` takes. They stay there.
    fn find<'a>(
        &'a self,
        queue: DeadQueue,
        wanted: &'a (dyn Fn(&Dead) -> bool + Send + Sync),
    ) -> Answer<'a, Found>;

    /// About how many messages are parked.
    fn parked(&self) -> Answer<'_, u64>;
}

/// All of them.
#[derive(Clone, Copy)]
pub struct Sources<'a> {
    pub logs: &'a dyn Logs,
    pub workflows: &'a dyn Workflows,
    pub ledger: &'a dyn Entries,
    pub letters: &'a dyn Letters,
}

/// A dead-letter queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeadQueue {
    Messages,
    Results,
}

/// What DescribeExecution tells.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Execution {
    pub state_machine: String,
    pub status: String,
    pub started_at: i64,
    pub stopped_at: Option<i64>,
    pub redrives: u32,
    pub error: Option<String>,
    pub cause: Option<String>,
    pub input: Option<String>,
}

/// A dead letter.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Dead {
    /// Of the message; for a result, of its event.
    pub id: String,
    pub route: Option<String>,
    /// None for what is no letter.
    pub reason: Option<String>,
    pub detail: Option<String>,
    pub attempts: Option<u32>,
    /// The last attempt.
    pub at_ms: i64,
    pub message: Option<Origin>,
    /// The execution whose end it is.
    pub execution: Option<String>,
}

/// What a message says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Origin {
    pub cache: String,
    pub topic: String,
    pub number: u64,
    pub published_at: i64,
    pub token_id: Option<String>,
}

/// What was found in a dead-letter queue.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    pub letters: Vec<Dead>,
    /// Whether the whole queue was looked at.
    pub all: bool,
}
