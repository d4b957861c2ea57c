//! Several files beside each other: the template of a bridge, and those of workflows in stacks of their own.

use super::code::Code;
use super::findings::Findings;
use super::machines::{Machine, NAMES};
use super::routes::{self, Route, covers};
use super::source::Source;
use super::template::is_unresolved;
use crate::domain::inbound::routes::LOOP;
use crate::tools::template::STACK;

/// A checked template, as the others see it.
pub struct Site {
    pub source: Source,
    /// Whether it has the functions of a bridge.
    pub is_bridge: bool,
    pub routes: Vec<Route>,
    /// The names of its state machines that no other stack may have.
    names: Vec<Name>,
}

/// The name of a state machine.
struct Name {
    arn: String,
    pointer: String,
}

impl Site {
    pub fn new(
        source: Source,
        is_bridge: bool,
        routes: Vec<Route>,
        machines: Vec<(String, String)>,
    ) -> Self {
        let names = machines.into_iter();
        Self {
            source,
            is_bridge,
            routes,
            names: names.map(|(arn, pointer)| Name { arn, pointer }).collect(),
        }
    }

    /// The bridge that collects a route of this template, if its name is known.
    fn bridge_of<'a>(&self, route: &'a Route, own: &'a str) -> Option<&'a str> {
        match route.bridge.as_deref() {
            // A bridge's own template gets the stack name that the workflows use.
            None | Some(STACK) if self.is_bridge => Some(own),
            bridge => bridge.filter(|name| !is_unresolved(name)),
        }
    }
}

/// The fixed names of a template's state machines: ARN and pointer.
///
/// A name made by CloudFormation, or from that of the workflow's own stack, is another in each stack.
pub fn fixed_names(machines: &[Machine], is_bridge: bool) -> Vec<(String, String)> {
    let fixed = machines.iter().filter_map(|machine| {
        let properties = &machine.resource.value["Properties"];
        let key = NAMES.iter().find(|key| properties.get(key).is_some())?;
        let is_own = !is_bridge && properties[key].to_string().contains("AWS::StackName");
        let is_known = !is_unresolved(&machine.arn) && !is_own;
        is_known.then(|| (machine.arn.clone(), machine.resource.property(key)))
    });
    fixed.collect()
}

/// A route and the index of its file.
type Placed<'s> = (usize, &'s Route);

/// Compares the files with each other; each finding belongs to one of them, and names the other.
pub fn check(sites: &[Site], findings: &mut Findings) {
    same_names(sites, findings);
    let mut bridges: Vec<Placed> = Vec::new();
    for (i, site) in sites.iter().enumerate().filter(|(_, site)| !site.is_bridge) {
        bridges.extend(site.routes.iter().map(|route| (i, route)));
    }
    bridges.retain(|(i, route)| sites[*i].bridge_of(route, STACK).is_some());
    let named = |(_, route): &Placed| route.bridge.clone().unwrap_or_default();
    let mut all: Vec<String> = bridges.iter().map(named).collect();
    all.dedup();
    let only_one = sites.iter().filter(|site| site.is_bridge).count() == 1;
    let expected = match all.first() {
        Some(first) if !(only_one && all.iter().any(|name| name == STACK)) => first.clone(),
        _ => STACK.to_owned(),
    };
    differing(sites, &bridges, &expected, findings);

    // Two bridges are two stacks, and which of them a workflow belongs to is unknown.
    let compared = |site: &Site| !site.is_bridge || only_one;
    let mut placed: Vec<Placed> = Vec::new();
    for (i, site) in sites.iter().enumerate().filter(|(_, site)| compared(site)) {
        placed.extend(site.routes.iter().map(|route| (i, route)));
    }
    // The bridge's own routes come first, as in its functions.
    placed.sort_by_key(|(i, _)| !sites[*i].is_bridge);
    let bridge_of = |(i, route): &Placed| sites[*i].bridge_of(route, &expected).map(str::to_owned);
    let mut groups: Vec<String> = placed.iter().filter_map(bridge_of).collect();
    groups.sort();
    groups.dedup();
    for group in groups {
        let group = placed
            .iter()
            .filter(|one| bridge_of(one).as_ref() == Some(&group));
        beside(sites, &group.copied().collect::<Vec<_>>(), findings);
    }
}

