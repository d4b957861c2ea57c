//! Assembly without AWS: the sources are in memory.

mod world;

use serde_json::json;

use self::world::{ARN, ID, World, arrival, line, redriven, short};
use super::model::{Part, Report, RouteState, Verdict, What};
use super::show::show;
use crate::domain::inbound::letter::Reason;
use crate::tools::letters::Dead;
use crate::tools::terminal::Style;

const OTHER: &str = "fedcba9876543210fedcba9876543210";

fn straight() -> World {
    World::default()
        .with(line(Part::Completion, 900, json!({"execution.arn": ARN, "execution.status": "SUCCEEDED", "route": "upper", "outcome": "published", "published.to": "c/out", "correlation_id": ID})))
        .with(arrival("upper=started"))
        .running("SUCCEEDED", 200, Some(600))
}

/// Part and time of each event of the newest message.
fn names(report: &Report) -> Vec<(&'static str, Option<i64>)> {
    let events = report.messages[0].events.iter();
    events
        .map(|event| (event.part.name(), event.after_ms))
        .collect()
}

fn verdict(report: &Report) -> &Verdict {
    &report.messages[0].routes[0]
}

fn text(report: &Report) -> String {
    show(report, Style::plain())
}

#[tokio::test]
async fn one_timeline_in_the_order_of_time() {
    let report = straight().ask(ID).await;
    // The arrival is before the answer.
    let events = [("webhook", 100), ("workflow", 200), ("completion", 900)];
    assert_eq!(names(&report), events.map(|(part, at)| (part, Some(at))));
    let head = &report.messages[0].message;
    assert_eq!(
        (head.published_at, head.came_in_at, head.number),
        (Some(0), Some(100), Some(7))
    );
    assert_eq!(
        head.xray_trace_id.as_deref(),
        Some("1-00000000-860cc55e7fe59c68a87b16c2")
    );
    let Verdict {
        state, sentence, ..
    } = verdict(&report);
    assert!(matches!(state, RouteState::Published { to, .. } if to == &["c/out"]));
    assert_eq!(sentence, "published to c/out 0.80 s after it came in");
    assert!(report.unanswered.is_empty());
    // No search hides the letters from other readers without need.
    assert_eq!(straight().asked_letters(ID).await, 0);
}

#[tokio::test]
async fn a_duplicate_line_is_shown_once() {
    let once = straight().ask(ID).await;
    let twice = World {
        lines: [straight().lines, straight().lines].concat(),
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
        json!({"message.id": OTHER, "route": "upper", "outcome": "waits", "error.text": ID}),
    );
    let report = straight().with(other).ask(ID).await;
    assert_eq!(report.messages[0].events.len(), 3);
}

#[tokio::test]
async fn one_number_may_be_two_messages() {
    let unrouted = |id: &str, number: u64| {
        line(
            Part::Webhook,
            5_000,
            json!({"code": "unrouted", "message.id": id, "message.cache": "c", "message.topic": "t", "message.sequence": number, "message.age_ms": 10, "duration_ms": 5}),
        )
    };
    let world = straight().with(unrouted(OTHER, 7)).with(unrouted("00", 77));
    let report = world.ask("c/t/7").await;
    let messages = report.messages.iter();
    let ids: Vec<_> = messages.map(|trace| trace.message.id.as_deref()).collect();
    assert_eq!(ids, [Some(OTHER), Some(ID)]);
    assert!(text(&report).starts_with("2 messages have this number"));
}

#[tokio::test]
async fn a_failed_source_is_listed_and_the_rest_is_shown() {
    let without = |denied: &[&'static str]| World {
        denied: denied.to_vec(),
        ..straight()
    };
    let report = without(&["logs"]).ask(ARN).await;
    assert_eq!(names(&report), [("workflow", Some(200))]);
    let logs = ["completion", "redrive", "sweep", "webhook"];
    let logs = logs.map(|part| format!("the log of the {part}"));
    let unanswered = report.unanswered.iter();
    let refused: Vec<_> = unanswered.map(|one| one.source.as_str()).collect();
    assert_eq!(refused, logs);
    let line = format!("could not query {}: AccessDenied: no", logs.join(", "));
    assert!(text(&report).contains(&line));

    let report = without(&["workflows", "ledger", "letters"]).ask(ID).await;
    assert_eq!(
        names(&report),
        [("webhook", Some(100)), ("completion", Some(900))]
    );
    let state = &verdict(&report).state;
    assert!(matches!(state, RouteState::Published { .. }));
}

#[tokio::test]
async fn without_a_history_a_cause_names_the_failing_place() {
    let ask = async |status: &str| {
        let mut world = World::default().with(arrival("upper=started"));
        world.denied = vec!["history"];
        world = world.running(status, 200, Some(600));
        let cause = "An error occurred while executing the state 'S' (entered at the event id #2). The JSONPath '$.a' specified for the field 'Variable' could not be found in the input '{}'";
        let execution = world.execution.as_mut().unwrap();
        execution.cause = Some(cause.to_owned());
        text(&world.ask(ID).await)
    };
    let failed = ask("FAILED").await;
    assert!(failed.contains("in S, field Variable: $.a"), "{failed}");
    assert!(failed.contains("could not query the history"), "{failed}");
    let aborted = ask("ABORTED").await;
    assert!(!aborted.contains("in S"), "{aborted}");
}

