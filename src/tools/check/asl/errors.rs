//! `Retry` and `Catch`.

use serde_json::{Map, Value};

use super::Language;
use super::paths::Kind as Path;
use super::{Checker, State, is_computed, shown};
use crate::tools::check::code::Code;
use crate::tools::check::template::did_you_mean;
use crate::tools::template::below;

const ALL: &str = "States.ALL";
const RETRY: &[&str] = &[
    "ErrorEquals",
    "IntervalSeconds",
    "MaxAttempts",
    "BackoffRate",
    "MaxDelaySeconds",
    "JitterStrategy",
    "Comment",
];
const CATCH: &[&str] = &["ErrorEquals", "Next", "Assign", "Comment"];

impl Checker<'_> {
    pub(super) fn errors(&mut self, state: &State) {
        for key in ["Retry", "Catch"] {
            let Some(value) = state.map.get(key).filter(|value| !is_computed(value)) else {
                continue;
            };
            let Some(list) = value.as_array() else {
                self.add(
                    &state.at(key),
                    Code::AslRetry,
                    format!(
                        "state `{}`: expected a list as `{key}`, found {}; write `[{{…}}]`",
                        state.name,
                        shown(value)
                    ),
                );
                continue;
            };
            for (i, one) in list.iter().enumerate() {
                let at = below(&state.at(key), i);
                let Some(map) = one.as_object() else {
                    self.add(
                        &at,
                        Code::AslRetry,
                        format!(
                            "state `{}`: expected an object in `{key}`, found {}; correct it",
                            state.name,
                            shown(one)
                        ),
                    );
                    continue;
                };
                self.error_names(state, key, map, &at, i + 1 == list.len());
                if key == "Retry" {
                    self.retrier(state, map, &at);
                } else {
                    self.catcher(state, map, &at);
                }
            }
        }
    }

    fn error_names(
        &mut self,
        state: &State,
        key: &str,
        map: &Map<String, Value>,
        at: &str,
        last: bool,
    ) {
        let name = state.name;
        let here = below(at, "ErrorEquals");
        let names = map
            .get("ErrorEquals")
            .and_then(Value::as_array)
            .filter(|names| !names.is_empty());
        let Some(names) = names else {
            self.add(&here, Code::AslRetry, format!("state `{name}`: expected names of errors in the list `ErrorEquals` of `{key}`, found none; name some, or `{ALL}`"));
            return;
        };
        if let Some(other) = names
            .iter()
            .find(|name| !name.is_string() && !is_computed(name))
        {
            self.add(&here, Code::AslRetry, format!("state `{name}`: expected names of errors in `ErrorEquals`, found {}; correct it", shown(other)));
        }
        if names.iter().any(|name| name == ALL) {
            if names.len() > 1 {
                self.add(&here, Code::AslRetry, format!("state `{name}`: expected `{ALL}` alone in `ErrorEquals`, found it among others; it stands for them, too"));
            }
            if !last {
                self.add(&here, Code::AslRetry, format!("state `{name}`: expected `{ALL}` in the last entry of `{key}`, found it before others, which would never be reached; move it to the end"));
            }
        }
    }

    fn retrier(&mut self, state: &State, map: &Map<String, Value>, at: &str) {
        let name = state.name;
        self.known(state, "Retry", map, at, RETRY, &[]);
        let least = [
            ("IntervalSeconds", 1.0, true),
            ("MaxAttempts", 0.0, true),
            ("BackoffRate", 1.0, false),
            ("MaxDelaySeconds", 1.0, true),
        ];
        for (key, least, whole) in least {
            let Some(value) = map.get(key).filter(|value| !is_computed(value)) else {
                continue;
            };
            let fits = value
                .as_f64()
                .is_some_and(|number| number >= least && (!whole || number.fract() == 0.0));
            if !fits {
                let kind = if whole { "a whole number" } else { "a number" };
                self.add(&below(at, key), Code::AslRetry, format!("state `{name}`: expected {kind} from {least} on as `{key}`, found {}; correct it", shown(value)));
            }
        }
        let number = |key: &str, default: u64| map.get(key).map_or(Some(default), Value::as_u64);
        if let (Some(most), Some(first)) = (
            map.get("MaxDelaySeconds").and_then(Value::as_u64),
            number("IntervalSeconds", 1),
        ) && most <= first
        {
            self.add(&below(at, "MaxDelaySeconds"), Code::AslRetry, format!("state `{name}`: expected more than the first interval of {first} s as `MaxDelaySeconds`, found {most}; raise it"));
        }
        self.one_of(map, at, "JitterStrategy", &["FULL", "NONE"], Code::AslRetry);
    }

    fn catcher(&mut self, state: &State, map: &Map<String, Value>, at: &str) {
        let (own, other): (&[&str], &[&str]) = match state.language {
            Language::Jsonata => (&["Output"], &["ResultPath"]),
            Language::JsonPath => (&["ResultPath"], &["Output"]),
        };
        let known: Vec<_> = CATCH.iter().chain(own).copied().collect();
        self.known(state, "Catch", map, at, &known, other);
        self.variables(state, map, at);
        if state.language == Language::JsonPath {
            self.path(state, map, at, "ResultPath", Path::Result);
            if let Some(assign) = map.get("Assign") {
                self.payload(state, assign, &below(at, "Assign"));
            }
        }
        if !map.contains_key("Next") {
            self.add(at, Code::AslRetry, format!("state `{}`: expected a `Next` in every entry of `Catch`, found none; name the next state", state.name));
        }
    }

    fn known(
        &mut self,
        state: &State,
        list: &str,
        map: &Map<String, Value>,
        at: &str,
        known: &[&str],
        other: &[&str],
    ) {
        for key in map.keys().filter(|key| !known.contains(&key.as_str())) {
            let here = below(at, key);
            if other.contains(&key.as_str()) {
                let language = state.language;
                self.add(&here, Code::AslQueryLanguage, format!("state `{}`: expected fields of {}, found `{key}` in `{list}`, which belongs to {}; remove it", state.name, language.name(), language.other().name()));
            } else {
                let meant = did_you_mean(key, known.iter().copied());
                self.add(&here, Code::AslField, format!("state `{}`: expected only {} in `{list}`, found `{key}`{meant}; correct or remove it", state.name, known.join(", ")));
            }
        }
    }
}
