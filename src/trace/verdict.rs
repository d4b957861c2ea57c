//! Where each route stands, by what happened last.

use super::assemble::Known;
use super::model::{Event, Head, Run, Stand, Verdict, What};
use super::words::sentence;
use crate::config::RepeatSettings;
use crate::routes::Routes;

/// What the verdicts depend on beside the events.
pub struct Context<'a> {
    pub routes: Option<&'a Routes>,
    pub now_ms: i64,
    /// About how many messages are parked, where that could be asked.
    pub parked: Option<u64>,
    /// Whether the dead letters were looked at, all of them.
    pub letters_seen: bool,
    /// What `bridge replay` needs to find the same stack, such as ` --stack-name NAME`.
    pub place: &'a str,
}

/// One for each route that the message had to do with, or one for none.
pub fn verdicts(
    head: &Head,
    events: &[Event],
    known: &Known,
    context: &Context<'_>,
) -> Vec<Verdict> {
    let mut stands: Vec<(Option<String>, Stand)> = Vec::new();
    for event in events {
        apply(&mut stands, event, context);
    }
    for (route, stand) in &mut stands {
        finish(route.as_deref(), stand, known, context);
    }
    // What no route took stands for itself only as long as no route has it.
    if stands.iter().any(|(route, _)| route.is_some()) {
        stands.retain(|(route, stand)| {
            route.is_some() || !matches!(stand, Stand::Dead { .. } | Stand::Other { .. })
        });
    }
    stands
        .into_iter()
        .map(|(route, stand)| Verdict {
            sentence: sentence(&stand, head, route.as_deref(), context),
            route,
            stand,
        })
        .collect()
}

fn apply(stands: &mut Vec<(Option<String>, Stand)>, event: &Event, context: &Context<'_>) {
    let at = event.at;
    let of = |stands: &mut Vec<(Option<String>, Stand)>, route: Option<&str>| {
        stands.iter().position(|(name, _)| name.as_deref() == route)
    };
    let mut set = |route: Option<&str>, stand: Stand| match of(stands, route) {
        Some(index) => stands[index].1 = stand,
        None => stands.push((route.map(ToOwned::to_owned), stand)),
    };
    match &event.what {
        What::Answered {
            code,
            targets,
            error,
            ..
        } if targets.is_empty() => {
            let stand = match code.as_str() {
                "unrouted" => Stand::Dead {
                    reason: code.clone(),
                    since: at,
                    error: None,
                    gone: false,
                },
                "not_stored" => Stand::NotStored { at },
                _ => Stand::Refused {
                    at,
                    code: error
                        .clone()
                        .map_or_else(|| code.clone(), |e| format!("{code}: {e}")),
                },
            };
            set(None, stand);
        }
        What::Answered { targets, .. } => {
            for target in targets {
                took(stands, &target.route, &target.outcome, at);
            }
        }
        What::Redriven { outcome } => match event.route.as_deref() {
            Some(route) => took(stands, route, outcome, at),
            None => set(
                None,
                Stand::Other {
                    at,
                    outcome: outcome.clone(),
                },
            ),
        },
        What::Waits { error } => {
            let (since, tries) =
                match of(stands, event.route.as_deref()).map(|index| &stands[index].1) {
                    Some(Stand::Waits { since, tries, .. }) => (*since, *tries),
                    _ => (at, 0),
                };
            let next_by = at + wait_ms(tries);
            let stand = Stand::Waits {
                since,
                tries: tries + 1,
                next_by,
                error: error.clone(),
            };
            let mut set = |stand| match of(stands, event.route.as_deref()) {
                Some(index) => stands[index].1 = stand,
                None => stands.push((event.route.clone(), stand)),
            };
            set(stand);
        }
        What::DeadLettered { reason, error, .. } => {
            let stand = if event.part.is_of_results() {
                Stand::ResultDead {
                    reason: reason.clone(),
                    since: at,
                    error: error.clone(),
                }
            } else {
                Stand::Dead {
                    reason: reason.clone(),
                    since: at,
                    error: error.clone(),
                    gone: false,
                }
            };
            set(event.route.as_deref(), stand);
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
            let stand = if done {
                Stand::Published {
                    at: Some(at),
                    to: published.clone(),
                    claims: claims.unwrap_or(0),
                }
            } else {
                Stand::Silent {
                    status: status.clone(),
                    ended_at: at,
                }
            };
            set(route, stand);
        }
        // A publication by the way says nothing of the end.
        What::Published { .. } | What::Found { .. } | What::Replayed | What::Noted { .. } => {}
    }
}

