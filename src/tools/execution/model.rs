//! An execution as its graph, table and events show it. Times are ms since the epoch.

use std::collections::{BTreeMap, HashMap};

use crate::tools::drawing::asl::Machine;

/// An execution: its definition, joined with its history so far.
#[derive(Debug)]
pub struct View {
    /// The definition; the reason where it cannot be drawn.
    pub machine: Result<Machine, String>,
    /// In the order in which the states were entered.
    pub visits: Vec<Visit>,
    /// The innermost visit that failed the execution: an index into `visits`.
    pub failing: Option<usize>,
    /// By the events alone.
    pub status: Ending,
    /// The execution's own error and cause.
    pub error: Option<String>,
    pub cause: Option<String>,
    /// Whether the history has more events than these.
    pub more: bool,
    /// Each state of the definition by its name.
    pub states: BTreeMap<String, Summary>,
    /// The visit of each event, by the event's id.
    pub(super) visit_of: HashMap<i64, usize>,
}

/// One entry into a state.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Visit {
    /// The id of the event of its entry.
    pub id: i64,
    pub name: String,
    /// The enclosing Map iterations and Parallel branches, outermost first.
    pub path: Vec<Step>,
    /// Its type, as ASL spells it: `Task`, `Map` …
    pub kind: String,
    pub status: Status,
    pub entered_at: i64,
    pub left_at: Option<i64>,
    /// Attempts beyond the first.
    pub retries: u32,
    /// Of its task, or of the whole Map or Parallel.
    pub attempts: Vec<Attempt>,
    pub input: Option<String>,
    /// The arguments of its task, as the service got them.
    pub arguments: Option<String>,
    /// The output of its task.
    pub result: Option<String>,
    pub output: Option<String>,
    /// The variables that it assigned, each as JSON.
    pub variables: BTreeMap<String, String>,
    /// The name of the last error.
    pub error: Option<String>,
    pub cause: Option<String>,
    /// The field whose value could not be computed, such as `Arguments/Text`.
    pub field: Option<String>,
    /// The expression or path at that field.
    pub expression: Option<String>,
    pub resource: Option<String>,
    /// The token that answers a waiting task, where its arguments have it.
    pub token: Option<String>,
    /// The Map Run of a distributed Map. Its iterations are executions of their own.
    pub map_run: Option<String>,
    /// The iterations of a Map.
    pub items: Option<Items>,
    /// Whether it was inferred from its task's resource: the local emulator records no entries into inner states.
    pub inferred: bool,
}

/// The status of an execution by its events.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Ending {
    #[default]
    Running,
    Succeeded,
    Failed,
    TimedOut,
    Aborted,
}

/// A Map iteration or Parallel branch, from 0.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Step {
    /// The Map or Parallel state.
    pub state: String,
    pub index: i64,
}

/// The state of a visit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Status {
    Succeeded,
    /// It failed, and the workflow went on elsewhere.
    Caught,
    /// It ended because another state failed, or the execution was stopped.
    Aborted,
    /// It waits for a time, a task token or a worker.
    Waiting,
    #[default]
    Running,
    Failed,
}

/// One try of a task.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Attempt {
    pub scheduled_at: i64,
    pub ended_at: Option<i64>,
    pub error: Option<String>,
    pub cause: Option<String>,
}

/// The iterations of a Map so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Items {
    pub total: i64,
    pub succeeded: i64,
    pub failed: i64,
    pub aborted: i64,
}

/// A state of the definition, over all its visits.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    pub reach: Reach,
    pub visits: u32,
    pub retries: u32,
    /// The visit to open: the failing one, else the last with the worst status; an index into `View::visits`.
    pub open: Option<usize>,
    /// In words: `succeeded`, or `3 of 5 succeeded, 1 failed, 1 running`.
    pub words: String,
    /// In at most three words and two numbers: `succeeded`, or `1 of 5 failed`.
    pub short: String,
}

/// Whether and how far a state was reached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Reach {
    #[default]
    NotReached,
    /// Its Map or Parallel was entered, but the history has no entries into inner states: the local emulator, and
    /// distributed Maps.
    NotRecorded,
    /// The worst last status among its iterations.
    Reached(Status),
}

/// An event as a row of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventRow {
    pub id: i64,
    pub at: i64,
    /// Its type, such as `TaskStateEntered`.
    pub kind: String,
    /// The state, where it belongs to one.
    pub state: Option<String>,
    /// The id of that state's visit.
    pub visit: Option<i64>,
    /// One line: the error, the resource, the iteration …
    pub summary: String,
    /// All details as indented JSON.
    pub details: String,
}

impl Status {
    /// In words, for people; its CSS class, too.
    pub fn word(self) -> &'static str {
        match self {
            Self::Succeeded => "succeeded",
            Self::Caught => "caught",
            Self::Aborted => "aborted",
            Self::Waiting => "waiting",
            Self::Running => "running",
            Self::Failed => "failed",
        }
    }
}
