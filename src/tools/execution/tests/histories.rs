//! Histories as AWS writes them: linked by the event before.

use super::*;
use Status::{Aborted, Caught, Failed, Running, Succeeded, Waiting};

/// Two branches: a task that may be caught, and a wait.
fn parallel() -> Value {
    json!({"StartAt": "Both", "States": {
        "Both": {"Type": "Parallel", "Next": "Done", "Branches": [
            {"StartAt": "Left", "States": {"Left": {"Type": "Task", "Resource": "arn:aws:states:::sqs:sendMessage", "End": true}}},
            {"StartAt": "Right", "States": {"Right": {"Type": "Wait", "Seconds": 5, "End": true}}},
        ]},
        "Done": {"Type": "Succeed"},
    }})
}

#[test]
fn a_task_has_its_arguments_attempts_result_and_variables() {
    let events = events(json!([
        {"type": "ExecutionStarted", "input": "{}"},
        {"type": "ChoiceStateEntered", "name": "HasText", "input": "{}", "previous": 0},
        {"type": "ChoiceStateExited", "name": "HasText", "output": "{}"},
        {"type": "TaskStateEntered", "name": "ToEnglish", "input": "{\"a\":1}"},
        {"type": "TaskScheduled", "resource": "translateText", "resourceType": "aws-sdk:translate", "parameters": "{\"Text\":\"hallo\"}"},
        {"type": "TaskStarted"},
        {"type": "TaskFailed", "error": "Translate.TooManyRequestsException", "cause": "slow down"},
        {"type": "TaskScheduled", "resource": "translateText", "parameters": "{\"Text\":\"hallo\"}"},
        {"type": "TaskStarted"},
        {"type": "TaskSucceeded", "output": "{\"TranslatedText\":\"hello\"}"},
        {"type": "TaskStateExited", "name": "ToEnglish", "output": "\"hello\"", "assignedVariables": {"language": "\"de\""}},
    ]));
    let view = view(&shipped("translate-chat"), &events, false);
    assert_eq!(
        seen(&view),
        [("HasText", Succeeded, 0), ("ToEnglish", Succeeded, 1)]
    );
    let task = &view.visits[1];
    assert_eq!((task.id, task.entered_at, task.left_at), (4, 40, Some(110)));
    assert_eq!(task.input.as_deref(), Some("{\"a\":1}"));
    assert_eq!(task.arguments.as_deref(), Some("{\"Text\":\"hallo\"}"));
    assert_eq!(
        task.result.as_deref(),
        Some("{\"TranslatedText\":\"hello\"}")
    );
    assert_eq!(task.output.as_deref(), Some("\"hello\""));
    assert_eq!(task.variables["language"], "\"de\"");
    let attempts: Vec<_> = task
        .attempts
        .iter()
        .map(|a| (a.scheduled_at, a.ended_at, a.error.as_deref()))
        .collect();
    assert_eq!(
        attempts,
        [
            (50, Some(70), Some("Translate.TooManyRequestsException")),
            (80, Some(100), None)
        ]
    );
    assert_eq!(view.states["ToEnglish"].retries, 1);
    assert_eq!(view.states["Moderate"].reach, Reach::NotReached);
    assert_eq!(view.states["Translate"].words, "not reached");
    assert_eq!((view.status, view.failing), (Ending::Running, None));
}

#[test]
fn a_caught_error_is_no_failure() {
    let events = events(json!([
        {"type": "TaskStateEntered", "name": "Store"},
        {"type": "TaskScheduled"},
        {"type": "TaskFailed", "error": "DynamoDB.ConditionalCheckFailedException"},
        {"type": "TaskStateExited", "name": "Store"},
        {"type": "SucceedStateEntered", "name": "StoredBefore"},
        {"type": "SucceedStateExited", "name": "StoredBefore"},
        {"type": "ExecutionSucceeded"},
    ]));
    let view = view(&shipped("store"), &events, false);
    assert_eq!(
        seen(&view),
        [("Store", Caught, 0), ("StoredBefore", Succeeded, 0)]
    );
    assert_eq!((view.status, view.failing), (Ending::Succeeded, None));
    assert_eq!(view.states["Store"].reach, Reach::Reached(Caught));
}

#[test]
fn a_fail_state_is_the_failing_one_with_its_own_error() {
    let events = events(json!([
        {"type": "ChoiceStateEntered", "name": "HasAmount"},
        {"type": "ChoiceStateExited", "name": "HasAmount"},
        {"type": "FailStateEntered", "name": "NoAmount"},
        {"type": "ExecutionFailed", "error": "OrderNoAmount", "cause": "expected"},
    ]));
    let view = view(&shipped("order"), &events, false);
    assert_eq!(failing(&view).name, "NoAmount");
    assert_eq!(failing(&view).error.as_deref(), Some("OrderNoAmount"));
    assert_eq!(view.states["NoAmount"].open, view.failing);
    assert_eq!(view.status, Ending::Failed);
}

