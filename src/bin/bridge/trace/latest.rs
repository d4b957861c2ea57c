//! The latest messages, by the webhook's log.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use futures_util::future::join_all;
use serde::Serialize;

use super::assemble::{Known, assemble};
use super::lines::Line;
use super::model::{Part, Target, Unanswered, What};
use super::show::{shown, unanswered};
use super::sources::{Sources, Window};
use super::subject::execution_on;
use crate::domain::inbound::execution_name::NAME_ID_DIGITS;
use crate::domain::inbound::routes::Routes;
use crate::tools::terminal::{Style, moment, seconds, time};

/// Messages listed, at most.
const MOST: usize = 20;

/// The latest messages, newest first.
#[derive(Clone, Debug, Serialize)]
pub struct Latest {
    pub stack: String,
    /// The range of the log, in ms since the epoch.
    pub since: i64,
    pub until: i64,
    pub messages: Vec<Arrival>,
    pub unanswered: Vec<Unanswered>,
}

/// A message as the webhook took it, with its executions now.
#[derive(Clone, Debug, Serialize)]
pub struct Arrival {
    pub at: i64,
    pub id: Option<String>,
    pub cache: Option<String>,
    pub topic: Option<String>,
    pub number: Option<u64>,
    pub code: String,
    pub targets: Vec<Target>,
    pub runs: Vec<Ran>,
    /// The status of the webhook's answer.
    #[serde(skip)]
    pub status: Option<i64>,
    /// The time until the webhook's answer.
    #[serde(skip)]
    pub took_ms: i64,
    /// The names of its executions of keyed routes, which its line has.
    #[serde(skip)]
    keyed: Vec<String>,
}

/// An execution of a message, on a route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    pub route: String,
    pub arn: String,
    pub name: String,
}

/// An execution that a message started.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Ran {
    pub route: String,
    pub name: String,
    pub status: String,
    pub took_ms: Option<i64>,
}

/// The latest messages in a range of the log.
pub async fn latest<S: Sources>(
    stack: &str,
    routes: Option<&Routes>,
    sources: &S,
    window: Window,
) -> Latest {
    let lines = sources.lines(Part::Webhook, "message.sequence", window);
    let (lines, unanswered) = match lines.await {
        Ok(lines) => (lines, Vec::new()),
        Err(fault) => {
            let unread = Unanswered::new("the log of the webhook", fault);
            (Vec::new(), vec![unread])
        }
    };
    let mut by_id: BTreeMap<String, Vec<Line>> = BTreeMap::new();
    for line in lines {
        if let Some(id) = line.id().map(str::to_owned) {
            by_id.entry(id).or_default().push(line);
        }
    }
    let mut found: Vec<_> = by_id.into_values().filter_map(arrival).collect();
    found.sort_by_key(|arrival| std::cmp::Reverse(arrival.at));
    found.truncate(MOST);
    let messages = found.into_iter().map(async |mut arrival| {
        arrival.runs = runs(&arrival, routes, sources).await;
        arrival
    });
    Latest {
        stack: stack.to_owned(),
        since: window.since,
        until: window.until,
        messages: join_all(messages).await,
        unanswered,
    }
}

/// The arrival in the webhook's lines of one message; none in lines of another kind.
pub fn arrival(lines: Vec<Line>) -> Option<Arrival> {
    let keyed = lines.iter().flat_map(|line| line.keyed());
    let keyed = keyed.map(str::to_owned).collect();
    let (head, events) = assemble(&Known {
        lines,
        ..Known::default()
    });
    // The latest of several deliveries.
    let (at, answer) = events
        .into_iter()
        .rev()
        .find_map(|event| match event.what {
            What::Answered(answer) => Some((event.at, answer)),
            _ => None,
        })?;
    Some(Arrival {
        at,
        id: head.id,
        cache: head.cache,
        topic: head.topic,
        number: head.number,
        code: answer.code,
        targets: answer.targets,
        runs: Vec::new(),
        status: answer.status,
        took_ms: answer.took_ms.unwrap_or_default(),
        keyed,
    })
}

impl Arrival {
    /// Its executions, where their state machines are known; the redrive may start some later.
    pub fn executions(&self, routes: &Routes) -> Vec<Named> {
        let place = (self.topic.as_deref(), self.number, self.id.as_deref());
        let named = routes.iter().filter_map(|route| {
            let mut targets = self.targets.iter();
            let target = targets.find(|target| target.route == route.name)?;
            if !matches!(&*target.outcome, "started" | "duplicate" | "parked") {
                return None;
            }
            let (arn, name) = execution_on(route, place, &self.keyed)?;
            let route = route.name.clone();
            Some(Named { route, arn, name })
        });
        named.collect()
    }
}

