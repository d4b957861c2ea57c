//! How far the sweep of a state machine has come.

use serde::{Deserialize, Serialize};

use crate::ports::{ExecutionPage, Listed};

const MINUTE: i64 = 60_000;
const DAY: i64 = 24 * 60 * MINUTE;

/// Ends older than this are nobody's any more: queues have forgotten their events, and the ledger will soon.
const OLDEST_END: i64 = 14 * DAY;
/// How much later than it happened a start may appear in a list (which is eventually consistent), clocks' differences
/// included. Listing costs nothing.
const LATE_START: i64 = 60 * MINUTE;
/// The same for an end. Shorter, since every end is looked up again for so long.
const LATE_END: i64 = 10 * MINUTE;
/// A token is good for 24 hours; an hour less is on the safe side. `SweepMinutes` has to be shorter, or passes that need
/// several invocations never end.
const TOKEN_AGE: i64 = 23 * 60 * MINUTE;
/// How long before the first sweep an execution of the bridge's own may have ended. The first sweep comes up to
/// `SweepMinutes` after a deployment or a new route, and in between, events may be lost, too.
const BEFORE_FIRST: i64 = 60 * MINUTE;
/// A cursor that no sweep has moved for so long begins anew: its state machine was in no route meanwhile.
const FORGOTTEN: i64 = 15 * DAY;
/// A redrive may begin up to 14 days after an end; a day more for the list's delay and for clocks' differences.
const REDRIVABLE: i64 = 15 * DAY;

/// How far back the passes of a cursor go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reach {
    /// To the start of the oldest open execution, but at most a day: short, however long some workflow waits.
    Recent,
    /// Once a day, to the start of the oldest execution that is open or may still be redriven: for what ran long or was
    /// redriven. The first one goes to the end of the list, since nobody knows what was open before.
    Far,
}

/// What is known after the passes so far. Times are ms since the epoch.
///
/// It is saved as a whole and true as a whole, so two invocations at once may only make each other repeat something.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct Cursor {
    /// What ended before this was looked up, or is none of ours.
    pub since: i64,
    /// When the first sweep was: what ended before is ours only where its name tells.
    #[serde(default)]
    pub began: i64,
    /// What started before this needs no look.
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
    /// When the page was listed that gave the token.
    listed_at: i64,
    next_token: String,
    /// The earliest start of all that a later pass has to look at again; the start of this pass where there is none.
    oldest_open: i64,
    /// The longest grace of its pages so far.
    #[serde(default)]
    grace: i64,
}

/// How to ask for the next page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Position {
    pub next_token: Option<String>,
    pass_started_at: i64,
    listed_at: i64,
    oldest_open: i64,
    grace: i64,
}

impl Reach {
    /// The name under which a state machine's cursor is saved.
    pub fn key(self, state_machine: &str) -> String {
        match self {
            Self::Recent => format!("sweep#{state_machine}"),
            Self::Far => format!("sweep-far#{state_machine}"),
        }
    }

    /// Whether a pass should be under way now.
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
    /// That of the first sweep of a state machine: what ended before is none of ours, but for executions that the bridge
    /// named and that ended within the last hour.
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

    /// Whether it says nothing of today, since no sweep has used it for 15 days.
    pub fn is_forgotten(&self, now: i64) -> bool {
        let listed_at = self.pass.as_ref().map(|pass| pass.listed_at);
        now - listed_at.max(self.completed).unwrap_or(self.began) >= FORGOTTEN
    }

    /// Where to go on, or a new pass; also where the token is too old.
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

    /// The executions of a page that ended, and whose end was not looked up in an earlier pass, and the cursor for when
    /// this has been done. Ends of the last `grace` ms are left to a later pass: their events may be on their way.
    /// `is_named` tells the names that the bridge gave.
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

/// Whether a redrive may begin, or be under way and not listed yet.
fn may_run_again(execution: &Listed, stopped_at: i64, now: i64) -> bool {
    execution.status != "SUCCEEDED" && now - stopped_at < REDRIVABLE
}

#[cfg(test)]
mod tests;