#[test]
fn a_failed_evaluation_names_field_and_expression() {
    let cause = "An error occurred while executing the state 'Enrich' (entered at the event id #1). The JSONata expression '$x.y' specified for the field 'Output/length' threw an error during evaluation. T0410: Argument 1";
    let list = json!([
        {"type": "PassStateEntered", "name": "Enrich"},
        {"type": "EvaluationFailed", "error": "States.QueryEvaluationError", "cause": cause, "location": "Output/length", "state": "Enrich"},
        {"type": "ExecutionFailed", "error": "States.QueryEvaluationError", "cause": cause},
    ]);
    let with_event = view(&shipped("express-enrich"), &events(list.clone()), false);
    let mut without = list;
    without.as_array_mut().unwrap().remove(1);
    let without_event = view(&shipped("express-enrich"), &events(without), false);
    for view in [with_event, without_event] {
        let visit = failing(&view);
        assert_eq!(visit.name, "Enrich");
        assert_eq!(visit.field.as_deref(), Some("Output/length"));
        assert_eq!(visit.expression.as_deref(), Some("$x.y"));
        assert_eq!(visit.error.as_deref(), Some("States.QueryEvaluationError"));
    }
}

#[test]
fn a_missing_path_names_its_field() {
    let cause = "An error occurred while executing the state 'Asks' (entered at the event id #1). The JSONPath '$.it's.no' specified for the field 'Text.$' could not be found in the input '{}'";
    let events = events(json!([
        {"type": "TaskStateEntered", "name": "Asks"},
        {"type": "ExecutionFailed", "error": "States.Runtime", "cause": cause},
    ]));
    let view = view(&json!({}), &events, false);
    assert!(view.machine.as_ref().unwrap_err().contains("`States`"));
    assert_eq!(failing(&view).field.as_deref(), Some("Text.$"));
    assert_eq!(failing(&view).expression.as_deref(), Some("$.it's.no"));
}

#[test]
fn a_waiting_task_has_its_token() {
    let events = events(json!([
        {"type": "TaskStateEntered", "name": "Ask"},
        {"type": "TaskScheduled", "resource": "putEvents.waitForTaskToken", "parameters": json!({"Entries": [{"Detail": {"messages": [
            {"value": {"step": "asked"}},
            {"value": {"token": "AQCEAAAA"}},
        ]}}]}).to_string()},
        {"type": "TaskStarted"},
        {"type": "TaskSubmitted", "output": "{}"},
    ]));
    let view = view(&shipped("approve"), &events, false);
    assert_eq!(view.visits[0].status, Waiting);
    assert_eq!(view.visits[0].token.as_deref(), Some("AQCEAAAA"));
    assert_eq!(view.states["Ask"].words, "waiting");
}

#[test]
fn a_timer_waits_and_a_task_runs() {
    let events = events(json!([
        {"type": "TaskStateEntered", "name": "Count"},
        {"type": "TaskScheduled", "resource": "transactWriteItems"},
        {"type": "TaskFailed", "error": "DynamoDb.TransactionCanceledException"},
        {"type": "TaskStateExited", "name": "Count"},
        {"type": "WaitStateEntered", "name": "Again"},
    ]));
    let first = view(&shipped("count"), &events[..2], true);
    assert_eq!((first.visits[0].status, first.more), (Running, true));
    let second = view(&shipped("count"), &events, false);
    assert_eq!(seen(&second), [("Count", Caught, 0), ("Again", Waiting, 0)]);
}

