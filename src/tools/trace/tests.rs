//! Assembly without AWS: the sources are in memory.

mod world;

use std::sync::atomic::Ordering;

use serde_json::json;

use self::world::{ARN, ID, World, arrival, dead, line, redriven};
use super::model::{Part, Report, RouteState, State, Verdict};
use super::show::show;
use crate::domain::inbound::letter::Reason;
use crate::tools::execution::{Status, Visit};
use crate::tools::terminal::Style;

const OTHER: &str = "fedcba9876543210fedcba9876543210";

fn straight() -> World {
    World::default()
        .with(line(Part::Completion, 900, json!({"execution.arn": ARN, "execution.status": "SUCCEEDED", "route": "upper", "outcome": "published", "published.to": "c/out", "correlation_id": ID})))
        .with(arrival("upper=started"))
        .running("SUCCEEDED", 200, Some(600))
}

/// Part and time of each event of the newest message.
fn names(report: &Report) -> Vec<(&'static str, i64)> {
    let events = report.messages[0].events.iter();
    events
        .map(|event| (event.part.name(), event.after_ms.unwrap()))
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
    let world = straight();
    let report = world.ask(ID).await;
    // The arrival is before the answer.
    let events = [("webhook", 100), ("workflow", 200), ("completion", 900)];
    assert_eq!(names(&report), events);
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
    assert_eq!(world.searches.load(Ordering::Relaxed), 0);
}

#[tokio::test]
async fn a_duplicate_line_is_shown_once() {
    let once = straight().ask(ID).await;
    let twice = World {
        lines: [straight().lines, straight().lines].concat(),
        ..straight()
    };
    let twice = twice.ask(&ID[..16]).await;
    assert_eq!(once.messages[0].events, twice.messages[0].events);
}

#[tokio::test]
async fn lines_of_other_messages_are_left_out() {
    let fields =
        json!({"message.id": OTHER, "route": "upper", "outcome": "waits", "error.text": ID});
    let other = line(Part::Redrive, 400, fields);
    let report = straight().with(other).ask(ID).await;
    assert_eq!(report.messages[0].events.len(), 3);
}

#[tokio::test]
async fn one_number_may_be_two_messages() {
    let unrouted = |id: &str, number: u64| {
        let fields = json!({"code": "unrouted", "message.id": id, "message.cache": "c", "message.topic": "t", "message.sequence": number, "message.age_ms": 10, "duration_ms": 5});
        line(Part::Webhook, 5_000, fields)
    };
    let world = straight().with(unrouted(OTHER, 7)).with(unrouted("00", 77));
    let report = world.ask("c/t/7").await;
    let messages = report.messages.iter();
    let ids: Vec<_> = messages.map(|trace| trace.message.id.as_deref()).collect();
    assert_eq!(ids, [Some(OTHER), Some(ID)]);
    assert!(text(&report).starts_with("2 messages found"));
}

#[tokio::test]
async fn a_failed_source_is_listed_and_the_rest_is_shown() {
    let without = |denied: &[&'static str]| World {
        denied: denied.to_vec(),
        ..straight()
    };
    let report = without(&["logs"]).ask(ARN).await;
    assert_eq!(names(&report), [("workflow", 200)]);
    let logs = ["completion", "redrive", "sweep", "webhook"];
    let logs = logs.map(|part| format!("the log of the {part}"));
    let unanswered = report.unanswered.iter();
    let refused: Vec<_> = unanswered.map(|one| one.source.as_str()).collect();
    assert_eq!(refused, logs);
    let line = format!("could not query {}: AccessDenied: no", logs.join(", "));
    assert!(text(&report).contains(&line));

    let report = without(&["workflows", "ledger", "letters"]).ask(ID).await;
    assert_eq!(names(&report), [("webhook", 100), ("completion", 900)]);
    let state = &verdict(&report).state;
    assert!(matches!(state, RouteState::Published { .. }));
}

