//! The permissions of the bridge's functions, compared with their calls.

mod grants;
mod needs;
mod tasks;
mod wide;

use std::collections::{BTreeMap, BTreeSet};

use super::code::Code;
use super::finding::Severity;
use super::findings::Findings;
use super::functions::Function;
use super::machines::Machine;
use super::routes::Route;
use super::template::{Template, listed};
use crate::domain::inbound::routes::Glob;
pub use grants::many;
use grants::{Grant, Role};
use needs::Need;

pub fn check(
    template: &Template,
    functions: &[Function],
    routes: &[Route],
    machines: &[Machine],
    findings: &mut Findings,
) {
    tasks::check(template, machines, findings);
    let mut missing: BTreeMap<(String, String), Vec<&str>> = BTreeMap::new();
    // Functions may share a role.
    let mut roles: Vec<(Role, Vec<Need>, Vec<&str>)> = Vec::new();
    for function in functions {
        let Some(role) = grants::role(template, function) else {
            continue;
        };
        let needs = needs::of(template, function, routes, machines);
        let given = |need: &Need| {
            let by_policy = role.grants.iter().any(|grant| covers(grant, need));
            role.opaque || by_policy || (role.by_sam && need.given_by_sam())
        };
        let open = needs.iter().filter(|need| !given(need));
        for need in open {
            let pointer = if need.pointer.is_empty() {
                role.pointer.clone()
            } else {
                need.pointer.clone()
            };
            let text = format!(
                "`{}` on {}, found no statement that does: {}; add one",
                need.action, need.shown, need.why
            );
            missing
                .entry((pointer, text))
                .or_default()
                .push(function.resource.id);
        }
        match roles
            .iter_mut()
            .find(|(other, ..)| other.pointer == role.pointer)
        {
            Some((_, all, who)) => {
                all.extend(needs);
                who.push(function.resource.id);
            }
            None => roles.push((role, needs, vec![function.resource.id])),
        }
    }
    for ((pointer, text), who) in missing {
        let who = who_are(&who);
        findings.add(
            template.source,
            &pointer,
            Code::IamMissing,
            format!("expected {who} to be allowed {text}"),
        );
    }
    let sure = routes_are_known(routes, findings);
    // The same statement may stand in several roles.
    let mut more: BTreeMap<(String, Code, String), BTreeSet<&str>> = BTreeMap::new();
    for (role, needs, who) in &roles {
        for grant in &role.grants {
            if let Some((code, text)) = wide::problem(template, grant, needs, machines)
                && (sure || code != Code::IamUnneeded)
            {
                more.entry((grant.pointer.clone(), code, text))
                    .or_default()
                    .extend(who);
            }
        }
    }
    for ((pointer, code, text), who) in more {
        let who = who_are(&who.into_iter().collect::<Vec<_>>());
        let text = format!("expected {who} to have only the needed permissions, found {text}");
        let severity = if code == Code::IamUnneeded {
            Severity::Warning
        } else {
            Severity::Error
        };
        findings.push(
            template.source,
            template.source.places.of(&pointer),
            code,
            severity,
            text,
        );
    }
}

/// Whether all routes are known. Otherwise a permission that seems unneeded may belong to an unreadable route.
fn routes_are_known(routes: &[Route], findings: &Findings) -> bool {
    let doubts = [
        Code::RoutesMissing,
        Code::RouteUnparsable,
        Code::RouteNotNamed,
        Code::UnknownReference,
    ];
    let doubtful = findings
        .found
        .iter()
        .any(|finding| doubts.contains(&finding.code));
    let known = |route: &Route| {
        route
            .machine()
            .is_none_or(|arn| !super::template::is_unresolved(arn))
    };
    !doubtful && routes.iter().all(known)
}

fn who_are(functions: &[&str]) -> String {
    let noun = if functions.len() == 1 {
        "function"
    } else {
        "functions"
    };
    format!("{noun} {}", listed(functions.iter().copied()))
}

fn covers(grant: &Grant, need: &Need) -> bool {
    allows(&grant.action, need.action)
        && match &need.resource {
            None => true,
            Some(resource) => {
                super::template::is_unresolved(&grant.resource)
                    || Glob::new(&grant.resource).matches(resource)
            }
        }
}

/// Compares actions without their case.
fn allows(pattern: &str, action: &str) -> bool {
    Glob::new(&pattern.to_ascii_lowercase()).matches(&action.to_ascii_lowercase())
}
