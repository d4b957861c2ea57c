//! The state of each route, by its last event.

use super::assemble::Known;
use super::context::Context;
use super::model::{Event, Head, RouteState, Run, Verdict, What};
use super::words::sentence;
use crate::config::RepeatSettings;

/// One verdict for each route of the message, or one without a route.
pub fn verdicts(
    head: &Head,
    events: &[Event],
    known: &Known,
    context: &Context<'_>,
) -> Vec<Verdict> {
    let mut states: Vec<(Option<String>, RouteState)> = Vec::new();
    for event in events {
        apply(&mut states, event, context);
    }
    for (route, state) in &mut states {
        finish(route.as_deref(), state, known, context);
    }
    // An outcome without a route counts only while no route has one.
    if states.iter().any(|(route, _)| route.is_some()) {
        states.retain(|(route, state)| {
            route.is_some() || !matches!(state, RouteState::Dead { .. } | RouteState::Other { .. })
        });
    }
    states
        .into_iter()
        .map(|(route, state)| Verdict {
            sentence: sentence(&state, head, route.as_deref(), context),
            route,
            state,
        })
        .collect()
}

fn apply(states: &mut Vec<(Option<String>, RouteState)>, event: &Event, context: &Context<'_>) {
    let at = event.at;
    let of = |states: &mut Vec<(Option<String>, RouteState)>, route: Option<&str>| {
        states.iter().position(|(name, _)| name.as_deref() == route)
    };
    let mut set = |route: Option<&str>, state: RouteState| match of(states, route) {
        Some(index) => states[index].1 = state,
        None => states.push((route.map(ToOwned::to_owned), state)),
    };
    match &event.what {
        What::Answered {
            code,
            targets,
            error,
            ..
        } if targets.is_empty() => {
            let state = match code.as_str() {
                "unrouted" => RouteState::Dead {
                    reason: code.clone(),
                    since: at,
                    error: None,
                    gone: false,
                },
                "not_stored" => RouteState::NotStored { at },
                _ => RouteState::Refused {
                    at,
                    code: error
                        .clone()
                        .map_or_else(|| code.clone(), |e| format!("{code}: {e}")),
                },
            };
            set(None, state);
        }
        What::Answered { targets, .. } => {
            for target in targets {
                took(states, &target.route, &target.outcome, at);
            }
        }
        What::Redriven { outcome } => match event.route.as_deref() {
            Some(route) => took(states, route, outcome, at),
            None => set(
                None,
                RouteState::Other {
                    at,
                    outcome: outcome.clone(),
                },
            ),
        },
        What::Waits { error } => {
            let (since, tries) =
                match of(states, event.route.as_deref()).map(|index| &states[index].1) {
                    Some(RouteState::Waits { since, tries, .. }) => (*since, *tries),
                    _ => (at, 0),
                };
            let next_by = at + wait_ms(tries);
            let state = RouteState::Waits {
                since,
                tries: tries + 1,
                next_by,
                error: error.clone(),
            };
            let mut set = |state| match of(states, event.route.as_deref()) {
                Some(index) => states[index].1 = state,
                None => states.push((event.route.clone(), state)),
            };
            set(state);
        }
        What::DeadLettered { reason, error, .. } => {
            let state = if event.part.is_of_results() {
                RouteState::ResultDead {
                    reason: reason.clone(),
                    since: at,
                    error: error.clone(),
                }
            } else {
                RouteState::Dead {
                    reason: reason.clone(),
                    since: at,
                    error: error.clone(),
                    gone: false,
                }
            };
            set(event.route.as_deref(), state);
        }
        What::Ran(run) => {
            let route = event.route.as_deref();
            set(route, ran(run, at, route, context));
        }
        What::Ended {
            status,
            published,
            claims,
            outcome,
        } => {
            let route = event.route.as_deref();
            let done = !published.is_empty() || outcome == "published";
            let state = if done {
                RouteState::Published {
                    status: Some(status.clone()),
                    at: Some(at),
                    to: published.clone(),
                    claims: claims.unwrap_or(0),
                }
            } else {
                RouteState::Silent {
                    status: status.clone(),
                    ended_at: at,
                }
            };
            set(route, state);
        }
        // A workflow's `Topic Publish` event is not its end.
        What::Published { .. } | What::Found { .. } | What::Replayed | What::Noted { .. } => {}
    }
}

