//! An execution's history as the states that it entered.

use super::model::{State, StateEnd};
use crate::tools::execution::outline::Outline;
use crate::tools::execution::visits::visits;
use crate::tools::execution::{Event, Status, Visit};

/// The states in the order in which they were entered, across parallel branches.
pub fn states(events: &[Event], payloads: bool) -> Vec<State> {
    let found = visits(events, &Outline::default());
    let state = |visit| state(visit, payloads);
    found.visits.into_iter().map(state).collect()
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tools::execution::tests::events;
    use serde_json::json;

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
        let seen: Vec<_> = states(&events, true)
            .into_iter()
            .map(|s| (s.name, s.retries, s.end, s.error, s.input, s.output))
            .collect();
        let text = |text: &str| Some(text.to_owned());
        assert_eq!(
            seen,
            [
                (
                    "Asks".to_owned(),
                    1,
                    StateEnd::Left,
                    text("Busy"),
                    text("1"),
                    text("2")
                ),
                (
                    "Tells".to_owned(),
                    0,
                    StateEnd::Caught,
                    text("Broken"),
                    None,
                    None
                ),
                ("Waits".to_owned(), 0, StateEnd::Open, None, None, None),
            ]
        );
        assert!(
            states(&events, false)
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
        assert_eq!(states(&events, false)[0].end, StateEnd::Failed);
    }
}
