//! The state machines and rules of routes that a bridge of another stack collects: the bridge knows them by their names.

use serde_json::Value;

use super::code::Code;
use super::findings::Findings;
use super::functions::Function;
use super::iam::many;
use super::machines::{Machine, NAMES};
use super::routes::Route;
use super::rules;
use super::template::{Template, is_unresolved};
use crate::domain::inbound::routes::Glob;

/// Suffix of the export with the ARN of a bridge's completions queue.
const COMPLETIONS_QUEUE: &str = "-CompletionsQueue";

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
        let express = machines.iter().any(|one| one.arn == arn && one.express);
        if route.announces() && arn.starts_with("arn:") && !express {
            starts(template, route, arn, findings);
        }
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
                    "route `{}`: expected a state machine whose name begins with `{bridge}_`, found `{arn}`, which the bridge's own statements and rule do not cover; allow its functions to call this one and add a rule for its ends, as docs/routes.md shows, or give it such a name",
                    route.name()
                );
                findings.warn(template.source, &route.target(), Code::WorkflowName, text);
            }
        }
    }
}

/// Checks that a rule brings the starts of a route's executions to the bridge, whose own rule takes ends only.
fn starts(template: &Template, route: &Route, arn: &str, findings: &mut Findings) {
    let rules = rules::of_starts(template, arn);
    let mut leading = rules.iter().filter_map(|rule| {
        let targets = rule.value["Properties"]["Targets"].as_array();
        let mut exports = targets.into_iter().flatten().filter_map(|target| {
            let export = target["Arn"].get("Fn::ImportValue")?;
            let export = template.resolver.text(export)?;
            Some(export.strip_suffix(COMPLETIONS_QUEUE)?.to_owned())
        });
        Some((rule, exports.next()?))
    });
    let Some((rule, bridge)) = leading.next() else {
        let text = format!(
            "route `{}`: expected a rule that brings the starts of its executions to the bridge's queue, because of `reply.started`, found none: no start would be announced; add one for the status RUNNING with the target `!ImportValue` of `${{Bridge}}{COMPLETIONS_QUEUE}`, as in examples/order/template.yaml",
            route.name()
        );
        let at = format!("{}/reply/started", route.pointer);
        findings.warn(template.source, &at, Code::RuleMissing, text);
        return;
    };
    let arn = template.arn(rule.id).unwrap_or_default();
    let name = arn.rsplit('/').next().unwrap_or_default();
    if !is_unresolved(name) && !is_unresolved(&bridge) && !name.starts_with(&format!("{bridge}_")) {
        let text = format!(
            "rule `{}`: expected a name that begins with `{bridge}_`, found another: the bridge's queue takes no events of this rule; set `Name: !Sub ${{Bridge}}_<workflow>-starts`",
            rule.id
        );
        let at = rule.property("Name");
        findings.add(template.source, &at, Code::RuleNotAllowed, text);
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
