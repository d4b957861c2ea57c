//! Fakes of Step Functions, the table and the queue, with executions on a simulated clock.

use std::cell::Cell;
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use serde_json::Value;

use crate::domain::fault::Fault;
use crate::domain::outbound::sweep::Sweep;
use crate::domain::ports::{Answer, Backlog, ExecutionPage, Listed, Listing, Queue, Register};

pub(crate) const START: i64 = 1_704_296_470_000;
pub(crate) const MINUTE: i64 = 60_000;
pub(crate) const DAY: i64 = 24 * 60 * MINUTE;

thread_local! {
    static NOW: Cell<i64> = const { Cell::new(START) };
}

/// The time of day in this test; it stands still during an invocation.
pub(crate) fn now() -> i64 {
    NOW.get()
}

pub(crate) fn set_now(at: i64) {
    NOW.set(at);
}

/// Step Functions, the table and the queue.
#[derive(Clone, Default)]
pub(crate) struct Cloud(Arc<Mutex<State>>);

#[derive(Default)]
pub(crate) struct State {
    pub(crate) executions: Vec<Simulated>,
    pub(crate) page: usize,
    pub(crate) ledger: HashSet<String>,
    pub(crate) saved: HashMap<String, String>,
    pub(crate) queued: Vec<Value>,
    /// Queue depth of the completion.
    pub(crate) waiting: u64,
    pub(crate) lists: Vec<String>,
    pub(crate) looked_up: usize,
    /// The table does not answer.
    pub(crate) hangs: bool,
    /// By the call's first words; once, or each time.
    pub(crate) faults: Vec<(String, Fault, bool)>,
    /// The share of calls that fail at random.
    pub(crate) flaky: f64,
}

/// An execution with all its starts and ends.
#[derive(Clone, Debug)]
pub(crate) struct Simulated {
    pub(crate) machine: String,
    pub(crate) name: String,
    /// The first, and those of redrives.
    pub(crate) runs: Vec<(i64, i64)>,
}

impl Simulated {
    fn listed(&self) -> Option<Listed> {
        let begun = |run: &&(i64, i64)| run.0 <= now();
        let count = self.runs.iter().filter(begun).count();
        let (_, end) = self.runs[count.checked_sub(1)?];
        let ended = end <= now();
        Some(Listed {
            execution_arn: format!("arn:{}", self.name),
            name: self.name.clone(),
            status: if ended { "FAILED" } else { "RUNNING" }.to_owned(),
            started_at: self.runs[0].0,
            stopped_at: ended.then_some(end),
            redrive_count: count as u32 - 1,
        })
    }
}

impl Cloud {
    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    pub(crate) fn runs(&self, machine: &str, name: &str, runs: &[(i64, i64)]) {
        self.state().executions.push(Simulated {
            machine: machine.to_owned(),
            name: name.to_owned(),
            runs: runs.to_vec(),
        });
    }

    pub(crate) fn fails(&self, call: &str, fault: Fault) {
        self.state().faults.push((call.to_owned(), fault, false));
    }

    pub(crate) fn fails_once(&self, call: &str, fault: Fault) {
        self.state().faults.push((call.to_owned(), fault, true));
    }

    pub(crate) fn sweep(&self) -> Sweep {
        Sweep {
            listing: Arc::new(self.clone()),
            register: Arc::new(self.clone()),
            completions: Arc::new(self.clone()),
            backlog: Arc::new(self.clone()),
            grace: Duration::from_secs(120),
        }
    }

    /// Names of the queued executions, with their redrives.
    pub(crate) fn queued(&self) -> Vec<String> {
        let name = |event: &Value| {
            let detail = &event["detail"];
            format!(
                "{}#{}",
                detail["name"].as_str().unwrap(),
                detail["redriveCount"]
            )
        };
        self.state().queued.iter().map(name).collect()
    }

    fn answer<T>(&self, call: &str, act: impl FnOnce(&mut State) -> T) -> Result<T, Fault> {
        let mut state = self.state();
        if state.flaky > 0.0 && fastrand::f64() < state.flaky {
            return Err(Fault::transient("Flaky", call));
        }
        let at = state
            .faults
            .iter()
            .position(|(prefix, ..)| call.starts_with(prefix));
        if let Some(at) = at {
            let (_, fault, once) = state.faults[at].clone();
            if once {
                state.faults.remove(at);
            }
            return Err(fault);
        }
        Ok(act(&mut state))
    }
}

impl Listing for Cloud {
    fn list<'a>(&'a self, machine: &'a str, token: Option<&'a str>) -> Answer<'a, ExecutionPage> {
        let call = format!("list {machine} {}", token.unwrap_or_default());
        let call = call.trim_end().to_owned();
        self.state().lists.push(call.clone());
        Box::pin(async move {
            self.answer(&call, |state| {
                let of_machine = state.executions.iter().filter(|one| one.machine == machine);
                let mut all: Vec<Listed> = of_machine.filter_map(Simulated::listed).collect();
                let key = |one: &Listed| format!("{:020}/{}", one.started_at, one.name);
                all.sort_by_key(|one| std::cmp::Reverse(key(one)));
                all.retain(|one| token.is_none_or(|token| *key(one) < *token));
                let more = all.len() > state.page;
                all.truncate(state.page);
                ExecutionPage {
                    next_token: all.last().filter(|_| more).map(key),
                    executions: all,
                }
            })
        })
    }
}

impl Register for Cloud {
    fn known<'a>(&'a self, ids: &'a [String]) -> Answer<'a, HashSet<String>> {
        assert!(ids.len() <= 100);
        Box::pin(async move {
            self.answer("known", |state| {
                state.looked_up += ids.len();
                let known = ids.iter().filter(|id| state.ledger.contains(*id));
                known.cloned().collect()
            })
        })
    }

    fn mark<'a>(&'a self, id: &'a str) -> Answer<'a, ()> {
        Box::pin(async move {
            self.answer("mark", |state| {
                state.ledger.insert(id.to_owned());
            })
        })
    }

    fn load<'a>(&'a self, key: &'a str) -> Answer<'a, Option<String>> {
        Box::pin(async move {
            if self.state().hangs {
                std::future::pending().await
            }
            self.answer("load", |state| state.saved.get(key).cloned())
        })
    }

    fn save<'a>(&'a self, key: &'a str, text: &'a str) -> Answer<'a, ()> {
        Box::pin(async move {
            self.answer("save", |state| {
                state.saved.insert(key.to_owned(), text.to_owned());
            })
        })
    }
}

impl Backlog for Cloud {
    fn waiting(&self) -> Answer<'_, u64> {
        Box::pin(async move { self.answer("waiting", |state| state.waiting) })
    }
}

impl Queue for Cloud {
    fn send<'a>(&'a self, body: &'a str) -> Answer<'a, ()> {
        Box::pin(async move {
            self.answer("send", |state| {
                state.queued.push(serde_json::from_str(body).unwrap());
            })
        })
    }
}