#[tokio::test]
async fn without_a_history_a_cause_names_the_failing_place() {
    for (status, named) in [("FAILED", true), ("ABORTED", false)] {
        let mut world = World::default().with(arrival("upper=started"));
        world.denied = vec!["history"];
        world = world.running(status, 200, Some(600));
        let cause = "An error occurred while executing the state 'S' (entered at the event id #2). The JSONPath '$.a' specified for the field 'Variable' could not be found in the input '{}'";
        world.execution.as_mut().unwrap().cause = Some(cause.to_owned());
        let text = text(&world.ask(ID).await);
        assert!(text.contains("could not query the history"), "{text}");
        assert_eq!(text.contains("in S, field Variable: $.a"), named, "{text}");
        assert_eq!(text.contains("in S"), named, "{text}");
    }
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
async fn each_state_of_a_route_has_its_sentence() {
    let parked = |parked| {
        let lines = vec![arrival("upper=parked"), redriven(1_000, "waits")];
        World {
            lines,
            parked,
            ..World::default()
        }
    };
    let gave_up = || parked(0).with(redriven(2_000, "gave_up"));
    let started = |express| World {
        lines: vec![arrival("upper=started")],
        express,
        ..World::default()
    };
    let ended = |status| started(false).running(status, 200, Some(600));
    let mut of_result = dead(Reason::Refused, 700);
    (of_result.id, of_result.execution) = ("event".to_owned(), Some(ARN.to_owned()));
    let stopped = World {
        lines: vec![arrival("upper=stopped")],
        ..World::default()
    };
    let replay =
        &format!("replay with `cargo bridge replay --dead-letters --id {ID} --route upper`");
    let waits = json!({"state": "waits", "since": 100, "tries": 1, "next_by": 31_000});
    let unknown = "the outcome of the workflow is unknown";
    for (world, facts, part) in [
        (parked(1), &waits, "next try by 1970-01-01T00:00:31Z: busy"),
        (
            stopped,
            &json!({"state": "stopped", "at": 100}),
            "stopped the execution of its key as it came in",
        ),
        // Compared with the depth of the queue.
        (parked(0), &waits, "or the redrive has it just now"),
        (
            gave_up().having(dead(Reason::GaveUp, 2_000)),
            &json!({"state": "dead", "gone": false}),
            replay,
        ),
        (
            gave_up(),
            &json!({"state": "dead", "gone": true}),
            "not in the queue any more: replayed a moment ago, or deleted",
        ),
        (
            gave_up().with(redriven(9_000, "started")),
            &json!({"state": "started", "at": 9_000}),
            unknown,
        ),
        (
            ended("FAILED"),
            &json!({"state": "unpublished", "status": "FAILED", "ended_at": 600}),
            "or lost: then the sweep finds it within minutes",
        ),
        (
            started(false).running("RUNNING", 200, None),
            &json!({"state": "running", "since": 200}),
            "the workflow has been running for 59 s",
        ),
        (
            ended("SUCCEEDED").having(of_result),
            &json!({"state": "result_dead", "reason": "refused"}),
            "replay with `cargo bridge replay --results --route upper`",
        ),
        // The ledger has the end without the log.
        (
            ended("SUCCEEDED").noted("done"),
            &json!({"state": "published", "at": null}),
            "time and topics are in the log of the completion",
        ),
        (
            started(true),
            &json!({"state": "express", "at": 100}),
            "which keeps no history; its own log has more",
        ),
        // Without a record, the outcome of a STANDARD one is unknown.
        (
            started(false),
            &json!({"state": "started", "at": 100}),
            unknown,
        ),
    ] {
        let report = world.ask(ID).await;
        let verdict = json!(verdict(&report));
        for (name, fact) in facts.as_object().unwrap() {
            assert_eq!(verdict[name], *fact, "{name}: {verdict}");
        }
        let sentence = verdict["sentence"].as_str().unwrap();
        assert!(sentence.ends_with(part), "{sentence}");
        let of_a_dead_result = sentence.starts_with("the result is a dead letter since");
        assert_eq!(of_a_dead_result, verdict["state"] == "result_dead");
        let express = text(&report).contains("an EXPRESS workflow has no history");
        assert_eq!(express, verdict["state"] == "express");
    }
}

#[tokio::test]
async fn a_replay_is_marked_and_a_dead_letter_is_shown_once() {
    let gave_up = || {
        let parked = World::default().with(arrival("upper=parked"));
        parked.with(redriven(2_000, "gave_up"))
    };
    let kept = gave_up().having(dead(Reason::GaveUp, 2_000)).ask(ID).await;
    assert_eq!(names(&kept), [("webhook", 100), ("redrive", 2_000)]);
    let replayed = gave_up().with(redriven(9_000, "started")).ask(ID).await;
    let marked = [("replay", 9_000), ("redrive", 9_000)];
    assert_eq!(names(&replayed)[2..], marked);
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
    let keys = |value: &serde_json::Value| {
        let keys = value.as_object().unwrap().keys().map(String::as_str);
        keys.collect::<Vec<_>>().join(" ")
    };
    let documented = "asked messages schema since stack unanswered until";
    assert_eq!(keys(&report), documented);
    let common = "after_ms at part route what";
    for (event, more) in [
        (0, "code error status targets took_ms"),
        (2, "claims outcome published status"),
    ] {
        let mut documented: Vec<_> = common.split(' ').chain(more.split(' ')).collect();
        documented.sort_unstable();
        assert_eq!(keys(&message["events"][event]), documented.join(" "));
    }
}

#[tokio::test]
async fn no_text_of_a_message_moves_the_cursor() {
    let fields = json!({"code": "unrouted", "message.id": ID, "message.cache": "c", "message.topic": "t\u{1b}[2J", "message.sequence": 7, "error.text": "a\nb"});
    let line = line(Part::Webhook, 300, fields);
    let text = text(&World::default().with(line).ask(ID).await);
    assert!(!text.contains('\u{1b}') && !text.contains("a\nb"), "{text}");
}

#[test]
fn each_end_of_a_state_has_its_word() {
    for (status, end) in [
        (Status::Running, "open"),
        (Status::Waiting, "open"),
        (Status::Succeeded, "left"),
        (Status::Caught, "caught"),
        (Status::Failed, "failed"),
        (Status::Aborted, "failed"),
    ] {
        let text = Some("1".to_owned());
        let visit = Visit {
            status,
            input: text.clone(),
            output: text.clone(),
            ..Visit::default()
        };
        let shown = State::of(visit.clone(), true);
        assert_eq!(
            (shown.end, shown.input, shown.output),
            (end, text.clone(), text)
        );
        let quiet = State::of(visit, false);
        assert_eq!((quiet.end, quiet.input, quiet.output), (end, None, None));
    }
}
