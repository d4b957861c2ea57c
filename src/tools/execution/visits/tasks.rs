//! The events between the entry into a state and its exit.

use serde_json::Value;

use super::{Walk, attempt, items};
use crate::tools::execution::event::Event;
use crate::tools::execution::model::{Status, Visit};
use crate::tools::execution::outline::Outline;

/// The kinds of tasks whose events differ by their prefix only.
const TASKS: [&str; 3] = ["Task", "LambdaFunction", "Activity"];

impl Walk<'_> {
    pub(super) fn inner(&mut self, index: usize, event: &Event) {
        let kind = event.kind.as_str();
        match kind {
            "EvaluationFailed" => return self.fails(index, event),
            "MapStateStarted" => {
                self.insides[index].failing = false;
                let visit = &mut self.found.visits[index];
                visit.attempts.push(attempt(event.at));
                visit.items = Some(items(event.number("length").unwrap_or(0)));
                return;
            }
            "MapStateFailed" | "ParallelStateFailed" | "MapRunFailed" => {
                self.fails(index, event);
                let inner = |path: &super::Path| path.iter().any(|(outer, _)| *outer == index);
                return self.close_inner(inner, event.at);
            }
            "MapRunStarted" | "MapRunRedriven" => {
                self.found.visits[index].map_run = event.text("mapRunArn");
                return;
            }
            _ if kind.ends_with("StateAborted") => {
                let inner = |path: &super::Path| path.iter().any(|(outer, _)| *outer == index);
                self.close_inner(inner, event.at);
                return self.close(index, Status::Aborted, event.at);
            }
            _ => {}
        }
        let Some(what) = TASKS.iter().find_map(|task| kind.strip_prefix(task)) else {
            return;
        };
        match what {
            "Scheduled" => {
                self.insides[index].failing = false;
                let visit = &mut self.found.visits[index];
                visit.attempts.push(attempt(event.at));
                visit.resource = event.text("resource");
                visit.arguments = event.text("parameters").or_else(|| event.text("input"));
            }
            "Succeeded" => {
                self.insides[index].failing = false;
                let visit = &mut self.found.visits[index];
                visit.result = event.text("output");
                if let Some(attempt) = visit.attempts.last_mut() {
                    attempt.ended_at = Some(event.at);
                }
                if visit.inferred {
                    self.close(index, Status::Succeeded, event.at);
                }
            }
            "Started" | "Submitted" => {}
            _ => {
                self.fails(index, event);
                if self.found.visits[index].inferred {
                    self.close(index, Status::Failed, event.at);
                }
            }
        }
    }

    /// Notes an error, which may be retried or caught.
    fn fails(&mut self, index: usize, event: &Event) {
        self.insides[index].failing = true;
        let own = event.kind != "MapStateFailed" && event.kind != "ParallelStateFailed";
        let (error, cause) = (event.text("error"), event.text("cause"));
        let error = error.or_else(|| own.then(|| "unnamed".to_owned()));
        let visit = &mut self.found.visits[index];
        if let Some(attempt) = visit.attempts.last_mut().filter(|a| a.ended_at.is_none()) {
            attempt.ended_at = Some(event.at);
            attempt.error.clone_from(&error);
            attempt.cause.clone_from(&cause);
        }
        visit.error = error.or(visit.error.take());
        visit.cause = cause.or(visit.cause.take());
        visit.field = event.text("location");
        visit.expression = None;
        if visit.field.is_some() {
            let expression = visit.cause.as_deref().and_then(expression);
            visit.expression = expression.map(str::to_owned);
        }
    }

    /// The inner task of a Map or Parallel that an event of the emulator belongs to, by its resource.
    pub(super) fn inferred(&mut self, event: &Event, outer: usize) -> Option<usize> {
        let resource = event.text("resource")?;
        if event.kind == "TaskScheduled" {
            let state = &self.found.visits[outer].name;
            let name = self.outline.task(state, &resource)?.to_owned();
            let before = |visit: &&Visit| visit.inferred && visit.name == name;
            let earlier = self.found.visits.iter().filter(before).count();
            let branch = self.outline.branch(state, &name);
            let place = match self.found.visits[outer].kind == "Parallel" {
                true => branch.unwrap_or(0),
                false => i64::try_from(earlier).unwrap_or(i64::MAX),
            };
            let index = self.push(event, name, "Task", vec![(outer, place)]);
            self.found.visits[index].inferred = true;
            return Some(index);
        }
        let visits = self.found.visits.iter();
        let mut open = visits.enumerate().filter(|(_, visit)| {
            visit.inferred && visit.left_at.is_none() && visit.resource.as_ref() == Some(&resource)
        });
        open.next().map(|(index, _)| index)
    }
}

