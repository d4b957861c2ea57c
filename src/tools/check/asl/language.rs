//! The query language of each state, and expressions in the other one.

use serde_json::{Map, Value};

use super::fields::is_foreign;
use super::{Checker, Language, State, is_computed, shown};
use crate::tools::check::code::Code;
use crate::tools::check::jsonata;
use crate::tools::check::template::did_you_mean;
use crate::tools::template::below;

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
                self.add(&at, Code::AslQueryLanguage, format!("state `{name}`: expected JSONata, the language of the whole definition, found JSONPath; a state can only go from JSONPath to JSONata"));
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

    /// Checks the expressions in a state's own fields.
    pub(super) fn texts(&mut self, state: &State) {
        const MACHINES: [&str; 3] = ["Branches", "ItemProcessor", "Iterator"];
        // A field of the other language has a finding of its own.
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
                        self.warn(&at, Code::AslQueryLanguage, format!("state `{}`: expected JSONata, found the name `{key}`, which is not a path here and keeps its `.$`; write `\"{bare}\": \"{{% … %}}\"`", state.name));
                    }
                    if state.language == Language::Jsonata || key != "Condition" {
                        self.text(state, inner, &at);
                    }
                }
            }
            _ => {}
        }
    }

    /// Checks the syntax of an expression and its calls.
    fn jsonata(&mut self, state: &State, expression: &str, pointer: &str) {
        // The deployment fills placeholders in.
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
