//! The Map state.

use serde_json::{Map, Value};

use super::Language;
use super::paths::Kind as Path;
use super::{Checker, Kind, State, is_computed, shown};
use crate::tools::check::code::Code;
use crate::tools::template::below;

/// Fields of a Map state, or inside one of them, that take whole numbers from 0 on.
const NUMBERS: [(&str, &str); 5] = [
    ("", "MaxConcurrency"),
    ("", "ToleratedFailureCount"),
    ("ItemReader/ReaderConfig", "MaxItems"),
    ("ItemBatcher", "MaxItemsPerBatch"),
    ("ItemBatcher", "MaxInputBytesPerBatch"),
];

/// <https://docs.aws.amazon.com/step-functions/latest/dg/state-map-distributed.html>
const LABEL_MOST: usize = 40;
const LABEL_WITHOUT: &str = "?*<>{}[]:;,\\|^~$#%&`\"";

impl Checker<'_> {
    pub(super) fn map(&mut self, state: &State) {
        let key = ["ItemProcessor", "Iterator"]
            .into_iter()
            .find(|key| state.map.contains_key(*key));
        if state.map.contains_key("ItemProcessor") && state.map.contains_key("Iterator") {
            self.add(&state.at("Iterator"), Code::AslField, format!("state `{}`: expected one of `ItemProcessor` and `Iterator`, found both; remove `Iterator`, its old name", state.name));
        }
        if state.map.contains_key("ItemSelector") && state.map.contains_key("Parameters") {
            self.add(&state.at("Parameters"), Code::AslField, format!("state `{}`: expected one of `ItemSelector` and `Parameters` in a Map state, found both; remove `Parameters`, its old name", state.name));
        }
        self.map_values(state);
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

    fn map_values(&mut self, state: &State) {
        let name = state.name;
        for (inside, key) in NUMBERS {
            let Some((map, at)) = part(state, inside) else {
                continue;
            };
            if state.language == Language::JsonPath {
                self.one_or_other(state, map, &at, key);
                if !inside.is_empty() {
                    self.path(state, map, &at, &format!("{key}Path"), Path::Reference);
                }
            }
            let Some(value) = number(state, map, key) else {
                continue;
            };
            if value.as_u64().is_none() {
                self.add(&below(&at, key), Code::AslValue, format!("state `{name}`: expected a whole number from 0 on as `{key}`, found {}; correct it", shown(value)));
            }
        }
        const PERCENTAGE: &str = "ToleratedFailurePercentage";
        if state.language == Language::JsonPath {
            self.one_or_other(state, state.map, state.pointer, PERCENTAGE);
        }
        if let Some(value) = number(state, state.map, PERCENTAGE)
            && !value
                .as_f64()
                .is_some_and(|share| (0.0..=100.0).contains(&share))
        {
            self.add(&state.at(PERCENTAGE), Code::AslValue, format!("state `{name}`: expected a number from 0 to 100 as `{PERCENTAGE}`, found {}; correct it", shown(value)));
        }
        if let Some(value) = state.map.get("Label").filter(|value| !is_computed(value)) {
            let plain =
                |c: char| !c.is_whitespace() && !c.is_control() && !LABEL_WITHOUT.contains(c);
            let fits = |text: &str| text.chars().count() <= LABEL_MOST && text.chars().all(plain);
            if !value.as_str().is_some_and(fits) {
                self.add(&state.at("Label"), Code::AslValue, format!("state `{name}`: expected at most {LABEL_MOST} characters without spaces and without {LABEL_WITHOUT} as `Label`, found {}; rename it", shown(value)));
            }
        }
        for (key, others) in [
            ("ItemReader", &["Resource"][..]),
            ("ResultWriter", &["Resource", "WriterConfig"]),
        ] {
            let Some(value) = state.map.get(key).filter(|value| !is_computed(value)) else {
                continue;
            };
            if !others.iter().any(|other| value.get(other).is_some()) {
                self.add(&state.at(key), Code::AslMissingField, format!("state `{name}`: expected an object with `{}` as `{key}`, found none; add it", others[0]));
            }
        }
    }
}

/// The state, or an object in it, with its pointer.
fn part<'v>(state: &State<'v>, path: &str) -> Option<(&'v Map<String, Value>, String)> {
    let mut map = state.map;
    let mut at = state.pointer.to_owned();
    for key in path.split('/').filter(|key| !key.is_empty()) {
        map = map.get(key)?.as_object()?;
        at = below(&at, key);
    }
    Some((map, at))
}

/// The value of a numeric field, unless it is computed.
fn number<'v>(state: &State, map: &'v Map<String, Value>, key: &str) -> Option<&'v Value> {
    let value = map.get(key)?;
    let expression = state.language == Language::Jsonata
        && value.as_str().is_some_and(|text| text.starts_with("{%"));
    (!is_computed(value) && !expression).then_some(value)
}
