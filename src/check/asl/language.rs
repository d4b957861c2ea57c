//! JSONata or JSONPath, and expressions of the one in states of the other.

use serde_json::{Map, Value};

use super::fields::is_foreign;
use super::{Checker, State, is_computed, shown};
use crate::check::code::Code;
use crate::check::jsonata;
use crate::check::template::did_you_mean;
use crate::local::template::below;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Language {
    Jsonata,
    JsonPath,
}

impl Language {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Jsonata => "JSONata",
            Self::JsonPath => "JSONPath",
        }
    }

    pub(super) fn other(self) -> Self {
        match self {
            Self::Jsonata => Self::JsonPath,
            Self::JsonPath => Self::Jsonata,
        }
    }
}

impl Checker<'_> {
    /// The language of a state: its own, or that of the whole definition.
    pub(super) fn language_of(
        &mut self,
        name: &str,
        map: &Map<String, Value>,
        pointer: &str,
    ) -> Language {
        let at = below(pointer, "QueryLanguage");
        match (map.get("QueryLanguage").map(Value::as_str), self.language) {
            (None, language) => language,
            (Some(Some("JSONata")), _) => Language::Jsonata,
            (Some(Some("JSONPath")), Language::JsonPath) => Language::JsonPath,
            (Some(Some("JSONPath")), Language::Jsonata) => {
                self.add(&at, Code::AslQueryLanguage, format!("state `{name}`: expected JSONata, which the whole definition is in, found JSONPath; a state can only go from JSONPath to JSONata"));
                Language::JsonPath
            }
            (Some(_), language) => {
                self.one_of(
                    map,
                    pointer,
                    "QueryLanguage",
                    &["JSONata", "JSONPath"],
                    Code::AslQueryLanguage,
                );
                language
            }
        }
    }

    /// Expressions in all that a state says itself.
    pub(super) fn texts(&mut self, state: &State) {
        const MACHINES: [&str; 3] = ["Branches", "ItemProcessor", "Iterator"];
        // What belongs to the other language altogether is told as such.
        let own =
            |key: &str| !MACHINES.contains(&key) && key != "Comment" && !is_foreign(state, key);
        let own = state.map.iter().filter(|(key, _)| own(key));
        for (key, value) in own {
            self.text(state, value, &state.at(key));
        }
    }

    fn text(&mut self, state: &State, value: &Value, pointer: &str) {
        match value {
            Value::String(text) => self.expression(state, text, pointer),
            Value::Array(list) => {
                for (i, item) in list.iter().enumerate() {
                    self.text(state, item, &below(pointer, i));
                }
            }
            Value::Object(map) => {
                for (key, inner) in map {
                    let at = below(pointer, key);
                    if state.language == Language::Jsonata
                        && key.ends_with(".$")
                        && !is_computed(inner)
                    {
                        let bare = key.trim_end_matches(".$");
                        self.warn(&at, Code::AslQueryLanguage, format!("state `{}`: expected JSONata, found the name `{key}`, which is no path here and keeps its `.$`; write `\"{bare}\": \"{{% … %}}\"`", state.name));
                    }
                    if state.language == Language::Jsonata || key != "Condition" {
                        self.text(state, inner, &at);
                    }
                }
            }
            _ => {}
        }
    }

    /// The syntax of an expression, and the functions that it calls.
    fn jsonata(&mut self, state: &State, expression: &str, pointer: &str) {
        // With a placeholder it is known later.
        if expression.contains("${") {
            return;
        }
        let name = state.name;
        match jsonata::read(expression) {
            Err(problem) => self.add(pointer, Code::AslJsonata, format!("state `{name}`: expected an expression of JSONata 2.0.6, found one that {problem}; correct it")),
            Ok(calls) => {
                for unknown in calls.unknown() {
                    let meant = did_you_mean(unknown, jsonata::FUNCTIONS.into_iter());
                    self.warn(pointer, Code::AslJsonata, format!("state `{name}`: expected functions of JSONata or Step Functions, found the unknown `${unknown}`{meant}, with which the expression fails; correct the name"));
                }
            }
        }
    }

    fn expression(&mut self, state: &State, text: &str, pointer: &str) {
        let (begins, ends) = (text.starts_with("{%"), text.ends_with("%}"));
        let whole = begins && ends && text.len() >= 4;
        let spaced = text.trim();
        let name = state.name;
        match state.language {
            Language::JsonPath if whole => self.warn(pointer, Code::AslQueryLanguage, format!("state `{name}`: expected JSONPath, found a JSONata expression, which would stay a text; set `\"QueryLanguage\": \"JSONata\"` in this state")),
            Language::JsonPath => {}
            Language::Jsonata if whole => self.jsonata(state, &text[2..text.len() - 2], pointer),
            Language::Jsonata if begins || ends => self.add(pointer, Code::AslQueryLanguage, format!("state `{name}`: expected a JSONata expression between `{{%` and `%}}`, with nothing around them, found {}; complete it", shown(&text.into()))),
            Language::Jsonata if spaced.starts_with("{%") && spaced.ends_with("%}") => self.warn(pointer, Code::AslQueryLanguage, format!("state `{name}`: expected `{{%` at the very beginning and `%}}` at the very end of an expression, found space around them, so it would stay a text; remove it")),
            Language::Jsonata => {}
        }
    }
}
