//! Assembly without AWS: the sources are in memory.

mod world;

use serde_json::json;

use self::world::{ARN, ID, World, line, short};
use super::model::{Part, RouteState, What};
use super::show::show;
use crate::domain::inbound::letter::Reason;
use crate::tools::letters::Dead;
use crate::tools::terminal::Style;

fn straight() -> World {
    World::default()
        .with(line(Part::Completion, 900, json!({"execution.arn": ARN, "execution.status": "SUCCEEDED", "route": "upper", "outcome": "published", "published.to": "c/out", "correlation_id": ID})))
        .with(line(Part::Webhook, 300, json!({"code": "accepted", "http.status": 200, "message.id": ID, "message.cache": "c", "message.topic": "t", "message.sequence": 7, "message.age_ms": 300, "targets": "upper=started", "duration_ms": 200})))
        .running("SUCCEEDED", 200, Some(600))
}

fn names(events: &[super::model::Event]) -> Vec<(&'static str, Option<i64>)> {
    events
        .iter()
        .map(|event| (event.part.name(), event.after_ms))
        .collect()
}

#[tokio::test]
async fn one_timeline_in_the_order_of_time() {
    let report = straight().ask(ID).await;
    let trace = &report.messages[0];
    // The arrival is before the answer.
    assert_eq!(
        names(&trace.events),
        [
            ("webhook", Some(100)),
            ("workflow", Some(200)),
            ("completion", Some(900))
        ]
    );
    let head = &trace.message;
    assert_eq!(
        (head.published_at, head.came_in_at, head.number),
        (Some(0), Some(100), Some(7))
    );
    assert_eq!(
        head.xray_trace_id.as_deref(),
        Some("1-00000000-860cc55e7fe59c68a87b16c2")
    );
    assert!(matches!(&trace.routes[0].state, RouteState::Published { to, .. } if to == &["c/out"]));
    assert_eq!(
        trace.routes[0].sentence,
        "published to c/out 0.80 s after it came in"
    );
    assert!(report.unanswered.is_empty());
    // No search hides the letters from other readers without need.
    assert_eq!(straight().asked_letters(ID).await, 0);
}

#[tokio::test]
async fn a_duplicate_line_is_shown_once() {
    let once = straight().ask(ID).await;
    let (first, second) = (straight().lines, straight().lines);
    let twice = World {
        lines: [first, second].concat(),
        ..straight()
    };
    let twice = twice.ask(short()).await;
    assert_eq!(once.messages[0].events, twice.messages[0].events);
}

#[tokio::test]
async fn lines_of_other_messages_are_left_out() {
    let other = line(
        Part::Redrive,
        400,
        json!({"message.id": "fedcba9876543210fedcba9876543210", "route": "upper", "outcome": "waits", "error.text": ID}),
    );
    let report = straight().with(other).ask(ID).await;
    assert_eq!(report.messages[0].events.len(), 3);
}

#[tokio::test]
async fn one_number_may_be_two_messages() {
    let other = "fedcba9876543210fedcba9876543210";
    let arrival = line(
        Part::Webhook,
        5_000,
        json!({"code": "unrouted", "message.id": other, "message.cache": "c", "message.topic": "t", "message.sequence": 7, "message.age_ms": 10, "duration_ms": 5}),
    );
    let near = line(
        Part::Webhook,
        5_000,
        json!({"code": "unrouted", "message.id": "00", "message.cache": "c", "message.topic": "t", "message.sequence": 77}),
    );
    let report = straight().with(arrival).with(near).ask("c/t/7").await;
    let ids: Vec<_> = report
        .messages
        .iter()
        .map(|trace| trace.message.id.as_deref())
        .collect();
    assert_eq!(ids, [Some(other), Some(ID)]);
    assert!(show(&report, Style::plain()).starts_with("2 messages have this number"));
}

