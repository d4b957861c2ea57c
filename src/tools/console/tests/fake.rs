//! The sources in memory: a feed without a stack, and services that record their calls.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_sdk_cloudwatch::types::{ComparisonOperator, MetricAlarm, StateValue, Statistic};
use serde_json::{Value, json};
use tokio::sync::broadcast;

use crate::adapters::aws::sqs;
use crate::domain::fault::Fault;
use crate::domain::inbound::routes::Routes;
use crate::domain::inbound::routes::tests::routes;
use crate::domain::ports::{Answer, Verdict};
use crate::service::relay::TopicName;
use crate::service::relay::track::{Cursor, Gap};
use crate::tools::console::alarms;
use crate::tools::console::app::App;
use crate::tools::console::feed::Feed;
use crate::tools::console::gaps::{Gaps, Reported};
use crate::tools::console::model::{Delivery, Filter, Listed, Row};
use crate::tools::console::source::{Depth, History, Messages, Queues, Services};
use crate::tools::console::stack::Shown;
use crate::tools::execution::Event;
use crate::tools::letters::{Dead, DeadQueue, Record};
use crate::tools::local::topics::broker::{Message, Value as Published};
use crate::tools::replay::choice::Choice;
use crate::tools::replay::run::Tally;
use crate::tools::trace::model::{self, Head, Report, RouteState, Run, Trace, Unanswered, What};

pub const SECRET: &str = "the-signing-secret-of-the-stack";
pub const ARN: &str = "arn:aws:states:us-east-1:123456789012:execution:Uppercase:n";

#[derive(Clone)]
pub struct Fake(Arc<State>);

struct State {
    feed: Feed,
    routes: Arc<Routes>,
    sequence: Mutex<u64>,
    calls: Mutex<Vec<String>>,
    changes: Mutex<bool>,
    traces: Mutex<Vec<Trace>>,
    history: Mutex<History>,
    letters: Mutex<Vec<String>>,
}

impl Fake {
    pub fn new() -> Self {
        let routes = routes(&[
            json!({"name": "upper", "from": {"cache": "demo", "topic": "in"}, "reply": {"topics": ["out"]}}),
            json!({"name": "orders", "from": {"cache": "demo", "topic": "orders/*"}, "where": {"json": {"kind": ["order"]}}}),
        ]);
        Self(Arc::new(State {
            feed: Feed::new(false),
            routes: Arc::new(routes),
            sequence: Mutex::new(0),
            calls: Mutex::default(),
            changes: Mutex::new(true),
            traces: Mutex::default(),
            history: Mutex::default(),
            letters: Mutex::default(),
        }))
    }

    pub fn read_only(self) -> Self {
        *self.0.changes.lock().unwrap() = false;
        self
    }

    pub fn app(&self) -> App {
        App {
            messages: Arc::new(self.clone()),
            services: Arc::new(self.clone()),
            place: Arc::new(Shown {
                name: "a fake".to_owned(),
                local: true,
                changes: *self.0.changes.lock().unwrap(),
                secrets: vec![SECRET.to_owned()],
            }),
        }
    }

    pub fn calls(&self) -> Vec<String> {
        self.0.calls.lock().unwrap().clone()
    }

    fn call(&self, text: String) {
        self.0.calls.lock().unwrap().push(text);
    }

    pub fn publish(&self, cache: &str, topic: &str, value: impl Into<Published>) -> String {
        let mut sequence = self.0.sequence.lock().unwrap();
        *sequence += 1;
        let message = Message {
            cache: cache.to_owned(),
            topic: topic.to_owned(),
            sequence: *sequence,
            page: 1,
            value: value.into(),
            token_id: None,
            at_ms: crate::clock::now_ms().unsigned_abs(),
            by_bridge: false,
        };
        self.0.feed.published(&message, &self.0.routes).unwrap()
    }

    pub fn answer(&self, id: &str, route: &str, outcome: &str) {
        let targets = [json!({"route": route, "outcome": outcome})];
        let body = json!({"id": id, "code": "accepted", "targets": targets});
        let answer = Ok((200, body.to_string()));
        let took = Duration::from_millis(7);
        self.0.feed.answered(id, &answer, took, &self.0.routes);
    }

