//! An execution's history as the states that it entered.

use std::collections::HashMap;

use super::model::{State, StateEnd};

/// The data of a history's event for states.
#[derive(Clone, Debug)]
pub struct Step {
    pub id: i64,
    pub previous: i64,
    pub at_ms: i64,
    pub kind: Kind,
}

#[derive(Clone, Debug)]
pub enum Kind {
    Entered {
        name: String,
        input: Option<String>,
    },
    Exited {
        name: String,
        output: Option<String>,
    },
    /// A task was scheduled, for the first time or again.
    Scheduled,
    /// A task failed or timed out.
    Failed {
        error: Option<String>,
    },
    Succeeded,
    /// The execution ended without success.
    Ended,
    /// The execution was redriven: failed states run again.
    Redriven,
    Other,
}

/// The states in the order in which they were entered, across parallel branches.
pub fn states(steps: &[Step]) -> Vec<State> {
    let mut states: Vec<State> = Vec::new();
    // The state of each event; for each state, how often its task was scheduled, and whether that failed last.
    let mut of_event: HashMap<i64, usize> = HashMap::new();
    let mut tasks: Vec<(u32, bool)> = Vec::new();
    for step in steps {
        let mut current = of_event.get(&step.previous).copied();
        match &step.kind {
            Kind::Entered { name, input } => {
                current = Some(states.len());
                tasks.push((0, false));
                states.push(State {
                    name: name.clone(),
                    entered_at: step.at_ms,
                    input: input.clone(),
                    ..State::default()
                });
            }
            Kind::Ended => {
                for state in states
                    .iter_mut()
                    .filter(|state| state.end == StateEnd::Open)
                {
                    state.end = StateEnd::Failed;
                    state.left_at = Some(step.at_ms);
                }
            }
            Kind::Redriven => {
                for state in states
                    .iter_mut()
                    .filter(|state| state.end == StateEnd::Failed)
                {
                    state.end = StateEnd::Open;
                    state.left_at = None;
                }
            }
            kind => {
                // The local emulator does not set the previous event.
                current = current.or_else(|| last_open(&states, kind));
                let Some(index) = current else { continue };
                let (state, (scheduled, failing)) = (&mut states[index], &mut tasks[index]);
                match kind {
                    Kind::Exited { output, .. } => {
                        state.left_at = Some(step.at_ms);
                        state.output.clone_from(output);
                        state.end = if *failing {
                            StateEnd::Caught
                        } else {
                            StateEnd::Left
                        };
                    }
                    Kind::Scheduled => {
                        *scheduled += 1;
                        state.retries = scheduled.saturating_sub(1);
                        *failing = false;
                    }
                    Kind::Failed { error } => {
                        state.error.clone_from(error);
                        *failing = true;
                    }
                    Kind::Succeeded => *failing = false,
                    _ => {}
                }
            }
        }
        if let Some(index) = current {
            of_event.insert(step.id, index);
        }
    }
    states
}

/// The last open state; for an exit, the last one of its name.
fn last_open(states: &[State], kind: &Kind) -> Option<usize> {
    states.iter().rposition(|state| {
        let named = match kind {
            Kind::Exited { name, .. } => *name == state.name,
            _ => true,
        };
        named && state.end == StateEnd::Open
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn steps(kinds: Vec<(i64, Kind)>) -> Vec<Step> {
        let step = |(index, (previous, kind)): (usize, (i64, Kind))| {
            let id = index as i64 + 1;
            Step {
                id,
                previous,
                at_ms: id * 10,
                kind,
            }
        };
        kinds.into_iter().enumerate().map(step).collect()
    }

    fn entered(name: &str) -> Kind {
        let (name, input) = (name.to_owned(), None);
        Kind::Entered { name, input }
    }

    const EXITED: Kind = Kind::Exited {
        name: String::new(),
        output: None,
    };

    fn failed(error: &str) -> Kind {
        let error = Some(error.to_owned());
        Kind::Failed { error }
    }

    #[test]
    fn repeated_and_caught_tasks_show() {
        let states = states(&steps(vec![
            (0, Kind::Other),
            (0, entered("Asks")),
            (2, Kind::Scheduled),
            (3, Kind::Other),
            (4, failed("Busy")),
            (5, Kind::Scheduled),
            (6, Kind::Succeeded),
            (7, EXITED),
            (8, entered("Tells")),
            (9, Kind::Scheduled),
            (10, failed("Broken")),
            (11, EXITED),
            (12, entered("Waits")),
        ]));
        let seen: Vec<_> = states
            .iter()
            .map(|s| (s.name.as_str(), s.retries, s.end, s.left_at))
            .collect();
        assert_eq!(
            seen,
            [
                ("Asks", 1, StateEnd::Left, Some(80)),
                ("Tells", 0, StateEnd::Caught, Some(120)),
                ("Waits", 0, StateEnd::Open, None),
            ]
        );
        assert_eq!(states[1].error.as_deref(), Some("Broken"));
    }

    #[test]
    fn open_states_fail_with_the_execution() {
        let first = vec![
            (0, entered("Fails")),
            (1, Kind::Scheduled),
            (2, failed("Broken")),
            (3, Kind::Ended),
        ];
        let states_of = |more: Vec<(i64, Kind)>| states(&steps([first.clone(), more].concat()));
        let ended = &states_of(vec![])[0];
        assert_eq!((ended.end, ended.left_at), (StateEnd::Failed, Some(40)));
        let redriven = &states_of(vec![
            (4, Kind::Redriven),
            (1, Kind::Scheduled),
            (6, Kind::Succeeded),
            (7, EXITED),
        ])[0];
        assert_eq!((redriven.end, redriven.retries), (StateEnd::Left, 1));
    }

    #[test]
    fn branches_keep_their_own_events() {
        let states = states(&steps(vec![
            (0, entered("Both")),
            (1, entered("One")),
            (1, entered("Two")),
            (2, Kind::Scheduled),
            (3, Kind::Scheduled),
            (4, failed("Broken")),
            (5, EXITED),
        ]));
        let ends: Vec<_> = states.iter().map(|s| (s.end, s.error.is_some())).collect();
        assert_eq!(
            ends,
            [
                (StateEnd::Open, false),
                (StateEnd::Open, true),
                (StateEnd::Left, false)
            ]
        );
    }

    #[test]
    fn an_event_without_a_previous_one_is_of_the_last_open_state() {
        let exited = |name: &str| {
            let (name, output) = (name.to_owned(), None);
            Kind::Exited { name, output }
        };
        let kinds = [
            entered("Both"),
            entered("One"),
            Kind::Scheduled,
            failed("Broken"),
            Kind::Scheduled,
            Kind::Succeeded,
            exited("One"),
            exited("Both"),
        ];
        let states = states(&steps(kinds.map(|kind| (0, kind)).to_vec()));
        let seen: Vec<_> = states
            .iter()
            .map(|s| (s.name.as_str(), s.retries, s.left_at))
            .collect();
        assert_eq!(seen, [("Both", 0, Some(80)), ("One", 1, Some(70))]);
    }
}
