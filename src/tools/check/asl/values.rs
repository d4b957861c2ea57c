//! Paths, variables, and fields that exclude each other.

use serde_json::{Map, Value};

use super::Language;
use super::intrinsics::path_or_call;
use super::paths::Kind;
use super::{Checker, State, is_computed, shown};
use crate::tools::check::code::Code;
use crate::tools::template::below;

/// Fields with a path.
const PATHS: [(&str, Kind); 13] = [
    ("InputPath", Kind::Any),
    ("OutputPath", Kind::Any),
    ("ResultPath", Kind::Result),
    ("ItemsPath", Kind::Reference),
    ("TimeoutSecondsPath", Kind::Reference),
    ("HeartbeatSecondsPath", Kind::Reference),
    ("SecondsPath", Kind::Reference),
    ("TimestampPath", Kind::Reference),
    ("MaxConcurrencyPath", Kind::Reference),
    ("ToleratedFailureCountPath", Kind::Reference),
    ("ToleratedFailurePercentagePath", Kind::Reference),
    ("ErrorPath", Kind::ReferenceOrCall),
    ("CausePath", Kind::ReferenceOrCall),
];

/// Paths that may be null.
const NULLABLE: [&str; 3] = ["InputPath", "OutputPath", "ResultPath"];

impl Checker<'_> {
    /// Checks the paths of a state, and its fields that exclude each other.
    pub(super) fn values(&mut self, state: &State) {
        if state.language == Language::JsonPath {
            for (key, kind) in PATHS {
                self.path(state, state.map, state.pointer, key, kind);
            }
        }
        if state.kind == "Fail" {
            self.one_or_other(state, state.map, state.pointer, "Error");
            self.one_or_other(state, state.map, state.pointer, "Cause");
            for key in ["Error", "Cause"] {
                let value = state.map.get(key).filter(|value| !is_computed(value));
                if let Some(value) = value.filter(|value| !value.is_string()) {
                    self.add(
                        &state.at(key),
                        Code::AslValue,
                        format!(
                            "state `{}`: expected a text as `{key}`, found {}; correct it",
                            state.name,
                            shown(value)
                        ),
                    );
                }
            }
        }
        self.variables(state, state.map, state.pointer);
    }

    /// Refuses `Key` beside `KeyPath`.
    pub(super) fn one_or_other(
        &mut self,
        state: &State,
        map: &Map<String, Value>,
        pointer: &str,
        key: &str,
    ) {
        let path = format!("{key}Path");
        if map.contains_key(key) && map.contains_key(&path) {
            self.add(
                &below(pointer, &path),
                Code::AslField,
                format!(
                    "state `{}`: expected one of `{key}` and `{path}`, found both; remove one",
                    state.name
                ),
            );
        }
    }

    pub(super) fn path(
        &mut self,
        state: &State,
        map: &Map<String, Value>,
        pointer: &str,
        key: &str,
        kind: Kind,
    ) {
        let Some(value) = map.get(key).filter(|value| !is_computed(value)) else {
            return;
        };
        let problem = match value {
            Value::Null if NULLABLE.contains(&key) => None,
            Value::String(text) => path_or_call(text, kind),
            _ => Some("is not a text".to_owned()),
        };
        if let Some(problem) = problem {
            self.add(
                &below(pointer, key),
                Code::AslPath,
                format!(
                    "state `{}`: expected {} as `{key}`, found {}, which {problem}; correct it",
                    state.name,
                    kind.name(),
                    shown(value)
                ),
            );
        }
    }

    /// Checks the names in an `Assign`.
    pub(super) fn variables(&mut self, state: &State, map: &Map<String, Value>, pointer: &str) {
        const MOST: usize = 80;
        let Some(value) = map.get("Assign").filter(|value| !is_computed(value)) else {
            return;
        };
        let at = below(pointer, "Assign");
        let Some(names) = value.as_object() else {
            self.add(&at, Code::AslValue, format!("state `{}`: expected an object with variables as `Assign`, found {}; write one", state.name, shown(value)));
            return;
        };
        for key in names.keys().filter(|key| !key.contains("${")) {
            let name = match state.language {
                Language::JsonPath => key.strip_suffix(".$").unwrap_or(key),
                Language::Jsonata => key,
            };
            let begins = name.starts_with(|c: char| c.is_alphabetic() || c == '_');
            let plain = name.chars().all(|c| c.is_alphanumeric() || c == '_');
            if !begins || !plain || name.chars().count() > MOST || name == "states" {
                self.add(&below(&at, key), Code::AslValue, format!("state `{}`: expected a variable's name of at most {MOST} letters, digits and `_`, other than `states`, found `{name}`; rename it", state.name));
            }
        }
    }
}

