//! The ports of the domain, implemented by the adapters. Nothing here names an SDK.

use std::collections::{BTreeMap, HashSet};
use std::pin::Pin;
use std::time::Duration;

use futures_util::stream::BoxStream;
use serde::{Deserialize, Serialize};

use crate::domain::fault::Fault;

/// The future result of a call.
pub type Answer<'a, T> = Pin<Box<dyn Future<Output = Result<T, Fault>> + Send + 'a>>;

/// Step Functions, for the webhook.
pub trait Workflows: Send + Sync {
    /// Starts an execution. A name already in use gives [`Started::Already`], not a fault. `trace` is the header
    /// `X-Amzn-Trace-Id`.
    fn start<'a>(&'a self, execution: &'a NewExecution<'a>, trace: &'a str) -> Answer<'a, Started>;
}

/// Step Functions, for answers to waiting tasks.
pub trait Tasks: Send + Sync {
    /// Sends the result of the task waiting on this token.
    fn answer<'a>(&'a self, answer: &'a TaskAnswer) -> Answer<'a, Resumed>;
}

/// Step Functions, for the end of running executions.
pub trait Stopping: Send + Sync {
    /// Stops an execution. One that has ended, or never started, gives [`Stopped::Closed`], not a fault.
    fn stop<'a>(&'a self, request: &'a StopRequest) -> Answer<'a, Stopped>;
}

/// Step Functions, for the completion.
pub trait Executions: Send + Sync {
    fn describe<'a>(&'a self, execution: &'a str) -> Answer<'a, Described>;
}

/// EventBridge.
pub trait EventBus: Send + Sync {
    /// Puts one event, and checks that its entry was taken.
    ///
    /// `trace` is the header `X-Amzn-Trace-Id` for the event's receivers, at most 500 characters.
    fn put<'a>(&'a self, event: &'a NewEvent<'a>, trace: Option<&'a str>) -> Answer<'a, ()>;
}

/// An SQS queue.
pub trait Queue: Send + Sync {
    fn send<'a>(&'a self, body: &'a str) -> Answer<'a, ()>;
}

/// The depth of an SQS queue.
pub trait Backlog: Send + Sync {
    /// Approximate number of messages available now, without those in flight or delayed.
    fn waiting(&self) -> Answer<'_, u64>;
}

/// Received messages of an SQS queue.
pub trait Receipts: Send + Sync {
    /// Hides a received message for `delay`, at most 12 hours; then it is received again.
    fn postpone<'a>(&'a self, receipt: &'a str, delay: Duration) -> Answer<'a, ()>;
}

/// The progress of events with publications.
pub trait Ledger: Send + Sync {
    /// Leases the event to `owner` until `lease_until_ms`, unless it is done or leased to another owner. The owner may
    /// repeat the call after a lost response.
    fn begin<'a>(&'a self, id: &'a str, owner: &'a str, lease_until_ms: i64) -> Answer<'a, Lease>;

    /// Marks the event as done: nothing is left to publish.
    fn finish<'a>(&'a self, id: &'a str) -> Answer<'a, ()>;

    /// Releases the event for its next owner, with the publications so far.
    fn release<'a>(
        &'a self,
        id: &'a str,
        owner: &'a str,
        published: &'a [String],
    ) -> Answer<'a, ()>;
}

/// The lists of Step Functions.
pub trait Listing: Send + Sync {
    /// A page of a state machine's executions, the latest start first.
    fn list<'a>(
        &'a self,
        state_machine: &'a str,
        next_token: Option<&'a str>,
    ) -> Answer<'a, ExecutionPage>;
}

/// Step Functions, for the sweep.
pub trait Sweeping: Listing {
    /// A page of a state machine's open executions, the latest start first.
    fn list_open<'a>(
        &'a self,
        state_machine: &'a str,
        next_token: Option<&'a str>,
    ) -> Answer<'a, ExecutionPage>;

    /// One execution; `None` if Step Functions no longer has it.
    fn look<'a>(&'a self, execution: &'a str) -> Answer<'a, Option<Listed>>;
}

/// The table behind the [`Ledger`], for the sweep.
pub trait Register: Send + Sync {
    /// The existing ones of at most 100 distinct ids.
    fn known<'a>(&'a self, ids: &'a [String]) -> Answer<'a, HashSet<String>>;

    /// Adds the id of an event on its way to the completion, unless it exists.
    fn mark<'a>(&'a self, id: &'a str) -> Answer<'a, ()>;

    /// The text last saved under a key.
    fn load<'a>(&'a self, key: &'a str) -> Answer<'a, Option<String>>;

    fn save<'a>(&'a self, key: &'a str, text: &'a str) -> Answer<'a, ()>;
}

/// The same table, where one of several writers succeeds.
pub trait Exclusive: Register {
    /// Saves a text under a key in place of `previous`; `false` if another text is there. The call may be repeated after a
    /// lost response.
    fn replace<'a>(
        &'a self,
        key: &'a str,
        text: &'a str,
        previous: Option<&'a str>,
    ) -> Answer<'a, bool>;
}

/// A routes document in an SSM parameter.
pub trait RoutesDocument: Send + Sync {
    fn read(&self) -> Answer<'_, String>;
}

/// The SSM parameters with the routes of other stacks.
pub trait RouteParameters: Send + Sync {
    /// A page of the parameters under the path; `token` is that of the page before.
    fn page(&self, token: Option<String>) -> Answer<'_, ParameterPage>;
}

