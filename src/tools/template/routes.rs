//! The routes document of a template, as deployed.

use anyhow::{Context, Result};
use serde_json::Value;

use super::resolve::Resolver;

/// The document in the resource `Routes`, with the defaults of the parameters and the ARNs of a made-up account. Logical ids
/// replace generated names, so the length is about right.
pub fn routes_document(template: &Value) -> Result<String> {
    let value = template.pointer("/Resources/Routes/Properties/Value");
    let value = value.context("expected a parameter `Routes` in the template, found none")?;
    let document = Resolver::new(template).text(value);
    document.context(
        "expected `Routes` with a `!Sub` of the document in the template, found something else",
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::inbound::routes::{Routes, Target};
    use crate::tools::local::workspace::Workspace;
    use crate::tools::template::{parse, read};

    #[test]
    fn the_shipped_routes_are_read_as_deployed() {
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
            r#"[{"a":"demo-${x}-us-east-1","b":"arn:aws:events:us-east-1:123456789012:event-bus/Bus","c":["arn:aws:states:us-east-1:123456789012:stateMachine:Machine","b"],"d":"z"}]${"#
        );
        assert!(routes_document(&parse("Resources: {}").unwrap()).is_err());
    }

    #[test]
    fn scalars_match_cloudformation() {
        let template = parse(
            r#"Resources:
  One:
    Type: AWS::SSM::Parameter
    Properties:
      Value:
        Fn::ToJsonString:
          where: {
            "json": {v: [yes, Off, 010, 12:30:00, 1_000, 2012-10-17, 'yes', "010", !!str 010]}
          }
  Routes: {Properties: {Value: !GetAtt One.Value}}
"#,
        )
        .unwrap();
        assert_eq!(
            routes_document(&template).unwrap(),
            r#"{"where":{"json":{"v":[true,false,8,45000,1000,"2012-10-17","yes","010","010"]}}}"#
        );
    }
}
