//! The routes document of a template, as it would read after the deployment.

use anyhow::{Context, Result};
use serde_json::Value;

const ACCOUNT: &str = "123456789012";
const REGION: &str = "us-east-1";

/// The document in the resource `Routes`, with the defaults of the parameters and the ARNs of a made-up account. Names that
/// CloudFormation would make up are logical ids, so the length is about right.
pub fn routes_document(template: &Value) -> Result<String> {
    let value = template.pointer("/Resources/Routes/Properties/Value");
    let value = value.context("expected a parameter `Routes` in the template, found none")?;
    if let Some(document) = value.get("Fn::ToJsonString") {
        return Ok(resolved(document, template).to_string());
    }
    let document = value["Fn::Sub"].as_str().context(
        "expected `Routes` with a `!Sub` of the document in the template, found something else",
    )?;
    Ok(substituted(document, template))
}

/// Each function of CloudFormation as the text that it stands for.
fn resolved(value: &Value, template: &Value) -> Value {
    match value {
        Value::Object(map) => {
            if let Some(text) = called(value, template) {
                return text.into();
            }
            let entries = map.iter();
            let entries = entries.map(|(key, value)| (key.clone(), resolved(value, template)));
            Value::Object(entries.collect())
        }
        Value::Array(list) => list.iter().map(|value| resolved(value, template)).collect(),
        _ => value.clone(),
    }
}

/// The text of a function; `None` for what is none.
fn called(value: &Value, template: &Value) -> Option<String> {
    let map = value.as_object().filter(|map| map.len() == 1)?;
    let (name, argument) = map.iter().next()?;
    match (name.as_str(), argument) {
        ("Ref", Value::String(id)) => Some(named(id, template)),
        ("Fn::GetAtt", Value::String(text)) => Some(named(text, template)),
        ("Fn::GetAtt", Value::Array(parts)) => {
            let parts: Vec<_> = parts.iter().filter_map(Value::as_str).collect();
            Some(named(&parts.join("."), template))
        }
        ("Fn::Sub", Value::String(text)) => Some(substituted(text, template)),
        ("Fn::Sub", Value::Array(parts)) => Some(substituted(parts.first()?.as_str()?, template)),
        (name, _) if name.starts_with("Fn::") => Some(name.trim_start_matches("Fn::").to_owned()),
        _ => None,
    }
}

/// A text with what stands for its `${…}`.
fn substituted(text: &str, template: &Value) -> String {
    let mut parts = text.split("${");
    let mut whole = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let Some((name, rest)) = part.split_once('}') else {
            return whole + "${" + part;
        };
        match name.strip_prefix('!') {
            Some(literal) => whole += &format!("${{{literal}}}"),
            None => whole += &named(name, template),
        }
        whole += rest;
    }
    whole
}

/// What `Ref` or `GetAtt` (with a dot) gives.
fn named(name: &str, template: &Value) -> String {
    let (id, attribute) = name.split_once('.').unwrap_or((name, ""));
    let resource = &template["Resources"][id];
    let parameter = &template["Parameters"][id]["Default"];
    let kind = resource["Type"].as_str().unwrap_or_default();
    let arn =
        |service: &str, rest: &str| format!("arn:aws:{service}:{REGION}:{ACCOUNT}:{rest}{id}");
    match (id, kind, attribute) {
        ("AWS::Partition", ..) => "aws".to_owned(),
        ("AWS::Region", ..) => REGION.to_owned(),
        ("AWS::AccountId", ..) => ACCOUNT.to_owned(),
        ("AWS::StackName", ..) => "workflow-bridge".to_owned(),
        (_, "AWS::Serverless::StateMachine" | "AWS::StepFunctions::StateMachine", "" | "Arn") => {
            arn("states", "stateMachine:")
        }
        (_, "AWS::Events::EventBus", "Arn") => arn("events", "event-bus/"),
        (_, "AWS::SSM::Parameter", "Value") => {
            let value = &resource["Properties"]["Value"];
            match value.get("Fn::ToJsonString") {
                Some(value) => resolved(value, template).to_string(),
                None => value.as_str().unwrap_or(id).to_owned(),
            }
        }
        _ => parameter.as_str().unwrap_or(id).to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::local::template::{parse, read};
    use crate::local::workspace::Workspace;
    use crate::routes::{Routes, Target};

    #[test]
    fn the_shipped_routes_are_read_as_they_will_be_deployed() {
        let file = Workspace::find().unwrap().root().join("template.yaml");
        let routes = Routes::parse(&routes_document(&read(&file).unwrap()).unwrap()).unwrap();
        let route = routes
            .iter()
            .find(|route| route.name == "uppercase")
            .unwrap();
        assert_eq!(route.from.cache.as_str(), "demo");
        let Target::StateMachine { arn, .. } = &route.to else {
            panic!("{route:?}")
        };
        assert_eq!(
            arn,
            "arn:aws:states:us-east-1:123456789012:stateMachine:UppercaseStateMachine"
        );
    }

    #[test]
    fn functions_become_texts() {
        let template = parse(
            r#"Parameters: {Cache: {Default: demo}}
Resources:
  Bus: {Type: AWS::Events::EventBus}
  Machine: {Type: AWS::StepFunctions::StateMachine}
  One:
    Type: AWS::SSM::Parameter
    Properties:
      Value:
        Fn::ToJsonString: {a: !Sub "${Cache}-${!x}-${AWS::Region}", b: !GetAtt Bus.Arn, c: [!GetAtt [Machine, Arn], !If [A, b, c]], d: !Sub ["${y}", {y: z}]}
  Routes: {Properties: {Value: !Sub "[${One.Value}]${"}}
"#,
        )
        .unwrap();
        assert_eq!(
            routes_document(&template).unwrap(),
            r#"[{"a":"demo-${x}-us-east-1","b":"arn:aws:events:us-east-1:123456789012:event-bus/Bus","c":["arn:aws:states:us-east-1:123456789012:stateMachine:Machine","If"],"d":"y"}]${"#
        );
        assert!(routes_document(&parse("Resources: {}").unwrap()).is_err());
    }
}