/// Finds state machines of two files with one name.
fn same_names(sites: &[Site], findings: &mut Findings) {
    for (i, site) in sites.iter().enumerate() {
        for Name { arn, pointer } in &site.names {
            // Two bridges are two stacks with names of their own.
            let may_be = |other: &Site| !(site.is_bridge && other.is_bridge);
            let has_it = |other: &Site| other.names.iter().any(|name| name.arn == *arn);
            let is_same = |other: &&Site| may_be(other) && has_it(other);
            if let Some(other) = sites[..i].iter().find(is_same) {
                let name = arn.rsplit(':').next().unwrap_or_default();
                let text = format!(
                    "expected a name that no other state machine has, found `{name}`, which one in `{}` has, too: the second stack cannot be deployed; rename one",
                    other.source.name
                );
                findings.add(&site.source, pointer, Code::MachineTwice, text);
            }
        }
    }
}

/// Finds routes that name another bridge than the other files' routes.
fn differing(sites: &[Site], routes: &[Placed], expected: &str, findings: &mut Findings) {
    let is_expected = |(_, route): &&Placed| route.bridge.as_deref() == Some(expected);
    let with = match routes.iter().find(is_expected) {
        Some((i, _)) => &sites[*i],
        None => return,
    };
    let others = routes.iter().filter(|one| !is_expected(one));
    for (i, route) in others {
        let text = format!(
            "route `{}`: expected a parameter of the bridge `{expected}`, as in `{}`, found one of the bridge `{}`: two bridges would collect the routes of these files; give `Bridge` the same default, unless intended",
            route.name(),
            with.source.name,
            route.bridge.as_deref().unwrap_or_default()
        );
        let source = &sites[*i].source;
        findings.warn(source, &route.pointer, Code::BridgeDiffers, text);
    }
}

/// Finds problems that the routes of one bridge have with those of other files only.
fn beside(sites: &[Site], routes: &[Placed], findings: &mut Findings) {
    let cloned = |routes: &[Placed]| -> Vec<Route> {
        routes.iter().map(|(_, route)| (*route).clone()).collect()
    };
    let mut before: Vec<Placed> = Vec::new();
    for own in routes.chunk_by(|(one, _), (other, _)| one == other) {
        let alone = routes::problems(&cloned(own));
        let mut known = routes::problems(&cloned(&before));
        known.extend(alone);
        let mut all = before.clone();
        all.extend(own);
        for problem in routes::problems(&cloned(&all)) {
            let Some(name) = problem.route.as_deref() else {
                continue;
            };
            // A route without a name has a number, which counts the routes before it.
            if name.starts_with('#') || known.contains(&problem) {
                continue;
            }
            let has_name = |(_, route): &&Placed| route.name() == name;
            let of_own = own.iter().find(has_name);
            let Some(&(at, route)) = of_own.or_else(|| before.iter().find(has_name)) else {
                continue;
            };
            let names = |route: &Route| {
                route.name() == name || problem.text.contains(&format!("`{}`", route.name()))
            };
            let other = all.iter().find(|(i, route)| *i != at && names(route));
            let other = other.map_or(before[0].0, |(i, _)| *i);
            let text = format!(
                "{problem} (the other route is in `{}`)",
                sites[other].source.name
            );
            let pointer = format!("{}{}", route.pointer, routes::path(&problem.key));
            let code = match problem.text.starts_with(LOOP) {
                true => Code::RouteLoop,
                false => Code::RouteUnparsable,
            };
            findings.add(&sites[at].source, &pointer, code, text);
        }
        for &one in own {
            before
                .iter()
                .for_each(|&other| same_messages(sites, one, other, findings));
        }
        before.extend(own);
    }
}

/// Finds two routes of which one sends all messages of the other to the same target.
fn same_messages(sites: &[Site], one: Placed, other: Placed, findings: &mut Findings) {
    if !(one.1.is_enabled() && other.1.is_enabled()) {
        return;
    }
    let (by_other, by_one) = (covers(other.1, one.1), covers(one.1, other.1));
    let ((i, narrow), (j, wide)) = match by_other {
        true => (one, other),
        false => (other, one),
    };
    let (source, wide_file) = (&sites[i].source, &sites[j].source.name);
    match (by_other, by_one) {
        (true, true) => {
            let text = format!(
                "route `{}`: expected another `from`, `where` or `to` than that of route `{}` in `{wide_file}`, found the same: every message would reach the target twice; remove one of the two",
                narrow.name(),
                wide.name()
            );
            findings.add(source, &narrow.pointer, Code::RouteDuplicate, text);
        }
        (false, false) => {}
        _ => {
            let text = format!(
                "route `{}`: expected messages that no other route takes to the same target, found route `{}` in `{wide_file}`, which takes all of them: each would reach the target twice; narrow one, or remove `{}`",
                narrow.name(),
                wide.name(),
                narrow.name()
            );
            findings.warn(source, &narrow.pointer, Code::RouteShadowed, text);
        }
    }
}
