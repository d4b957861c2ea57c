//! The difference between a deployed template and an edited one.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use crate::tools::template::ROUTES_ROOT;

/// Parts of a template without an effect on its stack.
const WITHOUT_EFFECT: [&str; 3] = ["AWSTemplateFormatVersion", "Description", "Metadata"];

/// The changed parts in words: `definition of Workflow, route Route, new Queue`; none where nothing changed that a deployment
/// would notice. Both templates have the definitions of their state machines in place.
pub fn between(old: &Value, new: &Value) -> Option<String> {
    let mut parts = Vec::new();
    let none = Map::new();
    let resources = |template: &'_ Value| template["Resources"].as_object().cloned();
    let (before, after) = (resources(old), resources(new));
    let (before, after) = (
        before.as_ref().unwrap_or(&none),
        after.as_ref().unwrap_or(&none),
    );
    for (id, resource) in after {
        match before.get(id) {
            None => parts.push(format!("new {id}")),
            Some(same) if same == resource => {}
            Some(other) => parts.push(changed(id, other, resource)),
        }
    }
    let gone = before.keys().filter(|id| !after.contains_key(*id));
    parts.extend(gone.map(|id| format!("{id} removed")));
    let keys = |template: &Value| -> BTreeSet<String> {
        let object = template.as_object().into_iter().flatten();
        object.map(|(key, _)| key.clone()).collect()
    };
    let others = &keys(old) | &keys(new);
    let others = others
        .iter()
        .filter(|key| *key != "Resources" && !WITHOUT_EFFECT.contains(&key.as_str()));
    parts.extend(
        others
            .filter(|key| old[key.as_str()] != new[key.as_str()])
            .map(|key| format!("{key} section")),
    );
    (!parts.is_empty()).then(|| parts.join(", "))
}

/// One changed resource.
fn changed(id: &str, old: &Value, new: &Value) -> String {
    if new["Type"] != old["Type"] {
        return format!("{id} of another type");
    }
    let without_definition = |resource: &Value| {
        let mut rest = resource.clone();
        if let Some(properties) = rest["Properties"].as_object_mut() {
            properties.remove("Definition");
        }
        rest
    };
    if without_definition(old) == without_definition(new) {
        return format!("definition of {id}");
    }
    let is_route = new["Type"] == "AWS::SSM::Parameter"
        && (id == "Routes" || new["Properties"]["Name"].to_string().contains(ROUTES_ROOT));
    match is_route {
        true => format!("route {id}"),
        false => id.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tools::template::parse;

    const TEMPLATE: &str = r#"
Description: a
Parameters: {Bridge: {Type: String}}
Resources:
  Workflow:
    Type: AWS::Serverless::StateMachine
    Properties: {Name: w, Definition: {StartAt: A, States: {A: {Type: Pass, End: true}}}}
  Route:
    Type: AWS::SSM::Parameter
    Properties: {Name: !Sub "/workflow-bridge/${Bridge}/routes/w", Value: x}
  Queue: {Type: AWS::SQS::Queue}
"#;

    /// The words for a template in which a text is replaced.
    fn after(find: &str, replacement: &str) -> Option<String> {
        let edited = TEMPLATE.replace(find, replacement);
        assert_ne!(edited, TEMPLATE, "{find}");
        between(&parse(TEMPLATE).unwrap(), &parse(&edited).unwrap())
    }

    #[test]
    fn every_kind_of_edit_has_its_words() {
        let cases = [
            (
                "Type: Pass",
                "Type: Succeed",
                Some("definition of Workflow"),
            ),
            ("Name: w", "Name: v", Some("Workflow")),
            ("Value: x", "Value: y", Some("route Route")),
            (
                "  Queue:",
                "  More: {Type: AWS::SQS::Queue}\n  Queue:",
                Some("new More"),
            ),
            (
                "  Queue: {Type: AWS::SQS::Queue}\n",
                "",
                Some("Queue removed"),
            ),
            ("SQS::Queue", "SNS::Topic", Some("Queue of another type")),
            (
                "{Type: String}",
                "{Type: Number}",
                Some("Parameters section"),
            ),
            (
                "Parameters:",
                "Outputs: {A: {Value: 1}}\nParameters:",
                Some("Outputs section"),
            ),
            ("Description: a", "Description: b", None),
            ("Resources:", "# a comment\nResources:", None),
        ];
        for (find, replacement, words) in cases {
            assert_eq!(after(find, replacement).as_deref(), words, "{find}");
        }
    }

    #[test]
    fn all_parts_are_named() {
        let edited = TEMPLATE
            .replace("Type: Pass", "Type: Succeed")
            .replace("Value: x", "Value: y");
        let words = between(&parse(TEMPLATE).unwrap(), &parse(&edited).unwrap()).unwrap();
        let mut words: Vec<_> = words.split(", ").collect();
        words.sort_unstable();
        assert_eq!(words, ["definition of Workflow", "route Route"]);
    }
}
