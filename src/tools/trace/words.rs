//! The state of a route in words.

use super::model::{Head, RouteState};
use super::subject::Question;
use crate::tools::terminal::{duration, time};

/// The state of a route in words, with the remedy where there is one.
pub fn sentence(
    state: &RouteState,
    head: &Head,
    route: Option<&str>,
    parked: Option<u64>,
    question: &Question<'_>,
) -> String {
    use RouteState as S;
    let now_ms = question.now_ms;
    let after = |at: &i64| match head.came_in_at.or(head.published_at) {
        Some(from) if *at <= from => "as it came in".to_owned(),
        Some(from) => format!("{} after it came in", duration(at - from)),
        None => format!("at {}", time(*at)),
    };
    let ago = |at: &i64| format!("{} ({} ago)", time(*at), duration(now_ms - at));
    let because = |error: &Option<String>| {
        let error = error.as_ref();
        error.map_or(String::new(), |error| format!(": {error}"))
    };
    let replay = |letters: &str| {
        let route = route.map_or(String::new(), |route| format!(" --route {route}"));
        let place = question.place.option();
        format!("replay with `cargo bridge replay {letters}{route}{place}`")
    };
    match state {
        S::Published {
            status,
            at,
            to,
            claims,
        } => {
            let failed = status.as_deref().filter(|status| *status != "SUCCEEDED");
            let failed = failed.map_or(String::new(), |status| {
                format!("the workflow ended as {status}; its failure is ")
            });
            let Some(at) = at else {
                return failed
                    + "published, according to the ledger; time and topics are in the log of the completion";
            };
            let to = match to.is_empty() {
                true => String::new(),
                false => format!(" to {}", to.join(", ")),
            };
            let claim = match claims {
                0 => "",
                _ => ", as a claim: the value is stored beside the topic",
            };
            format!("{failed}published{to} {}{claim}", after(at))
        }
        S::Running { since } => {
            let time = duration(now_ms - since);
            format!("the workflow has been running for {time}")
        }
        S::Started { at } => {
            let after = after(at);
            format!("started {after}; the outcome of the workflow is unknown")
        }
        S::Express { at } => {
            let after = after(at);
            format!(
                "started {after}: an EXPRESS workflow, which keeps no history; its own log has more"
            )
        }
        S::Unpublished {
            status,
            ended_at,
            ledger,
        } => {
            let since = duration(now_ms - ended_at);
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
        S::Silent { status, ended_at } => {
            let after = after(ended_at);
            format!("the workflow ended as {status} {after}; there is nothing to publish")
        }
        S::ResultDead {
            reason,
            since,
            error,
        } => {
            let (ago, why) = (ago(since), because(error));
            let replay = replay("--results");
            format!("the result is a dead letter since {ago}: {reason}{why}; {replay}")
        }
        S::OnTheBus { at } => format!(
            "an event on the bus {}; EventBridge's metrics show what its rules did with it",
            after(at)
        ),
        S::Resumed { at } => format!("went on with the workflow that waited for it {}", after(at)),
        S::Stopped { at } => format!("stopped the execution of its key {}", after(at)),
        S::Closed { at } => format!(
            "came too late for the workflow that waited or ran, {}: it was answered before, or is over",
            after(at)
        ),
        S::Waits {
            since,
            tries,
            next_by,
            error,
        } => {
            let next = match tries {
                0 => "the redrive has not tried it yet".to_owned(),
                1 => format!("tried once; next try by {}", time(*next_by)),
                n => format!("tried {n} times; next try by {}", time(*next_by)),
            };
            let odd = match parked {
                Some(0) => {
                    "; but the parking queue is empty, so it was deleted or moved by hand, or the redrive has it just now"
                }
                _ => "",
            };
            let (ago, why) = (ago(since), because(error));
            format!("waits in the parking queue since {ago}; {next}{why}{odd}")
        }
        S::Dead {
            reason,
            since,
            error,
            gone,
        } => {
            let (ago, why) = (ago(since), because(error));
            if *gone {
                return format!(
                    "was a dead letter since {ago}: {reason}; it is not in the queue any more: replayed a moment ago, or deleted"
                );
            }
            let id = head.id.as_deref().unwrap_or_default();
            let replay = replay(&format!("--dead-letters --id {id}"));
            format!("is a dead letter since {ago}: {reason}{why}; {replay}")
        }
        S::NotStored { at } => format!(
            "not stored {}: the sender got an error, and has to send it again",
            after(at)
        ),
        S::Refused { code, .. } => format!("refused ({code}); no target was called"),
        S::Other { at, outcome } => format!("{outcome} {}", after(at)),
    }
}
