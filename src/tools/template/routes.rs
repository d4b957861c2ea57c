//! The routes of a template, as deployed.

use anyhow::{Context, Result};
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::resolve::{Resolver, UNRESOLVED};
use super::stacks::bridge_of;
use crate::config::RoutesSource;

/// The routes document of a template, with the defaults of its parameters and the ARNs of a made-up account: the document of
/// the variable `ROUTES`, then the routes in parameters that a bridge collects. Logical ids replace generated names, so the
/// length is about right.
///
/// # Errors
///
/// When the template has no routes, or one of several sources is not JSON.
pub fn routes_document(template: &Value) -> Result<String> {
    let resolver = Resolver::new(template);
    let base = base(template, &resolver);
    let collected: Vec<_> = collected(template, &resolver).collect();
    if collected.is_empty() {
        return base.context("expected a parameter `Routes`, or parameters named `/workflow-bridge/<bridge stack>/routes/<name>`, found neither in the template");
    }
    let base = base.map(|document| ("ROUTES".to_owned(), document));
    let mut routes = Vec::new();
    for (source, text) in base.into_iter().chain(collected) {
        let more = raw_routes(&text).with_context(|| {
            format!("expected a route or a routes document in JSON in `{source}`")
        })?;
        routes.extend(more.iter().map(|route| route.get().to_owned()));
    }
    Ok(format!("{{\"routes\":[{}]}}", routes.join(",")))
}

/// The document in the webhook's variable `ROUTES`, or else in the parameter `Routes`.
fn base(template: &Value, resolver: &Resolver) -> Option<String> {
    let mut resources = template["Resources"].as_object()?.values();
    let webhook = resources.find(|resource| {
        let binary = resource.pointer("/Metadata/BuildProperties/Binary");
        binary.is_some_and(|binary| binary == "webhook")
    });
    let variable = webhook.and_then(|webhook| {
        let own = webhook.pointer("/Properties/Environment/Variables/ROUTES");
        own.or_else(|| template.pointer("/Globals/Function/Environment/Variables/ROUTES"))
    });
    let document = match resolver.text(variable.unwrap_or(&Value::Null)) {
        Some(text) => match RoutesSource::of(&text) {
            RoutesSource::Inline(document) => Some(document),
            RoutesSource::Parameter(name) => named(template, resolver, &name),
        },
        None => None,
    };
    let document = document.filter(|document| !document.starts_with(UNRESOLVED));
    document.or_else(|| {
        let resource = template.pointer("/Resources/Routes/Properties")?;
        let name = resolver.text(&resource["Name"]);
        let is_collected = name.is_some_and(|name| bridge_of(&name).is_some());
        (!is_collected).then(|| resolver.text(&resource["Value"]))?
    })
}

/// The value of the parameter of SSM with this name.
fn named(template: &Value, resolver: &Resolver, name: &str) -> Option<String> {
    let mut parameters = parameters(template, resolver);
    let (_, _, value) = parameters.find(|(_, known, _)| known == name)?;
    resolver.text(value)
}

/// The parameters that a bridge collects: logical id and value.
fn collected<'t>(
    template: &'t Value,
    resolver: &'t Resolver,
) -> impl Iterator<Item = (String, String)> + 't {
    let parameters = parameters(template, resolver);
    let collected = parameters.filter(|(_, name, _)| bridge_of(name).is_some());
    collected.filter_map(move |(id, _, value)| Some((id.to_owned(), resolver.text(value)?)))
}

/// The parameters of SSM: logical id, name and value.
fn parameters<'t>(
    template: &'t Value,
    resolver: &'t Resolver,
) -> impl Iterator<Item = (&'t str, String, &'t Value)> + 't {
    let resources = template["Resources"].as_object().into_iter().flatten();
    let deployed = resources.filter(move |(_, resource)| {
        let condition = resource["Condition"].as_str();
        resource["Type"] == "AWS::SSM::Parameter"
            && condition.and_then(|name| resolver.condition(name)) != Some(false)
    });
    deployed.filter_map(move |(id, resource)| {
        let name = resolver.text(&serde_json::json!({ "Ref": id }))?;
        let value = resource.pointer("/Properties/Value")?;
        Some((id.as_str(), name, value))
    })
}

