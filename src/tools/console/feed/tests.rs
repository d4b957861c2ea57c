use serde_json::json;

use super::super::model::Status;
use super::*;
use crate::domain::inbound::routes::tests::routes as parsed;

const MACHINE: &str = "arn:aws:states:us-east-1:123456789012:stateMachine:Uppercase";

fn routes() -> Routes {
    parsed(&[
        json!({"name": "upper", "from": {"cache": "demo", "topic": "in"}, "reply": {"topics": ["out"]}}),
        json!({"name": "orders", "from": {"cache": "demo", "topic": "orders"}, "to": {"stateMachine": MACHINE, "key": "json.id"}}),
    ])
}

fn message(topic: &str, sequence: u64, text: &str) -> Message {
    Message {
        cache: "demo".to_owned(),
        topic: topic.to_owned(),
        sequence,
        page: 7,
        value: text.into(),
        token_id: None,
        at_ms: 1_000 + sequence,
        by_bridge: false,
    }
}

fn answer(id: &str, targets: &[(&str, &str)]) -> Result<(u16, String), String> {
    let targets = targets.iter();
    let targets: Vec<_> = targets
        .map(|(route, outcome)| json!({"route": route, "outcome": outcome}))
        .collect();
    Ok((
        200,
        json!({"id": id, "code": "accepted", "targets": targets}).to_string(),
    ))
}

fn topics(feed: &Feed, filter: &Filter) -> Vec<String> {
    let rows = feed.list(filter, 10_000).unwrap().rows.into_iter();
    rows.map(|row| format!("{}#{}", row.topic, row.sequence))
        .collect()
}

#[test]
fn a_message_is_followed_to_its_end() {
    let feed = Feed::new(false);
    let id = feed
        .published(&message("in", 1, "hello"), &routes())
        .unwrap();
    let status = || feed.find(&id).unwrap().status();
    assert_eq!(status(), Status::OnItsWay);
    let took = Duration::from_millis(40);
    let started = feed.answered(&id, &answer(&id, &[("upper", "started")]), took, &routes());
    assert_eq!(status(), Status::Started);
    let arn = format!(
        "arn:aws:states:us-east-1:123456789012:execution:Uppercase:upper-in-1-{}",
        &id[..16]
    );
    assert_eq!(started, [Started { place: 0, arn }]);
    let mut execution = Execution {
        status: "RUNNING".to_owned(),
        started_at: 1_050,
        ..Execution::default()
    };
    feed.ran(&started[0], &execution);
    assert_eq!(
        (status(), feed.find(&id).unwrap().took_ms()),
        (Status::Running, None)
    );
    execution.status = "FAILED".to_owned();
    execution.stopped_at = Some(1_201);
    execution.error = Some("Broken".to_owned());
    feed.ran(&started[0], &execution);
    let row = feed.find(&id[..16]).unwrap();
    assert_eq!((row.status(), row.took_ms()), (Status::Failed, Some(200)));
    assert_eq!(row.errors().collect::<Vec<_>>(), ["Broken"]);
    assert_eq!(feed.last_seen("upper"), Some(1_001));
}

