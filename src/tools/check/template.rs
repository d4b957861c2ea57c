//! A template with its queries.

use serde_json::Value;

use super::source::Source;
use crate::tools::template::{Resolver, UNRESOLVED, below, text};

pub struct Template<'s> {
    pub source: &'s Source,
    pub resolver: Resolver<'s>,
}

/// One resource.
#[derive(Clone, Copy)]
pub struct Resource<'s> {
    pub id: &'s str,
    pub value: &'s Value,
}

impl<'s> Template<'s> {
    pub fn new(source: &'s Source) -> Self {
        Self {
            source,
            resolver: Resolver::new(&source.value),
        }
    }

    pub fn value(&self) -> &'s Value {
        &self.source.value
    }

    /// All resources, except those whose condition is false with the parameters' defaults.
    pub fn resources(&self) -> impl Iterator<Item = Resource<'s>> + use<'s> {
        let resources = self.value()["Resources"].as_object();
        let mut resources: Vec<_> = resources
            .into_iter()
            .flatten()
            .map(|(id, value)| Resource { id, value })
            .collect();
        resources.retain(|resource| {
            let condition = resource.value["Condition"].as_str();
            condition.and_then(|name| self.resolver.condition(name)) != Some(false)
        });
        resources.into_iter()
    }

    pub fn of_type(&self, kind: &'static str) -> impl Iterator<Item = Resource<'s>> + use<'s> {
        self.resources()
            .filter(move |resource| resource.kind() == kind)
    }

    pub fn resource(&self, id: &str) -> Option<Resource<'s>> {
        let (id, value) = self.value()["Resources"].as_object()?.get_key_value(id)?;
        Some(Resource { id, value })
    }

    /// The resource of a type with this `Ref` or ARN.
    pub fn named(&self, kind: &'static str, text: &str) -> Option<Resource<'s>> {
        self.of_type(kind).find(|resource| {
            self.reference(resource.id).as_deref() == Some(text)
                || self.arn(resource.id).as_deref() == Some(text)
        })
    }

    pub fn reference(&self, id: &str) -> Option<String> {
        self.resolver.text(&serde_json::json!({ "Ref": id }))
    }

    pub fn arn(&self, id: &str) -> Option<String> {
        self.resolver
            .text(&serde_json::json!({ "Fn::GetAtt": [id, "Arn"] }))
    }

    /// The number in a resource's property, or CloudFormation's default; `None` where unresolved.
    pub fn number(&self, resource: Resource, property: &str, default: u64) -> Option<u64> {
        match resource.value.pointer(&format!("/Properties/{property}")) {
            None => Some(default),
            Some(value) => self.resolver.text(value)?.parse().ok(),
        }
    }
}

impl<'s> Resource<'s> {
    pub fn kind(&self) -> &'s str {
        self.value["Type"].as_str().unwrap_or_default()
    }

    pub fn pointer(&self) -> String {
        below("/Resources", self.id)
    }

    /// The pointer to a property, by its path.
    pub fn property(&self, path: &str) -> String {
        format!("{}/Properties/{path}", self.pointer())
    }
}

/// Whether only the deployment knows a part of a text.
pub fn is_unresolved(text: &str) -> bool {
    text.contains(UNRESOLVED) || text.contains("{{resolve:")
}

/// Known names, for a sentence: `` `a`, `b` and `c` ``.
pub fn listed<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    let names: Vec<_> = names.into_iter().map(|name| format!("`{name}`")).collect();
    match names.as_slice() {
        [] => "none".to_owned(),
        [only] => only.clone(),
        [most @ .., last] => format!("{} and {last}", most.join(", ")),
    }
}

/// ` (did you mean `x`?)` where a known name is nearly the same.
pub fn did_you_mean<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> String {
    /// Similarity by Jaro and Winkler, from 0 to 1: a letter or two differ in a word of usual length.
    const NEARLY: f64 = 0.88;
    let near = known.map(|known| (strsim::jaro_winkler(name, known), known));
    let best = near.max_by(|(a, _), (b, _)| a.total_cmp(b));
    match best {
        Some((like, known)) if like >= NEARLY => format!(" (did you mean `{known}`?)"),
        _ => String::new(),
    }
}

/// Whether a value is `Ref` to a parameter with `NoEcho`.
pub fn is_hidden_parameter(template: &Template, written: &Value) -> bool {
    let parameter = written["Ref"]
        .as_str()
        .map(|id| &template.value()["Parameters"][id]);
    parameter.is_some_and(|parameter| text(&parameter["NoEcho"]).as_deref() == Some("true"))
}