/// Applies the outcome of a target.
fn took(states: &mut Vec<(Option<String>, RouteState)>, route: &str, outcome: &str, at: i64) {
    let state = match outcome {
        "started" | "duplicate" => RouteState::Started { at },
        "event_put" => RouteState::OnTheBus { at },
        "resumed" => RouteState::Resumed { at },
        "closed" => RouteState::Closed { at },
        "parked" => RouteState::Waits {
            since: at,
            tries: 0,
            next_by: at,
            error: None,
        },
        "dead_lettered" => RouteState::Dead {
            reason: "refused".to_owned(),
            since: at,
            error: None,
            gone: false,
        },
        "not_stored" => RouteState::NotStored { at },
        _ => RouteState::Other {
            at,
            outcome: outcome.to_owned(),
        },
    };
    match states
        .iter_mut()
        .find(|(name, _)| name.as_deref() == Some(route))
    {
        // A duplicate changes nothing where the message was taken before.
        Some((
            _,
            RouteState::Published { .. }
            | RouteState::Silent { .. }
            | RouteState::Running { .. }
            | RouteState::Unpublished { .. },
        )) if matches!(outcome, "started" | "duplicate") => {}
        Some((_, old)) => *old = state,
        None => states.push((Some(route.to_owned()), state)),
    }
}

fn ran(run: &Run, at: i64, route: Option<&str>, context: &Context<'_>) -> RouteState {
    let Some(ended_at) = run.stopped_at.filter(|_| run.status != "RUNNING") else {
        return if run.status == "EXPRESS" {
            RouteState::Express { at }
        } else {
            RouteState::Running { since: at }
        };
    };
    let status = run.status.clone();
    if answers(route, context) == Some(false) {
        return RouteState::Silent { status, ended_at };
    }
    if run
        .ledger
        .as_ref()
        .is_some_and(|entry| entry.state == "done")
    {
        return RouteState::Published {
            status: Some(status),
            at: None,
            to: Vec::new(),
            claims: 0,
        };
    }
    let ledger = run.ledger.as_ref().map(|entry| entry.state.clone());
    RouteState::Unpublished {
        status,
        ended_at,
        ledger,
    }
}

/// Whether a route has a reply; none where the routes are not known.
fn answers(route: Option<&str>, context: &Context<'_>) -> Option<bool> {
    let mut routes = context.routes?.iter();
    Some(
        routes
            .find(|one| Some(one.name.as_str()) == route)?
            .reply
            .is_some(),
    )
}

/// Compares a state with the dead-letter queue now.
fn finish(route: Option<&str>, state: &mut RouteState, known: &Known, context: &Context<'_>) {
    let there = known.letters.iter().any(|letter| {
        // A message that SQS moved names no route.
        letter.execution.is_none() && (letter.route.as_deref() == route || letter.reason.is_none())
    });
    if let RouteState::Dead { gone, .. } = state {
        *gone = !there && context.letters_seen;
    }
}

/// The longest wait for the next try, in ms.
fn wait_ms(tries: u32) -> i64 {
    let RepeatSettings { first, longest, .. } = RepeatSettings::PARKED;
    let wait = first
        .saturating_mul(2_u32.saturating_pow(tries))
        .min(longest);
    wait.as_millis().try_into().unwrap_or(i64::MAX)
}

/// The routes whose target took the message in this event.
pub fn taken_by(event: &Event) -> Vec<&str> {
    let taken = |outcome: &str| matches!(outcome, "started" | "duplicate");
    match &event.what {
        What::Answered { targets, .. } => {
            let taken = targets.iter().filter(|target| taken(&target.outcome));
            taken.map(|target| target.route.as_str()).collect()
        }
        What::Redriven { outcome } if taken(outcome) => {
            event.route.as_deref().into_iter().collect()
        }
        _ => Vec::new(),
    }
}

/// The dead-letter queues that may have a letter of a message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Open {
    pub message: bool,
    pub result: bool,
}

/// Neither, where every route is known to have succeeded.
pub fn open(events: &[Event], context: &Context<'_>) -> Open {
    let mut states = Vec::new();
    for event in events {
        apply(&mut states, event, context);
    }
    let any = |kinds: fn(&RouteState) -> bool| states.iter().any(|(_, state)| kinds(state));
    // Without the arrival, some route may be unknown.
    let arrived = events
        .iter()
        .any(|event| matches!(event.what, What::Answered { .. }));
    Open {
        message: !arrived
            || any(|state| {
                matches!(
                    state,
                    RouteState::Dead { .. } | RouteState::Waits { .. } | RouteState::Other { .. }
                )
            }),
        result: any(|state| {
            matches!(
                state,
                RouteState::Unpublished { .. }
                    | RouteState::ResultDead { .. }
                    | RouteState::Started { .. }
            )
        }),
    }
}
