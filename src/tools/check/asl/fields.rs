//! The fields of each type of state.

use super::Language;
use super::{Checker, State};
use crate::tools::check::code::Code;
use crate::tools::check::template::did_you_mean;

pub(super) const KINDS: [&str; 8] = [
    "Task", "Pass", "Choice", "Wait", "Succeed", "Fail", "Map", "Parallel",
];

/// Fields, each with the types of state that allow it.
type Table = &'static [(&'static str, &'static [&'static str])];

const GOES_ON: &[&str] = &["Task", "Pass", "Wait", "Map", "Parallel"];
const CALLS: &[&str] = &["Task", "Map", "Parallel"];
const ALL_BUT_FAIL: &[&str] = &[
    "Task", "Pass", "Choice", "Wait", "Succeed", "Map", "Parallel",
];
const ALL_BUT_ENDS: &[&str] = &["Task", "Pass", "Choice", "Wait", "Map", "Parallel"];
const PASSES: &[&str] = &["Task", "Pass", "Map", "Parallel"];

const BOTH: Table = &[
    ("Type", &KINDS),
    ("Comment", &KINDS),
    ("QueryLanguage", &KINDS),
    ("Next", GOES_ON),
    ("End", GOES_ON),
    ("Assign", ALL_BUT_ENDS),
    ("Retry", CALLS),
    ("Catch", CALLS),
    ("Resource", &["Task"]),
    ("TimeoutSeconds", &["Task"]),
    ("HeartbeatSeconds", &["Task"]),
    ("Credentials", &["Task"]),
    ("Choices", &["Choice"]),
    ("Default", &["Choice"]),
    ("Seconds", &["Wait"]),
    ("Timestamp", &["Wait"]),
    ("Error", &["Fail"]),
    ("Cause", &["Fail"]),
    ("Branches", &["Parallel"]),
    ("ItemProcessor", &["Map"]),
    ("Iterator", &["Map"]),
    ("ItemSelector", &["Map"]),
    ("ItemReader", &["Map"]),
    ("ItemBatcher", &["Map"]),
    ("ResultWriter", &["Map"]),
    ("MaxConcurrency", &["Map"]),
    ("ToleratedFailureCount", &["Map"]),
    ("ToleratedFailurePercentage", &["Map"]),
    ("Label", &["Map"]),
];

const JSONATA: Table = &[
    ("Output", ALL_BUT_FAIL),
    ("Arguments", &["Task", "Parallel"]),
    ("Items", &["Map"]),
];

const JSON_PATH: Table = &[
    ("InputPath", ALL_BUT_FAIL),
    ("OutputPath", ALL_BUT_FAIL),
    ("Parameters", PASSES),
    ("ResultPath", PASSES),
    ("ResultSelector", CALLS),
    ("Result", &["Pass"]),
    ("TimeoutSecondsPath", &["Task"]),
    ("HeartbeatSecondsPath", &["Task"]),
    ("SecondsPath", &["Wait"]),
    ("TimestampPath", &["Wait"]),
    ("ErrorPath", &["Fail"]),
    ("CausePath", &["Fail"]),
    ("ItemsPath", &["Map"]),
    ("MaxConcurrencyPath", &["Map"]),
    ("ToleratedFailureCountPath", &["Map"]),
    ("ToleratedFailurePercentagePath", &["Map"]),
];

/// Whether a field belongs to the other query language.
pub(super) fn is_foreign(state: &State, field: &str) -> bool {
    let other = match state.language {
        Language::Jsonata => JSON_PATH,
        Language::JsonPath => JSONATA,
    };
    has(other, field, state.kind)
}

fn has(table: Table, field: &str, kind: &str) -> bool {
    table
        .iter()
        .any(|(name, kinds)| *name == field && kinds.contains(&kind))
}

impl Checker<'_> {
    pub(super) fn fields(&mut self, state: &State) {
        let (own, other) = match state.language {
            Language::Jsonata => (JSONATA, JSON_PATH),
            Language::JsonPath => (JSON_PATH, JSONATA),
        };
        for field in state.map.keys() {
            let (name, kind, language) = (state.name, state.kind, state.language.name());
            if has(BOTH, field, kind) || has(own, field, kind) {
                continue;
            }
            let at = state.at(field);
            if has(other, field, kind) {
                let remedy = match state.language {
                    Language::Jsonata => "use `Arguments`, `Output` and `Assign` with `{% %}`",
                    Language::JsonPath => {
                        "set `\"QueryLanguage\": \"JSONata\"`, or use the fields of JSONPath"
                    }
                };
                self.add(&at, Code::AslQueryLanguage, format!("state `{name}`: expected fields of {language}, found `{field}`, which belongs to {}; {remedy}", state.language.other().name()));
            } else if ["Next", "End"].contains(&field.as_str()) {
                let remedy = match kind {
                    "Choice" => {
                        "each choice has a `Next` of its own, and `Default` is for all else"
                    }
                    _ => "remove it: a workflow ends here",
                };
                self.add(&at, Code::AslTransition, format!("state `{name}`: expected no `{field}` in a {kind} state, found one; {remedy}"));
            } else {
                let fields = BOTH
                    .iter()
                    .chain(own)
                    .filter(|(_, kinds)| kinds.contains(&kind));
                let meant = did_you_mean(field, fields.map(|(name, _)| *name));
                self.add(&at, Code::AslField, format!("state `{name}`: expected a field of a {kind} state, found `{field}`{meant}; correct or remove it"));
            }
        }
    }
}
