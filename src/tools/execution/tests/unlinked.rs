//! Histories as the local emulator writes them: no event names the one before, and inner states are not entered.

use super::*;
use Status::{Caught, Failed, Running, Succeeded};

const TRANSLATE: &str = "arn:aws:states:::aws-sdk:translate:translateText";

fn unlinked(list: Value) -> Vec<Event> {
    let mut events = events(list);
    for event in &mut events {
        event.previous = 0;
    }
    events
}

#[test]
fn an_event_is_of_the_last_open_state() {
    let events = unlinked(json!([
        {"type": "ExecutionStarted"},
        {"type": "TaskStateEntered", "name": "Asks"},
        {"type": "TaskScheduled", "resource": "r"},
        {"type": "TaskFailed", "error": "Busy"},
        {"type": "TaskScheduled", "resource": "r"},
        {"type": "TaskSucceeded"},
        {"type": "TaskStateExited", "name": "Asks"},
        {"type": "TaskStateEntered", "name": "Tells"},
        {"type": "TaskScheduled", "resource": "r"},
        {"type": "TaskFailed", "error": "Broken", "cause": "why"},
        {"type": "ExecutionFailed", "error": "Broken", "cause": "why"},
    ]));
    let view = view(&json!({}), &events, false);
    assert_eq!(seen(&view), [("Asks", Succeeded, 1), ("Tells", Failed, 0)]);
    assert_eq!(failing(&view).name, "Tells");
}

#[test]
fn tasks_inside_a_map_are_found_by_their_resource() {
    let mut list = vec![
        json!({"type": "MapStateEntered", "name": "EachLanguage"}),
        json!({"type": "TaskScheduled", "resource": TRANSLATE}),
        json!({"type": "TaskScheduled", "resource": TRANSLATE}),
        json!({"type": "TaskSucceeded", "resource": TRANSLATE}),
        json!({"type": "TaskFailed", "resource": TRANSLATE, "error": "Busy"}),
        json!({"type": "TaskScheduled", "resource": TRANSLATE}),
    ];
    let running = view(&shipped("translate-chat"), &unlinked(json!(list)), false);
    assert_eq!(
        seen(&running),
        [
            ("EachLanguage", Running, 0),
            ("Translate", Succeeded, 0),
            ("Translate", Failed, 0),
            ("Translate", Running, 0),
        ]
    );
    assert!(running.visits[1].inferred && !running.visits[0].inferred);
    assert_eq!(path(&running.visits[3]), [("EachLanguage", 2)]);
    assert_eq!(running.states["Publish"].reach, Reach::NotRecorded);
    assert_eq!(running.states["NotChecked"].reach, Reach::NotReached);
    list.push(json!({"type": "TaskSucceeded", "resource": TRANSLATE}));
    let mut done = list.clone();
    done.push(json!({"type": "MapStateExited", "name": "EachLanguage"}));
    let done = view(&shipped("translate-chat"), &unlinked(json!(done)), false);
    assert_eq!(done.visits[2].status, Caught);
    list.push(json!({"type": "TaskFailed", "resource": TRANSLATE, "error": "Late"}));
    list.push(json!({"type": "ExecutionFailed", "error": "Busy"}));
    let failed = view(&shipped("translate-chat"), &unlinked(json!(list)), false);
    assert_eq!(
        (failing(&failed).name.as_str(), failed.failing),
        ("Translate", Some(2))
    );
    assert_eq!(failed.visits[0].status, Failed);
}

#[test]
fn an_error_that_a_map_caught_shows_by_the_next_state() {
    let definition = json!({"StartAt": "Each", "States": {
        "Each": {"Type": "Map", "ItemProcessor": {"StartAt": "One", "States": {"One": {"Type": "Pass", "End": true}}},
            "Catch": [{"ErrorEquals": ["States.ALL"], "Next": "Mend"}], "Next": "Done"},
        "Mend": {"Type": "Pass", "End": true},
        "Done": {"Type": "Succeed"},
    }});
    let next = |name: &str| {
        let events = unlinked(json!([
            {"type": "MapStateEntered", "name": "Each"},
            {"type": "MapStateExited", "name": "Each"},
            {"type": "PassStateEntered", "name": name},
        ]));
        view(&definition, &events, false).visits[0].status
    };
    assert_eq!(next("Mend"), Caught);
    assert_eq!(next("Done"), Succeeded);
}

#[test]
fn the_emulators_words_name_the_expression() {
    let cause = "JSONata expression did not return a result: $states.input.nothing";
    let events = unlinked(json!([
        {"type": "PassStateEntered", "name": "Echo"},
        {"type": "ExecutionFailed", "error": "States.QueryEvaluationError", "cause": cause},
    ]));
    let view = view(&shipped("canary"), &events, false);
    assert_eq!(
        failing(&view).expression.as_deref(),
        Some("$states.input.nothing")
    );
    assert_eq!(failing(&view).cause.as_deref(), Some(cause));
}