#[tokio::test]
async fn a_failed_source_is_listed_and_the_rest_is_shown() {
    let report = World {
        denied: vec!["logs"],
        ..straight()
    }
    .ask(ARN)
    .await;
    let trace = &report.messages[0];
    assert_eq!(names(&trace.events), [("workflow", Some(200))]);
    let refused: Vec<_> = report
        .unanswered
        .iter()
        .map(|one| one.source.as_str())
        .collect();
    assert_eq!(
        refused,
        [
            "the log of the completion",
            "the log of the redrive",
            "the log of the sweep",
            "the log of the webhook"
        ]
    );
    assert!(
        show(&report, Style::plain())
            .contains("could not query the log of the completion, the log of the redrive, the log of the sweep, the log of the webhook: AccessDenied: no")
    );

    let report = World {
        denied: vec!["workflows", "ledger", "letters"],
        ..straight()
    }
    .ask(ID)
    .await;
    assert_eq!(
        names(&report.messages[0].events),
        [("webhook", Some(100)), ("completion", Some(900))]
    );
    assert!(matches!(
        report.messages[0].routes[0].state,
        RouteState::Published { .. }
    ));
}

#[tokio::test]
async fn no_trace_is_an_error_with_a_remedy() {
    let report = World::default().ask(ID).await;
    assert!(report.messages.is_empty());
    let text = show(&report, Style::plain());
    assert!(
        text.contains("✗ no trace found") && text.contains("--since 7d"),
        "{text}"
    );
}

#[tokio::test]
async fn parked_dead_and_replayed_messages() {
    let parked = |world: World| {
        world
            .with(line(Part::Webhook, 300, json!({"code": "accepted", "message.id": ID, "message.cache": "c", "message.topic": "t", "message.sequence": 7, "message.age_ms": 300, "targets": "upper=parked", "duration_ms": 200})))
            .with(line(Part::Redrive, 1_000, json!({"message.id": ID, "route": "upper", "outcome": "waits", "error.text": "busy"})))
    };
    let report = parked(World {
        parked: 1,
        ..World::default()
    })
    .ask(ID)
    .await;
    let RouteState::Waits { tries, next_by, .. } = report.messages[0].routes[0].state else {
        panic!("{report:?}")
    };
    assert_eq!((tries, next_by), (1, 31_000));
    // Compared with the depth of the queue.
    assert!(!report.messages[0].routes[0].sentence.contains("but"));
    let report = parked(World::default()).ask(ID).await;
    assert!(
        report.messages[0].routes[0]
            .sentence
            .contains("but the parking queue is empty")
    );

    let dead = |world: World| {
        parked(world).with(line(
            Part::Redrive,
            2_000,
            json!({"message.id": ID, "route": "upper", "outcome": "gave_up", "error.text": "busy"}),
        ))
    };
    let letter = Dead {
        id: ID.into(),
        route: Some("upper".into()),
        reason: Some(Reason::GaveUp),
        at_ms: 2_000,
        ..Dead::default()
    };
    let report = dead(World {
        letters: vec![letter],
        ..World::default()
    })
    .ask(ID)
    .await;
    let verdict = &report.messages[0].routes[0];
    assert!(matches!(
        verdict.state,
        RouteState::Dead { gone: false, .. }
    ));
    assert!(
        verdict.sentence.contains(&format!(
            "cargo bridge replay --dead-letters --id {ID} --route upper"
        )),
        "{verdict:?}"
    );
    // The log and the letter are about one dead letter.
    let dead_letters = report.messages[0]
        .events
        .iter()
        .filter(|event| matches!(event.what, What::DeadLettered { .. }));
    assert_eq!(dead_letters.count(), 1);
    let report = dead(World::default()).ask(ID).await;
    assert!(
        report.messages[0].routes[0]
            .sentence
            .contains("not in the queue any more")
    );

    let again = line(
        Part::Redrive,
        9_000,
        json!({"message.id": ID, "route": "upper", "outcome": "started"}),
    );
    let report = dead(World::default()).with(again).ask(ID).await;
    let parts: Vec<_> = report.messages[0]
        .events
        .iter()
        .map(|event| event.part)
        .collect();
    assert_eq!(parts[3..], [Part::Replay, Part::Redrive]);
    assert!(matches!(
        report.messages[0].routes[0].state,
        RouteState::Started { at: 9_000 }
    ));
}

