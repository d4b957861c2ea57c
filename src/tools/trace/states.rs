//! An execution's history as the states that it entered, and the place of its failure.

use super::model::{Failure, State, StateEnd};
use crate::tools::execution::outline::Outline;
use crate::tools::execution::visits::visits;
use crate::tools::execution::{Event, Status, Visit};

/// The states in the order in which they were entered, across parallel branches, and where the execution failed.
pub fn states(events: &[Event], payloads: bool) -> (Vec<State>, Option<Failure>) {
    let found = visits(events, &Outline::default());
    let failing = found.failing.and_then(|index| found.visits.get(index));
    let failure = failing.map(Failure::of);
    let state = |visit| state(visit, payloads);
    (found.visits.into_iter().map(state).collect(), failure)
}

fn state(visit: Visit, payloads: bool) -> State {
    let end = match visit.status {
        Status::Running | Status::Waiting => StateEnd::Open,
        Status::Succeeded => StateEnd::Left,
        Status::Caught => StateEnd::Caught,
        Status::Failed | Status::Aborted => StateEnd::Failed,
    };
    State {
        name: visit.name,
        entered_at: visit.entered_at,
        left_at: visit.left_at,
        end,
        retries: visit.retries,
        error: visit.error,
        input: visit.input.filter(|_| payloads),
        output: visit.output.filter(|_| payloads),
    }
}

impl Failure {
    fn of(visit: &Visit) -> Self {
        Self {
            state: Some(visit.name.clone()).filter(|name| !name.is_empty()),
            field: visit.field.clone(),
            expression: visit.expression.clone(),
        }
    }

    /// The place in the cause of an execution whose history cannot be read; `None` where the cause names none.
    pub fn of_cause(cause: &str) -> Option<Self> {
        let failure = Self::of(&Visit::of_cause(cause));
        (failure != Self::default()).then_some(failure)
    }

