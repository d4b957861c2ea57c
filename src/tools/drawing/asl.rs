//! A state machine as a picture shows it, read from ASL.

use std::collections::{BTreeSet, VecDeque};

use anyhow::{Context, Result, bail};
use serde_json::{Map, Value};

use super::kind::Kind;
use super::words;

/// A state machine, or the inner one of a Map or Parallel state.
#[derive(Debug)]
pub struct Machine {
    pub start: String,
    /// In the order of the transitions; unreachable states come last.
    pub states: Vec<State>,
}

#[derive(Debug)]
pub struct State {
    pub name: String,
    pub kind: Kind,
    /// A summary in a few words; may be empty.
    pub note: String,
    pub ways: Vec<Way>,
    /// Whether the machine may end here, with success.
    pub ends: bool,
    /// Inner machines: one for Map, one for each branch for Parallel.
    pub runs: Vec<Machine>,
}

/// A transition to another state of the same machine.
#[derive(Debug)]
pub struct Way {
    pub to: String,
    /// Its condition, if any.
    pub when: Option<String>,
    /// Whether it is taken after an error.
    pub caught: bool,
}

/// Reads a machine: the whole definition, or the inner one of a Map or Parallel state.
pub fn read(definition: &Value) -> Result<Machine> {
    let states = definition["States"].as_object();
    let states = states.context("expected an object with an object `States`, found none")?;
    let start = definition["StartAt"].as_str();
    let start = start.context("expected the name of a state at `StartAt`, found none")?;
    if !states.contains_key(start) {
        bail!("expected the name of a state at `StartAt`, found `{start}`, which `States` lacks");
    }
    let mut read = Vec::new();
    let mut waiting = VecDeque::from([start.to_owned()]);
    let mut unseen: BTreeSet<&str> = states.keys().map(String::as_str).collect();
    // `unseen` is sorted, so the order of unreachable states is stable, too.
    while let Some(name) = waiting
        .pop_front()
        .or_else(|| unseen.first().map(|name| (*name).to_owned()))
    {
        if !unseen.remove(name.as_str()) {
            continue;
        }
        let state =
            state(&name, &states[&name], states).with_context(|| format!("state `{name}`"))?;
        waiting.extend(state.ways.iter().map(|way| way.to.clone()));
        read.push(state);
    }
    Ok(Machine {
        start: start.to_owned(),
        states: read,
    })
}

fn state(name: &str, state: &Value, all: &Map<String, Value>) -> Result<State> {
    let kind = state["Type"].as_str().unwrap_or("none");
    let Some(kind) = Kind::read(kind) else {
        let known = Kind::ALL.map(|(name, _)| name).join(", ");
        bail!("expected one of {known} at `Type`, found `{kind}`");
    };
    let mut ways = Vec::new();
    let mut ends = kind == Kind::Succeed;
    match kind {
        Kind::Succeed | Kind::Fail => {}
        Kind::Choice => {
            let choices = state["Choices"].as_array().filter(|list| !list.is_empty());
            for choice in
                choices.context("expected a list with something in it at `Choices`, found none")?
            {
                ways.push(way(choice, "Next", all, Some(words::condition(choice)))?);
            }
            if state.get("Default").is_some() {
                ways.push(way(state, "Default", all, Some("else".to_owned()))?);
            }
        }
        Kind::Task | Kind::Pass | Kind::Wait | Kind::Map | Kind::Parallel => {
            ends = state["End"] == true;
            if ends == state.get("Next").is_some() {
                let found = if ends { "both" } else { "neither" };
                bail!("expected either `Next` or `\"End\": true`, found {found}");
            }
            if !ends {
                ways.push(way(state, "Next", all, None)?);
            }
        }
    }
    for catch in list(state, "Catch")? {
        let errors: Vec<_> = list(catch, "ErrorEquals")?
            .iter()
            .filter_map(Value::as_str)
            .collect();
        let mut way = way(catch, "Next", all, Some(words::cut(&errors.join(", "))))?;
        way.caught = true;
        ways.push(way);
    }
    Ok(State {
        name: name.to_owned(),
        kind,
        note: words::note(kind, state),
        ways,
        ends,
        runs: runs(kind, state)?,
    })
}

/// The list at `key`; empty where missing.
fn list<'a>(value: &'a Value, key: &str) -> Result<&'a [Value]> {
    match value.get(key) {
        None => Ok(&[]),
        Some(Value::Array(list)) => Ok(list),
        Some(_) => bail!("expected a list at `{key}`, found something else"),
    }
}

fn way(from: &Value, key: &str, all: &Map<String, Value>, when: Option<String>) -> Result<Way> {
    let to = from[key].as_str();
    let to = to.with_context(|| format!("expected the name of a state at `{key}`, found none"))?;
    if !all.contains_key(to) {
        bail!("expected a state beside it at `{key}`, found `{to}`, which `States` lacks");
    }
    Ok(Way {
        to: to.to_owned(),
        when,
        caught: false,
    })
}

fn runs(kind: Kind, state: &Value) -> Result<Vec<Machine>> {
    match kind {
        Kind::Map => {
            // `Iterator` is its old name.
            let processor = state.get("ItemProcessor").or_else(|| state.get("Iterator"));
            let processor =
                processor.context("expected a state machine at `ItemProcessor`, found none")?;
            Ok(vec![read(processor).context("`ItemProcessor`")?])
        }
        Kind::Parallel => {
            let branches = list(state, "Branches")?;
            if branches.is_empty() {
                bail!("expected a list of state machines at `Branches`, found none");
            }
            let read = |(at, branch)| read(branch).with_context(|| format!("branch {}", at + 1));
            branches.iter().enumerate().map(read).collect()
        }
        _ => Ok(Vec::new()),
    }
}
