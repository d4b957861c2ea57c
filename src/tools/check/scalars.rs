//! Values with a surprising meaning in YAML 1.1: a topic `no` is false.

use serde_json::Value;

use super::code::Code;
use super::finding::Severity;
use super::findings::Findings;
use super::functions::Function;
use super::routes::Route;
use super::source::Source;
use super::template::Template;
use crate::tools::template::below;

/// Checks routes, variables of the bridge's functions, and parameters of the type String.
pub fn check(
    template: &Template,
    functions: &[Function],
    routes: &[Route],
    findings: &mut Findings,
) {
    if functions.is_empty() && routes.is_empty() {
        return;
    }
    let routes = routes.iter().map(|route| route.pointer.clone());
    let variables = functions.iter().flat_map(|function| {
        let variables = function.variables.values();
        variables.map(|variable| variable.pointer.clone())
    });
    for pointer in routes.chain(variables) {
        within(template.source, &pointer, findings);
    }
    let parameters = template.value()["Parameters"].as_object();
    for (id, parameter) in parameters.into_iter().flatten() {
        if parameter["Type"] == "String" {
            within(template.source, &below("/Parameters", id), findings);
        }
    }
}

/// The surprising values in a part of a source.
pub fn within(source: &Source, pointer: &str, findings: &mut Findings) {
    for written in source.places.written() {
        let inside = written.pointer.strip_prefix(pointer);
        let inside = inside.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        let name = written.pointer.rsplit('/').next().unwrap_or_default();
        let value = source.value.pointer(&written.pointer);
        let value = value.unwrap_or(&Value::Null);
        let meant = value.is_boolean() && !written.is_name && takes_flag(name);
        if !inside || meant {
            continue;
        }
        let read = if written.is_name {
            name.to_owned()
        } else {
            value.to_string()
        };
        let text = &written.text;
        findings.push(
            source,
            source.places.of(&written.pointer),
            Code::YamlValue,
            Severity::Warning,
            format!("expected a value with one meaning in all versions of YAML, found `{text}`, which CloudFormation reads as `{read}` (YAML 1.1); write `'{text}'` for the text, or `{read}`"),
        );
    }
}

/// Fields in which `yes` means true.
fn takes_flag(name: &str) -> bool {
    ["enabled", "End", "BooleanEquals", "NoEcho"].contains(&name) || name.starts_with("Is")
}
