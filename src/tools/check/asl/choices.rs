//! The rules of a Choice state.

use serde_json::{Map, Value};

use super::Language;
use super::paths::Kind as Path;
use super::values::is_timestamp;
use super::{Checker, State, is_computed, shown};
use crate::tools::check::code::Code;
use crate::tools::check::template::did_you_mean;
use crate::tools::template::below;

const ORDERED: [&str; 3] = ["String", "Numeric", "Timestamp"];
const ORDERS: [&str; 5] = [
    "Equals",
    "LessThan",
    "GreaterThan",
    "LessThanEquals",
    "GreaterThanEquals",
];
const OTHERS: [&str; 9] = [
    "BooleanEquals",
    "BooleanEqualsPath",
    "StringMatches",
    "IsNull",
    "IsPresent",
    "IsNumeric",
    "IsString",
    "IsBoolean",
    "IsTimestamp",
];
/// Nesting of rules; deeper ones are not checked.
const MAX_DEPTH: usize = 30;

/// The comparisons of JSONPath, such as `NumericLessThanPath`.
fn is_comparison(key: &str) -> bool {
    let ordered = ORDERED.iter().any(|kind| {
        let order = key.strip_prefix(kind).unwrap_or_default();
        ORDERS.contains(&order.strip_suffix("Path").unwrap_or(order))
    });
    ordered || OTHERS.contains(&key)
}

