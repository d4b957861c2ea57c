//! Checks of routes whose keys are each valid.

use std::collections::HashSet;

use super::ReadRoute;
use super::reader::Reader;
use crate::domain::inbound::routes::{Input, Route, Target, Template};

/// Begins the text about a loop.
pub const LOOP: &str = "expected no topic that a route listens to";

impl Reader {
    /// A payload carries nothing of its message, so its reply cannot depend on the message.
    pub(super) fn check_payload_reply(&mut self, route: &Route) {
        let (
            Target::StateMachine {
                input: Input::Payload,
                ..
            },
            Some(reply),
        ) = (&route.to, &route.reply)
        else {
            return;
        };
        let all: [(_, &[Template]); 4] = [
            ("reply.cache", std::slice::from_ref(&reply.cache)),
            ("reply.topics", &reply.topics),
            ("reply.failures", &reply.failures),
            ("reply.started", &reply.started),
        ];
        if reply.asked.is_some() {
            self.problem(
                "reply.from",
                "expected no topic from the message, since the input `payload` does not carry it to its reply; use the input `envelope`",
            );
        }
        let mut seen = HashSet::new();
        for (key, templates) in all {
            for template in templates
                .iter()
                .filter(|t| t.render_without_message(&route.from).is_none())
            {
                let names: Vec<String> = template
                    .placeholders()
                    .map(|p| format!("`{{{}}}`", p.name()))
                    .collect();
                let names = names.join(", ");
                if seen.insert(names.clone()) {
                    self.problem(
                        key,
                        format!("expected a fixed name, since the input `payload` does not carry the message to its reply, found {names}; use the input `envelope`, or exact names (set `reply.cache` where `from.cache` has a `*`)"),
                    );
                }
            }
        }
    }

    /// An endless loop costs money, and AWS's recursion detection does not stop it.
    pub(super) fn check_loops(&mut self, routes: &[ReadRoute]) {
        for (route, allowed) in routes.iter().filter(|(route, _)| route.enabled) {
            let Some(reply) = route.reply.as_ref().filter(|_| !allowed) else {
                continue;
            };
            let cache = reply.cache.as_glob(&route.from);
            let topics = reply.globs(&route.from);
            let hears = |other: &Route| {
                other.from.cache.intersects(&cache)
                    && topics
                        .iter()
                        .any(|topic| other.from.topic.intersects(topic))
            };
            for (other, _) in routes
                .iter()
                .filter(|(other, _)| other.enabled && hears(other))
            {
                self.route = Some(route.name.clone());
                self.problem(
                    "reply",
                    format!(
                        "{LOOP}, found one that route `{}` takes (`{}` in cache `{}`): results would come back as messages; reply elsewhere, or set `\"loop\": \"allowed\"`",
                        other.name,
                        other.from.topic.as_str(),
                        other.from.cache.as_str()
                    ),
                );
            }
        }
    }

    /// The name of an execution begins with its route's, and the route of a `payload` result is found by it. A key may
    /// contain a `-`, so this holds for keyed routes, too.
    pub(super) fn check_names(&mut self, routes: &[ReadRoute]) {
        for (route, _) in routes {
            let begins = |other: &Route| {
                let rest = other.name.strip_prefix(&route.name);
                rest.is_some_and(|rest| rest.starts_with('-'))
            };
            for (other, _) in routes.iter().filter(|(other, _)| begins(other)) {
                let same = route.to.state_machine() == other.to.state_machine();
                let payload = route.takes_payload() || other.takes_payload();
                let keyed = route.key().is_some() || other.key().is_some();
                if (payload || keyed) && same {
                    self.route = Some(other.name.clone());
                    self.problem(
                        "name",
                        format!(
                            "expected a name that distinguishes executions of this state machine, found one that begins with `{}-`, the name of another route to it; rename one",
                            route.name
                        ),
                    );
                }
            }
        }
        self.route = None;
    }
}
