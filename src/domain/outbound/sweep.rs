//! Finds ended executions whose event was lost: AWS sends status changes best effort.
//!
//! Three lists together see every end. Each goes on page by page, and its progress is saved after every page, so that the
//! next invocation continues an interrupted one.
//!
//! - A *recent* pass lists a state machine's executions from the newest start down to the last pass, less the grace and three
//!   minutes. What is still open further down goes on the watch list.
//! - A *scan* lists the open executions. An execution on the watch list but not in the scan has ended: it is looked up in the
//!   ledger, and described if it is unknown there. Open executions that no recent pass will list again are watched.
//! - A *far* pass, once a day and at a lower rate, goes down to the oldest redrivable execution. It finds ends of redriven
//!   executions that ran between two scans.
//!
//! An end unknown to the ledger is queued for the completion, as an event like EventBridge's.
//!
//! - Known means received: the completion enters every event into the ledger, whatever its outcome, and an unpublished event
//!   is in its queue or in the dead letters.
//! - Unknown does not mean lost before the grace is over, or while the event may wait for the completion: see [`Progress`].
//!   A wrong guess publishes nothing twice, since the ledger has the completion publish once.
//! - A new deployment publishes nothing old. Of the ends before a state machine's first sweep, only those of the last hour
//!   count, and of these only executions named by the bridge, by a current route. So a first sweep
//!   misses executions with other names (of `payload` routes), and ends more than an hour old. A state machine not swept for
//!   15 days counts as new; one unrouted for less continues where it was, and its ends meanwhile are found.
//! - A find is sent first and marked second: a crash in between repeats it, and the ledger has the completion publish once.
//! - One invocation at a time sweeps a state machine: it holds a lease until its end.

mod budget;
mod cursor;
mod find;
mod job;
mod progress;
mod scan;
mod store;
mod watch;

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

pub use budget::Budget;
pub use cursor::{Cursor, Reach};
pub use job::{Job, Phase, State};
pub use progress::Progress;
pub use watch::Scan;

use crate::domain::fault::{Fault, FaultKind};
use crate::domain::ports::{Answer, Backlog, Exclusive, ExecutionPage, Queue, Sweeping};
use crate::domain::retry::{RetryPolicy, retry};
use crate::telemetry::metrics::Measurements;
use cursor::Position;
use scan::Change;
use watch::Range;

/// Time limit of one call of ListExecutions, retries included.
const LIST_WITHIN: Duration = Duration::from_secs(10);
/// Time limit for loading a state, and for saving it, even past the deadline.
pub const SAVE_WITHIN: Duration = Duration::from_secs(2);
/// Most executions described for a page, before other state machines have their turn.
const DESCRIBED: usize = 150;

/// The sweep's ports and settings.
pub struct Sweep {
    pub listing: Arc<dyn Sweeping>,
    pub register: Arc<dyn Exclusive>,
    /// The queue of the completion.
    pub completions: Arc<dyn Queue>,
    /// The depth of the same queue.
    pub backlog: Arc<dyn Backlog>,
    /// How long the event of an end may take to arrive.
    pub grace: Duration,
}

/// The end of a step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// A page is done.
    Page,
    /// The time was up.
    Cut,
    /// ListExecutions was throttled, or did not answer.
    Throttled(Fault),
    /// The state machine has no list: it is EXPRESS, and sends no status changes either.
    Unlisted,
}

/// Why a step failed. The next one may continue from the same page.
#[derive(Debug, thiserror::Error)]
pub enum Failed {
    #[error(
        "could not list the executions: {0}; check that the state machine exists, and allow the sweep ListExecutions on it"
    )]
    List(Fault),
    #[error(
        "could not describe an ended execution: {0}; allow the sweep DescribeExecution on the state machine's executions"
    )]
    Describe(Fault),
    #[error(
        "could not use the ledger's table: {0}; check that the table of `LEDGER_TABLE` exists, and allow the sweep GetItem, BatchGetItem and PutItem on it"
    )]
    Table(Fault),
    #[error(
        "could not read the depth of the completion's queue: {0}; allow the sweep GetQueueAttributes on the queue of `COMPLETIONS_QUEUE_URL`; until then, each sweep sends a marker through the queue"
    )]
    Backlog(Fault),
    #[error(
        "could not queue an execution for the completion: {0}; check that the queue of `COMPLETIONS_QUEUE_URL` exists, and allow the sweep SendMessage on it"
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
    pub described: usize,
    pub found: usize,
    pub measured: Measurements,
}

