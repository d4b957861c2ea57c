//! The state machines of routes that a bridge of another stack collects: the bridge knows them by their names.

use serde_json::Value;

use super::code::Code;
use super::findings::Findings;
use super::functions::Function;
use super::iam::many;
use super::machines::Machine;
use super::routes::Route;
use super::template::{Template, is_unresolved};
use crate::domain::inbound::routes::Glob;

/// The properties with the name of a state machine.
const NAMES: [&str; 2] = ["Name", "StateMachineName"];

pub fn check(
    template: &Template,
    functions: &[Function],
    routes: &[Route],
    machines: &[Machine],
    findings: &mut Findings,
) {
    for route in routes {
        let is_theirs = functions.is_empty() || route.is_of_another_bridge();
        let bridge = route.bridge.as_deref().filter(|_| is_theirs);
        let (Some(bridge), Some(arn)) = (bridge, route.machine()) else {
            continue;
        };
        let name = arn.rsplit(':').next().unwrap_or_default();
        let is_known = arn.starts_with("arn:") && !is_unresolved(name) && !is_unresolved(bridge);
        if !is_known || name.starts_with(&format!("{bridge}_")) || is_granted(template, arn) {
            continue;
        }
        match machines.iter().find(|machine| machine.arn == arn) {
            Some(machine) => {
                let properties = &machine.resource.value["Properties"];
                let key = NAMES.iter().find(|key| properties.get(key).is_some());
                let found = match key {
                    Some(_) => format!("`{name}`"),
                    None => "none, so that CloudFormation makes one".to_owned(),
                };
                let text = format!(
                    "state machine `{}`: expected a name that begins with `{bridge}_`, since route `{}` leads to it, found {found}: the bridge `{bridge}` may neither start it nor hear its ends; set `Name: !Sub ${{Bridge}}_<workflow>`",
                    machine.resource.id,
                    route.name()
                );
                let at = machine.resource.property(key.unwrap_or(&"Name"));
                findings.add(template.source, &at, Code::WorkflowName, text);
            }
            None => {
                let text = format!(
                    "route `{}`: expected a state machine whose name begins with `{bridge}_`, found `{arn}`, which the bridge's own statements and rule do not cover; make sure that its functions may call this one and that a rule brings its ends, or give it such a name",
                    route.name()
                );
                findings.warn(template.source, &route.target(), Code::WorkflowName, text);
            }
        }
    }
}

/// Whether a policy of the template allows to start a state machine.
fn is_granted(template: &Template, arn: &str) -> bool {
    let kinds = [
        "AWS::IAM::Policy",
        "AWS::IAM::ManagedPolicy",
        "AWS::IAM::RolePolicy",
    ];
    let starts = |statement: &Value| {
        let any = |key: &str, fits: &dyn Fn(&str) -> bool| {
            let values = many(&statement[key]);
            values.into_iter().filter_map(Value::as_str).any(fits)
        };
        let action =
            |action: &str| Glob::new(&action.to_ascii_lowercase()).matches("states:startexecution");
        statement["Effect"] == "Allow"
            && any("Action", &action)
            && any("Resource", &|resource| Glob::new(resource).matches(arn))
    };
    let mut policies = template
        .resources()
        .filter(|resource| kinds.contains(&resource.kind()));
    policies.any(|policy| {
        let document = &policy.value["Properties"]["PolicyDocument"];
        let document = template.resolver.value(document);
        many(&document["Statement"]).into_iter().any(starts)
    })
}
