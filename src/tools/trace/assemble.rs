//! Merges the results of all sources into one timeline.

use std::collections::{BTreeSet, HashSet};

use super::logs::Line;
use super::model::{Answer, Event, Head, Part, Publication, Target, What};
use crate::domain::inbound::letter::Reason;
use crate::tools::letters::{Dead, Origin};

/// The longest attempt of the redrive, in ms.
const ATTEMPT_MS: i64 = 8_000;

/// The collected data on one message.
#[derive(Clone, Debug, Default)]
pub struct Known {
    /// Each once, oldest first.
    pub lines: Vec<Line>,
    /// The starts of its executions.
    pub runs: Vec<Event>,
    /// Its letters in the dead-letter queues now.
    pub letters: Vec<Dead>,
    /// Whether all of them were found.
    pub letters_seen: bool,
    /// The approximate depth of the parking queue, where known.
    pub parked: Option<u64>,
    /// From an execution's input or a letter.
    pub origin: Option<Origin>,
    pub id: Option<String>,
}

impl Known {
    /// The message with this id.
    pub fn of(id: Option<&str>) -> Self {
        Self {
            id: id.map(ToOwned::to_owned),
            ..Self::default()
        }
    }
}

/// The head and the events, oldest first.
pub fn assemble(known: &Known) -> (Head, Vec<Event>) {
    let mut events: Vec<Event> = known.lines.iter().filter_map(event).collect();
    // Route and reason.
    let dead_letter = |event: &Event| match &event.what {
        What::DeadLettered { reason, .. } => Some((event.route.clone(), reason.clone())),
        _ => None,
    };
    let stated: HashSet<_> = events.iter().filter_map(dead_letter).collect();
    events.extend(known.runs.iter().cloned());
    // A letter's time is from another clock, or from the beginning of the call.
    let came_in = came_in(&events).unwrap_or(i64::MIN);
    for letter in &known.letters {
        let reason = letter.reason.map_or("moved_by_sqs", Reason::name);
        // The log's line has more details than the letter.
        if stated.contains(&(letter.route.clone(), reason.to_owned())) {
            continue;
        }
        let what = What::DeadLettered {
            reason: reason.to_owned(),
            error: letter.reason.map(|_| letter.detail.clone()),
            attempts: letter.attempts,
        };
        let part = match letter.execution {
            Some(_) => Part::DeadResults,
            None => Part::DeadLetters,
        };
        let at = letter.at_ms.max(came_in);
        events.push(Event::new(at, part, letter.route.as_deref(), what));
    }
    date_by_starts(&mut events, &known.runs);
    events.sort_by_key(|event| (event.at, event.part));
    mark_replays(&mut events);
    let head = head(known, &events);
    for event in &mut events {
        event.after_ms = head.published_at.map(|published| event.at - published);
    }
    (head, events)
}

/// When the message came in.
pub(super) fn came_in(events: &[Event]) -> Option<i64> {
    let mut events = events.iter();
    let answered = events.find(|event| matches!(event.what, What::Answered { .. }));
    answered.map(|event| event.at)
}

/// Moves the redrive's events to the start of their workflow: its line is logged while the workflow runs already.
fn date_by_starts(events: &mut [Event], runs: &[Event]) {
    for event in events {
        let is_start = |run: &&Event| {
            run.route == event.route && (0..ATTEMPT_MS).contains(&(event.at - run.at))
        };
        if let (What::Redriven { .. }, Some(run)) = (&event.what, runs.iter().find(is_start)) {
            event.at = run.at;
        }
    }
}

/// The event of a line; none where a field is missing.
fn event(line: &Line) -> Option<Event> {
    let owned = |field| line.text(field).map(ToOwned::to_owned);
    let (outcome, error) = (line.text("outcome"), error(line));
    let dead = |reason: &str, error| What::DeadLettered {
        reason: reason.to_owned(),
        error,
        attempts: None,
    };
    let mut at = line.at_ms;
    let what = match (line.part, line.text("code"), outcome) {
        (Part::Webhook, Some(code), _) => {
            let took_ms = line.number("duration_ms");
            at -= took_ms.unwrap_or_default();
            What::Answered(Answer {
                code: code.to_owned(),
                status: line.number("http.status"),
                targets: targets(line.text("targets").unwrap_or_default()),
                took_ms,
                error,
            })
        }
        (Part::Redrive, _, Some("waits")) => What::Waits { error },
        (Part::Redrive, _, Some(outcome)) if Reason::named(outcome).is_some() => {
            dead(outcome, error)
        }
        (Part::Redrive, _, Some(outcome)) => What::Redriven {
            outcome: outcome.to_owned(),
        },
        (_, None, None) if line.text("reason").is_some() => dead(line.text("reason")?, error),
        (Part::Completion, _, outcome) if line.text("execution.status").is_some() => What::Ended {
            status: owned("execution.status")?,
            outcome: outcome.unwrap_or_default().to_owned(),
            published: published(line),
        },
        (Part::Completion, ..) if line.text("published.to").is_some() => {
            What::Published(published(line))
        }
        (Part::Sweep, ..) if line.text("execution.arn").is_some() => What::Found {
            status: owned("execution.status").unwrap_or_default(),
        },
        _ => What::Noted {
            level: owned("level")?,
            text: owned("message")?,
            error,
        },
    };
    Some(Event::new(at, line.part, line.text("route"), what))
}

