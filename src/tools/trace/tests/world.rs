//! Sources in memory.

use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};

use crate::domain::fault::Fault;
use crate::domain::inbound::routes::Routes;
use crate::domain::ports::Answer;
use crate::tools::letters::{Dead, DeadQueue};
use crate::tools::trace::gather::{Question, gather};
use crate::tools::trace::lines::Line;
use crate::tools::trace::links::Stack;
use crate::tools::trace::model::{Entry, Failure, Part, Report, State, StateEnd};
use crate::tools::trace::sources::{
    Entries, Execution, Found, Letters, Logs, Needle, Sources, Window, Workflows,
};
use crate::tools::trace::subject::Subject;

pub const ID: &str = "860cc55e7fe59c68a87b16c2b0d9b91a";
pub const ARN: &str =
    "arn:aws:states:us-east-1:123456789012:execution:Upper:upper-t-7-860cc55e7fe59c68";
const MACHINE: &str = "arn:aws:states:us-east-1:123456789012:stateMachine:Upper";

pub fn short() -> &'static str {
    &ID[..16]
}

/// A line of a log, `at_ms` after the epoch.
pub fn line(part: Part, at_ms: i64, mut fields: Value) -> Line {
    fields["message"] = json!("a line");
    fields["level"] = json!("INFO");
    Line::read(part, &fields.to_string(), at_ms).unwrap()
}

/// The webhook's line on the arrival of the message.
pub fn arrival(targets: &str) -> Line {
    line(
        Part::Webhook,
        300,
        json!({"code": "accepted", "http.status": 200, "message.id": ID, "message.cache": "c", "message.topic": "t", "message.sequence": 7, "message.age_ms": 300, "targets": targets, "duration_ms": 200}),
    )
}

/// A line of the redrive on the message.
pub fn redriven(at_ms: i64, outcome: &str) -> Line {
    line(
        Part::Redrive,
        at_ms,
        json!({"message.id": ID, "route": "upper", "outcome": outcome, "error.text": "busy"}),
    )
}

/// The content of all sources.
#[derive(Default)]
pub struct World {
    pub lines: Vec<Line>,
    pub letters: Vec<Dead>,
    pub parked: u64,
    pub express: bool,
    pub ledger: Option<&'static str>,
    /// Sources that fail.
    pub denied: Vec<&'static str>,
    pub execution: Option<Execution>,
    pub looked: AtomicUsize,
}

impl World {
    pub fn with(mut self, line: Line) -> Self {
        self.lines.push(line);
        self
    }

    /// With the one execution.
    pub fn running(mut self, status: &str, started_at: i64, stopped_at: Option<i64>) -> Self {
        let input = json!({
            "message": {"id": ID, "cache": "c", "topic": "t", "topic_sequence_number": 7, "event_timestamp": 0, "token_id": null, "text": "hello"},
            "bridge": {"version": 1, "route": "upper", "reply": null},
        });
        self.execution = Some(Execution {
            state_machine: MACHINE.to_owned(),
            status: status.to_owned(),
            started_at,
            stopped_at,
            input: Some(input.to_string()),
            ..Execution::default()
        });
        self
    }

    pub async fn ask(&self, asked: &str) -> Report {
        let routes = json!({"routes": [{
            "name": "upper", "from": {"cache": "c", "topic": "t"}, "to": {"stateMachine": MACHINE},
            "reply": {"topics": ["out"]},
        }]});
        let routes = Routes::parse(&routes.to_string()).unwrap();
        let question = Question {
            asked,
            subject: Subject::parse(asked).unwrap(),
            since: None,
            now_ms: 60_000,
            payloads: false,
            stack: &Stack::default(),
            routes: Some(&routes),
        };
        let sources = Sources {
            logs: self,
            workflows: self,
            ledger: self,
            letters: self,
        };
        gather(&question, sources).await
    }

    /// How often a query searches a dead-letter queue.
    pub async fn asked_letters(&self, asked: &str) -> usize {
        self.ask(asked).await;
        self.looked.load(Ordering::Relaxed)
    }

    fn answer<T: Send + 'static>(&self, source: &str, value: T) -> Answer<'_, T> {
        let denied = self.denied.contains(&source);
        let refusal = Fault::permanent("AccessDenied", "no");
        Box::pin(async move { if denied { Err(refusal) } else { Ok(value) } })
    }
}

impl Logs for World {
    fn find<'a>(&'a self, part: Part, _: &'a Needle, _: Window) -> Answer<'a, Vec<Line>> {
        let lines = self.lines.iter().filter(|line| line.part == part);
        self.answer("logs", lines.cloned().collect())
    }
}

impl Workflows for World {
    fn execution<'a>(&'a self, arn: &'a str) -> Answer<'a, Option<Execution>> {
        let found = self.execution.clone().filter(|_| arn == ARN);
        self.answer("workflows", found)
    }

    fn states<'a>(&'a self, _: &'a str, _: bool) -> Answer<'a, (Vec<State>, Option<Failure>)> {
        let state = State {
            name: "Uppercase".to_owned(),
            entered_at: 300,
            left_at: Some(400),
            end: StateEnd::Left,
            ..State::default()
        };
        self.answer("history", (vec![state], None))
    }

    fn is_express<'a>(&'a self, _: &'a str) -> Answer<'a, bool> {
        self.answer("workflows", self.express)
    }
}

impl Entries for World {
    fn entry<'a>(&'a self, _: &'a str) -> Answer<'a, Option<Entry>> {
        let entry = self.ledger.map(|state| Entry {
            state: state.to_owned(),
            published: Vec::new(),
        });
        self.answer("ledger", entry)
    }
}

impl Letters for World {
    fn find<'a>(
        &'a self,
        queue: DeadQueue,
        wanted: &'a (dyn Fn(&Dead) -> bool + Send + Sync),
    ) -> Answer<'a, Found> {
        self.looked.fetch_add(1, Ordering::Relaxed);
        let of_results = queue == DeadQueue::Results;
        let here = |letter: &&Dead| letter.execution.is_some() == of_results && wanted(letter);
        let letters = self.letters.iter().filter(here).cloned().collect();
        self.answer("letters", Found { letters, all: true })
    }

    fn parked(&self) -> Answer<'_, u64> {
        self.answer("letters", self.parked)
    }
}
