//! Where an execution failed.

use super::model::{Failure, State, StateEnd};

impl Failure {
    /// The place of the failure of an execution with this status, by its states and by the sentence at the beginning of a cause:
    /// `An error occurred while executing the state 'S' (entered at the event id #2). The JSONata expression 'E' specified for
    /// the field 'F' …`. None for an execution that did not fail, or a failure outside of every state.
    pub fn of(status: &str, states: &[State], cause: Option<&str>) -> Option<Self> {
        if matches!(status, "SUCCEEDED" | "RUNNING" | "EXPRESS" | "ABORTED") {
            return None;
        }
        let cause = cause.unwrap_or_default();
        let named = between(cause, "while executing the state '", "' (entered at");
        let failed = || states.iter().rfind(|state| state.end == StateEnd::Failed);
        let with_error = states
            .iter()
            .rfind(|state| state.end == StateEnd::Failed && state.error.is_some());
        let state = named.map(str::to_owned);
        let state = state.or_else(|| Some(with_error.or_else(failed)?.name.clone()));
        let (before, after) = cause
            .split_once("specified for the field '")
            .unwrap_or((cause, ""));
        let expression = before
            .split_once(" expression '")
            .or_else(|| before.split_once(" JSONPath '"));
        let expression = expression.and_then(|(_, rest)| rest.trim_end().strip_suffix('\''));
        let field = after.split_once('\'').map(|(field, _)| field);
        let failure = Self {
            state,
            field: field.map(str::to_owned),
            expression: expression.map(str::to_owned),
        };
        (failure != Self::default()).then_some(failure)
    }

    /// `in Uppercase, field Output: $uppercase(1)`
    pub fn words(&self) -> String {
        let mut words = self
            .state
            .as_ref()
            .map_or(String::new(), |state| format!("in {state}"));
        if let Some(field) = &self.field {
            if !words.is_empty() {
                words.push_str(", ");
            }
            words.push_str(&format!("field {field}"));
        }
        if let Some(expression) = &self.expression {
            words.push_str(&format!(": {expression}"));
        }
        words
    }
}

fn between<'a>(text: &'a str, before: &str, after: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(before)?;
    Some(rest.split_once(after)?.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(name: &str, end: StateEnd, error: Option<&str>) -> State {
        State {
            name: name.to_owned(),
            end,
            error: error.map(str::to_owned),
            ..State::default()
        }
    }

    #[test]
    fn a_cause_names_state_field_and_expression() {
        let cause = "An error occurred while executing the state 'It's on' (entered at the event id #2). The JSONata expression '$a & 'b'' specified for the field 'Output/c' threw an error during evaluation. T2001: no";
        let failure = Failure::of("FAILED", &[], Some(cause)).unwrap();
        assert_eq!(failure.words(), "in It's on, field Output/c: $a & 'b'");
        let cause = "An error occurred while executing the state 'S' (entered at the event id #2). The JSONPath '$.a' specified for the field 'Variable' could not be found in the input '{}'";
        let failure = Failure::of("FAILED", &[], Some(cause)).unwrap();
        assert_eq!(failure.words(), "in S, field Variable: $.a");
        let cause = "The JSONata expression specified for the field 'Seconds' returned an unexpected result type.";
        let failure = Failure::of("FAILED", &[state("W", StateEnd::Failed, None)], Some(cause));
        assert_eq!(failure.unwrap().words(), "in W, field Seconds");
    }

    #[test]
    fn the_state_with_the_error_failed() {
        let states = [
            state("Asks", StateEnd::Left, Some("Busy")),
            state("Both", StateEnd::Failed, None),
            state("One", StateEnd::Failed, Some("Broken")),
            state("Two", StateEnd::Failed, None),
        ];
        let words = |states| Failure::of("FAILED", states, Some("why")).map(|one| one.words());
        assert_eq!(words(&states).as_deref(), Some("in One"));
        assert_eq!(words(&states[..2]).as_deref(), Some("in Both"));
        assert_eq!(words(&states[..1]), None);
        assert_eq!(Failure::of("SUCCEEDED", &states, None), None);
        assert_eq!(Failure::of("ABORTED", &states, None), None);
    }
}