#[test]
fn iterations_of_a_map_are_counted_and_kept_apart() {
    let events = events(json!([
        {"type": "MapStateEntered", "name": "EachLanguage"},
        {"type": "MapStateStarted", "length": 3},
        {"type": "MapIterationStarted", "name": "EachLanguage", "index": 0},
        {"type": "MapIterationStarted", "name": "EachLanguage", "index": 1, "previous": 2},
        {"type": "MapIterationStarted", "name": "EachLanguage", "index": 2, "previous": 2},
        {"type": "TaskStateEntered", "name": "Translate", "previous": 3},
        {"type": "TaskStateEntered", "name": "Translate", "previous": 4},
        {"type": "TaskScheduled", "previous": 6},
        {"type": "TaskScheduled", "previous": 7},
        {"type": "TaskFailed", "error": "Translate.Broken", "previous": 9},
        {"type": "TaskScheduled", "previous": 10},
        {"type": "TaskSucceeded", "previous": 8},
        {"type": "TaskStateExited", "name": "Translate"},
        {"type": "MapIterationSucceeded", "name": "EachLanguage", "index": 0},
        {"type": "TaskStateEntered", "name": "Translate", "previous": 5},
        {"type": "TaskScheduled"},
        {"type": "TaskFailed", "error": "Translate.Broken", "cause": "third"},
        {"type": "MapIterationFailed", "name": "EachLanguage", "index": 2},
        {"type": "MapIterationAborted", "name": "EachLanguage", "index": 1, "previous": 11},
        {"type": "MapStateFailed", "previous": 18},
        {"type": "ExecutionFailed", "error": "Translate.Broken", "cause": "third"},
    ]));
    let view = view(&shipped("translate-chat"), &events, false);
    assert_eq!(
        seen(&view),
        [
            ("EachLanguage", Failed, 0),
            ("Translate", Succeeded, 0),
            ("Translate", Aborted, 1),
            ("Translate", Failed, 0),
        ]
    );
    assert_eq!(path(&view.visits[3]), [("EachLanguage", 2)]);
    assert_eq!(view.failing, Some(3));
    let items = view.visits[0].items.unwrap();
    assert_eq!(
        (items.total, items.succeeded, items.failed, items.aborted),
        (3, 1, 1, 1)
    );
    assert_eq!(
        view.states["Translate"].words,
        "1 of 3 succeeded, 1 aborted, 1 failed"
    );
    assert_eq!(view.states["Translate"].short, "1 of 3 failed");
    assert_eq!(view.states["Translate"].retries, 1);
    let rows = rows(&view, &events);
    assert_eq!(
        (rows[13].state.as_deref(), rows[13].summary.as_str()),
        (Some("EachLanguage"), "iteration 0")
    );
    assert_eq!(
        (rows[16].visit, rows[16].summary.as_str()),
        (Some(15), "Translate.Broken: third")
    );
}

#[test]
fn the_first_branch_to_fail_aborts_the_others() {
    let events = events(json!([
        {"type": "ParallelStateEntered", "name": "Both"},
        {"type": "ParallelStateStarted"},
        {"type": "WaitStateEntered", "name": "Right"},
        {"type": "TaskStateEntered", "name": "Left", "previous": 2},
        {"type": "TaskScheduled"},
        {"type": "TaskFailed", "error": "SQS.Gone", "cause": "no queue"},
        {"type": "WaitStateAborted", "previous": 3},
        {"type": "ParallelStateFailed", "previous": 6},
        {"type": "ExecutionFailed", "error": "SQS.Gone", "cause": "no queue"},
    ]));
    let view = view(&parallel(), &events, false);
    assert_eq!(
        seen(&view),
        [
            ("Both", Failed, 0),
            ("Right", Aborted, 0),
            ("Left", Failed, 0)
        ]
    );
    assert_eq!(path(&view.visits[1]), [("Both", 1)]);
    assert_eq!(path(&view.visits[2]), [("Both", 0)]);
    assert_eq!(failing(&view).name, "Left");
    assert_eq!(view.visits[0].error.as_deref(), Some("SQS.Gone"));
}

#[test]
fn branches_that_end_leave_their_parallel() {
    let events = events(json!([
        {"type": "ParallelStateEntered", "name": "Both"},
        {"type": "ParallelStateStarted"},
        {"type": "TaskStateEntered", "name": "Left"},
        {"type": "WaitStateEntered", "name": "Right", "previous": 2},
        {"type": "WaitStateExited", "name": "Right", "previous": 4},
        {"type": "TaskScheduled", "previous": 3},
        {"type": "TaskSucceeded"},
        {"type": "TaskStateExited", "name": "Left"},
        {"type": "ParallelStateSucceeded"},
        {"type": "ParallelStateExited", "name": "Both", "output": "[1,2]"},
        {"type": "SucceedStateEntered", "name": "Done"},
        {"type": "SucceedStateExited", "name": "Done"},
        {"type": "ExecutionSucceeded"},
    ]));
    let view = view(&parallel(), &events, false);
    assert!(view.visits.iter().all(|visit| visit.status == Succeeded));
    assert_eq!(view.visits[0].output.as_deref(), Some("[1,2]"));
    assert!(path(&view.visits[3]).is_empty());
}