    /// The history of a message whose execution went as these events say.
    pub fn ran(&self, id: &str, status: &str, definition: Value, events: Vec<Event>) {
        let run = Run {
            arn: ARN.to_owned(),
            name: "n".to_owned(),
            status: status.to_owned(),
            stopped_at: Some(200),
            ..Run::default()
        };
        self.trace(
            id,
            What::Ran(Box::new(run)),
            RouteState::Running { since: 0 },
        );
        *self.0.history.lock().unwrap() = History {
            definition: Some(definition),
            events,
            more: false,
        };
    }

    pub fn trace(&self, id: &str, what: What, state: RouteState) {
        let trace = Trace {
            message: Head {
                id: Some(id.to_owned()),
                cache: Some("demo".to_owned()),
                topic: Some("in".to_owned()),
                number: Some(1),
                published_at: Some(100),
                ..Head::default()
            },
            events: vec![model::Event {
                at: 150,
                after_ms: Some(50),
                part: model::Part::Workflow,
                route: Some("upper".to_owned()),
                what,
            }],
            routes: vec![model::Verdict {
                route: Some("upper".to_owned()),
                state,
                sentence: format!("a sentence with {SECRET}"),
            }],
            links: Vec::new(),
        };
        self.0.traces.lock().unwrap().push(trace);
    }

    pub fn letter(&self, id: &str, detail: &str) {
        let letter = json!({
            "id": id, "route": "upper", "reason": "refused", "detail": detail, "attempts": 3, "first_at": 1, "last_at": 2, "bridge": "0.1.0",
            "message": {"cache": "demo", "topic": "in", "topic_sequence_number": 42, "event_timestamp": 1, "publish_timestamp": 1, "text": "hush"},
        });
        self.0.letters.lock().unwrap().push(letter.to_string());
    }

    fn dead(&self) -> Vec<Dead> {
        let letters = self.0.letters.lock().unwrap();
        let read = |body: &String| {
            let body = body.clone();
            Dead::read(
                DeadQueue::Messages,
                &Record {
                    body,
                    ..Record::default()
                },
            )
        };
        letters.iter().map(read).collect()
    }
}

fn done<'a, T: Send + 'a>(value: T) -> Answer<'a, T> {
    Box::pin(async { Ok(value) })
}

impl Messages for Fake {
    fn list<'a>(&'a self, filter: &'a Filter) -> Answer<'a, Listed> {
        let listed = self.0.feed.list(filter, crate::clock::now_ms());
        Box::pin(async { listed.map_err(|text| Fault::permanent("BadFilter", text)) })
    }

    fn changes(&self) -> Option<broadcast::Receiver<u64>> {
        Some(self.0.feed.changes())
    }

    fn at(&self, place: u64) -> Option<(Row, Option<String>)> {
        self.0.feed.at(place)
    }

    fn find(&self, id: &str) -> Option<Row> {
        self.0.feed.find(id)
    }

    fn delivery(&self, id: &str) -> Option<Delivery> {
        self.0.feed.delivery(id)
    }

    fn published(&self, topics: &[String], since: i64) -> Vec<(Row, String)> {
        self.0.feed.on(topics, since)
    }

    fn last_seen(&self, route: &str) -> Option<i64> {
        self.0.feed.last_seen(route)
    }

    fn routes(&self) -> Answer<'_, (Arc<Routes>, Vec<Unanswered>)> {
        done((Arc::clone(&self.0.routes), Vec::new()))
    }

    fn caches(&self) -> Vec<String> {
        vec!["demo".to_owned()]
    }

    fn publish<'a>(
        &'a self,
        cache: &'a str,
        topic: &'a str,
        text: &'a str,
    ) -> Answer<'a, Option<String>> {
        self.call(format!("publish {cache}/{topic} {text}"));
        done(Some(Fake::publish(self, cache, topic, text)))
    }

    fn gaps(&self) -> Answer<'_, Gaps> {
        let cursor = |next| Cursor { page: 7, next };
        let reported = Reported {
            at: 0,
            topic: TopicName {
                cache: "demo".to_owned(),
                topic: "<b>in".to_owned(),
            },
            gap: Gap {
                from: cursor(5),
                until: cursor(9),
                missed: 4,
                exact: false,
            },
        };
        done(Gaps {
            reported: vec![reported],
            ..Gaps::note("of the relay")
        })
    }

    fn deliver(&self, body: Vec<u8>) -> Answer<'_, (u16, String)> {
        let body: Value = serde_json::from_slice(&body).unwrap();
        self.call(format!(
            "deliver {}#{}",
            body["topic"], body["topic_sequence_number"]
        ));
        done((
            200,
            r#"{"targets":[{"route":"upper","outcome":"duplicate"}]}"#.to_owned(),
        ))
    }

    fn claimed<'a>(&'a self, text: &'a str) -> Answer<'a, Option<String>> {
        done(text.contains("claim").then(|| "the <b>value".to_owned()))
    }
}

