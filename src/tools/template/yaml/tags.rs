//! CloudFormation's short tags.

use granit_parser::Marker;
use serde_json::{Map, Value};

use super::place;
use crate::tools::template::places::Problem;

/// The tags of `Fn::<tag>`. `Ref` and `Condition` stand for themselves. Those from `Contains` on are for `Rules`.
/// <https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/intrinsic-function-reference.html>
const FUNCTIONS: [&str; 25] = [
    "And",
    "Base64",
    "Cidr",
    "Equals",
    "FindInMap",
    "GetAZs",
    "GetAtt",
    "GetStackOutput",
    "If",
    "ImportValue",
    "Join",
    "Length",
    "Not",
    "Or",
    "Select",
    "Split",
    "Sub",
    "ToJsonString",
    "Transform",
    "Contains",
    "EachMemberEquals",
    "EachMemberIn",
    "RefAll",
    "ValueOf",
    "ValueOfAll",
];

const KEPT: [&str; 2] = ["Ref", "Condition"];

/// The effect of a tag on its node.
pub(super) enum Tag {
    None,
    /// One of YAML's own, without effect on a scalar: `!!int`, `!!map`.
    Scalar,
    /// `!!str`, or `!` alone.
    Text,
    /// A function of CloudFormation. A scalar as its argument is always a text.
    Function(String),
}

impl Tag {
    pub(super) fn of(tag: &granit_parser::Tag, start: Marker) -> Result<Self, Problem> {
        match (tag.core_suffix(), tag.parts()) {
            (Some("str"), _) | (None, ("", "!")) | (None, ("!", "")) => Ok(Self::Text),
            (Some(_), _) => Ok(Self::Scalar),
            (None, ("!", name)) if FUNCTIONS.contains(&name) || KEPT.contains(&name) => {
                Ok(Self::Function(name.to_owned()))
            }
            _ => Err(Problem::new(
                place(start),
                format!(
                    "expected a tag of CloudFormation such as `!Ref` or `!Sub`, found `{}`",
                    tag.original()
                ),
            )),
        }
    }
}

/// The long form of a function.
pub(super) fn function(name: &str, start: Marker, argument: Value) -> Result<Value, Problem> {
    let argument = match (name, argument) {
        ("GetAtt", Value::String(path)) => {
            // Attributes may have dots (`Outputs.Url`), logical ids never have.
            let (resource, attribute) = path.split_once('.').ok_or_else(|| {
                Problem::new(
                    place(start),
                    format!("expected `!GetAtt Resource.Attribute`, found `!GetAtt {path}`"),
                )
            })?;
            serde_json::json!([resource, attribute])
        }
        (_, argument) => argument,
    };
    Ok(Value::Object(Map::from_iter([(long_name(name), argument)])))
}

/// The long name of a tag's function.
pub(super) fn long_name(tag: &str) -> String {
    match KEPT.contains(&tag) {
        true => tag.to_owned(),
        false => format!("Fn::{tag}"),
    }
}
