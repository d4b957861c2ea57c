//! Resolves a template's functions, as far as possible without an account.
//!
//! Parameters have their defaults, conditions follow from them, and resources have the ARNs of a made-up account. The stack is
//! [`STACK`], or [`WORKFLOW_STACK`] for a template of a workflow. An unknown value (a parameter without a default, an import)
//! becomes a text with [`UNRESOLVED`] in it, the same one in every place.

mod names;

use std::cell::Cell;

use serde_json::{Map, Value};

use super::stacks::is_of_workflow;
pub use names::{ACCOUNT, REGION, STACK, WORKFLOW_STACK};

/// The beginning of the text for every unknown value.
pub const UNRESOLVED: &str = "unresolved.";

/// The key of a route's placeholder, whose value is the parameter with its JSON. See [`Resolver::with_pieces`].
pub const PIECE: &str = "$piece";

/// Nesting of values; more counts as a circle.
const MAX_DEPTH: usize = 40;

/// Parts visited for one value; more of them are a growing circle.
const MAX_STEPS: usize = 100_000;

/// Resolves the functions of one template.
#[derive(Clone, Debug)]
pub struct Resolver<'t> {
    template: &'t Value,
    /// Values in place of the parameters' defaults.
    chosen: Map<String, Value>,
    /// The name of the made-up stack.
    stack: &'static str,
    pieces: bool,
    steps: Cell<usize>,
}

impl<'t> Resolver<'t> {
    pub fn new(template: &'t Value) -> Self {
        Self {
            template,
            chosen: Map::new(),
            stack: match is_of_workflow(template) {
                true => WORKFLOW_STACK,
                false => STACK,
            },
            pieces: false,
            steps: Cell::new(0),
        }
    }

