//! Sources in memory.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};

use crate::domain::fault::Fault;
use crate::domain::inbound::letter::Reason;
use crate::domain::inbound::routes::Routes;
use crate::domain::ports;
use crate::tools::execution::tests::events;
use crate::tools::execution::{Event, Execution};
use crate::tools::letters::{Dead, DeadQueue};
use crate::tools::local::Account;
use crate::tools::place::Place;
use crate::tools::trace::gather::gather;
use crate::tools::trace::logs::{Line, Logs, Window};
use crate::tools::trace::model::{Entry, Part, Report};
use crate::tools::trace::sources::{Answer, Sources, Wanted};
use crate::tools::trace::subject::{Question, Subject};

pub const ID: &str = "860cc55e7fe59c68a87b16c2b0d9b91a";
pub const ARN: &str =
    "arn:aws:states:us-east-1:123456789012:execution:Upper:upper-t-7-860cc55e7fe59c68";
const MACHINE: &str = "arn:aws:states:us-east-1:123456789012:stateMachine:Upper";

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
    let fields =
        json!({"message.id": ID, "route": "upper", "outcome": outcome, "error.text": "busy"});
    line(Part::Redrive, at_ms, fields)
}

/// A dead letter of the message.
pub fn dead(reason: Reason, at_ms: i64) -> Dead {
    Dead {
        id: ID.into(),
        route: Some("upper".into()),
        reason: Some(reason),
        at_ms,
        ..Dead::default()
    }
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
    /// How often a query searched a dead-letter queue.
    pub searches: AtomicUsize,
}

impl World {
    pub fn with(mut self, line: Line) -> Self {
        self.lines.push(line);
        self
    }

    pub fn having(mut self, letter: Dead) -> Self {
        self.letters.push(letter);
        self
    }

    /// With an entry of the ledger in this state.
    pub fn noted(mut self, state: &'static str) -> Self {
        self.ledger = Some(state);
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
        let place = Place::local(&Account::new("http://127.0.0.1:1", "1"), BTreeMap::new());
        let question = Question {
            asked,
            subject: Subject::parse(asked).unwrap(),
            since: None,
            now_ms: 60_000,
            payloads: false,
            place: &place,
            routes: &routes,
        };
        gather(&question, self).await
    }

    fn answer<T>(&self, source: &str, value: T) -> Answer<T> {
        let denied = self.denied.contains(&source);
        let granted = (!denied).then_some(value);
        granted.ok_or_else(|| Fault::permanent("AccessDenied", "no"))
    }
}

impl Logs for World {
    fn find<'a>(&'a self, part: Part, _: &str, _: Window) -> ports::Answer<'a, Vec<Line>> {
        let lines = self.lines.iter().filter(|line| line.part == part);
        let found = self.answer("logs", lines.cloned().collect());
        Box::pin(async { found })
    }
}

impl Sources for World {
    async fn execution(&self, arn: &str) -> Answer<Option<Execution>> {
        let found = self.execution.clone().filter(|_| arn == ARN);
        self.answer("workflows", found)
    }

    async fn history(&self, _: &str, _: bool) -> Answer<Vec<Event>> {
        let events = events(json!([
            {"type": "TaskStateEntered", "name": "Uppercase"},
            {"type": "TaskStateExited", "name": "Uppercase"},
        ]));
        self.answer("history", events)
    }

    async fn is_express(&self, _: &str) -> Answer<bool> {
        self.answer("workflows", self.express)
    }

    async fn entry(&self, _: &str) -> Answer<Option<Entry>> {
        let entry = |state: &str| Entry {
            state: state.to_owned(),
            published: Vec::new(),
        };
        self.answer("ledger", self.ledger.map(entry))
    }

    async fn letters(&self, queue: DeadQueue, wanted: Wanted<'_>) -> Answer<(Vec<Dead>, bool)> {
        self.searches.fetch_add(1, Ordering::Relaxed);
        let of_results = queue == DeadQueue::Results;
        let here = |letter: &&Dead| letter.execution.is_some() == of_results && wanted(letter);
        let letters = self.letters.iter().filter(here).cloned().collect();
        self.answer("letters", (letters, true))
    }

    async fn parked(&self) -> Answer<u64> {
        self.answer("letters", self.parked)
    }
}
