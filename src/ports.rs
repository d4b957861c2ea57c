//! What the domain asks of the outside world. The adapters implement these; nothing here names an SDK.

use std::collections::HashSet;
use std::fmt;
use std::pin::Pin;
use std::time::Duration;

use futures_util::stream::BoxStream;

use crate::input::ExecutionInput;
use crate::resume::TaskAnswer;

/// The answer of a call.
pub type Answer<'a, T> = Pin<Box<dyn Future<Output = Result<T, Fault>> + Send + 'a>>;

/// Step Functions, as the webhook uses it.
pub trait Workflows: Send + Sync {
    /// Starts an execution. A name that was used before is an [`Started::Already`], not a fault.
    fn start<'a>(&'a self, execution: NewExecution<'a>) -> Answer<'a, Started>;
}

/// Step Functions, as whoever answers a task that waits.
pub trait Tasks: Send + Sync {
    /// Tells the task that waits on this token how it ended.
    fn answer<'a>(&'a self, answer: &'a TaskAnswer) -> Answer<'a, Resumed>;
}

/// Step Functions, as the completion uses it.
pub trait Executions: Send + Sync {
    fn describe<'a>(&'a self, execution: &'a str) -> Answer<'a, Described>;
}

/// EventBridge.
pub trait EventBus: Send + Sync {
    /// Puts one event, and reads whether that one was taken.
    fn put<'a>(&'a self, event: Event<'a>) -> Answer<'a, ()>;
}

/// A queue of SQS.
pub trait Queue: Send + Sync {
    fn send<'a>(&'a self, body: &'a str) -> Answer<'a, ()>;
}

/// A queue of SQS, as somebody who asks how much is in it.
pub trait Backlog: Send + Sync {
    /// About how many messages wait to be received; those that were received and come again later are not among them.
    fn waiting(&self) -> Answer<'_, u64>;
}

/// A queue of SQS, as the one who receives from it.
pub trait Receipts: Send + Sync {
    /// Lets a received message come again after `delay`, at most 12 hours.
    fn postpone<'a>(&'a self, receipt: &'a str, delay: Duration) -> Answer<'a, ()>;
}

/// What is known of the events that ask for publications.
pub trait Ledger: Send + Sync {
    /// Gives the event to `owner` until `lease_until_ms`, unless it is done or somebody else has it. Whoever has it already is
    /// told so: an answer may have been lost.
    fn begin<'a>(&'a self, id: &'a str, owner: &'a str, lease_until_ms: i64) -> Answer<'a, Begun>;

    /// Marks the event as done: nothing of it needs to be published any more.
    fn finish<'a>(&'a self, id: &'a str) -> Answer<'a, ()>;

    /// Gives the event back with what was published of it, for whoever takes it next.
    fn give_back<'a>(
        &'a self,
        id: &'a str,
        owner: &'a str,
        published: &'a [String],
    ) -> Answer<'a, ()>;
}

/// Step Functions, as the sweep uses it.
pub trait Listing: Send + Sync {
    /// A page of the executions of a state machine, those that started last first.
    fn list<'a>(
        &'a self,
        state_machine: &'a str,
        next_token: Option<&'a str>,
    ) -> Answer<'a, ExecutionPage>;
}

/// The table behind the [`Ledger`], as the sweep uses it.
pub trait Register: Send + Sync {
    /// Which of at most 100 ids, all different, are there.
    fn known<'a>(&'a self, ids: &'a [String]) -> Answer<'a, HashSet<String>>;

    /// Puts an id there, as that of an event on its way to the completion, unless it is there.
    fn mark<'a>(&'a self, id: &'a str) -> Answer<'a, ()>;

    /// The text that was saved under a key last.
    fn load<'a>(&'a self, key: &'a str) -> Answer<'a, Option<String>>;

    fn save<'a>(&'a self, key: &'a str, text: &'a str) -> Answer<'a, ()>;
}

/// Secrets Manager.
pub trait Secrets: Send + Sync {
    /// The secret's text at a stage; `None` where there is no such version.
    fn fetch(&self, stage: Stage) -> Answer<'_, Option<String>>;
}

/// Momento Topics.
pub trait Topics: Send + Sync {
    fn publish<'a>(&'a self, cache: &'a str, topic: &'a str, value: &'a str) -> Answer<'a, ()>;
}

/// Momento Topics, as somebody who listens.
pub trait TopicsHeard: Send + Sync {
    /// Subscribes: what is published from now on is heard.
    fn listen<'a>(&'a self, cache: &'a str, topic: &'a str) -> Answer<'a, Heard>;
}