#[test]
fn a_redriven_execution_goes_on_from_the_state_that_failed() {
    let list = json!([
        {"type": "TaskStateEntered", "name": "Send"},
        {"type": "TaskScheduled"},
        {"type": "TaskFailed", "error": "SQS.Gone"},
        {"type": "ExecutionFailed", "error": "SQS.Gone"},
        {"type": "ExecutionRedriven", "redriveCount": 1},
        {"type": "TaskScheduled"},
        {"type": "TaskSucceeded"},
        {"type": "TaskStateExited", "name": "Send"},
        {"type": "ExecutionSucceeded"},
    ]);
    let events = events(list);
    let failed = view(&shipped("enqueue"), &events[..4], false);
    assert_eq!(seen(&failed)[0], ("Send", Failed, 0));
    let again = view(&shipped("enqueue"), &events[..6], false);
    assert_eq!(seen(&again)[0], ("Send", Running, 1));
    assert_eq!((again.status, &again.error), (Ending::Running, &None));
    let done = view(&shipped("enqueue"), &events, false);
    assert_eq!(
        (seen(&done)[0], done.failing),
        (("Send", Succeeded, 1), None)
    );
}

#[test]
fn a_stopped_execution_aborts_and_a_late_one_fails() {
    let end = |kind: &str| {
        let list = json!([{"type": "TaskStateEntered", "name": "Send"}, {"type": "TaskScheduled"}, {"type": kind}]);
        view(&shipped("enqueue"), &events(list), false)
    };
    let stopped = end("ExecutionAborted");
    assert_eq!((stopped.visits[0].status, stopped.failing), (Aborted, None));
    let late = end("ExecutionTimedOut");
    assert_eq!((late.visits[0].status, late.failing), (Failed, Some(0)));
    assert_eq!(late.visits[0].error.as_deref(), Some("States.Timeout"));
}

#[test]
fn the_end_of_a_history_alone_has_its_states_too() {
    let all = events(json!([
        {"type": "PassStateEntered", "name": "Echo", "previous": 0},
        {"type": "PassStateExited", "name": "Echo"},
        {"type": "ExecutionSucceeded"},
    ]));
    let view = view(&shipped("canary"), &all[1..], true);
    assert_eq!(seen(&view), [("Echo", Succeeded, 0)]);
    assert_eq!(
        (view.visits[0].kind.as_str(), view.visits[0].id),
        ("Pass", 2)
    );
}

#[test]
fn a_function_fails_like_a_task() {
    let events = events(json!([
        {"type": "TaskStateEntered", "name": "Calls"},
        {"type": "LambdaFunctionScheduled", "resource": "arn:aws:lambda:f", "input": "{\"n\":1}"},
        {"type": "LambdaFunctionStarted"},
        {"type": "LambdaFunctionTimedOut", "error": "States.Timeout"},
        {"type": "ExecutionFailed", "error": "States.Timeout"},
    ]));
    let view = view(&json!({}), &events, false);
    assert_eq!(failing(&view).arguments.as_deref(), Some("{\"n\":1}"));
    assert_eq!(failing(&view).resource.as_deref(), Some("arn:aws:lambda:f"));
    assert_eq!(
        failing(&view).attempts[0].error.as_deref(),
        Some("States.Timeout")
    );
}

proptest::proptest! {
    #[test]
    fn no_history_makes_it_panic(list in proptest::collection::vec((0..ALL.len(), 0_i64..30, 0..3_usize, -1_i64..4), 0..40)) {
        let list: Vec<_> = list.into_iter().map(|(kind, previous, name, index)| {
            let name = ["EachLanguage", "Translate", "Other"][name];
            json!({"type": ALL[kind], "previous": previous, "name": name, "state": name, "index": index, "resource": "r", "error": "E"})
        }).collect();
        let events = events(json!(list));
        let view = view(&shipped("translate-chat"), &events, false);
        proptest::prop_assert!(view.failing.is_none_or(|index| view.visits[index].status == Failed));
        proptest::prop_assert_eq!(rows(&view, &events).len(), events.len());
        proptest::prop_assert!(graph::svg(&view).is_some());
    }
}

const ALL: [&str; 27] = [
    "MapStateEntered",
    "MapStateStarted",
    "MapIterationStarted",
    "MapIterationSucceeded",
    "MapIterationFailed",
    "MapIterationAborted",
    "MapStateFailed",
    "MapStateAborted",
    "MapStateExited",
    "MapRunStarted",
    "ParallelStateEntered",
    "ParallelStateStarted",
    "ParallelStateFailed",
    "ParallelStateExited",
    "TaskStateEntered",
    "TaskScheduled",
    "TaskFailed",
    "TaskSucceeded",
    "TaskStateExited",
    "TaskStateAborted",
    "FailStateEntered",
    "EvaluationFailed",
    "ExecutionFailed",
    "ExecutionTimedOut",
    "ExecutionAborted",
    "ExecutionRedriven",
    "ExecutionSucceeded",
];