/// Whether a text is a time of RFC 3339 with `T`, and `Z` or an offset.
pub(super) fn is_timestamp(text: &str) -> bool {
    let Some((date, time)) = text.split_once('T') else {
        return false;
    };
    let (clock, offset) = match time.strip_suffix('Z') {
        Some(clock) => (clock, None),
        None => match time.rfind(['+', '-']) {
            Some(at) => (&time[..at], Some(&time[at + 1..])),
            None => return false,
        },
    };
    let (clock, fraction) = match clock.split_once('.') {
        Some((clock, fraction)) => (clock, Some(fraction)),
        None => (clock, None),
    };
    let numbers = |text: &str, by: char, widths: &[usize]| -> Option<Vec<u32>> {
        let parts: Vec<_> = text.split(by).collect();
        let fits = parts
            .iter()
            .map(|part| part.len())
            .eq(widths.iter().copied());
        let digits = parts
            .iter()
            .all(|part| part.bytes().all(|b| b.is_ascii_digit()));
        let parts = parts.iter().map(|part| part.parse().ok());
        if fits && digits {
            parts.collect()
        } else {
            None
        }
    };
    let date = numbers(date, '-', &[4, 2, 2]);
    let date = date.is_some_and(|date| {
        let leap = date[0] % 4 == 0 && (date[0] % 100 != 0 || date[0] % 400 == 0);
        let days = match date[1] {
            2 if leap => 29,
            2 => 28,
            4 | 6 | 9 | 11 => 30,
            1..=12 => 31,
            _ => 0,
        };
        (1..=days).contains(&date[2])
    });
    let hours = |time: &str, widths: &[usize]| {
        let time = numbers(time, ':', widths);
        time.is_some_and(|time| time[0] < 24 && time[1] < 60 && time.get(2).is_none_or(|s| *s < 61))
    };
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    date && hours(clock, &[2, 2, 2])
        && fraction.is_none_or(digits)
        && offset.is_none_or(|offset| hours(offset, &[2, 2]))
}

#[cfg(test)]
mod tests {
    use super::is_timestamp;

    #[test]
    fn timestamps_are_those_of_rfc_3339() {
        for text in [
            "2016-03-14T01:59:00Z",
            "2016-03-05T21:29:29.243167252Z",
            "2024-02-29T00:00:00+05:30",
            "2024-12-31T23:59:60-01:00",
        ] {
            assert!(is_timestamp(text), "{text}");
        }
        for text in [
            "2016-12-05 21:29:29Z",
            "2016-12-05T21:29:29",
            "2016-13-05T21:29:29Z",
            "2016-12-05T25:29:29Z",
            "05-12-2016T21:29:29Z",
            "2023-02-29T00:00:00Z",
            "2016-3-5T1:2:3Z",
            "2016-03-05T21:29Z",
            "2016-03-05T21:29:29.Z",
            "2016-03-05T21:29:29+5",
            "2016-03-05",
            "",
            "T",
            "ä-03-14T01:59:00Z",
            "{% '2016-03-14T01:59:00Z' %}",
        ] {
            assert!(!is_timestamp(text), "{text}");
        }
    }
}