/// The texts of a topic, as they come. Binary values are left out; after an interruption some may be missing or come twice.
pub type Heard = BoxStream<'static, String>;

/// Items of a Momento cache.
pub trait Items: Send + Sync {
    /// Stores a value for `ttl`, in place of what was there. One over the cache's limit is [`Fault::TOO_LARGE`].
    fn store<'a>(
        &'a self,
        cache: &'a str,
        key: &'a str,
        value: &'a str,
        ttl: Duration,
    ) -> Answer<'a, ()>;
}

/// Objects of an S3 bucket.
pub trait Objects: Send + Sync {
    /// Stores a value, and returns a URL that gives it to anyone for `ttl`.
    fn store<'a>(&'a self, key: &'a str, value: &'a str, ttl: Duration) -> Answer<'a, String>;
}

/// What StartExecution did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Started {
    Now,
    /// There was an execution of that name already.
    Already,
}

/// What SendTaskSuccess or SendTaskFailure did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resumed {
    Now,
    /// The task does not wait any more: it was answered before, or its time was over.
    Closed,
}

/// Whether an event may be worked on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Begun {
    /// Go on; these publications of it were done before.
    Yours { published: Vec<String> },
    /// Everything was published.
    Done,
    /// Another invocation has it, until then (ms since the epoch).
    Busy { until_ms: i64 },
}

/// What DescribeExecution knows that a status change may have left out. It is eventually consistent, so this may be older than
/// the event; after a redrive it may be newer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Described {
    /// As Step Functions writes it: `SUCCEEDED`.
    pub status: String,
    pub redrive_count: u32,
    pub input: Option<String>,
    pub output: Option<String>,
    pub error: Option<String>,
    pub cause: Option<String>,
}

/// A page of ListExecutions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ExecutionPage {
    pub executions: Vec<Listed>,
    /// What gets the next page, within 24 hours; `None` at the end of the list.
    pub next_token: Option<String>,
}

/// What ListExecutions tells of an execution. Times are ms since the epoch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    pub execution_arn: String,
    pub name: String,
    /// `RUNNING`, `SUCCEEDED` and so on.
    pub status: String,
    /// Of the first start: a redrive changes the stop and the count only.
    pub started_at: i64,
    pub stopped_at: Option<i64>,
    pub redrive_count: u32,
}

/// An execution to start.
#[derive(Clone, Copy, Debug)]
pub struct NewExecution<'a> {
    pub state_machine: &'a str,
    pub name: &'a str,
    pub input: &'a ExecutionInput<'a>,
    /// The header `X-Amzn-Trace-Id`.
    pub trace: &'a str,
}

/// An event to put on a bus.
#[derive(Clone, Copy, Debug)]
pub struct Event<'a> {
    pub bus: &'a str,
    pub source: &'a str,
    pub detail_type: &'a str,
    /// A JSON object.
    pub detail: &'a str,
    /// The header `X-Amzn-Trace-Id` for whoever gets it, at most 500 characters.
    pub trace: Option<&'a str>,
}

/// Which version of a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    Current,
    Previous,
}

/// A call that did not do what it was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    pub kind: FaultKind,
    /// The service's name for it, such as `StateMachineDoesNotExist`.
    pub code: String,
    /// The service's words, without any of the request's content.
    pub text: String,
}

/// Whether asking again can help.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultKind {
    /// Throttled, unavailable, or without an answer in time: the call may even have worked.
    Transient,
    /// Nothing helps within seconds, but somebody may mend it: a key or a secret that is wrong.
    Later,
    /// The same request will be refused again.
    Permanent,
}

impl Fault {
    /// The code of a permanent fault of storing: the value is over a limit of the service.
    pub const TOO_LARGE: &'static str = "TooLarge";

    pub fn transient(code: impl Into<String>, text: impl Into<String>) -> Self {
        Self {
            kind: FaultKind::Transient,
            code: code.into(),
            text: text.into(),
        }
    }

    pub fn later(code: impl Into<String>, text: impl Into<String>) -> Self {
        Self {
            kind: FaultKind::Later,
            code: code.into(),
            text: text.into(),
        }
    }

    pub fn permanent(code: impl Into<String>, text: impl Into<String>) -> Self {
        Self {
            kind: FaultKind::Permanent,
            code: code.into(),
            text: text.into(),
        }
    }

    /// No answer before the deadline.
    pub fn timed_out() -> Self {
        Self::transient("TimedOut", "no answer in time")
    }
}

impl std::error::Error for Fault {}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code, self.text)
    }
}
