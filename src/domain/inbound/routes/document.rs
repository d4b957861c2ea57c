//! Reads a routes document to its end and collects every problem.

mod checks;
mod reader;
mod target;

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::fmt;

pub use checks::LOOP;
/// Limits and defaults, for the schema.
pub mod limits {
    pub use super::target::{ARN_MAX, DEFAULT_DETAIL_TYPE, DEFAULT_SOURCE, SOURCE_MAX};
}
use reader::Reader;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::{Asked, EVENT_FIELDS, Format, Glob, Pattern, Reply, Route, Source, Target, Template};

/// Most characters in a route's name; it begins the names of executions.
const NAME_MAX: usize = 32;

/// One problem of a routes document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The route's name, or `#3` where it has none; `None` for the document as a whole.
    pub route: Option<String>,
    /// The path of the key, such as `to.stateMachine`; empty for the whole.
    pub key: String,
    /// Expected, found, remedy.
    pub text: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(route) = &self.route {
            write!(f, "route `{route}`: ")?;
        }
        if !self.key.is_empty() {
            write!(f, "`{}`: ", self.key)?;
        }
        f.write_str(&self.text)
    }
}

/// All problems of a routes document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problems(pub Vec<Problem>);

impl std::error::Error for Problems {}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.0.len();
        let noun = if count == 1 { "problem" } else { "problems" };
        write!(f, "the routes document has {count} {noun}:")?;
        self.0
            .iter()
            .try_for_each(|problem| write!(f, "\n- {problem}"))
    }
}

pub(super) fn read(document: &str) -> Result<Vec<Route>, Problems> {
    let mut reader = Reader::default();
    let mut routes = reader.document(document).unwrap_or_default();
    reader.resolve_stops(&mut routes);
    reader.check_loops(&routes);
    reader.check_names(&routes);
    if reader.problems.is_empty() {
        Ok(routes.into_iter().map(|(route, _)| route).collect())
    } else {
        Err(Problems(reader.problems))
    }
}

/// A route, and whether its `loop` is `allowed`.
type ReadRoute = (Route, bool);

/// The key `where` of each route as written: the order and duplicates of a pattern's names count.
fn conditions(document: &str) -> Vec<Option<&RawValue>> {
    #[derive(Deserialize)]
    struct Document<'a> {
        #[serde(borrow)]
        routes: Vec<HashMap<Cow<'a, str>, &'a RawValue>>,
    }
    let routes = serde_json::from_str(document).map_or_else(|_| Vec::new(), |d: Document| d.routes);
    routes
        .iter()
        .map(|route| route.get("where").copied())
        .collect()
}

impl Reader {
    fn document(&mut self, document: &str) -> Option<Vec<ReadRoute>> {
        let value: Value = match serde_json::from_str(document) {
            Ok(value) => value,
            Err(e) => {
                self.problem("", format!("expected JSON, found: {e}"));
                return None;
            }
        };
        let mut top = self.object("", &value)?;
        let list = top.required(self, "routes");
        top.finish(self);
        let list = self.list("routes", list?)?;
        let conditions = conditions(document);
        let mut routes = Vec::new();
        let mut names = HashSet::new();
        for (i, value) in list.iter().enumerate() {
            let name = value.get("name").and_then(Value::as_str);
            self.route = Some(name.map_or_else(|| format!("#{}", i + 1), str::to_owned));
            if name.is_some_and(|name| !names.insert(name)) {
                self.problem("name", "expected a unique name, found it twice; rename one");
            }
            let condition = conditions.get(i).and_then(|written| *written);
            routes.extend(self.route(value, condition.map(RawValue::get)));
        }
        self.route = None;
        Some(routes)
    }

    fn route(&mut self, value: &Value, condition: Option<&str>) -> Option<ReadRoute> {
        let mut fields = self.object("", value)?;
        let name = fields.required(self, "name").and_then(|v| self.name(v));
        let enabled = match fields.optional("enabled") {
            None => Some(true),
            Some(Value::Bool(enabled)) => Some(*enabled),
            Some(other) => self.unexpected("enabled", "true or false", other),
        };
        let from = fields.required(self, "from").and_then(|v| self.from(v));
        let condition = match (fields.optional("where"), condition) {
            (Some(_), Some(written)) => self.condition(written).map(Some),
            (Some(pattern), None) => self.condition(&pattern.to_string()).map(Some),
            (None, _) => Some(None),
        };
        let to = fields.required(self, "to").and_then(|v| self.target(v));
        let reply_value = fields.optional("reply");
        let reply = match reply_value {
            None => Some(None),
            Some(value) => self.reply(value).map(Some),
        };
        let loops = match fields.optional("loop") {
            None => Some(false),
            Some(Value::String(s)) if s == "allowed" => Some(true),
            Some(other) => self.unexpected("loop", "`allowed`", other),
        };
        fields.finish(self);
        if reply_value.is_some() && matches!(to, Some(Target::Resume(_))) {
            self.problem(
                "reply",
                "expected no reply for an answer to a task, since the workflow that goes on has a reply of its own",
            );
        }
        if reply_value.is_some() && matches!(to, Some(Target::Stop(_))) {
            self.problem(
                "reply",
                "expected no reply for a stop, since the stopped execution's own route has one",
            );
        }
        if reply_value.is_some() && matches!(to, Some(Target::EventBus { .. })) {
            self.problem(
                "reply",
                "expected no reply for an event bus, which returns no result; publish from the event's consumer with a `Topic Publish` event",
            );
        }
        let route = Route {
            name: name?,
            enabled: enabled?,
            from: from?,
            condition: condition?,
            to: to?,
            reply: reply?,
        };
        self.check_payload_reply(&route);
        Some((route, loops?))
    }

