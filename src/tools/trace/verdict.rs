//! The state of each route, by its last event.

use super::assemble::Known;
use super::context::Context;
use super::model::{Event, Head, RouteState, Run, Verdict, What};
use super::words::sentence;
use crate::config::RepeatSettings;
use crate::domain::inbound::routes::Routes;

/// One verdict for each route of the message, or one without a route.
pub fn verdicts(
    head: &Head,
    events: &[Event],
    known: &Known,
    context: &Context<'_>,
) -> Vec<Verdict> {
    let mut states = States::of(events, context).0;
    for (route, state) in &mut states {
        finish(route.as_deref(), state, known, context);
    }
    // An outcome without a route counts only while no route has one.
    if states.iter().any(|(route, _)| route.is_some()) {
        states.retain(|(route, state)| {
            route.is_some() || !matches!(state, RouteState::Dead { .. } | RouteState::Other { .. })
        });
    }
    let verdict = |(route, state): (Option<String>, RouteState)| Verdict {
        sentence: sentence(&state, head, route.as_deref(), context),
        route,
        state,
    };
    states.into_iter().map(verdict).collect()
}

/// The state of each route, in the order of their first events.
#[derive(Default)]
struct States(Vec<(Option<String>, RouteState)>);

impl States {
    /// The states after these events.
    fn of(events: &[Event], context: &Context<'_>) -> Self {
        let mut states = Self::default();
        for event in events {
            states.apply(event, context);
        }
        states
    }

    fn get(&mut self, route: Option<&str>) -> Option<&mut RouteState> {
        let mut states = self.0.iter_mut();
        let found = states.find(|(name, _)| name.as_deref() == route);
        found.map(|(_, state)| state)
    }

    fn set(&mut self, route: Option<&str>, state: RouteState) {
        match self.get(route) {
            Some(old) => *old = state,
            None => self.0.push((route.map(ToOwned::to_owned), state)),
        }
    }

    fn apply(&mut self, event: &Event, context: &Context<'_>) {
        let (at, route) = (event.at, event.route.as_deref());
        let state = match &event.what {
            What::Answered {
                code,
                targets,
                error,
                ..
            } if targets.is_empty() => {
                let state = match code.as_str() {
                    "unrouted" => dead(code, at, None),
                    "not_stored" => RouteState::NotStored { at },
                    _ => RouteState::Refused {
                        at,
                        code: match error {
                            Some(error) => format!("{code}: {error}"),
                            None => code.clone(),
                        },
                    },
                };
                return self.set(None, state);
            }
            What::Answered { targets, .. } => {
                for target in targets {
                    self.take(&target.route, &target.outcome, at);
                }
                return;
            }
            What::Redriven { outcome } => match route {
                Some(route) => return self.take(route, outcome, at),
                None => other(outcome, at),
            },
            What::Waits { error } => {
                let (since, tries) = match self.get(route) {
                    Some(RouteState::Waits { since, tries, .. }) => (*since, *tries),
                    _ => (at, 0),
                };
                RouteState::Waits {
                    since,
                    tries: tries + 1,
                    next_by: at + wait_ms(tries),
                    error: error.clone(),
                }
            }
            What::DeadLettered { reason, error, .. } if event.part.is_of_results() => {
                RouteState::ResultDead {
                    reason: reason.clone(),
                    since: at,
                    error: error.clone(),
                }
            }
            What::DeadLettered { reason, error, .. } => dead(reason, at, error.clone()),
            What::Ran(run) => ran(run, at, route, context),
            What::Ended {
                status,
                published,
                claims,
                outcome,
            } if !published.is_empty() || outcome == "published" => RouteState::Published {
                status: Some(status.clone()),
                at: Some(at),
                to: published.clone(),
                claims: claims.unwrap_or(0),
            },
            What::Ended { status, .. } => RouteState::Silent {
                status: status.clone(),
                ended_at: at,
            },
            // A workflow's `Topic Publish` event is not its end.
            What::Published { .. } | What::Found { .. } | What::Replayed | What::Noted { .. } => {
                return;
            }
        };
        self.set(route, state);
    }

    /// Applies the outcome of a target.
    fn take(&mut self, route: &str, outcome: &str, at: i64) {
        use RouteState as S;
        let state = match outcome {
            "started" | "duplicate" => match self.get(Some(route)) {
                // A duplicate changes nothing where the message was taken before.
                Some(
                    S::Published { .. }
                    | S::Silent { .. }
                    | S::Running { .. }
                    | S::Unpublished { .. },
                ) => return,
                _ => S::Started { at },
            },
            "event_put" => S::OnTheBus { at },
            "resumed" => S::Resumed { at },
            "closed" => S::Closed { at },
            "parked" => S::Waits {
                since: at,
                tries: 0,
                next_by: at,
                error: None,
            },
            "dead_lettered" => dead("refused", at, None),
            "not_stored" => S::NotStored { at },
            _ => other(outcome, at),
        };
        self.set(Some(route), state);
    }
}

fn dead(reason: &str, since: i64, error: Option<String>) -> RouteState {
    RouteState::Dead {
        reason: reason.to_owned(),
        since,
        error,
        gone: false,
    }
}

fn other(outcome: &str, at: i64) -> RouteState {
    let outcome = outcome.to_owned();
    RouteState::Other { at, outcome }
}

fn ran(run: &Run, at: i64, route: Option<&str>, context: &Context<'_>) -> RouteState {
    let ended_at = match (run.status.as_str(), run.stopped_at) {
        ("EXPRESS", _) => return RouteState::Express { at },
        ("RUNNING", _) | (_, None) => return RouteState::Running { since: at },
        (_, Some(ended_at)) => ended_at,
    };
    let status = run.status.clone();
    let mut routes = context.routes.into_iter().flat_map(Routes::iter);
    let of = routes.find(|one| Some(one.name.as_str()) == route);
    let ledger = run.ledger.as_ref().map(|entry| entry.state.clone());
    if of.is_some_and(|route| route.reply.is_none()) {
        RouteState::Silent { status, ended_at }
    } else if ledger.as_deref() == Some("done") {
        RouteState::Published {
            status: Some(status),
            at: None,
            to: Vec::new(),
            claims: 0,
        }
    } else {
        RouteState::Unpublished {
            status,
            ended_at,
            ledger,
        }
    }
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
    use RouteState as S;
    let states = States::of(events, context).0;
    let any = |kinds: fn(&S) -> bool| states.iter().any(|(_, state)| kinds(state));
    let mut events = events.iter();
    // Without the arrival, some route may be unknown.
    let arrived = events.any(|event| matches!(event.what, What::Answered { .. }));
    let message = |state: &S| matches!(state, S::Dead { .. } | S::Waits { .. } | S::Other { .. });
    Open {
        message: !arrived || any(message),
        result: any(|state| {
            matches!(
                state,
                S::Unpublished { .. } | S::ResultDead { .. } | S::Started { .. }
            )
        }),
    }
}
