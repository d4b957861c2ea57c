//! The structure of a state machine's definition: Amazon States Language in JSONata and JSONPath.
//!
//! Results of expressions and arguments of services are not judged.

mod choices;
mod errors;
mod fields;
mod graph;
mod integrations;
mod intrinsics;
mod language;
mod maps;
mod paths;
mod payload;
mod states;
mod values;

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::code::Code;
use super::findings::Findings;
use super::source::Source;
use super::template::did_you_mean;
use crate::tools::template::below;
pub use integrations::Call;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Language {
    Jsonata,
    JsonPath,
}

impl Language {
    fn name(self) -> &'static str {
        match self {
            Self::Jsonata => "JSONata",
            Self::JsonPath => "JSONPath",
        }
    }

    fn other(self) -> Self {
        match self {
            Self::Jsonata => Self::JsonPath,
            Self::JsonPath => Self::Jsonata,
        }
    }
}

/// Most characters in the name of a state.
const NAME_MAX: usize = 80;

/// Nesting of machines; deeper ones are not checked.
const MAX_DEPTH: usize = 30;

/// Step Functions' longest time-out: three years.
const MOST_SECONDS: u64 = 99_999_999;

/// Checks a definition at `pointer` of a source; `express` is set for an EXPRESS state machine.
pub fn check(
    source: &Source,
    definition: &Value,
    pointer: &str,
    express: bool,
    findings: &mut Findings,
) {
    let language = match definition["QueryLanguage"].as_str() {
        Some("JSONata") => Language::Jsonata,
        _ => Language::JsonPath,
    };
    let mut checker = Checker {
        source,
        findings,
        language,
        names: BTreeMap::new(),
        depth: 0,
    };
    checker.machine(definition, pointer, &Kind::Whole { express });
}

/// The context of a machine.
enum Kind {
    Whole {
        express: bool,
    },
    /// A branch of a Parallel state, or the processor of a Map state.
    Inner {
        express: bool,
        keys: &'static [&'static str],
    },
}

impl Kind {
    fn express(&self) -> bool {
        match self {
            Self::Whole { express } | Self::Inner { express, .. } => *express,
        }
    }
}

struct Checker<'a> {
    source: &'a Source,
    findings: &'a mut Findings,
    /// Of the whole definition.
    language: Language,
    /// The states seen so far, with their pointers.
    names: BTreeMap<String, String>,
    depth: usize,
}

/// A state while it is checked.
struct State<'v> {
    name: &'v str,
    kind: &'v str,
    map: &'v Map<String, Value>,
    pointer: &'v str,
    language: Language,
    express: bool,
}

impl State<'_> {
    fn at(&self, key: &str) -> String {
        below(self.pointer, key)
    }
}