#[tokio::test]
async fn an_end_without_a_publication() {
    let arrival = || {
        line(
            Part::Webhook,
            300,
            json!({"code": "accepted", "message.id": ID, "message.cache": "c", "message.topic": "t", "message.sequence": 7, "message.age_ms": 300, "targets": "upper=started", "duration_ms": 200}),
        )
    };
    let report = World::default()
        .with(arrival())
        .running("FAILED", 200, Some(600))
        .ask(ID)
        .await;
    assert!(
        report.messages[0].routes[0]
            .sentence
            .contains("ended as FAILED"),
        "{report:?}"
    );
    let letter = Dead {
        id: "event".into(),
        route: Some("upper".into()),
        reason: Some(Reason::Refused),
        execution: Some(ARN.into()),
        at_ms: 700,
        ..Dead::default()
    };
    let world = World {
        letters: vec![letter],
        ..World::default()
    };
    let report = world
        .with(arrival())
        .running("SUCCEEDED", 200, Some(600))
        .ask(ID)
        .await;
    let sentence = &report.messages[0].routes[0].sentence;
    assert!(
        sentence.starts_with("the result is a dead letter since")
            && sentence.contains("cargo bridge replay --results --route upper"),
        "{sentence}"
    );
    let report = World::default()
        .with(arrival())
        .running("RUNNING", 200, None)
        .ask(ID)
        .await;
    assert!(matches!(
        report.messages[0].routes[0].state,
        RouteState::Running { since: 200 }
    ));
    // The ledger has the end without the log.
    let world = World {
        ledger: Some("done"),
        ..World::default()
    };
    let report = world
        .with(arrival())
        .running("SUCCEEDED", 200, Some(600))
        .ask(ID)
        .await;
    assert!(matches!(
        report.messages[0].routes[0].state,
        RouteState::Published { .. }
    ));
}

#[tokio::test]
async fn an_express_workflow_keeps_no_history() {
    let arrival = json!({"code": "accepted", "message.id": ID, "message.cache": "c", "message.topic": "t", "message.sequence": 7, "message.age_ms": 300, "targets": "upper=started", "duration_ms": 200});
    let ask = async |express| {
        let world = World {
            express,
            ..World::default()
        };
        world
            .with(line(Part::Webhook, 300, arrival.clone()))
            .ask(ID)
            .await
    };
    let report = ask(true).await;
    assert!(matches!(
        report.messages[0].routes[0].state,
        RouteState::Express { at: 100 }
    ));
    assert!(show(&report, Style::plain()).contains("an EXPRESS workflow has no history"));
    // Without a record, the outcome of a STANDARD one is unknown.
    let report = ask(false).await;
    assert!(matches!(
        report.messages[0].routes[0].state,
        RouteState::Started { at: 100 }
    ));
}

#[tokio::test]
async fn the_json_is_the_documented_one() {
    let report = serde_json::to_value(straight().ask(ID).await).unwrap();
    let message = &report["messages"][0];
    let event = &message["events"][1];
    assert_eq!(
        (&event["what"], &event["part"], &event["after_ms"]),
        (&json!("ran"), &json!("workflow"), &json!(200))
    );
    assert_eq!(
        (&event["status"], &event["states"][0]["end"]),
        (&json!("SUCCEEDED"), &json!("left"))
    );
    assert_eq!(message["routes"][0]["state"], "published");
    let keys: Vec<_> = report.as_object().unwrap().keys().cloned().collect();
    assert_eq!(
        keys,
        [
            "asked",
            "messages",
            "schema",
            "since",
            "stack",
            "unanswered",
            "until"
        ]
    );
}

#[tokio::test]
async fn no_text_of_a_message_moves_the_cursor() {
    let line = line(
        Part::Webhook,
        300,
        json!({"code": "unrouted", "message.id": ID, "message.cache": "c", "message.topic": "t\u{1b}[2J", "message.sequence": 7, "error.text": "a\nb"}),
    );
    let text = show(&World::default().with(line).ask(ID).await, Style::plain());
    assert!(!text.contains('\u{1b}') && !text.contains("a\nb"), "{text}");
}
