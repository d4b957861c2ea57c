//! What each type of state needs.

use serde_json::Value;

use super::{Checker, Kind, State, is_computed, shown};
use crate::check::code::Code;
use crate::local::template::below;

impl Checker<'_> {
    /// Where a state goes: exactly one way, unless its type says where.
    pub(super) fn transition(&mut self, state: &State) {
        if ["Choice", "Succeed", "Fail"].contains(&state.kind) {
            return;
        }
        let (next, end) = (state.map.get("Next"), state.map.get("End"));
        let name = state.name;
        if let Some(end) = end.filter(|end| !end.is_boolean() && !is_computed(end)) {
            self.add(
                &state.at("End"),
                Code::AslTransition,
                format!(
                    "state `{name}`: expected true as `End`, found {}; correct it",
                    shown(end)
                ),
            );
        } else if next.is_some() && end.is_some_and(|end| *end == true) {
            self.add(&state.at("Next"), Code::AslTransition, format!("state `{name}`: expected either `Next` or `\"End\": true`, found both; remove one"));
        } else if next.is_none() && end.is_none_or(|end| *end == false) {
            self.add(state.pointer, Code::AslTransition, format!("state `{name}`: expected either `Next` or `\"End\": true`, found neither; say where it goes"));
        }
    }

    pub(super) fn task(&mut self, state: &State) {
        let name = state.name;
        match state.map.get("Resource") {
            None => self.add(state.pointer, Code::AslMissingField, format!("state `{name}`: expected a `Resource` in a Task state, found none; name what it calls")),
            Some(value) if is_computed(value) => {}
            Some(Value::String(arn)) if arn.starts_with("arn:") => {
                let waits = [".sync", ".sync:2", ".waitForTaskToken"].iter().find(|end| arn.ends_with(*end));
                let waits = waits.copied().or_else(|| arn.contains(":activity:").then_some("an activity"));
                if let Some(waits) = waits.filter(|_| state.express) {
                    self.add(&state.at("Resource"), Code::AslExpress, format!("state `{name}`: expected what an EXPRESS workflow can wait for, found `{waits}`, which only STANDARD ones can; change the type, or call without it"));
                }
            }
            Some(other) => self.add(&state.at("Resource"), Code::AslValue, format!("state `{name}`: expected an ARN as `Resource`, found {}; write one, such as `arn:aws:states:::lambda:invoke`", shown(other))),
        }
        for key in ["TimeoutSeconds", "HeartbeatSeconds"] {
            self.seconds(
                state.map,
                state.pointer,
                key,
                state.language == super::Language::Jsonata,
            );
            if state.map.contains_key(key) && state.map.contains_key(&format!("{key}Path")) {
                self.add(&state.at(key), Code::AslTimeout, format!("state `{name}`: expected one of `{key}` and `{key}Path`, found both; remove one"));
            }
        }
        let number = |key: &str| state.map.get(key).and_then(Value::as_u64);
        if let (Some(heartbeat), Some(timeout)) =
            (number("HeartbeatSeconds"), number("TimeoutSeconds"))
            && heartbeat >= timeout
        {
            self.add(&state.at("HeartbeatSeconds"), Code::AslTimeout, format!("state `{name}`: expected a heartbeat shorter than the time-out of {timeout} s, found {heartbeat} s; shorten it"));
        }
    }

    pub(super) fn wait(&mut self, state: &State) {
        const WAYS: [&str; 4] = ["Seconds", "Timestamp", "SecondsPath", "TimestampPath"];
        let given: Vec<_> = WAYS
            .into_iter()
            .filter(|way| state.map.contains_key(*way))
            .collect();
        if given.len() != 1 {
            let found = if given.is_empty() {
                "none".to_owned()
            } else {
                given.join(" and ")
            };
            self.add(state.pointer, Code::AslWait, format!("state `{}`: expected exactly one of {}, found {found}; say how long it waits in one way", state.name, WAYS.join(", ")));
        }
        let seconds = state.map.get("Seconds").filter(|value| !is_computed(value));
        if let Some(value) = seconds.filter(|value| {
            value.as_u64().is_none() && !value.as_str().is_some_and(|text| text.starts_with("{%"))
        }) {
            self.add(
                &state.at("Seconds"),
                Code::AslWait,
                format!(
                    "state `{}`: expected whole seconds as `Seconds`, found {}; correct it",
                    state.name,
                    shown(value)
                ),
            );
        }
    }

    pub(super) fn map(&mut self, state: &State) {
        let key = ["ItemProcessor", "Iterator"]
            .into_iter()
            .find(|key| state.map.contains_key(*key));
        let Some(key) = key else {
            self.add(state.pointer, Code::AslMissingField, format!("state `{}`: expected an `ItemProcessor` in a Map state, found none; say what it does with each item", state.name));
            return;
        };
        let processor = &state.map[key];
        let at = state.at(key);
        let config = &processor["ProcessorConfig"];
        let mut express = state.express;
        if let Some(config) = config.as_object() {
            let inside = below(&at, "ProcessorConfig");
            self.one_of(
                config,
                &inside,
                "Mode",
                &["INLINE", "DISTRIBUTED"],
                Code::AslValue,
            );
            self.one_of(
                config,
                &inside,
                "ExecutionType",
                &["STANDARD", "EXPRESS"],
                Code::AslValue,
            );
            if config.get("Mode").is_some_and(|mode| mode == "DISTRIBUTED") {
                if express {
                    self.add(&below(&inside, "Mode"), Code::AslExpress, format!("state `{}`: expected the mode INLINE in an EXPRESS workflow, found DISTRIBUTED; change it, or the type of the workflow", state.name));
                }
                if !config.contains_key("ExecutionType") {
                    self.add(&inside, Code::AslMissingField, format!("state `{}`: expected an `ExecutionType` beside the mode DISTRIBUTED, found none; set STANDARD or EXPRESS", state.name));
                }
                express = config
                    .get("ExecutionType")
                    .is_some_and(|kind| kind == "EXPRESS");
            }
        }
        let keys = &[
            "Comment",
            "StartAt",
            "States",
            "ProcessorConfig",
            "QueryLanguage",
        ];
        self.machine(processor, &at, &Kind::Inner { express, keys });
    }

    pub(super) fn parallel(&mut self, state: &State) {
        let branches = state
            .map
            .get("Branches")
            .and_then(Value::as_array)
            .filter(|list| !list.is_empty());
        let Some(branches) = branches else {
            if !state.map.get("Branches").is_some_and(is_computed) {
                self.add(&state.at("Branches"), Code::AslMissingField, format!("state `{}`: expected state machines in the list `Branches` of a Parallel state, found none; add at least one", state.name));
            }
            return;
        };
        for (i, branch) in branches.iter().enumerate() {
            let keys = &["Comment", "StartAt", "States", "QueryLanguage"];
            self.machine(
                branch,
                &below(&state.at("Branches"), i),
                &Kind::Inner {
                    express: state.express,
                    keys,
                },
            );
        }
    }
}