#[tokio::test]
async fn no_trace_is_an_error_with_a_remedy() {
    let report = World::default().ask(ID).await;
    assert!(report.messages.is_empty());
    let text = text(&report);
    assert!(
        text.contains("✗ no trace found") && text.contains("--since 7d"),
        "{text}"
    );
}

#[tokio::test]
async fn parked_dead_and_replayed_messages() {
    let parked = |world: World| {
        world
            .with(arrival("upper=parked"))
            .with(redriven(1_000, "waits"))
    };
    let waiting = World {
        parked: 1,
        ..World::default()
    };
    let report = parked(waiting).ask(ID).await;
    let RouteState::Waits { tries, next_by, .. } = verdict(&report).state else {
        panic!("{report:?}")
    };
    assert_eq!((tries, next_by), (1, 31_000));
    // Compared with the depth of the queue.
    assert!(!verdict(&report).sentence.contains("but"));
    let report = parked(World::default()).ask(ID).await;
    let sentence = &verdict(&report).sentence;
    assert!(sentence.contains("but the parking queue is empty"));

    let dead = |world: World| parked(world).with(redriven(2_000, "gave_up"));
    let letter = Dead {
        id: ID.into(),
        route: Some("upper".into()),
        reason: Some(Reason::GaveUp),
        at_ms: 2_000,
        ..Dead::default()
    };
    let kept = World {
        letters: vec![letter],
        ..World::default()
    };
    let report = dead(kept).ask(ID).await;
    let state = &verdict(&report).state;
    assert!(matches!(state, RouteState::Dead { gone: false, .. }));
    let command = format!("cargo bridge replay --dead-letters --id {ID} --route upper");
    assert!(
        verdict(&report).sentence.contains(&command),
        "{:?}",
        verdict(&report)
    );
    // The log and the letter are about one dead letter.
    let events = report.messages[0].events.iter();
    let dead_letters = events.filter(|event| matches!(event.what, What::DeadLettered { .. }));
    assert_eq!(dead_letters.count(), 1);
    let report = dead(World::default()).ask(ID).await;
    let sentence = &verdict(&report).sentence;
    assert!(sentence.contains("not in the queue any more"));

    let replayed = dead(World::default()).with(redriven(9_000, "started"));
    let report = replayed.ask(ID).await;
    let events = report.messages[0].events.iter();
    let parts: Vec<_> = events.map(|event| event.part).collect();
    assert_eq!(parts[3..], [Part::Replay, Part::Redrive]);
    let state = &verdict(&report).state;
    assert!(matches!(state, RouteState::Started { at: 9_000 }));
}

#[tokio::test]
async fn an_end_without_a_publication() {
    let ask = async |world: World, status: &str, stopped_at| {
        let world = world.with(arrival("upper=started"));
        let report = world.running(status, 200, stopped_at).ask(ID).await;
        verdict(&report).clone()
    };
    let failed = ask(World::default(), "FAILED", Some(600)).await;
    assert!(failed.sentence.contains("ended as FAILED"), "{failed:?}");
    let running = ask(World::default(), "RUNNING", None).await;
    assert!(matches!(running.state, RouteState::Running { since: 200 }));

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
    let Verdict { sentence, .. } = ask(world, "SUCCEEDED", Some(600)).await;
    assert!(
        sentence.starts_with("the result is a dead letter since")
            && sentence.contains("cargo bridge replay --results --route upper"),
        "{sentence}"
    );

    // The ledger has the end without the log.
    let world = World {
        ledger: Some("done"),
        ..World::default()
    };
    let done = ask(world, "SUCCEEDED", Some(600)).await;
    assert!(matches!(done.state, RouteState::Published { .. }));
}

#[tokio::test]
async fn an_express_workflow_keeps_no_history() {
    let ask = async |express| {
        let world = World {
            express,
            ..World::default()
        };
        world.with(arrival("upper=started")).ask(ID).await
    };
    let report = ask(true).await;
    let state = &verdict(&report).state;
    assert!(matches!(state, RouteState::Express { at: 100 }));
    assert!(text(&report).contains("an EXPRESS workflow has no history"));
    // Without a record, the outcome of a STANDARD one is unknown.
    let report = ask(false).await;
    let state = &verdict(&report).state;
    assert!(matches!(state, RouteState::Started { at: 100 }));
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
    let keys: Vec<_> = report.as_object().unwrap().keys().collect();
    let documented = "asked messages schema since stack unanswered until";
    assert_eq!(keys, documented.split(' ').collect::<Vec<_>>());
}

#[tokio::test]
async fn no_text_of_a_message_moves_the_cursor() {
    let line = line(
        Part::Webhook,
        300,
        json!({"code": "unrouted", "message.id": ID, "message.cache": "c", "message.topic": "t\u{1b}[2J", "message.sequence": 7, "error.text": "a\nb"}),
    );
    let text = text(&World::default().with(line).ask(ID).await);
    assert!(!text.contains('\u{1b}') && !text.contains("a\nb"), "{text}");
}
