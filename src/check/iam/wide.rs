//! Statements that allow more than a function needs.

use super::grants::Grant;
use super::needs::{Need, shown};
use super::{allows, covers};
use crate::check::code::Code;
use crate::check::machines::Machine;
use crate::check::template::{Template, is_unresolved};

/// The services that the bridge calls; what else a function may do is its owner's business.
const SERVICES: [&str; 7] = [
    "dynamodb",
    "events",
    "s3",
    "secretsmanager",
    "sqs",
    "ssm",
    "states",
];

/// Actions that name no resource, so that a star is all there is.
const WITHOUT_RESOURCE: [&str; 8] = [
    "dynamodb:ListTables",
    "events:ListEventBuses",
    "s3:ListAllMyBuckets",
    "secretsmanager:ListSecrets",
    "sqs:ListQueues",
    "ssm:DescribeParameters",
    "states:ListActivities",
    "states:ListStateMachines",
];

/// What is wrong with a statement of a role that has these needs, and the words that say so.
pub fn problem(
    template: &Template,
    grant: &Grant,
    needs: &[Need],
    machines: &[Machine],
) -> Option<(Code, String)> {
    // Without a place it is a policy of AWS or SAM.
    if grant.pointer.is_empty() {
        return None;
    }
    let Grant {
        action, resource, ..
    } = grant;
    if action.contains('*') {
        let needed: Vec<_> = needs
            .iter()
            .filter(|need| covers(grant, need))
            .map(|need| need.action)
            .collect();
        let needed: std::collections::BTreeSet<_> = needed.into_iter().collect();
        let remedy = crate::check::template::listed(needed);
        return Some((
            Code::IamTooWide,
            format!(
                "the action `{action}`, a wildcard; name the actions (needed of them: {remedy})"
            ),
        ));
    }
    let service = action
        .split(':')
        .next()
        .unwrap_or_default()
        .to_ascii_lowercase();
    let is_log = ["logs:CreateLogStream", "logs:PutLogEvents"]
        .iter()
        .any(|log| allows(action, log));
    if !is_log
        && (!SERVICES.contains(&service.as_str())
            || WITHOUT_RESOURCE.iter().any(|known| allows(action, known)))
    {
        return None;
    }
    if is_unresolved(resource) {
        return None;
    }
    let of_action: Vec<_> = needs
        .iter()
        .filter(|need| allows(action, need.action))
        .collect();
    let any_will_do = of_action.iter().any(|need| need.resource.is_none());
    if is_wide(&service, action, resource) && !(any_will_do && resource == "*") {
        return Some((
            Code::IamTooWide,
            format!("`{action}` on `{resource}`, a wildcard; name the resources"),
        ));
    }
    if of_action.is_empty() && !is_log {
        return Some((
            Code::IamUnneeded,
            format!(
                "`{action}` on {}, which it never calls; remove the statement",
                shown(template, resource)
            ),
        ));
    }
    if any_will_do {
        // Of tasks, any state machine that a route starts, or that may wait for one.
        let known = machines.iter().any(|machine| machine.arn == *resource)
            || resource == "*"
            || !machines_arn(resource);
        return (!known).then(|| (Code::IamUnneeded, format!("`{action}` on `{resource}`, which is no state machine of this template; remove the statement")));
    }
    let needed = of_action.iter().any(|need| covers(grant, need));
    (!needed && !is_log).then(|| {
        let why = match service.as_str() {
            "states" => "which no route names",
            "events" => "which no route puts events on",
            _ => "which it does not use",
        };
        (
            Code::IamUnneeded,
            format!(
                "`{action}` on {}, {why}; remove the statement, or add what was meant to use it",
                shown(template, resource)
            ),
        )
    })
}

fn machines_arn(resource: &str) -> bool {
    resource.contains(":stateMachine:")
}

/// Whether a star stands where a name should.
fn is_wide(service: &str, action: &str, resource: &str) -> bool {
    // Names of executions and of log streams are the service's.
    let inner = allows(action, "states:DescribeExecution") || service == "logs";
    let named = match inner {
        true => resource.strip_suffix(":*").unwrap_or(resource),
        false => resource,
    };
    if service == "s3" {
        return resource.contains('*') && !resource.contains("/workflow-bridge/");
    }
    let last = named.rsplit([':', '/']).next().unwrap_or(named);
    last == "*" || resource == "*"
}
