//! Transitions: every target exists, every state is reachable, and so is an end.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::{Checker, is_computed, shown};
use crate::tools::check::code::Code;
use crate::tools::check::template::did_you_mean;
use crate::tools::template::below;

/// A transition: its pointer relative to the state, and its target.
type Way<'v> = (String, &'v Value);

impl Checker<'_> {
    pub(super) fn graph(
        &mut self,
        machine: &Map<String, Value>,
        states: &Map<String, Value>,
        pointer: &str,
    ) {
        let inside = below(pointer, "States");
        let mut broken = false;
        let mut target = |checker: &mut Self, who: &str, key: &str, at: &str, value: &Value| {
            let name = value.as_str().unwrap_or_default();
            if is_computed(value) || states.contains_key(name) {
                return;
            }
            broken = true;
            let meant = did_you_mean(name, states.keys().map(String::as_str));
            checker.add(at, Code::AslUnknownState, format!("{who}expected the name of a state beside it as `{key}`, found {}, which names no state{meant}; correct the name, or add the state", shown(value)));
        };
        match machine.get("StartAt") {
            None => {
                self.add(
                    pointer,
                    Code::AslMissingField,
                    "expected the name of the first state as `StartAt`, found none; add it",
                );
                return;
            }
            Some(start) => target(self, "", "StartAt", &below(pointer, "StartAt"), start),
        }
        for (name, state) in states {
            for (path, value) in ways(state) {
                let key = path.rsplit('/').next().unwrap_or_default().to_owned();
                target(
                    self,
                    &format!("state `{name}`: "),
                    &key,
                    &format!("{}{path}", below(&inside, name)),
                    value,
                );
            }
        }
        // A wrong target would cause further findings.
        if broken {
            return;
        }
        let reached = reached(machine, states);
        for name in states
            .keys()
            .filter(|name| !reached.contains(name.as_str()))
        {
            self.add(&below(&inside, name), Code::AslUnreachable, format!("state `{name}`: expected a way to every state, found none that leads here from `StartAt`; lead to it, or remove it"));
        }
        if !reached.iter().any(|name| may_end(&states[*name])) {
            self.add(&inside, Code::AslNoEnd, "expected a way to an end (`\"End\": true`, a Succeed or a Fail state), found none: it would go round until it times out; add one");
        }
    }
}

fn may_end(state: &Value) -> bool {
    let kind = state["Type"].as_str();
    // A wrong type and a missing transition have findings of their own.
    let known = kind.is_some_and(|kind| super::fields::KINDS.contains(&kind));
    let nowhere = kind != Some("Choice") && state.get("Next").is_none();
    state["End"] == true || matches!(kind, Some("Succeed" | "Fail")) || !known || nowhere
}

fn reached<'v>(
    machine: &'v Map<String, Value>,
    states: &'v Map<String, Value>,
) -> BTreeSet<&'v str> {
    let mut open: Vec<_> = machine
        .get("StartAt")
        .and_then(Value::as_str)
        .into_iter()
        .collect();
    // A computed target could be any state.
    if machine.get("StartAt").is_some_and(is_computed)
        || states
            .values()
            .any(|state| ways(state).iter().any(|(_, to)| is_computed(to)))
    {
        open.extend(states.keys().map(String::as_str));
    }
    let mut reached = BTreeSet::new();
    while let Some(name) = open.pop() {
        if let Some(state) = states.get(name)
            && reached.insert(name)
        {
            open.extend(ways(state).into_iter().filter_map(|(_, to)| to.as_str()));
        }
    }
    reached
}

/// All transitions out of a state.
fn ways(state: &Value) -> Vec<Way<'_>> {
    let mut ways = Vec::new();
    for key in ["Next", "Default"] {
        ways.extend(state.get(key).map(|to| (format!("/{key}"), to)));
    }
    for list in ["Choices", "Catch"] {
        for (i, one) in state[list].as_array().into_iter().flatten().enumerate() {
            ways.extend(one.get("Next").map(|to| (format!("/{list}/{i}/Next"), to)));
        }
    }
    ways
}