    fn name(&mut self, value: &Value) -> Option<String> {
        let legal = |s: &str| {
            (1..=NAME_MAX).contains(&s.len())
                && s.bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
        };
        match value {
            Value::String(s) if legal(s) => Some(s.clone()),
            other => self.unexpected("name", "1 to 32 characters of `A-Za-z0-9_-`", other),
        }
    }

    fn from(&mut self, value: &Value) -> Option<Source> {
        let mut fields = self.object("from", value)?;
        let cache = fields
            .required(self, "cache")
            .and_then(|v| self.text("from.cache", v));
        let topic = fields
            .required(self, "topic")
            .and_then(|v| self.text("from.topic", v));
        fields.finish(self);
        Some(Source {
            cache: Glob::new(cache?),
            topic: Glob::new(topic?),
        })
    }

    fn condition(&mut self, written: &str) -> Option<Pattern> {
        match Pattern::read(written, &EVENT_FIELDS) {
            Ok(pattern) => Some(pattern),
            Err(problems) => {
                for problem in problems {
                    let key = match problem.path.as_str() {
                        "" => "where".to_owned(),
                        path => format!("where.{path}"),
                    };
                    self.problem(key, problem.message);
                }
                None
            }
        }
    }

    fn reply(&mut self, value: &Value) -> Option<Reply> {
        let mut fields = self.object("reply", value)?;
        let cache = match fields.optional("cache") {
            None => Template::parse("{cache}").ok(),
            Some(value) => self.template("reply.cache", value),
        };
        let topics = fields
            .required(self, "topics")
            .and_then(|v| self.templates("reply.topics", v));
        let failures = match fields.optional("failures") {
            None => topics.clone(),
            Some(value) => self.templates("reply.failures", value),
        };
        let started = match fields.optional("started") {
            None => Some(Vec::new()),
            Some(value) => self.templates("reply.started", value),
        };
        let format = match fields.optional("format") {
            None => Some(Format::Output),
            Some(Value::String(s)) if s == "output" => Some(Format::Output),
            Some(Value::String(s)) if s == "envelope" => Some(Format::Envelope),
            Some(other) => self.unexpected("reply.format", "`output` or `envelope`", other),
        };
        let from = match fields.optional("from") {
            None => Some(None),
            Some(value) => self.path("reply.from", value).map(Some),
        };
        let allow = match fields.optional("allow") {
            None => Some(Vec::new()),
            Some(value) => self.globs("reply.allow", value),
        };
        let own_failures = fields.optional("failures").is_some();
        fields.finish(self);
        let asked = match (from?, allow?) {
            (None, allow) if allow.is_empty() => None,
            (Some(from), allow) if !allow.is_empty() => Some(Asked {
                from,
                allow,
                failures: !own_failures,
            }),
            _ => {
                self.problem(
                    "reply",
                    "expected `from` and `allow` together: where the message names a topic, and which topics it may name",
                );
                return None;
            }
        };
        Some(Reply {
            cache: cache?,
            topics: topics?,
            failures: failures?,
            started: started?,
            format: format?,
            asked,
        })
    }

    fn globs(&mut self, key: &str, value: &Value) -> Option<Vec<Glob>> {
        let list = self.list(key, value)?;
        if list.is_empty() {
            return self.unexpected(
                key,
                "at least one topic, with `*` for any run of characters",
                value,
            );
        }
        let read = list
            .iter()
            .enumerate()
            .map(|(i, v)| self.text(&format!("{key}[{i}]"), v).map(Glob::new));
        read.collect::<Vec<_>>().into_iter().collect()
    }

    fn templates(&mut self, key: &str, value: &Value) -> Option<Vec<Template>> {
        let list = self.list(key, value)?;
        if list.is_empty() {
            return self.unexpected(key, "at least one topic", value);
        }
        let read = list
            .iter()
            .enumerate()
            .map(|(i, v)| self.template(&format!("{key}[{i}]"), v));
        // Read all before returning, so that every problem is found.
        read.collect::<Vec<_>>().into_iter().collect()
    }

    fn template(&mut self, key: &str, value: &Value) -> Option<Template> {
        let text = self.text(key, value)?;
        match Template::parse(text) {
            Ok(template) if template.can_be_empty() => {
                self.unexpected(key, "more than `{token_id}`, which may be empty", value)
            }
            Ok(template) => Some(template),
            Err(problem) => {
                self.problem(key, problem);
                None
            }
        }
    }
}

#[cfg(test)]
pub(crate) mod tests;
