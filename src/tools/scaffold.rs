//! A stack for a new workflow: a copy of a shipped one under another name, or a route to an existing state machine.
//!
//! The shipped workflows are part of the program, so that it works in any folder. They are edited as text, to keep comments
//! and layout.

mod project;
mod removal;
mod renaming;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use super::template;
use crate::domain::inbound::routes::Routes;
pub use project::{alias, project};
pub use removal::{Left, Removal, removal};
use renaming::Renaming;

/// Characters in a name, at most: the limit of a route's name.
const NAME_MAX: usize = 32;

/// The file of a stack's template.
pub const TEMPLATE: &str = "template.yaml";

/// The default name of the bridge's stack.
pub const BRIDGE: &str = "workflow-bridge";

/// The workflows of the bridge's own stack.
const TAKEN: [&str; 2] = ["canary", "uppercase"];

/// Stand for the new name and for the command of the deployment while the other names change: a new name may contain an old
/// one.
const NAME: char = '\u{0}';
const COMMAND: char = '\u{1}';

macro_rules! examples {
    ($($name:literal, $definition:expr;)+) => {
        &[("uppercase", include_str!("scaffold/uppercase.yaml"), Some(definition!("uppercase"))),
          $(($name, include_str!(concat!("../../examples/", $name, "/template.yaml")), $definition),)+]
    };
}

macro_rules! definition {
    ($name:literal) => {
        include_str!(concat!("../../statemachines/", $name, ".asl.json"))
    };
}

/// The shipped workflows: name, template and definition.
const SHIPPED: &[(&str, &str, Option<&str>)] = examples! {
    "approve", Some(definition!("approve"));
    "count", Some(definition!("count"));
    "enqueue", Some(definition!("enqueue"));
    "enrich-with-lambda", Some(definition!("enrich-with-lambda"));
    "express-enrich", Some(definition!("express-enrich"));
    "on-the-bus", None;
    "order", Some(definition!("order"));
    "store", Some(definition!("store"));
    "translate-chat", Some(definition!("translate-chat"));
};

/// The shipped workflow with a function.
const WITH_FUNCTION: &str = "enrich-with-lambda";

/// The file and the text of its function, in each language.
const PYTHON: (&str, &str) = (
    "function/app.py",
    include_str!("../../examples/enrich-with-lambda/function/app.py"),
);
const NODE: (&str, &str) = ("function/index.mjs", include_str!("scaffold/index.mjs"));

/// Replace the runtime and the handler of the shipped function.
const IN_NODE: [(&str, &str); 2] = [
    ("Runtime: python3.13", "Runtime: nodejs22.x"),
    ("Handler: app.handler", "Handler: index.handler"),
];

/// The language of a new function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Language {
    Python,
    Node,
}