impl Services for Fake {
    fn report<'a>(&'a self, subject: &'a str, _: &'a Routes, _: bool) -> Answer<'a, Report> {
        let traces = self.0.traces.lock().unwrap();
        let of = |trace: &&Trace| trace.message.id.as_deref() == Some(subject);
        let messages: Vec<Trace> = traces.iter().filter(of).cloned().collect();
        done(Report {
            schema: model::SCHEMA,
            asked: subject.to_owned(),
            stack: "a fake".to_owned(),
            since: 0,
            until: 1,
            nothing: messages.is_empty().then(|| "no trace found".to_owned()),
            messages,
            unanswered: Vec::new(),
        })
    }

    fn history<'a>(&'a self, _: &'a str, _: usize) -> Answer<'a, History> {
        done(self.0.history.lock().unwrap().clone())
    }

    fn input<'a>(&'a self, _: &'a str) -> Answer<'a, Option<String>> {
        done(None)
    }

    fn queues(&self) -> Answer<'_, Queues> {
        let depth = Depth {
            name: "parked",
            about: "waiting",
            now: sqs::Depth {
                visible: 3,
                ..Default::default()
            },
            age: Some(61_000),
            ..Depth::default()
        };
        let alarm = MetricAlarm::builder()
            .alarm_name("bridge-gaps")
            .alarm_description("Look. docs/operations.md#gaps")
            .metric_name("gap")
            .statistic(Statistic::Sum)
            .period(60)
            .evaluation_periods(1)
            .threshold(1.0)
            .comparison_operator(ComparisonOperator::GreaterThanOrEqualToThreshold)
            .state_value(StateValue::Alarm)
            .build();
        done(Queues {
            depths: vec![depth],
            alarms: alarms::with_runbook(vec![alarm], None),
            unread: vec![Unanswered::new("CloudWatch", "denied")],
        })
    }

    fn letters<'a>(
        &'a self,
        queue: DeadQueue,
        choice: &'a Choice,
        most: usize,
    ) -> Answer<'a, (Vec<Dead>, bool)> {
        let dead = match queue {
            DeadQueue::Messages => self.dead(),
            DeadQueue::Results => Vec::new(),
        };
        let dead = dead
            .into_iter()
            .filter(|dead| choice.takes(dead))
            .take(most);
        done((dead.collect(), true))
    }

    fn put_back<'a>(
        &'a self,
        queue: DeadQueue,
        choice: &'a Choice,
        dry_run: bool,
    ) -> Answer<'a, Tally> {
        let dead = self.dead();
        let matching = dead.iter().filter(|dead| choice.takes(dead)).count() as u64;
        let how = if dry_run { "count" } else { "put back" };
        self.call(format!("{how} {matching} of {}", queue.name()));
        done(Tally {
            found: dead.len() as u64,
            replayed: matching,
            not_matching: dead.len() as u64 - matching,
            ..Tally::default()
        })
    }

    fn stop<'a>(&'a self, execution: &'a str) -> Answer<'a, ()> {
        self.call(format!("stop {execution}"));
        done(())
    }

    fn redrive<'a>(&'a self, execution: &'a str) -> Answer<'a, ()> {
        self.call(format!("redrive {execution}"));
        done(())
    }

    fn answer<'a>(&'a self, token: &'a str, verdict: &'a Verdict) -> Answer<'a, ()> {
        self.call(format!("answer {token} {verdict:?}"));
        done(())
    }
}
