//! Where an execution failed.

use serde::Serialize;

use super::event::Event;
use super::model::Visit;
use super::outline::Outline;
use super::visits::visits;

/// The place of a failure in a definition. It has no payload.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Failure {
    pub state: Option<String>,
    /// The state's field with the expression, such as `Arguments/Detail`.
    pub field: Option<String>,
    /// The JSONata expression or the JSONPath that failed.
    pub expression: Option<String>,
}

/// The visits of states in the order of their entries, across parallel branches, and where the execution failed.
pub fn visited(events: &[Event]) -> (Vec<Visit>, Option<Failure>) {
    let found = visits(events, &Outline::default());
    let failing = found.failing.and_then(|index| found.visits.get(index));
    let failure = failing.map(Failure::of);
    (found.visits, failure)
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

    fn failure(list: Value) -> Option<String> {
        let (_, failure) = visited(&events(list));
        failure.map(|failure| failure.words())
    }

    #[test]
    fn a_cause_names_the_place_with_and_without_a_history() {
        for (name, cause, with, without) in [
            (
                "It's on",
                "An error occurred while executing the state 'It's on' (entered at the event id #1). The JSONata expression '$a & 'b'' specified for the field 'Output/c' threw an error during evaluation. T2001: no",
                "in It's on, field Output/c: $a & 'b'",
                Some("in It's on, field Output/c: $a & 'b'"),
            ),
            (
                "S",
                "An error occurred while executing the state 'S' (entered at the event id #1). The JSONPath '$.a' specified for the field 'Variable' could not be found in the input '{}'",
                "in S, field Variable: $.a",
                Some("in S, field Variable: $.a"),
            ),
            (
                "W",
                "The JSONata expression specified for the field 'Seconds' returned an unexpected result type.",
                "in W, field Seconds",
                Some("field Seconds"),
            ),
            ("W", "why", "in W", None),
        ] {
            let found = failure(json!([
                {"type": "PassStateEntered", "name": name},
                {"type": "ExecutionFailed", "error": "States.Runtime", "cause": cause},
            ]));
            assert_eq!(found.as_deref(), Some(with), "{cause}");
            let found = Failure::of_cause(cause).map(|failure| failure.words());
            assert_eq!(found.as_deref(), without, "{cause}");
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
