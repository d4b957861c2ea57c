//! Payload templates: in JSONPath, a name that ends in `.$` takes a path or an intrinsic function.
//!
//! <https://states-language.net/spec.html#payload-template>

use serde_json::Value;

use super::Language;
use super::intrinsics::path_or_call;
use super::paths::Kind;
use super::{Checker, State, is_computed, shown};
use crate::tools::check::code::Code;
use crate::tools::template::below;

/// The fields that hold a template, with those inside the fields of a Map state.
const FIELDS: [&str; 9] = [
    "Parameters",
    "ResultSelector",
    "ItemSelector",
    "Assign",
    "Credentials",
    "ItemReader/Parameters",
    "ItemReader/ReaderConfig/Parameters",
    "ResultWriter/Parameters",
    "ItemBatcher/BatchInput",
];

impl Checker<'_> {
    pub(super) fn payloads(&mut self, state: &State) {
        if state.language == Language::Jsonata {
            return;
        }
        for field in FIELDS {
            let mut at = state.pointer.to_owned();
            let mut value = None;
            for key in field.split('/') {
                at = below(&at, key);
                value = match value {
                    None => state.map.get(key),
                    Some(outer) => Value::get(outer, key),
                };
                if value.is_none() {
                    break;
                }
            }
            if let Some(value) = value {
                self.payload(state, value, &at);
            }
        }
    }

    pub(super) fn payload(&mut self, state: &State, value: &Value, pointer: &str) {
        match value {
            _ if is_computed(value) => {}
            Value::Array(list) => {
                for (i, item) in list.iter().enumerate() {
                    self.payload(state, item, &below(pointer, i));
                }
            }
            Value::Object(map) => {
                for (key, inner) in map {
                    let at = below(pointer, key);
                    let Some(bare) = key.strip_suffix(".$").filter(|bare| !bare.contains("${"))
                    else {
                        self.payload(state, inner, &at);
                        continue;
                    };
                    if map.contains_key(bare) {
                        self.add(&at, Code::AslPayload, format!("state `{}`: expected each name once, found `{bare}` beside `{key}`, which sets it as well; remove one", state.name));
                    }
                    if is_computed(inner) {
                        continue;
                    }
                    let problem = match inner {
                        Value::String(text) => path_or_call(text, Kind::AnyOrCall),
                        _ => Some("is not a text".to_owned()),
                    };
                    if let Some(problem) = problem {
                        self.add(&at, Code::AslPayload, format!("state `{}`: expected a path or an intrinsic function as `{key}`, found {}, which {problem}; correct it, or name it `{bare}`", state.name, shown(inner)));
                    }
                }
            }
            _ => {}
        }
    }
}
