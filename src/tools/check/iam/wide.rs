//! Statements that allow more than a function needs.

use super::grants::Grant;
use super::needs::{Need, shown};
use super::{allows, covers};
use crate::domain::inbound::routes::Glob;
use crate::tools::check::another;
use crate::tools::check::code::Code;
use crate::tools::check::machines::Machine;
use crate::tools::check::template::{Template, is_unresolved};

/// The bridge's services; of others, only wildcard actions and log writes are judged.
const SERVICES: [&str; 7] = [
    "dynamodb",
    "events",
    "s3",
    "secretsmanager",
    "sqs",
    "ssm",
    "states",
];

/// Actions on `*` only.
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

/// The problem with a statement of a role with these needs.
pub fn problem(
    template: &Template,
    grant: &Grant,
    needs: &[Need],
    machines: &[Machine],
) -> Option<(Code, String)> {
    // A policy of AWS or SAM.
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
        let remedy = crate::tools::check::template::listed(needed);
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
    if is_of_neighbour(resource) {
        return Some((
            Code::IamTooWide,
            format!(
                "`{action}` on `{resource}`, which covers the workflows of stacks whose names begin like this one's, too; end the prefix with `_`"
            ),
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
        // For tasks, any state machine of the template, or those of other stacks.
        let glob = Glob::new(resource);
        let of_others = |need: &Need| need.resource.is_some() && covers(grant, need);
        let known = machines.iter().any(|machine| glob.matches(&machine.arn))
            || of_action.iter().copied().any(of_others)
            || resource == "*"
            || !machines_arn(resource);
        return (!known).then(|| (Code::IamUnneeded, format!("`{action}` on `{resource}`, which is not a state machine of this template; remove the statement")));
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
                "`{action}` on {}, {why}; remove the statement, or add its use",
                shown(template, resource)
            ),
        )
    })
}

/// Whether a wildcard takes in the state machines of another bridge, but not all.
fn is_of_neighbour(resource: &str) -> bool {
    let execution = resource.contains(":execution:");
    let neighbour = match execution {
        true => {
            format!("{}:one", another::neighbour()).replacen(":stateMachine:", ":execution:", 1)
        }
        false => another::neighbour(),
    };
    resource != "*" && resource.contains('*') && Glob::new(resource).matches(&neighbour)
}

fn machines_arn(resource: &str) -> bool {
    resource.contains(":stateMachine:")
}

/// Whether a wildcard replaces a name.
fn is_wide(service: &str, action: &str, resource: &str) -> bool {
    // The services name executions and log streams, and a path has parameters below it.
    let executions = ["states:DescribeExecution", "states:StopExecution"];
    let inner = service == "logs" || executions.iter().any(|known| allows(action, known));
    let named = if inner {
        resource.strip_suffix(":*")
    } else if allows(action, "ssm:GetParametersByPath") {
        let path = resource.strip_suffix("/*");
        path.filter(|path| !path.ends_with(":parameter"))
    } else {
        None
    };
    let named = named.unwrap_or(resource);
    if service == "s3" {
        return resource.contains('*') && !resource.contains("/workflow-bridge/");
    }
    let last = named.rsplit([':', '/']).next().unwrap_or(named);
    last == "*" || resource == "*"
}
