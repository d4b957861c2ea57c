//! The state of each route, by its last event.

use super::assemble::{Known, came_in};
use super::model::{Answer, Event, Head, RouteState, Run, Verdict, What};
use super::subject::Question;
use super::words::sentence;
use crate::config::RepeatSettings;

/// One verdict for each route of the message, or one without a route.
pub fn verdicts(
    head: &Head,
    events: &[Event],
    known: &Known,
    question: &Question<'_>,
) -> Vec<Verdict> {
    let mut states = States::of(events, question).0;
    for (route, state) in &mut states {
        let mut letters = known.letters.iter().filter(|one| one.execution.is_none());
        if let RouteState::Dead { gone, .. } = state {
            // A message that SQS moved names no route.
            let there = letters.any(|one| one.route == *route || one.reason.is_none());
            *gone = !there && known.letters_seen;
        }
    }
    // An outcome without a route counts only while no route has one.
    if states.iter().any(|(route, _)| route.is_some()) {
        states.retain(|(route, state)| {
            route.is_some() || !matches!(state, RouteState::Dead { .. } | RouteState::Other { .. })
        });
    }
    let verdict = |(route, state): (Option<String>, RouteState)| Verdict {
        sentence: sentence(&state, head, route.as_deref(), known.parked, question),
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
    fn of(events: &[Event], question: &Question<'_>) -> Self {
        let mut states = Self::default();
        for event in events {
            states.apply(event, question);
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

    fn apply(&mut self, event: &Event, question: &Question<'_>) {
        let (at, route) = (event.at, event.route.as_deref());
        let state = match &event.what {
            What::Answered(answer) => {
                for target in &answer.targets {
                    self.take(&target.route, &target.outcome, at);
                }
                if answer.targets.is_empty() {
                    self.set(None, untargeted(answer, at));
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
            What::DeadLettered { reason, error, .. } => {
                let (reason, error) = (reason.clone(), error.clone());
                match event.part.is_of_results() {
                    true => RouteState::ResultDead {
                        reason,
                        since: at,
                        error,
                    },
                    false => dead(&reason, at, error),
                }
            }
            What::Ran(run) => ran(run, at, route, question),
            What::Ended {
                status,
                published,
                outcome,
            } if !published.to.is_empty() || outcome == "published" => RouteState::Published {
                status: Some(status.clone()),
                at: Some(at),
                to: published.to.clone(),
                claims: published.claims.unwrap_or(0),
            },
            What::Ended { status, .. } => RouteState::Silent {
                status: status.clone(),
                ended_at: at,
            },
            // A workflow's `Topic Publish` event is not its end.
            What::Published(_) | What::Found { .. } | What::Replayed | What::Noted { .. } => return,
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
            "stopped" => S::Stopped { at },
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

/// The state after an answer without a target.
fn untargeted(answer: &Answer, at: i64) -> RouteState {
    let code = &answer.code;
    match (code.as_str(), &answer.error) {
        ("unrouted", _) => dead(code, at, None),
        ("not_stored", _) => RouteState::NotStored { at },
        (_, error) => RouteState::Refused {
            at,
            code: match error {
                Some(error) => format!("{code}: {error}"),
                None => code.clone(),
            },
        },
    }
}

fn ran(run: &Run, at: i64, route: Option<&str>, question: &Question<'_>) -> RouteState {
    let ended_at = match (run.status.as_str(), run.stopped_at) {
        ("EXPRESS", _) => return RouteState::Express { at },
        ("RUNNING", _) | (_, None) => return RouteState::Running { since: at },
        (_, Some(ended_at)) => ended_at,
    };
    let status = run.status.clone();
    let mut routes = question.routes.iter();
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

/// The longest wait for the next try, in ms.
fn wait_ms(tries: u32) -> i64 {
    let RepeatSettings { first, longest, .. } = RepeatSettings::PARKED;
    let wait = first
        .saturating_mul(2_u32.saturating_pow(tries))
        .min(longest);
    wait.as_millis().try_into().unwrap_or(i64::MAX)
}

/// Whether the target of this route took the message in this event.
pub fn took(event: &Event, route: &str) -> bool {
    let is =
        |name: &str, outcome: &str| name == route && matches!(outcome, "started" | "duplicate");
    match (&event.what, &event.route) {
        (What::Answered(answer), _) => answer
            .targets
            .iter()
            .any(|one| is(&one.route, &one.outcome)),
        (What::Redriven { outcome }, Some(name)) => is(name, outcome),
        _ => false,
    }
}

/// Whether the dead-letter queues of messages and of results may have a letter of the message: neither, where every route is
/// known to have succeeded.
pub fn may_have_letters(events: &[Event], question: &Question<'_>) -> (bool, bool) {
    use RouteState as S;
    let states = States::of(events, question).0;
    let any = |kinds: fn(&S) -> bool| states.iter().any(|(_, state)| kinds(state));
    // Without the arrival, some route may be unknown.
    let arrived = came_in(events).is_some();
    let message = any(|state| matches!(state, S::Dead { .. } | S::Waits { .. } | S::Other { .. }));
    let result = any(|state| {
        matches!(
            state,
            S::Unpublished { .. } | S::ResultDead { .. } | S::Started { .. }
        )
    });
    (!arrived || message, result)
}
