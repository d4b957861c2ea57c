//! The progress of a state machine's sweep.

use serde::{Deserialize, Serialize};

use crate::domain::ports::{ExecutionPage, Listed};

const MINUTE: i64 = 60_000;
const DAY: i64 = 24 * 60 * MINUTE;

/// Older ends are skipped: queues have dropped their events, and the ledger will soon.
const OLDEST_END: i64 = 14 * DAY;
/// Longest delay of a start in the eventually consistent list, differences of clocks included. Listing costs nothing.
const LATE_START: i64 = 60 * MINUTE;
/// Longest delay of an end. Shorter, since every end is looked up again for so long.
const LATE_END: i64 = 10 * MINUTE;
/// A token is valid for 24 hours; an hour less is on the safe side. `SweepMinutes` has to be shorter, or passes over several
/// invocations never end.
const TOKEN_AGE: i64 = 23 * 60 * MINUTE;
/// Earliest end of the bridge's own executions before the first sweep. The first sweep comes up to `SweepMinutes` after a
/// deployment or a new route, and events may be lost in between, too.
const BEFORE_FIRST: i64 = 60 * MINUTE;
/// A cursor unused for so long begins anew: its state machine was unrouted meanwhile.
const FORGOTTEN: i64 = 15 * DAY;
/// A redrive may begin up to 14 days after an end; a day more for the list's delay and for differences of clocks.
const REDRIVABLE: i64 = 15 * DAY;

/// The range of a cursor's passes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reach {
    /// To the start of the oldest open execution, but at most a day: short, however long a workflow waits.
    Recent,
    /// Once a day, to the start of the oldest open or redrivable execution: for long and redriven executions. The first pass
    /// goes to the end of the list, since earlier open executions are unknown.
    Far,
}

/// The progress after the passes so far. Times are ms since the epoch.
///
/// It is saved and valid as a whole, so two concurrent invocations can only repeat each other's work.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct Cursor {
    /// Ends before this were looked up, or do not count.
    pub since: i64,
    /// Time of the first sweep: earlier ends count only for executions named by the bridge.
    #[serde(default)]
    pub began: i64,
    /// Executions started before this need no look-up.
    pub floor: i64,
    /// When the last completed pass began.
    pub completed: Option<i64>,
    /// The pass under way.
    pub pass: Option<Pass>,
}

/// A pass between two pages.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct Pass {
    started_at: i64,
    /// When the page with the token was listed.
    listed_at: i64,
    next_token: String,
    /// The earliest start that a later pass has to list again; the start of this pass if there is none.
    oldest_open: i64,
    /// The longest grace of its pages so far.
    #[serde(default)]
    grace: i64,
}

/// The request for the next page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Position {
    pub next_token: Option<String>,
    pass_started_at: i64,
    listed_at: i64,
    oldest_open: i64,
    grace: i64,
}

impl Reach {
    /// The key of a state machine's saved cursor.
    pub fn key(self, state_machine: &str) -> String {
        match self {
            Self::Recent => format!("sweep#{state_machine}"),
            Self::Far => format!("sweep-far#{state_machine}"),
        }
    }

    /// Whether a pass is due or under way.
    pub fn is_due(self, cursor: &Cursor, now: i64) -> bool {
        self == Self::Recent
            || cursor.pass.is_some()
            || cursor.completed.is_none_or(|at| now - at >= DAY)
    }

    fn floor(self, pass_started_at: i64, oldest_open: i64) -> i64 {
        let floor = oldest_open - LATE_START;
        match self {
            Self::Recent => floor.max(pass_started_at - DAY),
            Self::Far => floor,
        }
    }
}

impl Cursor {
    /// The cursor of a state machine's first sweep. Earlier ends count only within the last hour, and for executions named
    /// by the bridge.
    pub fn first(reach: Reach, now: i64) -> Self {
        Self {
            since: now - BEFORE_FIRST,
            began: now,
            floor: match reach {
                Reach::Recent => now - DAY,
                Reach::Far => i64::MIN,
            },
            completed: None,
            pass: None,
        }
    }

    /// Whether no sweep has used it for 15 days.
    pub fn is_forgotten(&self, now: i64) -> bool {
        let listed_at = self.pass.as_ref().map(|pass| pass.listed_at);
        now - listed_at.max(self.completed).unwrap_or(self.began) >= FORGOTTEN
    }

    /// Where the pass continues; a new pass if there is none, or if the token is too old.
    pub fn position(&self, now: i64) -> Position {
        let pass = self.pass.as_ref();
        match pass.filter(|pass| now - pass.listed_at < TOKEN_AGE) {
            Some(pass) => Position {
                next_token: Some(pass.next_token.clone()),
                pass_started_at: pass.started_at,
                listed_at: now,
                oldest_open: pass.oldest_open,
                grace: pass.grace,
            },
            None => Position {
                next_token: None,
                pass_started_at: now,
                listed_at: now,
                oldest_open: now,
                grace: 0,
            },
        }
    }

    /// The ended executions of a page that no earlier pass looked up, and the cursor for afterwards. Ends of the last
    /// `grace` ms are left to a later pass: their events may still arrive. `is_named` recognizes the bridge's names.
    pub fn take<'a>(
        &self,
        reach: Reach,
        position: &Position,
        page: &'a ExecutionPage,
        grace: i64,
        is_named: impl Fn(&str) -> bool,
    ) -> (Vec<&'a Listed>, Self) {
        let now = position.listed_at;
        let mut oldest_open = position.oldest_open;
        let mut ended = Vec::new();
        let mut below = false;
        for execution in &page.executions {
            if execution.started_at < self.floor {
                below = true;
                break;
            }
            match execution.stopped_at.filter(|_| has_ended(execution)) {
                Some(stopped_at) if stopped_at <= now - grace => {
                    let is_new = stopped_at >= self.since.max(now - OLDEST_END);
                    if is_new && (stopped_at >= self.began || is_named(&execution.name)) {
                        ended.push(execution);
                    }
                    if reach == Reach::Far && may_run_again(execution, stopped_at, now) {
                        oldest_open = oldest_open.min(execution.started_at);
                    }
                }
                _ => oldest_open = oldest_open.min(execution.started_at),
            }
        }
        let started_at = position.pass_started_at;
        let longest_grace = position.grace.max(grace);
        let after = match page.next_token.clone().filter(|_| !below) {
            Some(next_token) => Self {
                pass: Some(Pass {
                    started_at,
                    listed_at: now,
                    next_token,
                    oldest_open,
                    grace: longest_grace,
                }),
                ..self.clone()
            },
            None => Self {
                began: self.began,
                since: self.since.max(started_at - longest_grace - LATE_END),
                floor: reach.floor(started_at, oldest_open),
                completed: Some(started_at),
                pass: None,
            },
        };
        (ended, after)
    }
}

fn has_ended(execution: &Listed) -> bool {
    matches!(
        execution.status.as_str(),
        "SUCCEEDED" | "FAILED" | "TIMED_OUT" | "ABORTED"
    )
}

/// Whether a redrive may begin, or is under way and not listed yet.
fn may_run_again(execution: &Listed, stopped_at: i64, now: i64) -> bool {
    execution.status != "SUCCEEDED" && now - stopped_at < REDRIVABLE
}

#[cfg(test)]
mod tests;
