//! The sources of a trace.

use super::lines::Line;
use super::model::{Entry, Failure, Part, State};
use crate::domain::ports::Answer;
use crate::tools::letters::{Dead, DeadQueue};

/// A range of time, in ms since the epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    pub since: i64,
    pub until: i64,
}

/// A search in logs. The result may hold other lines, too.
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
    /// None for an unknown or deleted execution.
    fn execution<'a>(&'a self, arn: &'a str) -> Answer<'a, Option<Execution>>;

    /// The states that an execution entered, in order, and where it failed.
    fn states<'a>(
        &'a self,
        arn: &'a str,
        payloads: bool,
    ) -> Answer<'a, (Vec<State>, Option<Failure>)>;

    fn is_express<'a>(&'a self, state_machine: &'a str) -> Answer<'a, bool>;
}

/// The ledger.
pub trait Entries: Send + Sync {
    /// None for an end without an entry.
    fn entry<'a>(&'a self, id: &'a str) -> Answer<'a, Option<Entry>>;
}

/// The queues.
pub trait Letters: Send + Sync {
    /// The letters of a dead-letter queue that match `wanted`. They stay there.
    fn find<'a>(
        &'a self,
        queue: DeadQueue,
        wanted: &'a (dyn Fn(&Dead) -> bool + Send + Sync),
    ) -> Answer<'a, Found>;

    /// The approximate depth of the parking queue.
    fn parked(&self) -> Answer<'_, u64>;
}

/// All sources.
#[derive(Clone, Copy)]
pub struct Sources<'a> {
    pub logs: &'a dyn Logs,
    pub workflows: &'a dyn Workflows,
    pub ledger: &'a dyn Entries,
    pub letters: &'a dyn Letters,
}

/// The result of DescribeExecution.
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

/// The result of a search in a dead-letter queue.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    pub letters: Vec<Dead>,
    /// Whether the whole queue was searched.
    pub all: bool,
}