/// The state that the steps of an invocation share.
pub struct Run<'a> {
    pub budget: &'a mut Budget,
    pub progress: &'a mut Progress,
    pub tally: &'a mut Tally,
}

impl Sweep {
    /// A page of a recent or far pass. Ends that may have an event on its way are left to a later pass.
    ///
    /// # Errors
    ///
    /// When an operator has to correct something, for example a permission.
    pub async fn list(
        &self,
        job: &mut Job,
        reach: Reach,
        run: &mut Run<'_>,
    ) -> Result<Step, Failed> {
        let is_ready = match reach {
            Reach::Recent => run.budget.list().await,
            Reach::Far => run.budget.list_far().await,
        };
        if !is_ready {
            return Ok(Step::Cut);
        }
        self.measure(run.progress, run.budget).await?;
        let now = run.budget.now_ms();
        let cutoff = run.progress.cutoff(now, self.grace);
        let recent = job.state.recent.lists_from();
        let cursor = match reach {
            Reach::Recent => &job.state.recent,
            Reach::Far => &*job.far(),
        };
        let position = cursor.position(reach, now, cutoff);
        let Position { next_token, .. } = &position;
        let page = match self.page(job, false, next_token.as_deref(), run).await? {
            Ok(page) => page,
            Err(step) => {
                // An expired or invalid token: begin again with the newest.
                if step == Step::Page {
                    match reach {
                        Reach::Recent => job.state.recent.pass = None,
                        Reach::Far => job.far().pass = None,
                    }
                }
                return Ok(step);
            }
        };
        let is_named = |name: &str| job.route_of(name).is_some();
        let cursor = match (&job.state.far, reach) {
            (Some(far), Reach::Far) => far,
            _ => &job.state.recent,
        };
        let taken = cursor.take(reach, &position, &page, (cutoff, recent), is_named);
        if !self.look_up(job, &taken.ended, run).await? {
            return Ok(Step::Cut);
        }
        let (unsettled, after) = (taken.unsettled, taken.after);
        let starts = || unsettled.iter().map(|one| one.started_at);
        if let (Some(first), Some(last)) = (starts().min(), starts().max()) {
            // No start is in an empty range, so no entry counts as gone.
            let change = Change::watching(&unsettled, Range(first, first));
            let chunks = Range(first.saturating_sub(1), last);
            if self.change(job, chunks, &change, run).await?.is_none() {
                return Ok(Step::Cut);
            }
        }
        match reach {
            Reach::Recent => job.state.recent = after,
            Reach::Far => job.state.far = Some(after),
        }
        self.save(job).await?;
        Ok(Step::Page)
    }

    /// A page of the list; or the end of the step, which is [`Step::Page`] after a refused token.
    async fn page(
        &self,
        job: &Job,
        only_open: bool,
        token: Option<&str>,
        run: &mut Run<'_>,
    ) -> Result<Result<ExecutionPage, Step>, Failed> {
        let budget = &mut *run.budget;
        let policy = RetryPolicy {
            deadline: budget.deadline.min(Instant::now() + LIST_WITHIN),
            per_attempt: Duration::from_secs(5),
            first_wait: Duration::from_secs(1),
        };
        let machine = &job.state_machine;
        let list = || match only_open {
            false => self.listing.list(machine, token),
            true => self.listing.list_open(machine, token),
        };
        let (page, attempts) = retry(policy, list).await;
        budget.charge(attempts - 1);
        match page {
            Ok(page) => {
                run.tally.pages += 1;
                run.tally.executions += page.executions.len();
                Ok(Ok(page))
            }
            Err(fault) if fault.code == "InvalidToken" && token.is_some() => Ok(Err(Step::Page)),
            Err(fault) if fault.code == "StateMachineTypeNotSupported" => Ok(Err(Step::Unlisted)),
            Err(fault) if fault.kind == FaultKind::Permanent => Err(Failed::List(fault)),
            Err(_) if budget.is_over() => Ok(Err(Step::Cut)),
            Err(fault) => {
                budget.slow_down();
                Ok(Err(Step::Throttled(fault)))
            }
        }
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

#[cfg(test)]
pub(crate) mod tests;
