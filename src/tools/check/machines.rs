//! The state machines of a template, and their definitions.

use std::path::Path;

use serde_json::Value;

use super::asl;
use super::code::Code;
use super::finding::Severity;
use super::findings::Findings;
use super::routes::Route;
use super::scalars;
use super::source::Source;
use super::template::{Resource, Template, did_you_mean, listed};
use crate::domain::inbound::arn::unqualified;
use crate::tools::template::{Place, below};

/// The properties with the name of a state machine.
pub const NAMES: [&str; 2] = ["Name", "StateMachineName"];

pub struct Machine<'s> {
    pub resource: Resource<'s>,
    /// Unqualified.
    pub arn: String,
    /// Whether a route names it.
    pub routed: bool,
    pub express: bool,
    /// As written; `None` where unreadable.
    pub definition: Option<Value>,
}

/// Checks and returns all state machines. Step Functions refuses a definition whether a route names it or not.
pub fn check<'s>(
    template: &Template<'s>,
    folder: &Path,
    routes: &[Route],
    findings: &mut Findings,
) -> Vec<Machine<'s>> {
    let kinds = [
        "AWS::Serverless::StateMachine",
        "AWS::StepFunctions::StateMachine",
    ];
    let mut machines = Vec::new();
    for resource in template
        .resources()
        .filter(|resource| kinds.contains(&resource.kind()))
    {
        let Some(arn) = template.arn(resource.id) else {
            continue;
        };
        let arn = unqualified(&arn).to_owned();
        let properties = &resource.value["Properties"];
        let kind = ["Type", "StateMachineType"]
            .iter()
            .find_map(|key| template.resolver.text(properties.get(key)?));
        let mut machine = Machine {
            resource,
            routed: routes.iter().any(|route| route.machine() == Some(&arn)),
            express: kind.as_deref() == Some("EXPRESS"),
            arn,
            definition: None,
        };
        machine.definition = definition(template, &machine, folder, findings);
        machines.push(machine);
    }
    machines
}

/// Checks and returns a definition.
fn definition(
    template: &Template,
    machine: &Machine,
    folder: &Path,
    findings: &mut Findings,
) -> Option<Value> {
    let id = machine.resource.id;
    let properties = &machine.resource.value["Properties"];
    let named = ["DefinitionUri", "DefinitionS3Location"]
        .into_iter()
        .find(|key| properties.get(key).is_some());
    let written = ["Definition", "DefinitionString"]
        .into_iter()
        .find(|key| properties.get(key).is_some());
    match (named, written) {
        (Some(key), _) => {
            let at = machine.resource.property(key);
            // An object names a bucket; a text names a file of this folder for SAM to pack.
            let file = properties[key].as_str()?;
            // A file in a bucket is not read.
            if file.starts_with("s3://") {
                return None;
            }
            let path = folder.join(file);
            if !path.is_file() {
                let text = format!(
                    "state machine `{id}`: expected a definition in the file `{file}`, found no such file; write it, or correct the name"
                );
                findings.add(template.source, &at, Code::DefinitionMissing, text);
                return None;
            }
            let name = path.display().to_string();
            let source = Source::read(&path, name);
            let source = source
                .map_err(|finding| findings.found.push(finding))
                .ok()?;
            whole(machine, &source, &source.value, "", findings);
            Some(source.value)
        }
        (None, Some("Definition")) => {
            let definition = &properties["Definition"];
            whole(
                machine,
                template.source,
                definition,
                &machine.resource.property("Definition"),
                findings,
            );
            Some(definition.clone())
        }
        (None, Some(key)) => string(template, machine, key, findings),
        (None, None) => {
            let text = format!(
                "state machine `{id}`: expected a definition in `DefinitionUri` or `Definition`, found neither; add one"
            );
            findings.add(
                template.source,
                &machine.resource.pointer(),
                Code::DefinitionMissing,
                text,
            );
            None
        }
    }
}

/// Checks a definition in a text; every finding has the place of the text.
fn string(
    template: &Template,
    machine: &Machine,
    key: &str,
    findings: &mut Findings,
) -> Option<Value> {
    let at = machine.resource.property(key);
    let written = &machine.resource.value["Properties"][key];
    let text = template.resolver.text(written)?;
    match serde_json::from_str(&text) {
        Ok(definition) => {
            let before = findings.found.len();
            whole(machine, template.source, &definition, "/nowhere", findings);
            let place = template.source.places.of(&at);
            findings.found[before..].iter_mut().for_each(|finding| {
                if finding.place == Place::START {
                    finding.place = place;
                }
            });
            Some(definition)
        }
        Err(error) if written.is_string() || written.get("Fn::Sub").is_some() => {
            let text = format!(
                "state machine `{}`: expected JSON, found {error}; mend the definition, or write it as `Definition`",
                machine.resource.id
            );
            findings.add(template.source, &at, Code::Syntax, text);
            None
        }
        // Functions without a known value build the text.
        Err(_) => None,
    }
}

fn whole(
    machine: &Machine,
    source: &Source,
    definition: &Value,
    pointer: &str,
    findings: &mut Findings,
) {
    asl::check(source, definition, pointer, machine.express, findings);
    scalars::within(source, pointer, findings);
    placeholders(machine, source, definition, pointer, findings);
}

/// Finds each `${Name}` in a definition without a substitution.
fn placeholders(
    machine: &Machine,
    source: &Source,
    definition: &Value,
    pointer: &str,
    findings: &mut Findings,
) {
    let given = machine.resource.value["Properties"]["DefinitionSubstitutions"].as_object();
    let given: Vec<_> = given
        .into_iter()
        .flatten()
        .map(|(name, _)| name.as_str())
        .collect();
    let mut missing = Vec::new();
    each_text(definition, pointer, &mut |text, at| {
        let names = text
            .split("${")
            .skip(1)
            .filter_map(|part| part.split_once('}'));
        for (name, _) in names {
            let plain =
                !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
            if plain && !given.contains(&name) && !missing.iter().any(|(known, _)| *known == name) {
                missing.push((name.to_owned(), at.to_owned()));
            }
        }
    });
    for (name, at) in missing {
        let id = machine.resource.id;
        let meant = did_you_mean(&name, given.iter().copied());
        let place = source.find(&at, &format!("${{{name}}}"));
        let text = format!(
            "expected each placeholder among the `DefinitionSubstitutions` of `{id}` ({}), found `${{{name}}}`{meant}, which would stay as it is; add it there",
            listed(given.iter().copied())
        );
        findings.push(source, place, Code::AslPlaceholder, Severity::Error, text);
    }
}

/// Visits every text of a definition, except in CloudFormation's functions, which have placeholders of their own.
fn each_text(value: &Value, pointer: &str, visit: &mut impl FnMut(&str, &str)) {
    match value {
        Value::String(text) => visit(text, pointer),
        Value::Array(list) => list
            .iter()
            .enumerate()
            .for_each(|(i, item)| each_text(item, &below(pointer, i), visit)),
        Value::Object(map) => {
            for (key, inner) in map.iter().filter(|(key, _)| !key.starts_with("Fn::")) {
                visit(key, &below(pointer, key));
                each_text(inner, &below(pointer, key), visit);
            }
        }
        _ => {}
    }
}
