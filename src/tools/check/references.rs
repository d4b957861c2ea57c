//! References to undefined resources, parameters and conditions. The local emulator takes such a name as a value.

mod made;

use serde_json::Value;

use super::code::Code;
use super::finding::Severity;
use super::findings::Findings;
use super::template::{Template, did_you_mean};
use crate::tools::template::below;

/// Transforms whose generated resources are known.
const KNOWN_TRANSFORMS: [&str; 3] = [
    "AWS::LanguageExtensions",
    "AWS::Serverless-2016-10-31",
    "AWS::CodeDeployBlueGreen",
];

pub fn check(template: &Template, findings: &mut Findings) {
    if makes_more(template.value()) {
        return;
    }
    let mut walk = Walk { template, findings };
    for section in ["Globals", "Conditions", "Resources", "Outputs"] {
        walk.value(&template.value()[section], &format!("/{section}"));
    }
    for section in ["Resources", "Outputs"] {
        for (id, part) in template.value()[section].as_object().into_iter().flatten() {
            let pointer = below(&format!("/{section}"), id);
            walk.condition(&part["Condition"], &format!("{pointer}/Condition"));
            walk.depends(&part["DependsOn"], &format!("{pointer}/DependsOn"));
        }
    }
}

/// Whether a macro, an include or a loop may add names.
fn makes_more(template: &Value) -> bool {
    let transforms = match &template["Transform"] {
        Value::Array(list) => list.iter().collect(),
        Value::Null => Vec::new(),
        one => vec![one],
    };
    let known = |transform: &&Value| {
        transform
            .as_str()
            .is_some_and(|name| KNOWN_TRANSFORMS.contains(&name))
    };
    // Modules bring resources, conditions and parameters of their own.
    if template.get("Modules").is_some() {
        return true;
    }
    let sections = ["Resources", "Conditions", "Outputs"].map(|section| &template[section]);
    let mut keys = sections
        .iter()
        .filter_map(|section| section.as_object())
        .flat_map(|section| section.keys());
    !transforms.iter().all(known)
        || keys.any(|key| key.starts_with("Fn::"))
        || sections.into_iter().any(has_loop)
}

/// Whether a `Fn::ForEach` brings a name of its own.
fn has_loop(value: &Value) -> bool {
    match value {
        Value::Array(list) => list.iter().any(has_loop),
        Value::Object(map) => map
            .iter()
            .any(|(key, inner)| key.starts_with("Fn::ForEach") || has_loop(inner)),
        _ => false,
    }
}

struct Walk<'a, 's> {
    template: &'a Template<'s>,
    findings: &'a mut Findings,
}

impl Walk<'_, '_> {
    fn value(&mut self, value: &Value, pointer: &str) {
        match value {
            Value::Array(list) => {
                for (i, item) in list.iter().enumerate() {
                    self.value(item, &below(pointer, i));
                }
            }
            Value::Object(map) => {
                for (key, inner) in map {
                    let pointer = below(pointer, key);
                    // A function is the only key of its object; elsewhere its name is a plain key.
                    if map.len() == 1 {
                        self.function(key, inner, &pointer);
                    }
                    self.value(inner, &pointer);
                }
            }
            _ => {}
        }
    }

    fn function(&mut self, name: &str, argument: &Value, pointer: &str) {
        match (name, argument) {
            ("Ref", Value::String(id)) => self.reference(id, id, pointer),
            ("Condition", condition) if pointer.starts_with("/Conditions/") => {
                self.condition(condition, pointer)
            }
            ("Fn::If", condition) => self.condition(&condition[0], pointer),
            ("Fn::GetAtt", Value::String(path)) => {
                let id = path.split('.').next().unwrap_or_default();
                self.resource(id, path, pointer);
            }
            ("Fn::GetAtt", parts) => {
                if let Some(id) = parts[0].as_str() {
                    self.resource(id, id, pointer);
                }
            }
            ("Fn::Sub", Value::String(text)) => self.substitution(text, &Value::Null, pointer),
            ("Fn::Sub", parts) => {
                if let Some(text) = parts[0].as_str() {
                    self.substitution(text, &parts[1], pointer);
                }
            }
            _ => {}
        }
    }

    fn substitution(&mut self, text: &str, locals: &Value, pointer: &str) {
        let names = text
            .split("${")
            .skip(1)
            .filter_map(|part| part.split_once('}'));
        for (name, _) in names {
            let plain = name
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b":.".contains(&b));
            if !plain || locals.get(name).is_some() {
                continue;
            }
            match name.split_once('.') {
                Some((id, _)) => self.resource(id, &format!("${{{name}}}"), pointer),
                None => self.reference(name, &format!("${{{name}}}"), pointer),
            }
        }
    }

    fn reference(&mut self, id: &str, written: &str, pointer: &str) {
        let parameters = &self.template.value()["Parameters"];
        if id.starts_with("AWS::") || parameters.get(id).is_some() || self.is_resource(id) {
            return;
        }
        let known = self.template.resources().map(|resource| resource.id);
        let parameters = parameters
            .as_object()
            .into_iter()
            .flatten()
            .map(|(id, _)| id.as_str());
        let meant = did_you_mean(id, known.chain(parameters));
        self.unknown("a resource or a parameter", id, &meant, written, pointer);
    }

    fn resource(&mut self, id: &str, written: &str, pointer: &str) {
        if id.starts_with("AWS::") || self.is_resource(id) {
            return;
        }
        let meant = did_you_mean(id, self.template.resources().map(|resource| resource.id));
        self.unknown("a resource", id, &meant, written, pointer);
    }

    fn condition(&mut self, name: &Value, pointer: &str) {
        let conditions = &self.template.value()["Conditions"];
        let Some(name) = name.as_str().filter(|name| conditions.get(name).is_none()) else {
            return;
        };
        let known = conditions
            .as_object()
            .into_iter()
            .flatten()
            .map(|(name, _)| name.as_str());
        let meant = did_you_mean(name, known);
        self.unknown("a condition", name, &meant, name, pointer);
    }

    fn depends(&mut self, on: &Value, pointer: &str) {
        let list = on
            .as_array()
            .map_or_else(|| vec![on], |list| list.iter().collect());
        for id in list.into_iter().filter_map(Value::as_str) {
            self.resource(id, id, pointer);
        }
    }

    /// Whether the template, SAM or a module defines the resource.
    fn is_resource(&self, id: &str) -> bool {
        self.template.resource(id).is_some() || made::is_made(self.template.value(), id)
    }

    fn unknown(&mut self, expected: &str, id: &str, meant: &str, written: &str, pointer: &str) {
        let place = self.template.source.find(pointer, written);
        let text = format!(
            "expected {expected} of this template, found `{id}`, which it does not define{meant}; correct the name, or add the definition"
        );
        self.findings.push(
            self.template.source,
            place,
            Code::UnknownReference,
            Severity::Error,
            text,
        );
    }
}