    /// The name of the made-up stack.
    pub fn stack(&self) -> &'static str {
        self.stack
    }

    /// A copy with another value for a parameter.
    pub fn with(&self, parameter: &str, value: Value) -> Self {
        let mut other = self.clone();
        other.chosen.insert(parameter.to_owned(), value);
        other
    }

    /// A copy in which a parameter of SSM with `Fn::ToJsonString` gives `{"$piece": "<its logical id>"}`, so that the caller
    /// finds the place of each route.
    pub fn with_pieces(&self) -> Self {
        let mut other = self.clone();
        other.pieces = true;
        other
    }

    /// A value with all its functions resolved; null for `AWS::NoValue`.
    pub fn value(&self, value: &Value) -> Value {
        self.steps.set(0);
        self.inner(value, 0).unwrap_or(Value::Null)
    }

    /// The text of a plain value.
    pub fn text(&self, value: &Value) -> Option<String> {
        text(&self.value(value))
    }

    /// Whether a condition holds; `None` where unknown.
    pub fn condition(&self, name: &str) -> Option<bool> {
        self.holds(&self.template["Conditions"][name], 0)
    }

    /// `None` for `AWS::NoValue`, which removes its entry.
    fn inner(&self, value: &Value, depth: usize) -> Option<Value> {
        self.steps.set(self.steps.get() + 1);
        if depth > MAX_DEPTH || self.steps.get() > MAX_STEPS {
            return Some(format!("{UNRESOLVED}circle").into());
        }
        match value {
            Value::Object(map) => {
                let mut entries = map.iter();
                if let (Some((name, argument)), None) = (entries.next(), entries.next())
                    && (name == "Ref" || name.starts_with("Fn::"))
                {
                    return self.call(name, argument, depth + 1);
                }
                let entries = map
                    .iter()
                    .filter_map(|(key, value)| Some((key.clone(), self.inner(value, depth + 1)?)));
                Some(Value::Object(entries.collect()))
            }
            Value::Array(list) => {
                let items = list.iter();
                Some(
                    items
                        .filter_map(|value| self.inner(value, depth + 1))
                        .collect(),
                )
            }
            _ => Some(value.clone()),
        }
    }

    fn call(&self, name: &str, argument: &Value, depth: usize) -> Option<Value> {
        let known = match name {
            "Ref" if argument == "AWS::NoValue" => return None,
            "Fn::If" => {
                let condition = argument[0].as_str().and_then(|name| self.condition(name));
                // An unknown condition counts as true, so that all values that depend on it fit together.
                let branch = if condition == Some(false) { 2 } else { 1 };
                return self.inner(&argument[branch], depth);
            }
            "Ref" => argument.as_str().map(|id| self.reference(id, depth)),
            "Fn::GetAtt" => match argument {
                Value::String(path) => path
                    .split_once('.')
                    .map(|(id, attribute)| self.attribute(id, attribute, depth)),
                parts => parts[0]
                    .as_str()
                    .zip(parts[1].as_str())
                    .map(|(id, attribute)| self.attribute(id, attribute, depth)),
            },
            "Fn::Sub" => match argument {
                Value::String(text) => Some(self.substitute(text, &Value::Null, depth)),
                parts => parts[0]
                    .as_str()
                    .map(|text| self.substitute(text, &parts[1], depth)),
            },
            "Fn::ToJsonString" => {
                let value = self.inner(argument, depth)?;
                Some(value.to_string().into())
            }
            "Fn::Join" => {
                let items = self.inner(&argument[1], depth)?;
                let items = items.as_array()?.iter().map(text);
                let items = items.collect::<Option<Vec<_>>>();
                argument[0]
                    .as_str()
                    .zip(items)
                    .map(|(by, items)| items.join(by).into())
            }
            "Fn::Split" => {
                let whole = text(&self.inner(&argument[1], depth)?)?;
                argument[0]
                    .as_str()
                    .filter(|by| !by.is_empty())
                    .map(|by| whole.split(by).collect())
            }
            "Fn::Select" => {
                let list = self.inner(&argument[1], depth)?;
                let index = text(&self.inner(&argument[0], depth)?)?
                    .parse::<usize>()
                    .ok();
                index.and_then(|index| list.get(index).cloned())
            }
            "Fn::FindInMap" => self.find_in_map(argument, depth),
            "Fn::Length" => {
                let list = self.inner(argument, depth)?;
                list.as_array().map(|list| list.len().into())
            }
            _ => None,
        };
        Some(known.unwrap_or_else(|| unresolved(&format!("{name} {argument}"))))
    }

    fn find_in_map(&self, argument: &Value, depth: usize) -> Option<Value> {
        let mut found = &self.template["Mappings"];
        for key in argument.as_array()?.iter().take(3) {
            found = found.get(text(&self.inner(key, depth)?)?)?;
        }
        Some(found.clone())
    }

    /// A text with its `${…}` replaced.
    fn substitute(&self, pattern: &str, locals: &Value, depth: usize) -> Value {
        let mut parts = pattern.split("${");
        let mut whole = parts.next().unwrap_or_default().to_owned();
        for part in parts {
            let Some((name, rest)) = part.split_once('}') else {
                whole = whole + "${" + part;
                continue;
            };
            let name = name.trim();
            if let Some(literal) = name.strip_prefix('!') {
                whole += &format!("${{{literal}}}");
            } else {
                let value = match (locals.get(name), name.split_once('.')) {
                    (Some(local), _) => self.inner(local, depth).unwrap_or_default(),
                    (None, Some((id, attribute))) => self.attribute(id, attribute, depth),
                    (None, None) => self.reference(name, depth),
                };
                whole += &text(&value).unwrap_or_else(|| value.to_string());
            }
            whole += rest;
        }
        whole.into()
    }

    fn holds(&self, condition: &Value, depth: usize) -> Option<bool> {
        if depth > MAX_DEPTH {
            return None;
        }
        let (name, argument) = condition.as_object()?.iter().next()?;
        let all = || {
            argument
                .as_array()
                .map(|list| list.iter().map(|one| self.holds(one, depth + 1)))
        };
        match name.as_str() {
            "Condition" => self.holds(&self.template["Conditions"][argument.as_str()?], depth + 1),
            "Fn::Not" => all()?.next()?.map(|held| !held),
            "Fn::And" => all()?.try_fold(true, |sum, held| Some(sum && held?)),
            "Fn::Or" => all()?.try_fold(false, |sum, held| Some(sum || held?)),
            "Fn::Equals" => {
                let side = |i: usize| text(&self.inner(&argument[i], depth + 1)?);
                let (left, right) = (side(0)?, side(1)?);
                let known = !left.contains(UNRESOLVED) && !right.contains(UNRESOLVED);
                known.then_some(left == right)
            }
            _ => None,
        }
    }
}

