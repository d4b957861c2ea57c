//! Where each route stands, by what happened last.

use std::time::Duration;

use super::assemble::Known;
use super::model::{Event, Head, Run, Stand, Verdict, What};
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
    if run
        .ledger
        .as_ref()
        .is_some_and(|entry| entry.state == "done")
    {
        let answers = answers(route, context);
        return if answers == Some(false) {
            Stand::Silent { status, ended_at }
        } else {
            Stand::Published {
                at: None,
                to: Vec::new(),
                claims: 0,
            }
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

fn sentence(stand: &Stand, head: &Head, route: Option<&str>, context: &Context<'_>) -> String {
    let after = |at: i64| match head.came_in_at.or(head.published_at) {
        Some(from) => format!("{} after it came in", duration(at - from)),
        None => format!("at {}", time(at)),
    };
    let ago = |at: i64| format!("{} ({} ago)", time(at), duration(context.now_ms - at));
    let because = |error: &Option<String>| {
        error
            .as_ref()
            .map_or(String::new(), |error| format!(": {error}"))
    };
    let replay = |kind: &str| {
        let id = head.id.as_deref().unwrap_or_default();
        let id = if kind == "--dead-letters" {
            format!(" --id {id}")
        } else {
            String::new()
        };
        let route = route.map_or(String::new(), |route| format!(" --route {route}"));
        format!(
            "replay with `cargo bridge replay {kind}{id}{route}{}`",
            context.place
        )
    };
    match stand {
        Stand::Published { at, to, claims } => {
            let to = if to.is_empty() {
                String::new()
            } else {
                format!(" to {}", to.join(", "))
            };
            let Some(at) = at else {
                return "published, the ledger says; the log of the completion would tell when and where to".to_owned();
            };
            let claim = match claims {
                0 => "",
                _ => ", as a claim: the value is stored beside the topic",
            };
            format!("published{to} {}{claim}", after(*at))
        }
        Stand::Running { since } => format!(
            "the workflow has been running for {}",
            duration(context.now_ms - since)
        ),
        Stand::Started { at } => format!(
            "started {}; how the workflow went could not be asked",
            after(*at)
        ),
        Stand::Express { at } => format!(
            "started {}: an EXPRESS workflow, which keeps no history; its own log tells more",
            after(*at)
        ),
        Stand::Unpublished {
            status,
            ended_at,
            ledger,
        } => {
            let since = duration(context.now_ms - ended_at);
            let why = match ledger.as_deref() {
                None => "its event is on its way, or lost: then the sweep finds it within minutes",
                Some("queued") => "the sweep found it, and the completion has not taken it yet",
                Some("publishing") => {
                    "the completion is publishing it, or was killed over it and tries again"
                }
                Some(_) => "it could not be published so far, and the completion tries again",
            };
            format!(
                "the workflow ended as {status} {since} ago, and its result is not published: {why}"
            )
        }
        Stand::Silent { status, ended_at } => format!(
            "the workflow ended as {status} {}; there is nothing to publish",
            after(*ended_at)
        ),
        Stand::ResultDead {
            reason,
            since,
            error,
        } => format!(
            "the result is a dead letter since {}: {reason}{}; {}",
            ago(*since),
            because(error),
            replay("--results")
        ),
        Stand::OnTheBus { at } => format!(
            "an event on the bus {}; what its rules did with it, EventBridge's metrics tell",
            after(*at)
        ),
        Stand::Resumed { at } => format!(
            "went on with the workflow that waited for it {}",
            after(*at)
        ),
        Stand::Closed { at } => format!(
            "came too late for the workflow that waited, {}: it was answered before, or its time was over",
            after(*at)
        ),
        Stand::Waits {
            since,
            tries,
            next_by,
            error,
        } => {
            let next = if *tries == 0 {
                "the redrive has not tried it yet".to_owned()
            } else {
                let times = if *tries == 1 {
                    "once".to_owned()
                } else {
                    format!("{tries} times")
                };
                format!("tried {times}; next try by {}", time(*next_by))
            };
            let odd = match context.parked {
                Some(0) => {
                    "; but the parking queue is empty, so it was deleted or moved by hand, or the redrive has it just now"
                }
                _ => "",
            };
            format!(
                "waits in the parking queue since {}; {next}{}{odd}",
                ago(*since),
                because(error)
            )
        }
        Stand::Dead {
            reason,
            since,
            gone: true,
            ..
        } => format!(
            "was a dead letter since {}: {reason}; it is not in the queue any more: replayed a moment ago, or deleted",
            ago(*since)
        ),
        Stand::Dead {
            reason,
            since,
            error,
            gone: false,
        } => format!(
            "is a dead letter since {}: {reason}{}; {}",
            ago(*since),
            because(error),
            replay("--dead-letters")
        ),
        Stand::NotStored { at } => format!(
            "nobody took it, and the sender was told so {}: it has to be sent again",
            after(*at)
        ),
        Stand::Refused { code, .. } => format!("refused ({code}); no target was called"),
        Stand::Other { at, outcome } => format!("{outcome} {}", after(*at)),
    }
}

/// `0.512 s`, `34 s`, `5 min`, `3 h`, `2 d`.
pub fn duration(ms: i64) -> String {
    let span = Duration::from_millis(ms.unsigned_abs());
    let sign = if ms < 0 { "-" } else { "" };
    let seconds = span.as_secs();
    let text = match seconds {
        0..10 => format!("{:.2} s", span.as_secs_f64()),
        10..120 => format!("{seconds} s"),
        120..7_200 => format!("{} min", seconds / 60),
        7_200..172_800 => format!("{} h", seconds / 3_600),
        _ => format!("{} d", seconds / 86_400),
    };
    format!("{sign}{text}")
}

/// A time of day with its date, in UTC, to the second.
pub fn time(ms: i64) -> String {
    use aws_smithy_types::date_time::{DateTime, Format};
    let text = DateTime::from_secs(ms.div_euclid(1000)).fmt(Format::DateTime);
    text.unwrap_or_else(|_| format!("{ms} ms"))
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