/// The routes in the value of a parameter, which has a route or a routes document.
fn raw_routes(text: &str) -> serde_json::Result<Vec<Box<RawValue>>> {
    #[derive(Deserialize)]
    struct Document {
        routes: Vec<Box<RawValue>>,
    }
    let value: Value = serde_json::from_str(text)?;
    match value.get("routes") {
        Some(_) => serde_json::from_str(text).map(|document: Document| document.routes),
        None => serde_json::from_str(text).map(|route| vec![route]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::inbound::routes::{Routes, Target};
    use crate::tools::local::workspace::Workspace;
    use crate::tools::template::{parse, read};

    #[test]
    fn the_shipped_routes_are_read_as_deployed() {
        let root = Workspace::find().unwrap().root().to_owned();
        for (file, name, workflow) in [
            ("template.yaml", "uppercase", "uppercase"),
            ("examples/count/template.yaml", "count", "count"),
            ("examples/approve/template.yaml", "approve", "approve"),
        ] {
            let template = read(&root.join(file)).unwrap();
            let routes = Routes::parse(&routes_document(&template).unwrap()).unwrap();
            let route = routes.iter().find(|route| route.name == name).unwrap();
            assert_eq!(route.from.cache.as_str(), "demo");
            let Target::StateMachine { arn, .. } = &route.to else {
                panic!("{route:?}")
            };
            assert_eq!(
                *arn,
                format!(
                    "arn:aws:states:us-east-1:123456789012:stateMachine:workflow-bridge_{workflow}"
                )
            );
        }
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
    fn all_sources_come_together() {
        let template = |routes: &str| {
            parse(&format!(
                r#"Parameters: {{Bridge: {{Type: String, Default: workflow-bridge}}}}
Conditions: {{Never: !Equals [a, b]}}
Resources:
  Webhook:
    Type: AWS::Serverless::Function
    Metadata: {{BuildProperties: {{Binary: webhook}}}}
    Properties: {{Environment: {{Variables: {routes}}}}}
  Document: {{Type: AWS::SSM::Parameter, Properties: {{Name: all, Value: '{{"routes":[{{"name":"base"}}]}}'}}}}
  One:
    Type: AWS::SSM::Parameter
    Properties:
      Name: !Sub /workflow-bridge/${{Bridge}}/routes/one
      Value: {{Fn::ToJsonString: {{name: one, at: !Ref Bridge}}}}
  Off:
    Type: AWS::SSM::Parameter
    Condition: Never
    Properties: {{Name: /workflow-bridge/workflow-bridge/routes/off, Value: x}}
  Other: {{Type: AWS::SSM::Parameter, Properties: {{Name: /workflow-bridge/x, Value: x}}}}
  Two:
    Type: AWS::SSM::Parameter
    Properties:
      Name: /workflow-bridge/workflow-bridge/routes/two
      Value: '{{"routes": [{{"name": "two", "where": {{"b": [1], "a": [1.0]}}}}, {{"name": "three"}}]}}'
"#
            ))
            .unwrap()
        };
        let collected = r#"{"at":"workflow-bridge","name":"one"},{"name": "two", "where": {"b": [1], "a": [1.0]}},{"name": "three"}"#;
        for routes in ["{ROUTES: !GetAtt Document.Value}", "{ROUTES: ssm:all}"] {
            assert_eq!(
                routes_document(&template(routes)).unwrap(),
                format!(r#"{{"routes":[{{"name":"base"}},{collected}]}}"#)
            );
        }
        assert_eq!(
            routes_document(&template("{ROUTES_TABLE: ledger}")).unwrap(),
            format!(r#"{{"routes":[{collected}]}}"#)
        );
        let mut broken = template("{}");
        broken["Resources"]["Two"]["Properties"]["Value"] = "{".into();
        let error = format!("{:#}", routes_document(&broken).unwrap_err());
        assert!(error.contains("`Two`") && error.contains("EOF"), "{error}");
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
