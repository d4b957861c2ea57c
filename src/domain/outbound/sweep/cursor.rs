//! The progress of a state machine's passes by start.

use serde::{Deserialize, Serialize};

use super::watch::Watched;
use crate::domain::ports::{ExecutionPage, Listed};

const MINUTE: i64 = 60_000;
const DAY: i64 = 24 * 60 * MINUTE;

/// Older ends are skipped: queues have dropped their events, and the ledger will soon.
pub(super) const OLDEST_END: i64 = 14 * DAY;
/// Longest delay of a start in the eventually consistent list, beyond the grace; a far pass finds a later one.
const LATE_START: i64 = 3 * MINUTE;
/// The same for far passes, differences of clocks included.
const LATE_FAR_START: i64 = 60 * MINUTE;
/// Longest delay of an end.
const LATE_END: i64 = 10 * MINUTE;
/// A token is valid for 24 hours; an hour less is on the safe side. `SweepMinutes` has to be shorter, or passes over several
/// invocations never end.
pub(super) const TOKEN_AGE: i64 = 23 * 60 * MINUTE;
/// Earliest end of the bridge's own executions before the first sweep. The first sweep comes up to `SweepMinutes` after a
/// deployment or a new route, and events may be lost in between, too.
pub(super) const BEFORE_FIRST: i64 = 60 * MINUTE;
/// A cursor unused for so long begins anew: its state machine was unrouted meanwhile.
const FORGOTTEN: i64 = 15 * DAY;
/// A redrive may begin up to 14 days after an end; a day more for the list's delay and for differences of clocks.
const REDRIVABLE: i64 = 15 * DAY;

/// The range of a cursor's passes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reach {
    /// To the start of the last pass, less the grace and three minutes: short, however long a workflow waits.
    Recent,
    /// Once a day, to the start of the oldest redrivable execution: for redriven ones that end between two scans. The first
    /// pass goes to the end of the list.
    Far,
}

/// The progress after the passes so far. Times are ms since the epoch.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct Cursor {
    /// Ends before this were looked up, or do not count.
    pub since: i64,
    /// Time of the first sweep: earlier ends count only for executions named by the bridge.
    #[serde(default)]
    pub began: i64,
    /// Executions started before this are watched, or need no look-up.
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
    /// The floor of the next pass.
    #[serde(rename = "oldest_open")]
    floor: i64,
    /// Later ends were left to a later pass. Absent from passes of earlier versions.
    #[serde(default)]
    cutoff: i64,
}

/// The request for the next page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Position {
    pub next_token: Option<String>,
    pass_started_at: i64,
    listed_at: i64,
    floor: i64,
    cutoff: i64,
}

/// The work on a page, and the cursor after it.
pub struct Taken<'a> {
    /// Ended executions that no earlier pass looked up.
    pub ended: Vec<&'a Listed>,
    /// Executions that no later pass lists: open, or ended within the grace.
    pub unsettled: Vec<Watched>,
    pub after: Cursor,
}

impl Reach {
    /// Whether a pass is due or under way.
    pub fn is_due(self, cursor: &Cursor, now: i64) -> bool {
        self == Self::Recent
            || cursor.pass.is_some()
            || cursor.completed.is_none_or(|at| now - at >= DAY)
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
                Reach::Recent => now - BEFORE_FIRST - LATE_START,
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

    /// Without a pass of an earlier version, which had another floor.
    pub(super) fn upgraded(mut self) -> Self {
        self.pass = self.pass.filter(|pass| pass.cutoff > 0);
        self
    }

    /// The start below which no recent pass, under way or later, lists an execution for the first time.
    pub(super) fn lists_from(&self) -> i64 {
        self.pass.as_ref().map_or(self.floor, |pass| pass.floor)
    }

    /// Where the pass continues; a new pass if there is none, or if the token is too old. Ends after `cutoff` are not settled.
    pub fn position(&self, reach: Reach, now: i64, cutoff: i64) -> Position {
        let pass = self.pass.as_ref();
        match pass.filter(|pass| now - pass.listed_at < TOKEN_AGE) {
            Some(pass) => Position {
                next_token: Some(pass.next_token.clone()),
                pass_started_at: pass.started_at,
                listed_at: now,
                floor: pass.floor,
                cutoff: pass.cutoff.min(cutoff),
            },
            None => Position {
                next_token: None,
                pass_started_at: now,
                listed_at: now,
                floor: match reach {
                    Reach::Recent => (cutoff - LATE_START).max(now - OLDEST_END),
                    Reach::Far => now - LATE_FAR_START,
                },
                cutoff,
            },
        }
    }

    /// Sorts the executions of a page. Ends after `cutoff` are left to a later pass, or to the watch list if they started
    /// before `recent`, the floor of the next recent pass. `is_named` recognizes the bridge's names.
    pub fn take<'a>(
        &self,
        reach: Reach,
        position: &Position,
        page: &'a ExecutionPage,
        (cutoff, recent): (i64, i64),
        is_named: impl Fn(&str) -> bool,
    ) -> Taken<'a> {
        let now = position.listed_at;
        let recent = match reach {
            Reach::Recent => position.floor,
            Reach::Far => recent,
        };
        let mut floor = position.floor;
        let (mut ended, mut unsettled) = (Vec::new(), Vec::new());
        let mut below = false;
        for execution in &page.executions {
            if execution.started_at < self.floor {
                below = true;
                break;
            }
            let stopped_at = execution.ended_at();
            if let Some(stopped_at) = stopped_at {
                let is_new = stopped_at >= self.since.max(now - OLDEST_END);
                let counts = is_new && (stopped_at >= self.began || is_named(&execution.name));
                if counts && stopped_at <= cutoff {
                    ended.push(execution);
                }
                if reach == Reach::Far && may_run_again(execution, stopped_at, now) {
                    floor = floor.min(execution.started_at - LATE_FAR_START);
                }
                if !counts || stopped_at <= cutoff {
                    continue;
                }
            }
            if execution.started_at < recent {
                unsettled.push(Watched::new(execution));
            }
        }
        let started_at = position.pass_started_at;
        let cutoff = position.cutoff.min(cutoff);
        let after = match page.next_token.clone().filter(|_| !below) {
            Some(next_token) => Self {
                pass: Some(Pass {
                    started_at,
                    listed_at: now,
                    next_token,
                    floor,
                    cutoff,
                }),
                ..self.clone()
            },
            None => Self {
                began: self.began,
                since: self.since.max(cutoff - LATE_END),
                floor,
                completed: Some(started_at),
                pass: None,
            },
        };
        Taken {
            ended,
            unsettled,
            after,
        }
    }
}

impl Listed {
    /// When it ended; `None` while it runs.
    pub(super) fn ended_at(&self) -> Option<i64> {
        let ended = ["SUCCEEDED", "FAILED", "TIMED_OUT", "ABORTED"];
        self.stopped_at
            .filter(|_| ended.contains(&self.status.as_str()))
    }
}

/// Whether a redrive may begin, or is under way and not listed yet.
fn may_run_again(execution: &Listed, stopped_at: i64, now: i64) -> bool {
    execution.status != "SUCCEEDED" && now - stopped_at < REDRIVABLE
}

#[cfg(test)]
mod tests;
