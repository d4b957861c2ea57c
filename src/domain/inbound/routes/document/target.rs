//! The key `to` of a route.

use std::collections::HashMap;

use serde_json::Value;

use super::ReadRoute;
use super::reader::Reader;
use crate::domain::inbound::arn::unqualified;
use crate::domain::inbound::routes::{FieldPath, Input, Resume, Stop, Target, Template};

/// Most characters in the ARN of a state machine, by StartExecution's model.
pub const ARN_MAX: usize = 256;
/// Most characters in an event's source and in an event bus's name or ARN, by PutEvents's model.
pub const SOURCE_MAX: usize = 256;
/// As sent by Momento's own handler.
pub const DEFAULT_SOURCE: &str = "Momento";
pub const DEFAULT_DETAIL_TYPE: &str = "{cache}#{topic}";

impl Reader {
    pub(super) fn target(&mut self, value: &Value) -> Option<Target> {
        let mut fields = self.object("to", value)?;
        let given = [
            fields.optional("stateMachine"),
            fields.optional("eventBus"),
            fields.optional("resume"),
            fields.optional("stop"),
        ];
        let target = match given {
            [Some(arn), None, None, None] => {
                let arn = self.state_machine("to.stateMachine", arn);
                let input = match fields.optional("input") {
                    None => Some(Input::Envelope),
                    Some(Value::String(s)) if s == "envelope" => Some(Input::Envelope),
                    Some(Value::String(s)) if s == "payload" => Some(Input::Payload),
                    Some(other) => self.unexpected("to.input", "`envelope` or `payload`", other),
                };
                let key = match fields.optional("key") {
                    None => Some(None),
                    Some(value) => self.path("to.key", value).map(Some),
                };
                arn.zip(input)
                    .zip(key)
                    .map(|((arn, input), key)| Target::StateMachine { arn, input, key })
            }
            [None, Some(bus), None, None] => {
                let name = self.event_bus(bus);
                let source = fields
                    .optional("source")
                    .map_or(Some(DEFAULT_SOURCE.to_owned()), |v| self.source(v));
                let detail_type = match fields.optional("detailType") {
                    None => Template::parse(DEFAULT_DETAIL_TYPE).ok(),
                    Some(value) => self.template("to.detailType", value),
                };
                name.zip(source)
                    .zip(detail_type)
                    .map(|((name, source), detail_type)| Target::EventBus {
                        name,
                        source,
                        detail_type,
                    })
            }
            [None, None, Some(value), None] => self.resume(value),
            [None, None, None, Some(value)] => self.stop(value),
            _ => {
                // These belong to one of the targets, which may only be misspelt.
                for key in ["input", "key", "source", "detailType"] {
                    fields.optional(key);
                }
                let found = given.iter().flatten().count();
                self.problem("to", format!("expected exactly one of `stateMachine`, `eventBus`, `resume` and `stop`, found {found} of them"));
                None
            }
        };
        fields.finish(self);
        target
    }

    fn resume(&mut self, value: &Value) -> Option<Target> {
        let mut fields = self.object("to.resume", value)?;
        let token = fields
            .required(self, "token")
            .and_then(|v| self.path("to.resume.token", v));
        let output = match fields.optional("output") {
            None => FieldPath::parse("json").ok(),
            Some(value) => self.path("to.resume.output", value),
        };
        let error = match fields.optional("error") {
            None => Some(None),
            Some(value) => self.path("to.resume.error", value).map(Some),
        };
        fields.finish(self);
        Some(Target::Resume(Resume {
            token: token?,
            output: output?,
            error: error?,
        }))
    }

    fn stop(&mut self, value: &Value) -> Option<Target> {
        let mut fields = self.object("to.stop", value)?;
        let route = fields
            .required(self, "route")
            .and_then(|v| self.text("to.stop.route", v).map(str::to_owned));
        let key = fields
            .required(self, "key")
            .and_then(|v| self.path("to.stop.key", v));
        let mut optional = |reader: &mut Self, name: &'static str| match fields.optional(name) {
            None => Some(None),
            Some(value) => reader.path(&format!("to.stop.{name}"), value).map(Some),
        };
        let error = optional(self, "error");
        let cause = optional(self, "cause");
        fields.finish(self);
        Some(Target::Stop(Stop {
            route: route?,
            state_machine: String::new(),
            key: key?,
            error: error?,
            cause: cause?,
        }))
    }

    /// Fills in the state machine of each route that stops executions of another one.
    pub(super) fn resolve_stops(&mut self, routes: &mut [ReadRoute]) {
        let keyed = |(route, _): &ReadRoute| match &route.to {
            Target::StateMachine {
                arn, key: Some(_), ..
            } => Some((route.name.clone(), unqualified(arn).to_owned())),
            _ => None,
        };
        let keyed: HashMap<String, String> = routes.iter().filter_map(keyed).collect();
        for (route, _) in routes {
            let Target::Stop(stop) = &mut route.to else {
                continue;
            };
            match keyed.get(&stop.route) {
                Some(arn) => stop.state_machine.clone_from(arn),
                None => {
                    self.route = Some(route.name.clone());
                    self.problem(
                        "to.stop.route",
                        format!(
                            "expected a route of this document to a state machine with a `key`, found `{}`; name one, or give it a `key`",
                            stop.route
                        ),
                    );
                    self.route = None;
                }
            }
        }
    }

    pub(super) fn path(&mut self, key: &str, value: &Value) -> Option<FieldPath> {
        let text = self.text(key, value)?;
        match FieldPath::parse(text) {
            Ok(path) => Some(path),
            Err(problem) => {
                self.problem(key, problem);
                None
            }
        }
    }

    fn state_machine(&mut self, key: &str, value: &Value) -> Option<String> {
        let legal = |arn: &str| {
            let parts: Vec<&str> = arn.split(':').collect();
            arn.len() <= ARN_MAX
                && (7..=8).contains(&parts.len())
                && parts.iter().all(|part| !part.is_empty())
                && parts[0] == "arn"
                && parts[1].starts_with("aws")
                && (parts[2], parts[5]) == ("states", "stateMachine")
        };
        match value {
            Value::String(arn) if legal(arn) => Some(arn.clone()),
            other => self.unexpected(
                key,
                "the ARN of a state machine, version or alias (`arn:aws:states:REGION:ACCOUNT:stateMachine:NAME`)",
                other,
            ),
        }
    }

    fn event_bus(&mut self, value: &Value) -> Option<String> {
        let legal = |bus: &str| {
            let name = match bus.strip_prefix("arn:") {
                None => bus,
                Some(arn) => match arn.split_once(":event-bus/") {
                    Some((head, name)) if head.starts_with("aws") && head.contains(":events:") => {
                        name
                    }
                    _ => return false,
                },
            };
            let plain = |b: u8| b.is_ascii_alphanumeric() || b"/._-".contains(&b);
            !name.is_empty() && bus.len() <= SOURCE_MAX && name.bytes().all(plain)
        };
        match value {
            Value::String(bus) if legal(bus) => Some(bus.clone()),
            other => self.unexpected(
                "to.eventBus",
                "the name or ARN of an event bus, such as `default`",
                other,
            ),
        }
    }

    fn source(&mut self, value: &Value) -> Option<String> {
        match value {
            Value::String(s)
                if !s.is_empty() && s.len() <= SOURCE_MAX && !s.starts_with("aws.") =>
            {
                Some(s.clone())
            }
            other => self.unexpected(
                "to.source",
                "1 to 256 characters that do not begin with `aws.`",
                other,
            ),
        }
    }
}