#[test]
fn answers_without_an_execution_have_their_status() {
    let feed = Feed::new(false);
    let took = Duration::ZERO;
    for (sequence, (answer, status)) in [
        (Err("no answer in time".to_owned()), Status::NotStored),
        (
            Ok((503, r#"{"code":"not_stored"}"#.to_owned())),
            Status::NotStored,
        ),
        (Ok((403, r#"{"code":"stale"}"#.to_owned())), Status::Refused),
        (
            Ok((200, r#"{"code":"unrouted"}"#.to_owned())),
            Status::DeadLetter,
        ),
        (answer("", &[("upper", "parked")]), Status::Parked),
        (
            answer("", &[("upper", "event_put"), ("x", "parked")]),
            Status::Parked,
        ),
        (answer("", &[("upper", "event_put")]), Status::Done),
    ]
    .into_iter()
    .enumerate()
    {
        let message = message("in", sequence as u64, "x");
        let id = feed.published(&message, &routes()).unwrap();
        feed.answered(&id, &answer, took, &routes());
        assert_eq!(feed.find(&id).unwrap().status(), status, "{answer:?}");
    }
}

#[test]
fn the_execution_of_a_key_is_found_by_its_name() {
    let feed = Feed::new(false);
    let text = r#"{"id":"4711"}"#;
    let id = feed
        .published(&message("orders", 1, text), &routes())
        .unwrap();
    let target = json!({"route": "orders", "outcome": "started", "execution": "orders-4711-0"});
    let body = json!({"id": id, "code": "accepted", "targets": [target]}).to_string();
    let started = feed.answered(&id, &Ok((200, body)), Duration::ZERO, &routes());
    assert!(started[0].arn.ends_with(":orders-4711-0"), "{started:?}");
    let row = feed.find(&id).unwrap();
    assert_eq!(row.key.as_deref(), Some("4711"));
    let found = |q: &str| {
        let filter = Filter {
            q: q.to_owned(),
            ..Filter::default()
        };
        topics(&feed, &filter).len()
    };
    assert_eq!([found("4711"), found("ORDERS#1"), found("4712")], [1, 1, 0]);
}

#[test]
fn a_relay_numbers_by_page() {
    let message = message("in", 1, "hello");
    let webhook = Feed::new(false).published(&message, &routes());
    let relay = Feed::new(true).published(&message, &routes());
    assert_ne!(webhook, relay);
    let value = crate::domain::inbound::message::Value::Text("hello".to_owned());
    let id = crate::domain::inbound::message::MessageId::of_page("demo", "in", 7, 1, &value);
    assert_eq!(relay, Some(id.to_string()));
}

#[test]
fn filters_and_pages_are_applied_newest_first() {
    let feed = Feed::new(false);
    for sequence in 1..=250 {
        feed.published(&message("in", sequence, "hello"), &routes());
    }
    feed.published(&message("out", 1, "HELLO"), &routes());
    feed.published(&message("elsewhere", 1, "x"), &routes());
    let first = feed.list(&Filter::default(), 10_000).unwrap();
    assert_eq!(first.rows.len(), PAGE);
    assert_eq!(first.rows[0].topic, "elsewhere");
    assert_eq!(first.rows[1].sequence, 250, "results are shown on demand");
    let next = Filter {
        before: first.more,
        ..Filter::default()
    };
    let second = feed.list(&next, 10_000).unwrap();
    assert_eq!(second.rows[0].sequence, first.rows[PAGE - 1].sequence - 1);
    let third = Filter {
        before: second.more,
        ..Filter::default()
    };
    let third = feed.list(&third, 10_000).unwrap();
    assert_eq!((third.rows.len(), third.more), (51, None));

    let filter = |edit: fn(&mut Filter)| {
        let mut filter = Filter::default();
        edit(&mut filter);
        topics(&feed, &filter)
    };
    assert_eq!(filter(|f| f.topic = "else*".into()), ["elsewhere#1"]);
    assert_eq!(filter(|f| f.status = "no_route".into()), ["elsewhere#1"]);
    assert_eq!(filter(|f| f.status = "result".into()), ["out#1"]);
    assert_eq!(filter(|f| f.show = "all".into())[1], "out#1");
    // 10 s after the epoch: all are older than a second.
    assert_eq!(filter(|f| f.since = "1s".into()).len(), 0);
    assert_eq!(filter(|f| f.since = "1h".into()).len(), PAGE);
    assert!(
        feed.list(
            &Filter {
                since: "soon".into(),
                ..Filter::default()
            },
            0
        )
        .is_err()
    );
}

#[test]
fn a_full_list_forgets_the_oldest() {
    let feed = Feed::within(false, (100, 50_000));
    let add = |sequence, text: &str| feed.published(&message("in", sequence, text), &routes());
    let ids: Vec<_> = (0..110).filter_map(|sequence| add(sequence, "x")).collect();
    let kept = feed.list(&Filter::default(), 0).unwrap().note;
    assert!(kept.contains("of 110 messages"), "{kept}");
    assert!(feed.find(&ids[9]).is_none() && feed.at(9).is_none());
    assert_eq!(feed.at(109).unwrap().0.sequence, 109);
    let few = feed.state().entries.len();
    assert!(few < 100, "the bytes are the narrower limit: {few}");
    assert_eq!(
        feed.find(&ids[109 - few + 1]).unwrap().sequence,
        110 - few as u64
    );

    add(110, &"x".repeat(40_000));
    let state = feed.state();
    assert!(state.bytes <= 50_000 && state.entries.len() < 20);
    assert_eq!(state.places.len(), state.entries.len());
}

#[test]
fn what_a_workflow_publishes_with_the_id_of_its_message_is_a_result() {
    let feed = Feed::new(false);
    let id = feed
        .published(&message("in", 1, "hello"), &routes())
        .unwrap();
    let kind = |text: &str| {
        let id = feed
            .published(&message("progress", 1, text), &routes())
            .unwrap();
        feed.find(&id).unwrap().kind
    };
    assert_eq!(
        kind(&json!({"id": id, "step": "asked"}).to_string()),
        Kind::Result
    );
    assert_eq!(kind(r#"{"id":"0123","step":"asked"}"#), Kind::Other);
    assert_eq!(kind("asked"), Kind::Other);
}

#[test]
fn changes_are_announced() {
    let feed = Feed::new(false);
    let mut changes = feed.changes();
    let id = feed
        .published(&message("in", 1, "hello"), &routes())
        .unwrap();
    assert_eq!(changes.try_recv(), Ok(0));
    let answer = answer(&id, &[("upper", "started")]);
    let started = feed.answered(&id, &answer, Duration::ZERO, &routes());
    assert_eq!(changes.try_recv(), Ok(0));
    let running = Execution {
        status: "RUNNING".to_owned(),
        ..Execution::default()
    };
    feed.ran(&started[0], &running);
    assert_eq!(changes.try_recv(), Ok(0));
    feed.ran(&started[0], &running);
    assert!(changes.try_recv().is_err(), "nothing changed");
}