    /// `in Uppercase, field Output: $uppercase(1)`
    pub fn words(&self) -> String {
        let state = self.state.as_ref().map(|state| format!("in {state}"));
        let field = self.field.as_ref().map(|field| format!("field {field}"));
        let place: Vec<_> = state.into_iter().chain(field).collect();
        let expression = self.expression.as_ref();
        let expression = expression.map_or(String::new(), |text| format!(": {text}"));
        place.join(", ") + &expression
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tools::execution::tests::events;
    use serde_json::{Value, json};

    #[test]
    fn each_end_has_its_word() {
        let events = events(json!([
            {"type": "TaskStateEntered", "name": "Asks", "input": "1"},
            {"type": "TaskScheduled"},
            {"type": "TaskFailed", "error": "Busy"},
            {"type": "TaskScheduled"},
            {"type": "TaskSucceeded"},
            {"type": "TaskStateExited", "name": "Asks", "output": "2"},
            {"type": "TaskStateEntered", "name": "Tells"},
            {"type": "TaskScheduled"},
            {"type": "TaskFailed", "error": "Broken"},
            {"type": "TaskStateExited", "name": "Tells"},
            {"type": "WaitStateEntered", "name": "Waits"},
        ]));
        let state = |name: &str, end, retries, error: Option<&str>| State {
            name: name.to_owned(),
            end,
            retries,
            error: error.map(str::to_owned),
            ..State::default()
        };
        let asks = State {
            input: Some("1".to_owned()),
            output: Some("2".to_owned()),
            ..state("Asks", StateEnd::Left, 1, Some("Busy"))
        };
        let tells = state("Tells", StateEnd::Caught, 0, Some("Broken"));
        let waits = state("Waits", StateEnd::Open, 0, None);
        let untimed = |state: State| State {
            entered_at: 0,
            left_at: None,
            ..state
        };
        let seen = states(&events, true).0.into_iter().map(untimed);
        assert_eq!(seen.collect::<Vec<_>>(), [asks, tells, waits]);
        let quiet = states(&events, false).0;
        assert!(
            quiet
                .iter()
                .all(|s| s.input.is_none() && s.output.is_none())
        );
    }

    #[test]
    fn a_state_that_the_end_aborted_has_failed() {
        let events = events(json!([
            {"type": "WaitStateEntered", "name": "Waits"},
            {"type": "ExecutionAborted"},
        ]));
        let (states, failure) = states(&events, false);
        assert_eq!((states[0].end, failure), (StateEnd::Failed, None));
    }

    fn failure(list: Value) -> Option<String> {
        let (_, failure) = states(&events(list), false);
        failure.map(|failure| failure.words())
    }

    #[test]
    fn a_cause_names_state_field_and_expression() {
        for (name, cause, words) in [
            (
                "It's on",
                "An error occurred while executing the state 'It's on' (entered at the event id #1). The JSONata expression '$a & 'b'' specified for the field 'Output/c' threw an error during evaluation. T2001: no",
                "in It's on, field Output/c: $a & 'b'",
            ),
            (
                "S",
                "An error occurred while executing the state 'S' (entered at the event id #1). The JSONPath '$.a' specified for the field 'Variable' could not be found in the input '{}'",
                "in S, field Variable: $.a",
            ),
            (
                "W",
                "The JSONata expression specified for the field 'Seconds' returned an unexpected result type.",
                "in W, field Seconds",
            ),
        ] {
            let found = failure(json!([
                {"type": "PassStateEntered", "name": name},
                {"type": "ExecutionFailed", "error": "States.Runtime", "cause": cause},
            ]));
            assert_eq!(found.as_deref(), Some(words), "{cause}");
        }
    }

    #[test]
    fn without_a_history_the_cause_names_the_place() {
        for (cause, words) in [
            (
                "An error occurred while executing the state 'It's on' (entered at the event id #2). The JSONata expression '$a & 'b'' specified for the field 'Output/c' threw an error during evaluation. T2001: no",
                Some("in It's on, field Output/c: $a & 'b'"),
            ),
            (
                "An error occurred while executing the state 'S' (entered at the event id #2). The JSONPath '$.a' specified for the field 'Variable' could not be found in the input '{}'",
                Some("in S, field Variable: $.a"),
            ),
            (
                "The JSONata expression specified for the field 'Seconds' returned an unexpected result type.",
                Some("field Seconds"),
            ),
            ("why", None),
        ] {
            let found = Failure::of_cause(cause).map(|failure| failure.words());
            assert_eq!(found.as_deref(), words, "{cause}");
        }
    }

    #[test]
    fn the_innermost_state_with_the_error_failed() {
        let asks = json!([
            {"type": "TaskStateEntered", "name": "Asks"},
            {"type": "TaskScheduled"},
            {"type": "TaskFailed", "error": "Busy"},
            {"type": "TaskScheduled"},
            {"type": "TaskSucceeded"},
            {"type": "TaskStateExited", "name": "Asks"},
            {"type": "ParallelStateEntered", "name": "Both"},
            {"type": "ParallelStateStarted"},
            {"type": "TaskStateEntered", "name": "One"},
            {"type": "TaskScheduled"},
            {"type": "TaskStateEntered", "name": "Two", "previous": 8},
            {"type": "TaskScheduled"},
            {"type": "TaskFailed", "error": "Broken", "previous": 10},
            {"type": "ParallelStateFailed", "previous": 13},
            {"type": "ExecutionFailed", "error": "Broken", "cause": "why"},
        ]);
        let first = |count: usize| json!(asks.as_array().unwrap()[..count]);
        assert_eq!(failure(asks.clone()).as_deref(), Some("in One"));
        assert_eq!(failure(first(14)), None);
        for (end, words) in [
            ("Succeeded", None),
            ("Aborted", None),
            ("TimedOut", Some("in Both")),
        ] {
            let mut events = first(8);
            let end = json!({"type": format!("Execution{end}")});
            events.as_array_mut().unwrap().push(end);
            assert_eq!(failure(events).as_deref(), words);
        }
    }
}
