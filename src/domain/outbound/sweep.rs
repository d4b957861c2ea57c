//! Finds ended executions whose event was lost: AWS sends status changes best effort.
//!
//! A *pass* lists a state machine's executions from the newest start down to a floor, below which all have ended and were
//! looked up. An end unknown to the ledger is queued for the completion, as an event like EventBridge's. Progress is saved
//! after every page, so an interrupted pass continues later.
//!
//! - Known means received: the completion enters every event into the ledger, whatever its outcome, and an unpublished event
//!   is in its queue or in the dead letters.
//! - Unknown does not mean lost while messages wait for the completion: the event may be among them. Ends of the last six
//!   hours are then left to a later pass. Older ones are queued all the same, since a permanent backlog must not hide a
//!   loss; the ledger has the completion publish once. Messages in flight do not count as waiting. So if the completion
//!   fails before using the ledger, the few in flight may be taken for lost, to the same effect.
//! - A new deployment publishes nothing old. Of the ends before a state machine's first sweep, only those of the last hour
//!   count, and of these only executions named by the bridge, by a current route. So some ends before the first sweep are
//!   not found: of executions with other names, for a `payload` route; and, with `SweepMinutes` over 60, of the bridge's own
//!   more than an hour before it. A state machine not swept for 15 days counts as new; one unrouted for less continues where
//!   it was, and its ends meanwhile are found.
//! - A find is sent first and marked second: a crash in between repeats it, and the ledger has the completion publish once.

mod budget;
mod cursor;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use ring::digest::{SHA256, digest};
use serde_json::json;
use tokio::time::Instant;

pub use budget::Budget;
pub use cursor::{Cursor, Reach};

use crate::domain::fault::{Fault, FaultKind};
use crate::domain::inbound::execution_name::{id_in_name, is_named_after};
use crate::domain::outbound::ledger::ledger_id;
use crate::domain::ports::{Answer, Backlog, ExecutionPage, Listed, Listing, Queue, Register};
use crate::domain::retry::{RetryPolicy, retry};
use crate::telemetry::metrics::{Measurements, Metric};

/// Time limit of one call of ListExecutions, retries included.
const LIST_WITHIN: Duration = Duration::from_secs(10);
/// Time limit for loading a cursor, and for saving it, even past the deadline.
pub const SAVE_WITHIN: Duration = Duration::from_secs(2);
/// The grace during a backlog. Longer than most outages, and well within the day of recent passes.
const BACKLOG_GRACE: Duration = Duration::from_secs(6 * 3600);
/// Most keys of a BatchGetItem.
const LOOKED_UP_AT_ONCE: usize = 100;
const SENT_AT_ONCE: usize = 10;

/// The sweep's ports and settings.
pub struct Sweep {
    pub listing: Arc<dyn Listing>,
    pub register: Arc<dyn Register>,
    /// The queue of the completion.
    pub completions: Arc<dyn Queue>,
    /// The depth of the same queue.
    pub backlog: Arc<dyn Backlog>,
    /// How long the event of an end may take to arrive.
    pub grace: Duration,
}

/// A state machine with one of its cursors.
#[derive(Clone, Debug)]
pub struct Job {
    /// An unqualified ARN.
    pub state_machine: String,
    /// Names of the routes to it.
    pub routes: Vec<String>,
    pub reach: Reach,
    pub cursor: Cursor,
}

impl Job {
    /// The route in an execution's name.
    fn route_of(&self, name: &str) -> Option<&str> {
        let mut routes = self.routes.iter().map(String::as_str);
        routes.find(|route| is_named_after(name, route))
    }
}

/// The end of a turn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Turn {
    /// The pass is complete.
    Complete,
    /// The time was up.
    Cut,
    /// ListExecutions was throttled, or did not answer.
    Throttled(Fault),
    /// The state machine has no list: it is EXPRESS, and sends no status changes either.
    Unlisted,
}

/// Why a turn failed. The next one may continue from the same page.
#[derive(Debug, thiserror::Error)]
pub enum Failed {
    #[error(
        "could not list the executions: {0}; does the state machine exist, and may the sweep list it?"
    )]
    List(Fault),
    #[error(
        "could not use the ledger's table: {0}; does the table of `LEDGER_TABLE` exist, and may the sweep call GetItem, BatchGetItem and PutItem on it?"
    )]
    Table(Fault),
    #[error(
        "could not read the depth of the completion's queue: {0}; may the sweep call GetQueueAttributes on the queue of `COMPLETIONS_QUEUE_URL`? Until it can, it skips the ends of the last six hours"
    )]
    Backlog(Fault),
    #[error(
        "could not queue an execution for the completion: {0}; does the queue of `COMPLETIONS_QUEUE_URL` exist, and may the sweep call SendMessage on it?"
    )]
    Queue(Fault),
    #[error(
        "expected a cursor under `{key}` in the ledger's table, found another text ({found}); delete the item to begin anew"
    )]
    Cursor { key: String, found: String },
}