/// The executions of a message now; those that cannot be read are left out.
async fn runs<S: Sources>(arrival: &Arrival, routes: Option<&Routes>, sources: &S) -> Vec<Ran> {
    let named = routes.map(|routes| arrival.executions(routes));
    let named = named.into_iter().flatten();
    let described = named.map(async |Named { route, arn, name }| {
        let execution = sources.execution(&arn).await.ok()??;
        Some(Ran {
            route,
            name,
            took_ms: execution.stopped_at.map(|at| at - execution.started_at),
            status: execution.status,
        })
    });
    join_all(described).await.into_iter().flatten().collect()
}

/// One line for each message.
pub fn show_latest(latest: &Latest, style: Style) -> String {
    let mut text = String::new();
    unanswered(&mut text, &latest.unanswered, style);
    let places: Vec<_> = latest.messages.iter().map(place).collect();
    let width = places.iter().map(|place| place.chars().count()).max();
    let width = width.unwrap_or_default();
    for (arrival, place) in latest.messages.iter().zip(&places) {
        let id = arrival.id.as_deref().unwrap_or("?");
        let id = id.get(..NAME_ID_DIGITS).unwrap_or(id);
        let when = style.dim(moment(arrival.at));
        let outcomes = outcomes(arrival, style);
        let _ = writeln!(text, "{when}  {id}  {place:<width$}  {outcomes}");
    }
    let since = time(latest.since);
    let end = match latest.messages.len() {
        0 => format!(
            "no message came in since {since} at {}; `--since 7d` looks further back",
            latest.stack
        ),
        MOST => {
            format!("the latest {MOST}; `cargo bridge trace ID` shows one, `--since` another range")
        }
        _ => format!("all since {since}; `cargo bridge trace ID` shows one"),
    };
    let _ = writeln!(text, "{}", style.dim(end));
    text
}

fn place(arrival: &Arrival) -> String {
    match (&arrival.cache, &arrival.topic, arrival.number) {
        (Some(cache), Some(topic), Some(number)) => {
            format!("{}/{}#{number}", shown(cache), shown(topic))
        }
        _ => "?".to_owned(),
    }
}

/// The outcome of each route: its execution's status, where there is one.
fn outcomes(arrival: &Arrival, style: Style) -> String {
    if arrival.targets.is_empty() {
        return style.bad(format_args!("✗ {}", shown(&arrival.code)));
    }
    let outcomes = arrival.targets.iter().map(|Target { route, outcome }| {
        let run = arrival.runs.iter().find(|run| run.route == *route);
        let status = run.map_or(outcome, |run| &run.status);
        let took = run.and_then(|run| run.took_ms?.try_into().ok());
        let took = took.map_or(String::new(), |ms| {
            format!("  {}", style.dim(seconds(Duration::from_millis(ms))))
        });
        let status = match status.as_str() {
            "SUCCEEDED" | "event_put" | "resumed" | "stopped" => {
                style.good(format_args!("✓ {status}"))
            }
            "FAILED" | "TIMED_OUT" | "ABORTED" | "dead_lettered" | "not_stored" => {
                style.bad(format_args!("✗ {status}"))
            }
            status => format!("… {}", shown(status)),
        };
        format!("{} {status}{took}", shown(route))
    });
    outcomes.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn line(id: &str, at: i64, code: &str, targets: &str) -> Line {
        let fields = json!({
            "message": "x", "level": "INFO", "code": code, "targets": targets, "message.id": id,
            "message.cache": "demo", "message.topic": "in\u{1b}", "message.sequence": 7,
            "message.age_ms": 1,
        });
        Line::read(Part::Webhook, &fields.to_string(), at).unwrap()
    }

    fn of(lines: Vec<Line>) -> Latest {
        let messages = lines.into_iter().map(|line| arrival(vec![line]).unwrap());
        Latest {
            stack: "the local stack".to_owned(),
            since: 0,
            until: 0,
            messages: messages.collect(),
            unanswered: Vec::new(),
        }
    }

    #[test]
    fn each_message_has_a_line_with_the_outcome_of_each_route() {
        let id = "0123456789abcdef0123456789abcdef";
        let mut latest = of(vec![
            line(id, 5, "accepted", "upper=started bus=event_put"),
            line(id, 4, "unrouted", ""),
        ]);
        latest.messages[0].runs = vec![Ran {
            route: "upper".to_owned(),
            name: "n".to_owned(),
            status: "FAILED".to_owned(),
            took_ms: Some(300),
        }];
        let text = show_latest(&latest, Style::plain());
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(
            lines,
            [
                "1970-01-01 00:00:00.005 UTC  0123456789abcdef  demo/in\\u{1b}#7  upper ✗ FAILED  300 ms, bus ✓ event_put",
                "1970-01-01 00:00:00.004 UTC  0123456789abcdef  demo/in\\u{1b}#7  ✗ unrouted",
                "all since 1970-01-01T00:00:00Z; `cargo bridge trace ID` shows one",
            ]
        );
    }

    #[test]
    fn an_empty_range_says_how_to_look_further_back() {
        let text = show_latest(&of(Vec::new()), Style::plain());
        assert!(
            text.contains("no message came in since") && text.contains("--since 7d"),
            "{text}"
        );
    }
}