impl Visit {
    /// Whether it is open and waits for a time, a token or a worker.
    pub(super) fn waits(&self) -> bool {
        let Some(attempt) = self.attempts.last() else {
            return self.kind == "Wait";
        };
        let resource = self.resource.as_deref().unwrap_or_default();
        let asks = resource.ends_with(".waitForTaskToken") || resource.contains(":activity:");
        asks && attempt.ended_at.is_none()
    }

    /// The token in the arguments: at the place where the definition has it, else at a key named like it.
    pub(super) fn find_token(&self, outline: &Outline) -> Option<String> {
        let arguments: Value = serde_json::from_str(self.arguments.as_ref()?).ok()?;
        let state = outline.get(&self.name).map(|known| known.state);
        let template = state.and_then(|state| state.get("Arguments").or(state.get("Parameters")));
        let placed = template.and_then(|template| token_at(template, &arguments));
        placed
            .or_else(|| token_named(&arguments))
            .map(str::to_owned)
    }

    /// The visit that an execution's cause names, for want of its history. `cause` is
    /// `An error occurred while executing the state 'S' (entered at the event id #2). …`, or words without a state.
    pub fn of_cause(cause: &str) -> Self {
        let (_, rest) = cause
            .split_once("while executing the state '")
            .unwrap_or_default();
        let (name, _) = rest.split_once("' (entered at").unwrap_or_default();
        let mut visit = Self {
            name: name.to_owned(),
            cause: Some(cause.to_owned()),
            ..Self::default()
        };
        visit.locate();
        visit
    }

    /// Finds field and expression in the cause, where the event has no location.
    pub(super) fn locate(&mut self) {
        let Some(cause) = &self.cause else { return };
        let field = quoted(cause, "for the field ").or_else(|| quoted(cause, "at the field "));
        let expression = expression(cause);
        (self.field, self.expression) = (field.map(str::to_owned), expression.map(str::to_owned));
    }
}

/// The expression or path in the words of a cause.
fn expression(cause: &str) -> Option<&str> {
    let heads = [
        "The JSONata expression ",
        "The JSONPath ",
        "The reference path ",
    ];
    if let Some(found) = heads.iter().find_map(|head| quoted(cause, head)) {
        return Some(found);
    }
    // The local emulator's words.
    let (_, rest) = cause.split_once("JSONata expression did not return a result: ")?;
    Some(rest.trim())
}

/// The text in quotes after `head`. Quotes may be within, so it ends at a quote before a word or the end.
fn quoted<'a>(text: &'a str, head: &str) -> Option<&'a str> {
    let start = text.find(head)? + head.len();
    let rest = text[start..].strip_prefix('\'')?;
    let ends = [
        "' specified",
        "' threw",
        "' returned",
        "' could not",
        "' for ",
        "' in ",
        "'. ",
        "' ",
    ];
    let end = ends.iter().find_map(|end| rest.find(end));
    let end = end.or_else(|| rest.rfind('\''))?;
    Some(&rest[..end])
}

/// The text of `arguments` where `template` mentions the token.
fn token_at<'a>(template: &Value, arguments: &'a Value) -> Option<&'a str> {
    match (template, arguments) {
        (Value::String(text), Value::String(found)) => {
            text.contains("Task.Token").then_some(found.as_str())
        }
        (Value::Object(template), Value::Object(arguments)) => {
            template.iter().find_map(|(key, template)| {
                let key = key.strip_suffix(".$").unwrap_or(key);
                token_at(template, arguments.get(key)?)
            })
        }
        (Value::Array(template), Value::Array(arguments)) => {
            let mut both = template.iter().zip(arguments);
            both.find_map(|(template, argument)| token_at(template, argument))
        }
        _ => None,
    }
}

/// The first text at a key with `token` in its name.
fn token_named(value: &Value) -> Option<&str> {
    match value {
        Value::Object(fields) => fields.iter().find_map(|(key, value)| {
            let named =
                key.to_ascii_lowercase().contains("tasktoken") || key.eq_ignore_ascii_case("token");
            value
                .as_str()
                .filter(|_| named)
                .or_else(|| token_named(value))
        }),
        Value::Array(list) => list.iter().find_map(token_named),
        _ => None,
    }
}