/// Counts for the log.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Tally {
    pub pages: usize,
    pub executions: usize,
    pub found: usize,
    pub measured: Measurements,
}

impl Sweep {
    /// The job of a state machine (an unqualified ARN) with its saved cursor, or with a first one, saved at once to date the
    /// first sweep.
    ///
    /// # Errors
    ///
    /// When the table cannot be used, or its text is not a cursor.
    pub async fn job(
        &self,
        state_machine: &str,
        routes: &[String],
        reach: Reach,
        now: i64,
    ) -> Result<Job, Failed> {
        let key = reach.key(state_machine);
        let policy = RetryPolicy::until(Instant::now() + SAVE_WITHIN);
        let (saved, _) = retry(policy, || self.register.load(&key)).await;
        let job = |cursor| Job {
            state_machine: state_machine.to_owned(),
            routes: routes.to_vec(),
            reach,
            cursor,
        };
        if let Some(text) = saved.map_err(Failed::Table)? {
            let cursor: Cursor = serde_json::from_str(&text).map_err(|e| Failed::Cursor {
                key,
                found: e.to_string(),
            })?;
            if !cursor.is_forgotten(now) {
                return Ok(job(cursor));
            }
            tracing::info!(
                state_machine.arn = state_machine,
                "no sweep listed it for 15 days; its ends meanwhile are skipped"
            );
        }
        let job = job(Cursor::first(reach, now));
        self.save(&job).await?;
        Ok(job)
    }

    /// Approximate number of messages waiting for the completion.
    ///
    /// # Errors
    ///
    /// When the queue does not answer.
    pub async fn waiting(&self) -> Result<u64, Failed> {
        let policy = RetryPolicy::until(Instant::now() + SAVE_WITHIN);
        let (waiting, _) = retry(policy, || self.backlog.waiting()).await;
        waiting.map_err(Failed::Backlog)
    }

    /// How long the event of an end may take to arrive with so many messages waiting for the completion; `None` if unknown.
    pub fn grace(&self, waiting: Option<u64>) -> Duration {
        match waiting {
            Some(0) => self.grace,
            _ => self.grace.max(BACKLOG_GRACE),
        }
    }

    /// Continues the job's pass, or begins one, until it is complete or the time is up. Ends of the last `grace` are left to
    /// a later pass.
    ///
    /// # Errors
    ///
    /// When an operator has to correct something, for example a permission.
    pub async fn turn(
        &self,
        job: &mut Job,
        grace: Duration,
        budget: &mut Budget,
        tally: &mut Tally,
    ) -> Result<Turn, Failed> {
        let grace = i64::try_from(grace.as_millis()).unwrap_or(i64::MAX / 2);
        loop {
            if !budget.call().await {
                return Ok(Turn::Cut);
            }
            let position = job.cursor.position(budget.now_ms());
            let token = position.next_token.as_deref();
            let page = match self.page(&job.state_machine, token, budget).await {
                Ok(page) => page,
                // Expired or invalid: begin again with the newest.
                Err(fault) if fault.code == "InvalidToken" && token.is_some() => {
                    job.cursor.pass = None;
                    continue;
                }
                Err(fault) if fault.code == "StateMachineTypeNotSupported" => {
                    return Ok(Turn::Unlisted);
                }
                Err(fault) if fault.kind == FaultKind::Permanent => {
                    return Err(Failed::List(fault));
                }
                Err(_) if budget.is_over() => return Ok(Turn::Cut),
                Err(fault) => return Ok(Turn::Throttled(fault)),
            };
            tally.pages += 1;
            tally.executions += page.executions.len();
            let is_named = |name: &str| job.route_of(name).is_some();
            let cursor = &job.cursor;
            let (ended, after) = cursor.take(job.reach, &position, &page, grace, is_named);
            if !self.look_up(job, &ended, budget, tally).await? {
                return Ok(Turn::Cut);
            }
            job.cursor = after;
            self.save(job).await?;
            if job.cursor.pass.is_none() {
                return Ok(Turn::Complete);
            }
        }
    }

