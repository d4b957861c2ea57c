//! Parameters whose default violates their own bounds.

use serde_json::Value;

use super::code::Code;
use super::findings::Findings;
use super::secrets::looks_secret;
use super::template::{Template, listed};
use crate::tools::template::{below, text};

pub fn check(template: &Template, findings: &mut Findings) {
    let parameters = template.value()["Parameters"].as_object();
    for (id, parameter) in parameters.into_iter().flatten() {
        let Some(default) = parameter.get("Default").and_then(text) else {
            continue;
        };
        // A plain secret has a finding of its own, and no finding repeats it.
        if looks_secret(&default) {
            continue;
        }
        if let Some(problem) = problem(parameter, &default) {
            let pointer = format!("{}/Default", below("/Parameters", id));
            let text = format!(
                "parameter `{id}`: expected a default that its own rules allow, found `{default}`, but {problem}; change one of the two"
            );
            findings.add(template.source, &pointer, Code::ParameterDefault, text);
        }
    }
}

fn problem(parameter: &Value, default: &str) -> Option<String> {
    let number = |key: &str| text(&parameter[key])?.parse::<f64>().ok();
    if let Some(allowed) = parameter["AllowedValues"].as_array() {
        let allowed: Vec<_> = allowed.iter().filter_map(text).collect();
        let is_allowed = |value: &str| allowed.iter().any(|allowed| allowed == value);
        // In a list, each member counts, without the space around it.
        let kind = parameter["Type"].as_str().unwrap_or_default();
        let is_list = kind == "CommaDelimitedList" || kind.starts_with("List<");
        let members = is_list && default.split(',').map(str::trim).all(is_allowed);
        if !members && !is_allowed(default) {
            let allowed = listed(allowed.iter().map(String::as_str));
            return Some(format!("`AllowedValues` are {allowed}"));
        }
    }
    if parameter["Type"] == "Number" {
        let Ok(value) = default.trim().parse::<f64>() else {
            return Some("its type is Number".to_owned());
        };
        if let Some(least) = number("MinValue").filter(|least| value < *least) {
            return Some(format!("`MinValue` is {least}"));
        }
        if let Some(most) = number("MaxValue").filter(|most| value > *most) {
            return Some(format!("`MaxValue` is {most}"));
        }
    } else if parameter["Type"] == "String" {
        let length = default.chars().count() as f64;
        if let Some(least) = number("MinLength").filter(|least| length < *least) {
            return Some(format!("`MinLength` is {least}"));
        }
        if let Some(most) = number("MaxLength").filter(|most| length > *most) {
            return Some(format!("`MaxLength` is {most}"));
        }
    }
    None
}