/// What a target did with the message.
fn took(stands: &mut Vec<(Option<String>, Stand)>, route: &str, outcome: &str, at: i64) {
    let stand = match outcome {
        "started" | "duplicate" => Stand::Started { at },
        "event_put" => Stand::OnTheBus { at },
        "resumed" => Stand::Resumed { at },
        "closed" => Stand::Closed { at },
        "parked" => Stand::Waits {
            since: at,
            tries: 0,
            next_by: at,
            error: None,
        },
        "dead_lettered" => Stand::Dead {
            reason: "refused".to_owned(),
            since: at,
            error: None,
            gone: false,
        },
        "not_stored" => Stand::NotStored { at },
        _ => Stand::Other {
            at,
            outcome: outcome.to_owned(),
        },
    };
    match stands
        .iter_mut()
        .find(|(name, _)| name.as_deref() == Some(route))
    {
        // A message that comes again changes nothing where it was taken before.
        Some((
            _,
            Stand::Published { .. }
            | Stand::Silent { .. }
            | Stand::Running { .. }
            | Stand::Unpublished { .. },
        )) if matches!(outcome, "started" | "duplicate") => {}
        Some((_, old)) => *old = stand,
        None => stands.push((Some(route.to_owned()), stand)),
    }
}

fn ran(run: &Run, at: i64, route: Option<&str>, context: &Context<'_>) -> Stand {
    let Some(ended_at) = run.stopped_at.filter(|_| run.status != "RUNNING") else {
        return if run.status == "EXPRESS" {
            Stand::Express { at }
        } else {
            Stand::Running { since: at }
        };
    };
    let status = run.status.clone();
    if answers(route, context) == Some(false) {
        return Stand::Silent { status, ended_at };
    }
    if run
        .ledger
        .as_ref()
        .is_some_and(|entry| entry.state == "done")
    {
        return Stand::Published {
            at: None,
            to: Vec::new(),
            claims: 0,
        };
    }
    let ledger = run.ledger.as_ref().map(|entry| entry.state.clone());
    Stand::Unpublished {
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

/// Holds a stand against what the queues have now.
fn finish(route: Option<&str>, stand: &mut Stand, known: &Known, context: &Context<'_>) {
    let there = known.letters.iter().any(|letter| {
        // What SQS moved by itself names no route.
        letter.execution.is_none() && (letter.route.as_deref() == route || letter.reason.is_none())
    });
    if let Stand::Dead { gone, .. } = stand {
        *gone = !there && context.letters_seen;
    }
}

/// The longest wait before the try after so many, in ms.
fn wait_ms(tries: u32) -> i64 {
    let RepeatSettings { first, longest, .. } = RepeatSettings::PARKED;
    let wait = first
        .saturating_mul(2_u32.saturating_pow(tries))
        .min(longest);
    wait.as_millis().try_into().unwrap_or(i64::MAX)
}

/// The routes whose target has the message by this event.
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

/// Which dead-letter queue may have something of a message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Open {
    pub message: bool,
    pub result: bool,
}

/// Nothing, where every route is known to have ended well.
pub fn open(events: &[Event], context: &Context<'_>) -> Open {
    let mut stands = Vec::new();
    for event in events {
        apply(&mut stands, event, context);
    }
    let any = |kinds: fn(&Stand) -> bool| stands.iter().any(|(_, stand)| kinds(stand));
    // Without the arrival, some route may be unknown.
    let arrived = events
        .iter()
        .any(|event| matches!(event.what, What::Answered { .. }));
    Open {
        message: !arrived
            || any(|stand| {
                matches!(
                    stand,
                    Stand::Dead { .. } | Stand::Waits { .. } | Stand::Other { .. }
                )
            }),
        result: any(|stand| {
            matches!(
                stand,
                Stand::Unpublished { .. } | Stand::ResultDead { .. } | Stand::Started { .. }
            )
        }),
    }
}