impl Checker<'_> {
    fn add(&mut self, pointer: &str, code: Code, text: impl Into<String>) {
        self.findings.add(self.source, pointer, code, text);
    }

    /// For a definition that Step Functions accepts, but that is surely a mistake.
    fn warn(&mut self, pointer: &str, code: Code, text: impl Into<String>) {
        self.findings.warn(self.source, pointer, code, text);
    }

    fn machine(&mut self, value: &Value, pointer: &str, kind: &Kind) {
        if is_computed(value) || self.depth > MAX_DEPTH {
            return;
        }
        self.depth += 1;
        self.machine_inside(value, pointer, kind);
        self.depth -= 1;
    }

    fn machine_inside(&mut self, value: &Value, pointer: &str, kind: &Kind) {
        let Some(map) = value.as_object() else {
            self.add(pointer, Code::AslValue, format!("expected a state machine with `StartAt` and `States`, found {}; write an object", shown(value)));
            return;
        };
        let known: &[&str] = match kind {
            Kind::Whole { .. } => &[
                "Comment",
                "QueryLanguage",
                "StartAt",
                "States",
                "TimeoutSeconds",
                "Version",
            ],
            Kind::Inner { keys, .. } => keys,
        };
        for key in map.keys().filter(|key| !known.contains(&key.as_str())) {
            let meant = did_you_mean(key, known.iter().copied());
            self.add(
                &below(pointer, key),
                Code::AslField,
                format!(
                    "expected only fields of a state machine ({}), found `{key}`{meant}; remove it",
                    known.join(", ")
                ),
            );
        }
        self.one_of(
            map,
            pointer,
            "QueryLanguage",
            &["JSONata", "JSONPath"],
            Code::AslQueryLanguage,
        );
        self.seconds(map, pointer, "TimeoutSeconds", false);
        let Some(states) = map
            .get("States")
            .and_then(Value::as_object)
            .filter(|states| !states.is_empty())
        else {
            self.add(
                &below(pointer, "States"),
                Code::AslMissingField,
                "expected states in the object `States`, found none; add at least one",
            );
            return;
        };
        let inside = below(pointer, "States");
        for (name, state) in states {
            self.state(name, state, &below(&inside, name), kind.express());
        }
        self.graph(map, states, pointer);
    }

    /// Checks a state's name, its type, and the fields of that type.
    fn state(&mut self, name: &str, value: &Value, pointer: &str, express: bool) {
        if name.chars().count() > NAME_MAX {
            self.add(pointer, Code::AslValue, format!("expected a name of at most {NAME_MAX} characters, found {} in `{name}`; shorten it", name.chars().count()));
        }
        if self
            .names
            .insert(name.to_owned(), pointer.to_owned())
            .is_some()
        {
            self.add(pointer, Code::AslDuplicateName, format!("expected a unique name in the whole definition, found `{name}` again; rename one"));
        }
        let Some(map) = value.as_object() else {
            self.add(
                pointer,
                Code::AslValue,
                format!(
                    "state `{name}`: expected an object, found {}; write the state as one",
                    shown(value)
                ),
            );
            return;
        };
        let kinds = fields::KINDS;
        // A computed type could be any of them.
        if map.get("Type").is_some_and(is_computed) {
            return;
        }
        let Some(kind) = map
            .get("Type")
            .and_then(Value::as_str)
            .filter(|kind| kinds.contains(kind))
        else {
            let found = map.get("Type").map_or("none".to_owned(), shown);
            let meant = map
                .get("Type")
                .and_then(Value::as_str)
                .map_or(String::new(), |kind| did_you_mean(kind, kinds.into_iter()));
            self.add(&below(pointer, "Type"), Code::AslType, format!("state `{name}`: expected one of {} as `Type`, found {found}{meant}; name the state's type", kinds.join(", ")));
            return;
        };
        let language = self.language_of(name, map, pointer);
        let state = State {
            name,
            kind,
            map,
            pointer,
            language,
            express,
        };
        self.fields(&state);
        self.texts(&state);
        self.values(&state);
        self.payloads(&state);
        self.transition(&state);
        match kind {
            "Task" => self.task(&state),
            "Wait" => self.wait(&state),
            "Choice" => self.choices(&state),
            "Map" => self.map(&state),
            "Parallel" => self.parallel(&state),
            _ => {}
        }
        self.errors(&state);
    }

    /// Checks that a field, where present, has one of the known values.
    fn one_of(
        &mut self,
        map: &Map<String, Value>,
        pointer: &str,
        key: &str,
        known: &[&str],
        code: Code,
    ) {
        let Some(value) = map.get(key).filter(|value| !is_computed(value)) else {
            return;
        };
        if !value.as_str().is_some_and(|text| known.contains(&text)) {
            self.add(
                &below(pointer, key),
                code,
                format!(
                    "expected one of {} as `{key}`, found {}; use one of them",
                    known.join(", "),
                    shown(value)
                ),
            );
        }
    }

    /// Checks for whole seconds above zero; `computed` allows an expression, too.
    fn seconds(&mut self, map: &Map<String, Value>, pointer: &str, key: &str, computed: bool) {
        let Some(value) = map.get(key).filter(|value| !is_computed(value)) else {
            return;
        };
        let is_expression = computed && value.as_str().is_some_and(|text| text.starts_with("{%"));
        let fits = value
            .as_u64()
            .is_some_and(|seconds| (1..=MOST_SECONDS).contains(&seconds));
        if !fits && !is_expression {
            self.add(&below(pointer, key), Code::AslTimeout, format!("expected whole seconds from 1 to {MOST_SECONDS} as `{key}`, found {}; correct it, or leave it out", shown(value)));
        }
    }
}

/// Whether only the deployment knows a value: a function of CloudFormation, or a text with a placeholder.
fn is_computed(value: &Value) -> bool {
    match value {
        Value::Object(map) => {
            map.len() == 1
                && map
                    .keys()
                    .all(|key| key == "Ref" || key.starts_with("Fn::"))
        }
        Value::String(text) => text.contains("${"),
        _ => false,
    }
}

/// A value as a finding shows it: short, since it may be a payload.
fn shown(value: &Value) -> String {
    const MOST: usize = 40;
    let text = match value {
        Value::Object(_) => return "an object".to_owned(),
        Value::Array(list) if list.is_empty() => return "an empty list".to_owned(),
        Value::Array(_) => return "a list".to_owned(),
        Value::String(text) => format!("{text:?}"),
        other => other.to_string(),
    };
    match text.char_indices().nth(MOST) {
        Some((at, _)) => format!("`{}…`", &text[..at]),
        None => format!("`{text}`"),
    }
}