/// The collected routes, in one item of the table.
pub trait CompiledRoutes: Send + Sync {
    /// The latest version; `None` before the first collection. A read that is not `consistent` costs half, and may miss
    /// the writes of the last second.
    fn load(&self, consistent: bool) -> Answer<'_, Option<Compiled>>;

    /// Writes a version in place of the previous one; `false` if another version has replaced that meanwhile.
    fn save<'a>(&'a self, compiled: &'a Compiled, previous: Option<u64>) -> Answer<'a, bool>;
}

/// Secrets Manager.
pub trait Secrets: Send + Sync {
    /// The secret's text at a stage; `None` without such a version.
    fn fetch(&self, stage: Stage) -> Answer<'_, Option<String>>;
}

/// Momento Topics.
pub trait Topics: Send + Sync {
    fn publish<'a>(&'a self, cache: &'a str, topic: &'a str, value: &'a str) -> Answer<'a, ()>;
}

/// Subscriptions to Momento Topics.
pub trait Subscriptions: Send + Sync {
    /// Subscribes. The stream begins with the next publication.
    fn listen<'a>(&'a self, cache: &'a str, topic: &'a str) -> Answer<'a, Subscription>;
}

/// The texts of a topic, as they come, without binary values. After an interruption some may be missing or repeated.
pub type Subscription = BoxStream<'static, String>;

/// Items of a Momento cache.
pub trait Items: Send + Sync {
    /// Stores a value for `ttl`, replacing the old one. A value over the cache's limit gives [`Fault::TOO_LARGE`].
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
    /// Stores a value and returns its URL, readable by anyone for `ttl`.
    fn store<'a>(&'a self, key: &'a str, value: &'a str, ttl: Duration) -> Answer<'a, String>;
}

/// An SSM parameter with a route or a routes document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parameter {
    pub name: String,
    pub version: i64,
    pub value: String,
    /// Of the type SecureString, so that `value` is encrypted.
    pub is_secure: bool,
}

/// A page of parameters.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ParameterPage {
    pub parameters: Vec<Parameter>,
    /// The token of the next page; `None` at the end.
    pub next_token: Option<String>,
}

/// A document without routes.
pub const NO_ROUTES: &str = r#"{"routes":[]}"#;

/// The collected routes. The default is none, before the first collection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Compiled {
    /// Grows with each change.
    pub version: u64,
    /// A routes document without problems.
    pub document: String,
    /// The states of the parameters, by their names.
    pub parameters: BTreeMap<String, ParameterState>,
    /// The names of refused routes that `ROUTES` had, too. Once `ROUTES` gives one up, the next collection takes it.
    pub taken: Vec<String>,
}

impl Default for Compiled {
    fn default() -> Self {
        Self {
            version: 0,
            document: NO_ROUTES.to_owned(),
            parameters: BTreeMap::new(),
            taken: Vec::new(),
        }
    }
}

/// The state of a parameter with routes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
pub struct ParameterState {
    /// The parameter's version in use; 0 for none.
    pub version: i64,
    /// The names of its routes in use.
    pub routes: Vec<String>,
    /// A later version that was refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<Refusal>,
}

/// A refused version of a parameter.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct Refusal {
    pub version: i64,
    /// Expected, found, remedy.
    pub problem: String,
}

/// The result of StartExecution.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Started {
    Now,
    /// An execution of that name already existed.
    Already,
}

/// The result of SendTaskSuccess or SendTaskFailure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resumed {
    Now,
    /// The task no longer waits: it was answered before, or its time was over.
    Closed,
}

/// A call of StopExecution.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StopRequest {
    /// The execution's ARN.
    pub execution: String,
    pub error: Option<String>,
    pub cause: Option<String>,
}

/// The result of StopExecution.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stopped {
    Now,
    /// The execution had ended before, or never started.
    Closed,
}

/// The result of leasing an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lease {
    /// Leased; these publications were made before.
    Yours { published: Vec<String> },
    /// Nothing is left to publish.
    Done,
    /// Leased to another owner, until then (ms since the epoch).
    Busy { until_ms: i64 },
}

/// Details from DescribeExecution that a status change may lack. They are eventually consistent, so they may be older than
/// the event; after a redrive they may be newer.
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
    /// The token of the next page, valid for 24 hours; `None` at the end of the list.
    pub next_token: Option<String>,
}

/// An execution in ListExecutions. Times are ms since the epoch.
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

/// A call of StartExecution.
#[derive(Clone, Debug)]
pub struct NewExecution<'a> {
    /// ARN of a state machine, a version or an alias.
    pub state_machine: &'a str,
    pub name: String,
    /// JSON, at most 256 KiB.
    pub input: String,
}

/// A call of PutEvents with one entry.
#[derive(Clone, Debug)]
pub struct NewEvent<'a> {
    /// Name or ARN.
    pub bus: &'a str,
    pub source: &'a str,
    pub detail_type: String,
    /// A JSON object.
    pub detail: String,
}

/// A call of SendTaskSuccess or SendTaskFailure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaskAnswer {
    pub token: String,
    pub verdict: Verdict,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The task's output, as JSON.
    Success(String),
    Failure {
        error: String,
        cause: Option<String>,
    },
}

/// The version of a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    Current,
    Previous,
}
