//! Replies that would never be sent: a route with `reply` to an EXPRESS state machine.
//!
//! Only the template has the type of a state machine; a routes document has ARNs.

use anyhow::{Result, bail};
use serde_json::Value;

/// Checks that no route has a `reply` and an EXPRESS state machine of the template as its target.
///
/// # Errors
///
/// A sentence for each such route. Computed types and targets (by `!If`, say) pass.
pub fn check_replies(template: &Value) -> Result<()> {
    let resources = template["Resources"].as_object();
    let problems: Vec<_> = resources
        .into_iter()
        .flatten()
        .flat_map(|(_, resource)| routes(resource))
        .filter_map(|route| reply_of_express(route, template))
        .collect();
    if problems.is_empty() {
        return Ok(());
    }
    bail!("{}", problems.join("\n"))
}

/// The problem with a route with a `reply` to an EXPRESS state machine of the template.
pub fn reply_of_express(route: &Value, template: &Value) -> Option<String> {
    route.get("reply").filter(|reply| !reply.is_null())?;
    let id = state_machine(&route["to"]["stateMachine"], template)?;
    let name = route["name"].as_str().unwrap_or("without a name");
    is_express(&template["Resources"][id]).then(|| {
        format!("route `{name}`: expected no `reply`, because `{id}` is an EXPRESS state machine: it reports no end, so its result would never be published. Let it publish by itself, with a `Topic Publish` event as in statemachines/express-enrich.asl.json, and remove the `reply`; or give `{id}` the type STANDARD")
    })
}

/// The routes in a resource: one in a parameter of its own, or a whole document.
fn routes(resource: &Value) -> Vec<&Value> {
    let Some(value) = resource.pointer("/Properties/Value/Fn::ToJsonString") else {
        return Vec::new();
    };
    match value["routes"].as_array() {
        Some(routes) => routes.iter().collect(),
        None => vec![value],
    }
}

/// The logical id of the state machine that a target names: by itself, its ARN or an alias that SAM generates.
fn state_machine<'a>(target: &'a Value, template: &Value) -> Option<&'a str> {
    let attribute = match &target["Fn::GetAtt"] {
        Value::String(text) => text.split('.').next(),
        list => list[0].as_str(),
    };
    let id = target["Ref"].as_str().or(attribute)?;
    let exists = |id: &str| template["Resources"].get(id).is_some();
    if exists(id) {
        return Some(id);
    }
    let mut ends = id.match_indices("Alias").map(|(at, _)| &id[..at]);
    ends.find(|id| exists(id))
}

fn is_express(resource: &Value) -> bool {
    let properties = &resource["Properties"];
    match resource["Type"].as_str() {
        Some("AWS::Serverless::StateMachine") => properties["Type"] == "EXPRESS",
        Some("AWS::StepFunctions::StateMachine") => properties["StateMachineType"] == "EXPRESS",
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::tools::local::workspace::Workspace;
    use crate::tools::template::read;

    fn template(machine: Value, route: Value) -> Value {
        json!({"Resources": {
            "Machine": machine,
            "Route": {"Type": "AWS::SSM::Parameter", "Properties": {"Value": {"Fn::ToJsonString": route}}},
        }})
    }

    fn sam(kind: &str) -> Value {
        json!({"Type": "AWS::Serverless::StateMachine", "Properties": {"Type": kind}})
    }

    fn route(target: Value) -> Value {
        json!({"name": "quick", "to": {"stateMachine": target}, "reply": {"topics": ["out"]}})
    }

    #[test]
    fn a_reply_of_an_express_state_machine_is_refused_with_the_reason() {
        let native = json!({"Type": "AWS::StepFunctions::StateMachine", "Properties": {"StateMachineType": "EXPRESS"}});
        let document = json!({"routes": [{"name": "other", "to": {"eventBus": "default"}}, route(json!({"Ref": "Machine"}))]});
        for template in [
            template(sam("EXPRESS"), route(json!({"Ref": "Machine"}))),
            template(
                sam("EXPRESS"),
                route(json!({"Fn::GetAtt": ["Machine", "Arn"]})),
            ),
            template(sam("EXPRESS"), route(json!({"Fn::GetAtt": "Machine.Arn"}))),
            template(sam("EXPRESS"), route(json!({"Ref": "MachineAliaslive"}))),
            template(native, route(json!({"Ref": "Machine"}))),
            template(sam("EXPRESS"), document),
        ] {
            let error = check_replies(&template).unwrap_err().to_string();
            for part in [
                "route `quick`",
                "`Machine` is an EXPRESS",
                "reports no end",
                "`Topic Publish`",
                "STANDARD",
            ] {
                assert!(error.contains(part), "{error}");
            }
        }
    }

    #[test]
    fn other_routes_pass() {
        let mut silent = route(json!({"Ref": "Machine"}));
        silent["reply"] = Value::Null;
        for template in [
            template(sam("STANDARD"), route(json!({"Ref": "Machine"}))),
            template(
                json!({"Type": "AWS::Serverless::StateMachine"}),
                route(json!({"Ref": "Machine"})),
            ),
            template(sam("EXPRESS"), silent),
            template(sam("EXPRESS"), route(json!({"Ref": "Elsewhere"}))),
            template(
                sam("EXPRESS"),
                route(json!(
                    "arn:aws:states:us-east-1:123456789012:stateMachine:Machine"
                )),
            ),
            template(sam("EXPRESS"), json!({"name": 1, "to": [], "reply": {}})),
            template(sam("EXPRESS"), json!("text")),
            json!({}),
        ] {
            check_replies(&template).unwrap();
        }
    }

    #[test]
    fn the_shipped_templates_have_no_reply_of_an_express_state_machine() {
        let root = Workspace::find().unwrap().root().to_owned();
        check_replies(&read(&root.join("template.yaml")).unwrap()).unwrap();
        let mut template = read(&root.join("examples/express-enrich/template.yaml")).unwrap();
        check_replies(&template).unwrap();
        let mut routes = 0;
        for (_, resource) in template["Resources"].as_object_mut().unwrap() {
            if let Some(route) = resource.pointer_mut("/Properties/Value/Fn::ToJsonString") {
                route["reply"] = json!({"topics": ["out"]});
                routes += 1;
            }
        }
        assert_eq!(routes, 1);
        assert!(check_replies(&template).is_err());
    }
}
