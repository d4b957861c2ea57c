//! A state machine with the state of its sweep.

use serde::{Deserialize, Serialize};

use super::cursor::{Cursor, Reach};
use super::watch::{Directory, Scan};
use crate::domain::inbound::execution_name::is_named_after;

/// A state machine with the state of its sweep.
#[derive(Clone, Debug)]
pub struct Job {
    /// An unqualified ARN.
    pub state_machine: String,
    /// Names of the routes to it.
    pub routes: Vec<String>,
    pub state: State,
    /// Of the watch list, if it was loaded.
    pub(super) directory: Option<Directory>,
    /// This invocation leaves the rest of the scan.
    pub scan_failed: bool,
}

/// The saved state of a state machine, under the key of the recent cursor of earlier versions.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct State {
    #[serde(flatten)]
    pub recent: Cursor,
    #[serde(default)]
    pub scan: Scan,
    /// Earlier versions saved it apart.
    #[serde(default)]
    pub far: Option<Cursor>,
    /// The end of the invocation that sweeps it, in ms since the epoch.
    #[serde(default)]
    pub lease_until: i64,
}

/// What a state machine needs next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    Recent,
    Scan,
}

impl State {
    pub(super) fn first(now: i64) -> Self {
        Self {
            recent: Cursor::first(Reach::Recent, now),
            scan: Scan::default(),
            far: Some(Cursor::first(Reach::Far, now)),
            lease_until: 0,
        }
    }
}

impl Job {
    /// The next list of an invocation that began at `began`; `None` after a recent pass and a scan of this invocation. Scans
    /// and recent passes alternate, so that each has its turn when they take several invocations.
    pub fn phase(&self, began: i64) -> Option<Phase> {
        let (recent, scan) = (&self.state.recent, &self.state.scan);
        if recent.pass.is_some() {
            return Some(Phase::Recent);
        }
        // The first scan is before the first pass: executions started long ago may end meanwhile.
        let is_due =
            scan.pass.is_some() || scan.completed.is_none() || scan.completed < recent.completed;
        if !self.scan_failed && is_due {
            return Some(Phase::Scan);
        }
        // The scan of this invocation may belong to an earlier pass.
        (recent.completed < Some(began)).then_some(Phase::Recent)
    }

    /// The age of the oldest list not completed since `began`, in ms; 0 without one.
    pub fn lag(&self, began: i64, now: i64) -> i64 {
        let (recent, scan) = (&self.state.recent, &self.state.scan);
        let oldest = recent.completed.min(scan.completed);
        match oldest {
            Some(at) if at >= began => 0,
            at => now - at.unwrap_or(recent.began),
        }
    }

    /// The route in an execution's name.
    pub(super) fn route_of(&self, name: &str) -> Option<&str> {
        let mut routes = self.routes.iter().map(String::as_str);
        routes.find(|route| is_named_after(name, route))
    }

    pub(super) fn far(&mut self) -> &mut Cursor {
        let now = self.state.recent.began;
        (self.state.far).get_or_insert_with(|| Cursor::first(Reach::Far, now))
    }
}