/// What a new workflow is made of.
#[derive(Clone, Copy, Debug)]
pub enum Source<'a> {
    /// The name of a shipped workflow.
    Like(&'a str),
    /// The shipped workflow with a function, in a language.
    Function(Language),
    /// The ARN of a state machine.
    Existing(&'a str),
}

/// The files of a new workflow.
#[derive(Debug)]
pub struct Scaffold {
    /// Names, relative to the workflow's folder, and texts.
    pub files: Vec<(String, String)>,
    /// The topics that start it.
    pub inbound: Vec<String>,
    /// The topics that it publishes to: those of its replies, and those written out in the state machine.
    pub outbound: Vec<String>,
    /// A first message to try, quoted for a shell.
    pub sample: &'static str,
}

impl Scaffold {
    /// The file of its definition; none for a route alone.
    pub fn definition(&self) -> Option<&str> {
        let mut names = self.files.iter().map(|(name, _)| name.as_str());
        names.find(|name| name.ends_with(".asl.json"))
    }
}

/// Makes the files of the workflow `name`.
///
/// # Errors
///
/// When the name is illegal, the source is unknown, or the route of an existing state machine is invalid.
pub fn scaffold(name: &str, source: Source<'_>) -> Result<Scaffold> {
    check_name(name)?;
    let source = match source {
        Source::Like(WITH_FUNCTION) => Source::Function(Language::Python),
        other => other,
    };
    let (text, definition) = match source {
        Source::Like(like) => copy(name, like)?,
        Source::Function(Language::Python) => copy(name, WITH_FUNCTION)?,
        Source::Function(Language::Node) => {
            let (text, definition) = copy(name, WITH_FUNCTION)?;
            let replaced = |text: String, (python, node): (&str, &str)| text.replace(python, node);
            (IN_NODE.into_iter().fold(text, replaced), definition)
        }
        Source::Existing(arn) => (existing(name, arn), None),
    };
    let function = match source {
        Source::Function(Language::Python) => Some(PYTHON),
        Source::Function(Language::Node) => Some(NODE),
        Source::Like(_) | Source::Existing(_) => None,
    };
    let template = template::parse(&text).context("cannot read the new template")?;
    let document = template::routes_document(&template).context("cannot read the new routes")?;
    Routes::parse(&document)
        .with_context(|| format!("expected a valid route for `{name}`, found another"))?;
    let document: Value = serde_json::from_str(&document)?;
    let routes: Vec<&Value> = document["routes"]
        .as_array()
        .into_iter()
        .flatten()
        .collect();
    let mut outbound = texts(&routes, "/reply/topics");
    let mut files = vec![(TEMPLATE.to_owned(), text)];
    if let Some(text) = definition {
        published(&serde_json::from_str(&text)?, &mut outbound);
        files.push((format!("{name}.asl.json"), text));
    }
    files.extend(function.map(|(file, text)| (file.to_owned(), text.to_owned())));
    Ok(Scaffold {
        files,
        inbound: texts(&routes, "/from/topic"),
        outbound,
        sample: match source {
            Source::Function(_) => r#"'{"customer": "ada"}'"#,
            Source::Like("order") => r#"'{"orderId": "4711"}'"#,
            Source::Like("approve") => r#"'{"question": "May we?"}'"#,
            Source::Like(_) | Source::Existing(_) => "hello",
        },
    })
}

/// A shipped workflow under another name: its template and its definition.
fn copy(name: &str, like: &str) -> Result<(String, Option<String>)> {
    let Some((_, text, definition)) = SHIPPED.iter().find(|(known, ..)| *known == like) else {
        let names: Vec<_> = SHIPPED
            .iter()
            .map(|(name, ..)| format!("`{name}`"))
            .collect();
        let near = SHIPPED
            .iter()
            .map(|(name, ..)| (strsim::jaro_winkler(name, like), name));
        let near = near.max_by(|(one, _), (other, _)| one.total_cmp(other));
        let near = near.filter(|(score, _)| *score > 0.8);
        let hint = near.map_or_else(String::new, |(_, name)| format!("; did you mean `{name}`?"));
        bail!("expected one of {}, found `{like}`{hint}", names.join(", "));
    };
    let renaming = Renaming::new(name, like, &template::parse(text)?);
    let lines = text.split_inclusive('\n');
    let lines = lines.map(|line| match line.starts_with("#     sam deploy ") {
        true => format!("#     {COMMAND}\n"),
        false => line.to_owned(),
    });
    // Names of state machines and rules, which begin with the bridge's, and places of files.
    let text = lines
        .collect::<String>()
        .replace(
            &format!("${{Bridge}}_{like}"),
            &format!("${{Bridge}}_{NAME}"),
        )
        .replace(
            &format!("../../statemachines/{like}.asl.json"),
            &format!("{NAME}.asl.json"),
        )
        .replace(
            "# In the clone's folder, beside",
            "# In the folder above, beside",
        );
    let text = renaming
        .template(&text)
        .replace(NAME, name)
        .replace(COMMAND, &deployment(name, name));
    Ok((text, definition.map(|text| renaming.definition(text))))
}

/// The command that deploys the stack of the workflow `name` in `folder`.
pub fn deployment(folder: &str, name: &str) -> String {
    // A stack's name has no underscore.
    let stack = name.replace('_', "-");
    format!(
        "sam deploy -t {folder}/{TEMPLATE} --stack-name {BRIDGE}-{stack} --resolve-s3 --capabilities CAPABILITY_IAM CAPABILITY_AUTO_EXPAND"
    )
}

/// A name as a YAML text: quoted where it would be something else, as `on` and `007` would.
fn scalar(name: &str) -> String {
    match template::parse(name) {
        Ok(Value::String(_)) => name.to_owned(),
        _ => format!("\"{name}\""),
    }
}

/// A route to an existing state machine.
fn existing(name: &str, arn: &str) -> String {
    // Quoted: an ARN may be anything here, and the routes' own check judges it.
    let arn = Value::from(arn);
    let (route, command) = (scalar(name), deployment(name, name));
    format!(
        r#"AWSTemplateFormatVersion: "2010-09-09"
Transform: [AWS::LanguageExtensions, AWS::Serverless-2016-10-31]
Description: "workflow-bridge: a route to an existing state machine"

# The bridge's stack needs permissions and a rule for state machines without the prefix `<bridge>_`: docs/routes.md.
# In the folder above, beside a deployed bridge:
#
#     {command}

Parameters:
  Bridge: {{Type: String, Default: workflow-bridge, Description: Name of the bridge's stack}}
  CacheName: {{Type: String, Default: demo, Description: The cache of its topics}}

Resources:
  Route:
    Type: AWS::SSM::Parameter
    Properties:
      Name: !Sub /workflow-bridge/${{Bridge}}/routes/{name}
      Type: String
      Value:
        Fn::ToJsonString:
          name: {route}
          from: {{cache: !Ref CacheName, topic: {name}-in}}
          to: {{stateMachine: {arn}}}
          reply: {{topics: [{name}-out], failures: [{name}-failed]}}
"#
    )
}

/// Checks a name for all its uses: a folder, a state machine, a route, topics.
fn check_name(name: &str) -> Result<()> {
    let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    // Commands would take `-x` for an option.
    let option = name.starts_with('-');
    if option || !name.chars().all(legal) || !(1..=NAME_MAX).contains(&name.len()) {
        bail!(
            "expected a name of 1 to {NAME_MAX} characters of `A-Za-z0-9_-` without a leading `-`, such as `my-workflow`, found `{name}`"
        );
    }
    if TAKEN.contains(&name) {
        bail!(
            "expected a new name, found `{name}`: the bridge has a workflow of that name; choose another"
        );
    }
    Ok(())
}

/// The texts, alone or in a list, at a place of each route.
fn texts(routes: &[&Value], pointer: &str) -> Vec<String> {
    let values = routes.iter().filter_map(|route| route.pointer(pointer));
    let one_by_one = values.flat_map(|value| match value {
        Value::Array(list) => list.as_slice(),
        one => std::slice::from_ref(one),
    });
    one_by_one
        .filter_map(Value::as_str)
        .map(str::to_owned)
        .collect()
}

/// Adds the topics written out in a state machine.
fn published(definition: &Value, topics: &mut Vec<String>) {
    match definition {
        Value::Object(map) => {
            if let Some(topic) = map.get("topic").and_then(Value::as_str)
                && !topic.starts_with("{%")
                && !topics.iter().any(|known| known == topic)
            {
                topics.push(topic.to_owned());
            }
            map.values().for_each(|value| published(value, topics));
        }
        Value::Array(list) => list.iter().for_each(|value| published(value, topics)),
        _ => {}
    }
}

#[cfg(test)]
mod tests;
