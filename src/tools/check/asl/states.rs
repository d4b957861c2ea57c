//! The required fields of each type of state.

use serde_json::{Map, Value};

use super::Language;
use super::integrations::Call;
use super::values::is_timestamp;
use super::{Checker, Kind, MOST_SECONDS, State, is_computed, shown};
use crate::tools::check::code::Code;
use crate::tools::template::below;

impl Checker<'_> {
    /// Requires either `Next` or `End`, except in types with transitions of their own.
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
            self.add(state.pointer, Code::AslTransition, format!("state `{name}`: expected either `Next` or `\"End\": true`, found neither; add one of the two"));
        }
    }

    pub(super) fn task(&mut self, state: &State) {
        let name = state.name;
        match state.map.get("Resource") {
            None => self.add(state.pointer, Code::AslMissingField, format!("state `{name}`: expected a `Resource` in a Task state, found none; name what it calls")),
            Some(value) if is_computed(value) => {}
            Some(Value::String(arn)) if arn.starts_with("arn:") => self.resource(state, arn),
            Some(other) => self.add(&state.at("Resource"), Code::AslValue, format!("state `{name}`: expected an ARN as `Resource`, found {}; write one, such as `arn:aws:states:::lambda:invoke`", shown(other))),
        }
        for key in ["TimeoutSeconds", "HeartbeatSeconds"] {
            self.seconds(
                state.map,
                state.pointer,
                key,
                state.language == Language::Jsonata,
            );
            if state.map.contains_key(key) && state.map.contains_key(&format!("{key}Path")) {
                self.add(&state.at(key), Code::AslTimeout, format!("state `{name}`: expected one of `{key}` and `{key}Path`, found both; remove one"));
            }
        }
        self.credentials(state);
        let number = |key: &str| state.map.get(key).and_then(Value::as_u64);
        if let (Some(heartbeat), Some(timeout)) =
            (number("HeartbeatSeconds"), number("TimeoutSeconds"))
            && heartbeat >= timeout
        {
            self.add(&state.at("HeartbeatSeconds"), Code::AslTimeout, format!("state `{name}`: expected a heartbeat shorter than the time-out of {timeout} s, found {heartbeat} s; shorten it"));
        }
    }

    /// Checks the integration of a task, and how it waits.
    fn resource(&mut self, state: &State, arn: &str) {
        let name = state.name;
        let call = Call::of(arn);
        if let Some((problem, sure)) = call.and_then(|call| call.problem()) {
            let text = format!(
                "state `{name}`: expected an integration of Step Functions as `Resource`, found `{arn}`, {problem}"
            );
            match sure {
                true => self.add(&state.at("Resource"), Code::AslIntegration, text),
                false => self.warn(&state.at("Resource"), Code::AslIntegration, text),
            }
        }
        let activity = arn.contains(":activity:").then_some("an activity");
        let waits = call
            .map(|call| call.waits)
            .filter(|waits| !waits.is_empty())
            .or(activity);
        if let Some(waits) = waits.filter(|_| state.express) {
            self.add(&state.at("Resource"), Code::AslExpress, format!("state `{name}`: expected a call that EXPRESS workflows support, found `{waits}`, which only STANDARD ones support; change the type, or call without it"));
        }
    }

    fn credentials(&mut self, state: &State) {
        let Some(value) = state
            .map
            .get("Credentials")
            .filter(|value| !is_computed(value))
        else {
            return;
        };
        let at = state.at("Credentials");
        let role = match state.language {
            Language::JsonPath => ["RoleArn", "RoleArn.$"],
            Language::Jsonata => ["RoleArn"; 2],
        };
        let is_expression = state.language == Language::Jsonata && value.is_string();
        let has = |map: &Map<String, Value>| role.iter().any(|key| map.contains_key(*key));
        if !is_expression && !value.as_object().is_some_and(has) {
            self.add(&at, Code::AslMissingField, format!("state `{}`: expected an object with `RoleArn` as `Credentials`, found {}; name the role there, or remove the field", state.name, match value {
                Value::Object(_) => "none in it".to_owned(),
                other => shown(other),
            }));
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
        let is_expression = |value: &Value| {
            let text = value.as_str().unwrap_or_default();
            state.language == Language::Jsonata && text.starts_with("{%")
        };
        let written = |key: &str| {
            let value = state.map.get(key)?;
            (!is_computed(value) && !is_expression(value)).then_some(value)
        };
        let whole = |value: &Value| {
            value
                .as_u64()
                .is_some_and(|seconds| seconds <= MOST_SECONDS)
        };
        if let Some(value) = written("Seconds").filter(|value| !whole(value)) {
            self.add(
                &state.at("Seconds"),
                Code::AslWait,
                format!(
                    "state `{}`: expected whole seconds from 0 to {MOST_SECONDS} as `Seconds`, found {}; correct it",
                    state.name,
                    shown(value)
                ),
            );
        }
        let time = |value: &Value| value.as_str().is_some_and(is_timestamp);
        if let Some(value) = written("Timestamp").filter(|value| !time(value)) {
            self.add(
                &state.at("Timestamp"),
                Code::AslWait,
                format!(
                    "state `{}`: expected a time of RFC 3339 such as `2030-01-31T12:00:00Z` as `Timestamp`, found {}; correct it",
                    state.name,
                    shown(value)
                ),
            );
        }
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
