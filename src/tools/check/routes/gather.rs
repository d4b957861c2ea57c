//! The routes documents of a template, with the place of each route.

use std::collections::BTreeSet;

use serde_json::Value;

use super::collected::Collected;
use super::{Route, piece};
use crate::config::RoutesSource;
use crate::tools::check::functions::Function;
use crate::tools::check::template::{Template, is_unresolved};
use crate::tools::template::{PIECE, below};

pub struct Document {
    /// Pointer to the unresolved document.
    pub pointer: String,
    pub value: Content,
    pub routes: Vec<Route>,
    /// The parameters that it takes routes from.
    pub pieces: Vec<String>,
}

pub enum Content {
    Json(Value),
    /// Not a routes document.
    Broken,
    /// Unresolved, such as a parameter of another stack.
    Unknown,
}

/// The document in the parameter `Routes`, unless a bridge collects it, and those in the functions' variable `ROUTES`.
pub fn documents(
    template: &Template,
    functions: &[Function],
    collected: &[Collected],
) -> Vec<Document> {
    let mut pointers = Vec::new();
    let is_collected = |id: &str| collected.iter().any(|one| one.parameter.id == id);
    if template.resource("Routes").is_some() && !is_collected("Routes") {
        pointers.push("/Resources/Routes/Properties/Value".to_owned());
    }
    for function in functions {
        if let Some(variable) = function.variables.get("ROUTES") {
            pointers.push(written_at(
                template,
                &variable.pointer,
                variable.text.as_deref(),
            ));
        }
    }
    let mut seen = BTreeSet::new();
    pointers.retain(|pointer| seen.insert(pointer.clone()));
    pointers
        .iter()
        .filter_map(|pointer| read(template, pointer))
        .collect()
}

/// The pointer to a variable's value: its own, or that of the parameter that it names.
fn written_at(template: &Template, pointer: &str, text: Option<&str>) -> String {
    let value = template.value().pointer(pointer).unwrap_or(&Value::Null);
    let attribute = match &value["Fn::GetAtt"] {
        Value::String(path) => path.split_once('.'),
        parts => parts[0].as_str().zip(parts[1].as_str()),
    };
    let named = match text.map(RoutesSource::of) {
        Some(RoutesSource::Parameter(name)) => template
            .named("AWS::SSM::Parameter", &name)
            .map(|parameter| parameter.id),
        _ => attribute
            .filter(|(_, attribute)| *attribute == "Value")
            .map(|(id, _)| id),
    };
    match named.and_then(|id| template.resource(id)) {
        Some(parameter) => parameter.property("Value"),
        None => pointer.to_owned(),
    }
}

fn read(template: &Template, pointer: &str) -> Option<Document> {
    let raw = template.value().pointer(pointer)?;
    let text = template.resolver.with_pieces().text(raw)?;
    let parsed = serde_json::from_str(&text).ok();
    let content = match parsed.filter(|value: &Value| value["routes"].is_array()) {
        Some(value) => Content::Json(value),
        None if is_unresolved(&text) => Content::Unknown,
        None if matches!(RoutesSource::of(&text), RoutesSource::Parameter(_)) => Content::Unknown,
        None => Content::Broken,
    };
    let list = match &content {
        Content::Json(value) => value["routes"].as_array().cloned(),
        Content::Broken | Content::Unknown => None,
    };
    let mut found = Document {
        pointer: pointer.to_owned(),
        value: content,
        routes: Vec::new(),
        pieces: pieces_of(&text),
    };
    let inside = format!("{pointer}/Fn::ToJsonString/routes");
    let places = template.value().pointer(&inside).is_some();
    for (i, value) in list.iter().flatten().enumerate() {
        found.routes.push(match piece(value) {
            // An unknown parameter has a finding of its own.
            Some(id) if template.resource(id).is_none() => continue,
            Some(id) => {
                let pointer = format!(
                    "{}/Properties/Value/Fn::ToJsonString",
                    below("/Resources", id)
                );
                let written = template.value().pointer(&pointer).unwrap_or(&Value::Null);
                Route {
                    value: template.resolver.value(written),
                    pointer,
                    bridge: None,
                }
            }
            None if places => Route {
                pointer: below(&inside, i),
                value: value.clone(),
                bridge: None,
            },
            None => Route {
                pointer: pointer.to_owned(),
                value: value.clone(),
                bridge: None,
            },
        });
    }
    Some(found)
}

/// The parameters in a text, which may be invalid JSON.
fn pieces_of(text: &str) -> Vec<String> {
    let mark = format!("{{\"{}\":\"", PIECE);
    let ids = text
        .split(&mark)
        .skip(1)
        .filter_map(|part| part.split_once('"'));
    ids.map(|(id, _)| id.to_owned()).collect()
}