/// The text of a string, a number or a flag, as CloudFormation passes it on.
pub fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(_) | Value::Bool(_) => Some(value.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

/// The text for an unknown value, of characters valid in a name.
fn unresolved(what: &str) -> Value {
    let plain = what
        .chars()
        .filter(|c| c.is_ascii_alphanumeric() || *c == '-');
    format!("{UNRESOLVED}{}", plain.collect::<String>()).into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tools::template::parse;

    #[test]
    fn functions_give_their_deployed_values() {
        let template = parse(
            r#"Parameters: {Size: {Type: Number, Default: 3}, Free: {Type: String}, Names: {Type: CommaDelimitedList, Default: "a,b"}, Year: {Type: String, Default: 2030}, Word: {Type: String, Default: no}}
Conditions: {Small: !Equals [!Ref Size, 3], Big: !Not [!Condition Small], Odd: !Or [!Equals [!Ref Free, x], !Condition Small], Round: !Condition Round}
Mappings: {M: {us-east-1: {Ami: x}}}
Resources:
  Queue: {Type: AWS::SQS::Queue}
  Machine: {Type: AWS::Serverless::StateMachine}
  Loop: {Type: AWS::SSM::Parameter, Properties: {Value: !GetAtt Loop.Value}}
  Twice: {Type: AWS::SSM::Parameter, Properties: {Value: !Sub "${Twice.Value}${Twice.Value}"}}
  Version: {Type: AWS::StepFunctions::StateMachineVersion, Properties: {StateMachineArn: !Ref Machine}}
  Alias: {Type: AWS::StepFunctions::StateMachineAlias, Properties: {Name: live, RoutingConfiguration: [{StateMachineVersionArn: !Ref Version, Weight: 100}]}}
"#,
        )
        .unwrap();
        let resolver = Resolver::new(&template);
        let machine = "arn:aws:states:us-east-1:123456789012:stateMachine:Machine";
        for (yaml, expected) in [
            ("!Ref Size", "3"),
            ("!Ref Year", "\"2030\""),
            ("!Ref Word", "\"false\""),
            ("!If [Small, a, b]", "\"a\""),
            ("!If [Big, a, b]", "\"b\""),
            ("!If [Odd, a, b]", "\"a\""),
            ("!If [Round, a, b]", "\"a\""),
            ("[1, !If [Small, !Ref AWS::NoValue, 2]]", "[1]"),
            ("{a: !Ref AWS::NoValue}", "{}"),
            ("!Join ['-', !Ref Names]", "\"a-b\""),
            (
                "!Split [',', !Sub ['bus/${All}', {All: !Join [',bus/', !Ref Names]}]]",
                r#"["bus/a","bus/b"]"#,
            ),
            ("!Select [1, !Split [',', 'a,b']]", "\"b\""),
            ("!Select [7, [a]]", "\"unresolved.FnSelect7a\""),
            ("!FindInMap [M, !Ref AWS::Region, Ami]", "\"x\""),
            ("!Ref Free", "\"unresolved.Free\""),
            (
                "!Sub ['${A}-${!b}-${Size}-${', {A: !Ref Size}]",
                "\"3-${b}-3-${\"",
            ),
            (
                "!GetAtt Queue.Arn",
                "\"arn:aws:sqs:us-east-1:123456789012:Queue\"",
            ),
            ("!GetAtt Loop.Value", "\"unresolved.circle\""),
            ("!ToJsonString {a: !Ref Size}", r#""{\"a\":3}""#),
            ("!Ref MachineAliaslive", &format!("\"{machine}:live\"")),
            ("!Ref Version", &format!("\"{machine}:1\"")),
            ("!Ref Alias", &format!("\"{machine}:live\"")),
            ("!ImportValue there", "\"unresolved.FnImportValuethere\""),
        ] {
            let value = resolver.value(&parse(yaml).unwrap());
            assert_eq!(value.to_string(), expected, "{yaml}");
        }
        let other = resolver.with("Size", 4.into());
        assert_eq!(other.condition("Small"), Some(false));
        assert_eq!(resolver.condition("Nowhere"), None);
        let twice = resolver.value(&parse("!GetAtt Twice.Value").unwrap());
        assert!(twice.to_string().contains("unresolved.circle"));
    }
}