    async fn page(
        &self,
        state_machine: &str,
        token: Option<&str>,
        budget: &mut Budget,
    ) -> Result<ExecutionPage, Fault> {
        let policy = RetryPolicy {
            deadline: budget.deadline.min(Instant::now() + LIST_WITHIN),
            per_attempt: Duration::from_secs(5),
            first_wait: Duration::from_secs(1),
        };
        let (page, attempts) = retry(policy, || self.listing.list(state_machine, token)).await;
        budget.charge(attempts - 1);
        page
    }

    /// Queues those unknown to the ledger; returns false if the time was up before.
    async fn look_up(
        &self,
        job: &Job,
        ended: &[&Listed],
        budget: &Budget,
        tally: &mut Tally,
    ) -> Result<bool, Failed> {
        let id = |end: &Listed| ledger_id(&end.execution_arn, end.redrive_count);
        let ends: BTreeMap<String, &Listed> = ended.iter().map(|end| (id(end), *end)).collect();
        let ids: Vec<String> = ends.keys().cloned().collect();
        for ids in ids.chunks(LOOKED_UP_AT_ONCE) {
            let known = match with_retries(budget, || self.register.known(ids)).await {
                None => return Ok(false),
                Some(known) => known.map_err(Failed::Table)?,
            };
            let lost: Vec<&String> = ids.iter().filter(|id| !known.contains(*id)).collect();
            for lost in lost.chunks(SENT_AT_ONCE) {
                let sent = lost.iter().map(|id| self.send(job, id, ends[*id], budget));
                let sent = join_all(sent).await;
                for (id, _) in lost
                    .iter()
                    .zip(&sent)
                    .filter(|(_, sent)| matches!(sent, Ok(true)))
                {
                    tally.found += 1;
                    let route = job.route_of(&ends[*id].name);
                    tally.measured.count_route(Metric::SweepFound, route);
                }
                for sent in sent {
                    if !sent? {
                        return Ok(false);
                    }
                }
            }
        }
        Ok(true)
    }

    async fn send(
        &self,
        job: &Job,
        id: &str,
        end: &Listed,
        budget: &Budget,
    ) -> Result<bool, Failed> {
        let event = event(&job.state_machine, id, end);
        match with_retries(budget, || self.completions.send(&event)).await {
            None => return Ok(false),
            Some(sent) => sent.map_err(Failed::Queue)?,
        }
        tracing::warn!(
            execution.arn = end.execution_arn,
            execution.status = end.status,
            redrives = end.redrive_count,
            route = job.route_of(&end.name),
            correlation_id = id_in_name(&end.name),
            "an execution ended without an event; queued one"
        );
        match with_retries(budget, || self.register.mark(id)).await {
            None => Ok(false),
            Some(marked) => marked.map(|()| true).map_err(Failed::Table),
        }
    }

    async fn save(&self, job: &Job) -> Result<(), Failed> {
        let key = job.reach.key(&job.state_machine);
        let text = serde_json::to_string(&job.cursor).expect("numbers and strings serialize");
        let policy = RetryPolicy::until(Instant::now() + SAVE_WITHIN);
        let (saved, _) = retry(policy, || self.register.save(&key, &text)).await;
        saved.map_err(Failed::Table)
    }
}

/// Retries until the deadline; `None` if it came first.
async fn with_retries<'a, T>(
    budget: &Budget,
    call: impl FnMut() -> Answer<'a, T>,
) -> Option<Result<T, Fault>> {
    if budget.is_over() {
        return None;
    }
    let policy = RetryPolicy::until(budget.deadline.min(Instant::now() + LIST_WITHIN));
    match retry(policy, call).await.0 {
        Err(_) if budget.is_over() => None,
        settled => Some(settled),
    }
}

/// EventBridge's event without input and output, which the completion then fetches.
fn event(state_machine: &str, id: &str, end: &Listed) -> String {
    let digest = hex::encode(digest(&SHA256, id.as_bytes()));
    json!({
        "version": "0",
        "id": format!("sweep-{}", &digest[..32]),
        "source": "aws.states",
        "detail-type": "Step Functions Execution Status Change",
        "resources": [end.execution_arn],
        "detail": {
            "executionArn": end.execution_arn,
            "stateMachineArn": state_machine,
            "name": end.name,
            "status": end.status,
            "startDate": end.started_at,
            "stopDate": end.stopped_at,
            "redriveCount": end.redrive_count,
            "input": null,
            "inputDetails": {"included": false},
            "output": null,
            "outputDetails": {"included": false},
            "error": null,
            "cause": null,
        },
    })
    .to_string()
}

#[cfg(test)]
pub(crate) mod tests;