/// The text of an error, with the service's code.
fn error(line: &Line) -> Option<String> {
    let text = line.text("error.text")?;
    Some(match line.text("error.code") {
        Some(code) if !text.contains(code) => format!("{code}: {text}"),
        _ => text.to_owned(),
    })
}

/// Parses `uppercase=started audit=parked`.
fn targets(text: &str) -> Vec<Target> {
    let pairs = text.split(' ').filter_map(|pair| pair.split_once('='));
    let target = |(route, outcome): (&str, &str)| Target {
        route: route.to_owned(),
        outcome: outcome.to_owned(),
    };
    pairs.map(target).collect()
}

fn published(line: &Line) -> Publication {
    let to = line.text("published.to").unwrap_or_default();
    let to = to.split(' ').filter(|to| !to.is_empty());
    Publication {
        to: to.map(ToOwned::to_owned).collect(),
        claims: line.number("published.claims"),
    }
}

/// Adds the replays, which write no log: a try after a dead letter implies one.
fn mark_replays(events: &mut Vec<Event>) {
    let mut dead: BTreeSet<(Part, Option<String>)> = BTreeSet::new();
    let mut marked = Vec::with_capacity(events.len());
    for event in events.drain(..) {
        // Messages come back through the redrive, results through the completion.
        let way = match event.part {
            Part::Webhook => Part::Redrive,
            part => part,
        };
        let key = (way, event.route.clone());
        let tried = matches!(event.part, Part::Redrive | Part::Completion);
        // A letter without a route may come back with one.
        if tried && (dead.remove(&key) || dead.remove(&(way, None))) {
            let route = event.route.as_deref();
            marked.push(Event::new(event.at, Part::Replay, route, What::Replayed));
        }
        match &event.what {
            // Else still in the queue, so not replayed.
            What::DeadLettered { .. }
                if !matches!(event.part, Part::DeadLetters | Part::DeadResults) =>
            {
                dead.insert(key);
            }
            What::Answered(Answer { code, targets, .. }) => {
                dead.extend((code == "unrouted").then_some((way, None)));
                let lost = targets.iter().filter(|one| one.outcome == "dead_lettered");
                dead.extend(lost.map(|one| (way, Some(one.route.clone()))));
            }
            _ => {}
        }
        marked.push(event);
    }
    *events = marked;
}

fn head(known: &Known, events: &[Event]) -> Head {
    let lines = &known.lines;
    let text = |field: &str| {
        let found = lines.iter().find_map(|line| line.text(field));
        found.map(ToOwned::to_owned)
    };
    let mut letters = known.letters.iter();
    let letter = letters.find_map(|letter| letter.message.as_ref());
    let origin = known.origin.as_ref().or(letter);
    // The longest one: some lines have only the first digits.
    let ids = lines.iter().filter_map(|line| line.id());
    let ids = ids.chain(known.id.as_deref());
    let id = ids.max_by_key(|id| id.len()).map(ToOwned::to_owned);
    // The age counts up to the line's time.
    let published = |line: &Line| Some(line.at_ms - line.number("message.age_ms")?);
    let published_at = origin.map(|origin| origin.published_at);
    let published_at = published_at.or_else(|| lines.iter().find_map(published));
    let number = |line: &Line| line.number("message.sequence")?.try_into().ok();
    let number = origin
        .map(|origin| origin.number)
        .or_else(|| lines.iter().find_map(number));
    let token_id = origin.and_then(|origin| origin.token_id.clone());
    let xray_trace_id = text("xray_trace_id").or_else(|| trace_id(published_at?, id.as_deref()?));
    Head {
        cache: text("message.cache").or_else(|| origin.map(|origin| origin.cache.clone())),
        topic: text("message.topic").or_else(|| origin.map(|origin| origin.topic.clone())),
        number,
        token_id: token_id.filter(|id| !id.is_empty()),
        id,
        published_at,
        came_in_at: came_in(events),
        xray_trace_id,
    }
}

/// `1-<seconds>-<96 bits>`, derived from the message.
fn trace_id(published_at: i64, id: &str) -> Option<String> {
    let seconds = u32::try_from(published_at / 1000).ok()?;
    Some(format!("1-{seconds:08x}-{}", id.get(..24)?))
}
