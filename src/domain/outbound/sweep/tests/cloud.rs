//! Fakes of Step Functions, the table and the queue, with executions on a simulated clock.

use std::cell::Cell;
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use serde_json::Value;

use crate::domain::fault::Fault;
use crate::domain::outbound::sweep::Sweep;
use crate::domain::ports::{
    Answer, Backlog, Exclusive, ExecutionPage, Listed, Listing, Queue, Register, Sweeping,
};

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

pub(crate) fn execution_arn(machine: &str, name: &str) -> String {
    format!(
        "{}:{name}",
        machine.replace(":stateMachine:", ":execution:")
    )
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
    /// Executions described, by name.
    pub(crate) described: Vec<String>,
    /// Names missing from the lists.
    pub(crate) hidden: HashSet<String>,
    /// Writes until a crash.
    pub(crate) saves_left: Option<usize>,
    /// The completion takes markers at once.
    pub(crate) takes_markers: bool,
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
            execution_arn: execution_arn(&self.machine, &self.name),
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
        let state = self.state();
        let ends = state
            .queued
            .iter()
            .filter(|event| event["source"] == "aws.states");
        ends.map(name).collect()
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

impl Cloud {
    async fn page(
        &self,
        verb: &str,
        machine: &str,
        token: Option<&str>,
    ) -> Result<ExecutionPage, Fault> {
        let call = format!("{verb} {machine} {}", token.unwrap_or_default());
        let call = call.trim_end().to_owned();
        self.state().lists.push(call.clone());
        self.answer(&call, |state| {
            let of_machine = state.executions.iter().filter(|one| one.machine == machine);
            let mut all: Vec<Listed> = of_machine.filter_map(Simulated::listed).collect();
            let key = |one: &Listed| format!("{:020}/{}", one.started_at, one.name);
            all.sort_by_cached_key(|one| std::cmp::Reverse(key(one)));
            all.retain(|one| token.is_none_or(|token| *key(one) < *token));
            all.retain(|one| !state.hidden.contains(&one.name));
            all.retain(|one| verb == "list" || one.status == "RUNNING");
            let more = all.len() > state.page;
            all.truncate(state.page);
            ExecutionPage {
                next_token: all.last().filter(|_| more).map(key),
                executions: all,
            }
        })
    }
}

impl Listing for Cloud {
    fn list<'a>(&'a self, machine: &'a str, token: Option<&'a str>) -> Answer<'a, ExecutionPage> {
        Box::pin(self.page("list", machine, token))
    }
}

impl Sweeping for Cloud {
    fn list_open<'a>(
        &'a self,
        machine: &'a str,
        token: Option<&'a str>,
    ) -> Answer<'a, ExecutionPage> {
        Box::pin(self.page("open", machine, token))
    }

    fn look<'a>(&'a self, execution: &'a str) -> Answer<'a, Option<Listed>> {
        Box::pin(async move {
            self.answer("look", |state| {
                let named = |one: &&Simulated| execution.ends_with(&format!(":{}", one.name));
                let named = state.executions.iter().filter(named);
                let mut named = named.filter_map(Simulated::listed);
                let found = named.find(|one| one.execution_arn == execution);
                state
                    .described
                    .extend(found.iter().map(|one| one.name.clone()));
                found
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
            let crash = match &mut self.state().saves_left {
                Some(0) => Err(Fault::permanent("Crashed", "")),
                Some(left) => {
                    *left -= 1;
                    Ok(())
                }
                None => Ok(()),
            };
            crash?;
            self.answer("save", |state| {
                state.saved.insert(key.to_owned(), text.to_owned());
            })
        })
    }
}

impl Exclusive for Cloud {
    fn replace<'a>(
        &'a self,
        key: &'a str,
        text: &'a str,
        previous: Option<&'a str>,
    ) -> Answer<'a, bool> {
        Box::pin(async move {
            self.answer("replace", |state| {
                let is_previous = state.saved.get(key).map(String::as_str) == previous;
                if is_previous {
                    state.saved.insert(key.to_owned(), text.to_owned());
                }
                is_previous
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
                let event: Value = serde_json::from_str(body).unwrap();
                if state.takes_markers && event["detail-type"] == "Sweep Marker" {
                    state
                        .ledger
                        .insert(event["id"].as_str().unwrap().to_owned());
                }
                state.queued.push(event);
            })
        })
    }
}