impl Checker<'_> {
    pub(super) fn choices(&mut self, state: &State) {
        let list = state
            .map
            .get("Choices")
            .and_then(Value::as_array)
            .filter(|list| !list.is_empty());
        let Some(list) = list else {
            self.add(&state.at("Choices"), Code::AslMissingField, format!("state `{}`: expected rules in the list `Choices` of a Choice state, found none; add at least one", state.name));
            return;
        };
        for (i, rule) in list.iter().enumerate() {
            let at = below(&state.at("Choices"), i);
            let Some(map) = rule.as_object() else {
                self.add(
                    &at,
                    Code::AslValue,
                    format!(
                        "state `{}`: expected a rule, found {}; write an object",
                        state.name,
                        shown(rule)
                    ),
                );
                continue;
            };
            if !map.contains_key("Next") {
                self.add(&at, Code::AslMissingField, format!("state `{}`: expected a `Next` in every rule, found none; name the next state", state.name));
            }
            match state.language {
                Language::Jsonata => {
                    self.condition(state, map, &at);
                    self.variables(state, map, &at);
                }
                Language::JsonPath => self.comparison(state, map, &at, true, 0),
            }
        }
    }

    fn condition(&mut self, state: &State, map: &Map<String, Value>, at: &str) {
        const KNOWN: [&str; 5] = ["Condition", "Next", "Assign", "Output", "Comment"];
        let name = state.name;
        for key in map.keys().filter(|key| !KNOWN.contains(&key.as_str())) {
            let path =
                is_comparison(key) || ["Variable", "And", "Or", "Not"].contains(&key.as_str());
            let (code, what) = match path {
                true => (
                    Code::AslQueryLanguage,
                    "belongs to JSONPath; write a `Condition` with `{% %}`".to_owned(),
                ),
                false => (
                    Code::AslField,
                    format!(
                        "is unknown{}; correct or remove it",
                        did_you_mean(key, KNOWN.into_iter())
                    ),
                ),
            };
            self.add(&below(at, key), code, format!("state `{name}`: expected a field of a rule in JSONata ({}), found `{key}`, which {what}", KNOWN.join(", ")));
        }
        match map.get("Condition") {
            None if map.keys().any(|key| key == "Variable" || key == "And" || key == "Or" || key == "Not") => {}
            None => self.add(at, Code::AslMissingField, format!("state `{name}`: expected a `Condition` in every rule, found none; write one with `{{% %}}`")),
            Some(Value::Bool(_)) => {}
            Some(Value::String(text)) if text.contains("{%") || text.contains("%}") => {}
            Some(value) if is_computed(value) => {}
            Some(other) => self.add(&below(at, "Condition"), Code::AslQueryLanguage, format!("state `{name}`: expected a JSONata expression between `{{%` and `%}}` as `Condition`, found {}; put it between them", shown(other))),
        }
    }

    fn comparison(
        &mut self,
        state: &State,
        map: &Map<String, Value>,
        at: &str,
        outermost: bool,
        depth: usize,
    ) {
        let name = state.name;
        if map.contains_key("Condition") {
            self.add(&below(at, "Condition"), Code::AslQueryLanguage, format!("state `{name}`: expected a rule in JSONPath (`Variable` and a comparison), found a `Condition` of JSONata; set `\"QueryLanguage\": \"JSONata\"` in this state"));
            return;
        }
        let (mut comparisons, mut joined) = (0, 0);
        for (key, value) in map {
            let here = below(at, key);
            match key.as_str() {
                "Variable" | "Comment" => {}
                "Next" | "Assign" if outermost => {}
                "And" | "Or" | "Not" => {
                    joined += 1;
                    let inner: Vec<_> = match value {
                        Value::Array(list) if key != "Not" && !list.is_empty() => list.iter().enumerate().map(|(i, rule)| (below(&here, i), rule)).collect(),
                        Value::Object(_) if key == "Not" => vec![(here.clone(), value)],
                        _ => {
                            self.add(&here, Code::AslValue, format!("state `{name}`: expected {} as `{key}`, found {}; correct it", if key == "Not" { "a rule" } else { "a list of rules" }, shown(value)));
                            Vec::new()
                        }
                    };
                    for (at, rule) in inner {
                        if let Some(map) = rule.as_object().filter(|_| depth < MAX_DEPTH) {
                            self.comparison(state, map, &at, false, depth + 1);
                        }
                    }
                }
                key if is_comparison(key) => {
                    comparisons += 1;
                    self.compared(state, map, at, key, value);
                }
                key => self.add(&here, Code::AslField, format!("state `{name}`: expected a comparison or `Variable`, `And`, `Or`, `Not`, `Next` in a rule, found `{key}`; correct or remove it")),
            }
        }
        self.path(state, map, at, "Variable", Path::Reference);
        if outermost {
            self.variables(state, map, at);
            if let Some(assign) = map.get("Assign") {
                self.payload(state, assign, &below(at, "Assign"));
            }
        }
        if joined > 0 && (joined > 1 || comparisons > 0 || map.contains_key("Variable")) {
            self.add(at, Code::AslField, format!("state `{name}`: expected one of `And`, `Or`, `Not` and a comparison in a rule, found several; nest them"));
        }
        if joined == 0 && (comparisons != 1 || !map.contains_key("Variable")) {
            self.add(at, Code::AslMissingField, format!("state `{name}`: expected a `Variable` and exactly one comparison in a rule, found {comparisons} of them{}; complete it", if map.contains_key("Variable") { "" } else { " and no `Variable`" }));
        }
    }

    /// Checks that the value has the type in the comparison's name.
    fn compared(
        &mut self,
        state: &State,
        map: &Map<String, Value>,
        at: &str,
        key: &str,
        value: &Value,
    ) {
        if key.ends_with("Path") {
            return self.path(state, map, at, key, Path::Reference);
        }
        if is_computed(value) {
            return;
        }
        let (fits, expected) = match key {
            _ if key.starts_with("Numeric") => (value.is_number(), "a number"),
            _ if key.starts_with("String") => (value.is_string(), "a text"),
            _ if key.starts_with("Timestamp") => (
                value.as_str().is_some_and(is_timestamp),
                "a time of RFC 3339 such as `2030-01-31T12:00:00Z`",
            ),
            _ => (value.is_boolean(), "true or false"),
        };
        if !fits {
            self.add(
                &below(at, key),
                Code::AslValue,
                format!(
                    "state `{}`: expected {expected} as `{key}`, found {}; correct it",
                    state.name,
                    shown(value)
                ),
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::is_comparison;

    #[test]
    fn comparisons_are_known_by_name() {
        for key in [
            "StringEquals",
            "NumericLessThanPath",
            "TimestampGreaterThanEquals",
            "BooleanEquals",
            "IsPresent",
            "StringMatches",
        ] {
            assert!(is_comparison(key), "{key}");
        }
        for key in [
            "String",
            "Path",
            "StringMatchesPath",
            "BooleanLessThan",
            "StringPath",
            "Condition",
        ] {
            assert!(!is_comparison(key), "{key}");
        }
    }
}
