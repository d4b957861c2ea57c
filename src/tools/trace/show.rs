//! Writes a report for people.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use super::model::{
    Answer, Event, Head, Publication, Report, RouteState, Run, State, Target, Trace, Unanswered,
    Verdict, What,
};
use crate::tools::terminal::{Style, moment, seconds, shown};

/// States shown of one execution, at most.
const MOST_STATES: usize = 30;

/// Columns of a part's name.
const PART_WIDTH: usize = 11;

/// The whole report, with a line at its end for each route.
pub fn show(report: &Report, style: Style) -> String {
    let mut text = String::new();
    if report.messages.len() > 1 {
        let count = report.messages.len();
        let _ = writeln!(text, "{count} messages found; the newest first\n");
    }
    unanswered(&mut text, &report.unanswered, style);
    if !report.unanswered.is_empty() {
        text.push('\n');
    }
    for (index, trace) in report.messages.iter().enumerate() {
        if index > 0 {
            text.push('\n');
        }
        message(&mut text, trace, style);
    }
    if let Some(nothing) = &report.nothing {
        let _ = writeln!(text, "{} {}", style.bad("✗"), shown(nothing));
    }
    text
}

/// A line for each error, with its sources.
pub fn unanswered(text: &mut String, unanswered: &[Unanswered], style: Style) {
    let mut errors: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for Unanswered { source, error } in unanswered {
        errors.entry(error).or_default().push(source);
    }
    for (error, sources) in errors {
        let (could_not, sources) = (style.bad("could not query"), sources.join(", "));
        let _ = writeln!(text, "{could_not} {sources}: {}", shown(error));
    }
}

fn message(text: &mut String, trace: &Trace, style: Style) {
    head(text, &trace.message, style);
    text.push('\n');
    let mut errors = String::new();
    for event in &trace.events {
        line(text, event, &errors, style);
        errors.push_str(event.answer_error());
    }
    text.push('\n');
    for link in &trace.links {
        let _ = writeln!(text, "{}", style.dim(format!("{}: {}", link.what, link.to)));
    }
    if !trace.links.is_empty() {
        text.push('\n');
    }
    for one in &trace.routes {
        verdict(text, one, style);
    }
}

fn head(text: &mut String, head: &Head, style: Style) {
    let place = match (&head.cache, &head.topic, head.number) {
        (Some(cache), Some(topic), Some(number)) => {
            format!("{}/{} number {number}", shown(cache), shown(topic))
        }
        _ => String::new(),
    };
    let id = style.bold(head.id.as_deref().unwrap_or("?"));
    let _ = writeln!(text, "{}", spaced([format!("message {id}"), place]));
    let token = head.token_id.as_deref().map(shown);
    let facts = [
        ("published", head.published_at.map(moment)),
        ("token", token),
        ("trace", head.xray_trace_id.clone()),
    ];
    let fact = |(name, fact): (&str, Option<String>)| Some(format!("{name} {}", fact?));
    let facts = spaced(facts.into_iter().filter_map(fact));
    if !facts.is_empty() {
        let _ = writeln!(text, "  {}", style.dim(facts));
    }
}

/// A line of the timeline. `before` has the errors of earlier lines, which a letter need not repeat.
fn line(text: &mut String, event: &Event, before: &str, style: Style) {
    let (outcome, facts) = described(event, before, style);
    let route = event.route.as_deref().map_or(String::new(), shown);
    let what = spaced([route, outcome, facts.trim().to_owned()]);
    let when = when(event.after_ms, event.at);
    row(text, &when, event.part.name(), &what);
    if let Some(run) = event.run() {
        // The time of the publication.
        let origin = event.after_ms.map(|after| event.at - after);
        states(text, run, origin, style);
    }
}

fn row(text: &mut String, when: &str, part: &str, what: &str) {
    let _ = writeln!(text, "{when:>12}  {part:<PART_WIDTH$}  {what}");
}

/// The parts that are not empty, two spaces apart.
fn spaced(parts: impl IntoIterator<Item = String>) -> String {
    let parts: Vec<_> = parts.into_iter().filter(|part| !part.is_empty()).collect();
    parts.join("  ")
}

/// `1 retry`, `2 retries`; nothing for 0.
fn counted(count: u32, one: &str, several: &str) -> String {
    match count {
        0 => String::new(),
        1 => one.to_owned(),
        n => several.replace('#', &n.to_string()),
    }
}

impl Event {
    /// The error of the webhook's answer; empty without one.
    pub(in crate::tools) fn answer_error(&self) -> &str {
        match &self.what {
            What::Answered(answer) => answer.error.as_deref().unwrap_or_default(),
            _ => "",
        }
    }
}

/// The outcome of an event, and its facts. `before` has the errors of earlier events.
pub(in crate::tools) fn described(event: &Event, before: &str, style: Style) -> (String, String) {
    let error = |error: &Option<String>| error.as_deref().map_or(String::new(), shown);
    let none = String::new();
    match &event.what {
        What::Answered(answer) => answered(answer, style),
        What::Redriven { outcome } => (style.good(outcome), none),
        What::Waits { error: why } => ("attempt failed, goes on waiting".to_owned(), error(why)),
        What::DeadLettered {
            reason,
            error: why,
            attempts,
        } => {
            let attempts = counted(attempts.unwrap_or(0), "1 attempt", "# attempts");
            let why = why.clone().filter(|why| !before.contains(why));
            let outcome = style.bad(format!("dead letter: {reason}"));
            (outcome, spaced([attempts, error(&why)]))
        }
        What::Replayed => ("put back by a replay (time unknown)".to_owned(), none),
        What::Ran(run) => ran(run, event.at, style),
        What::Ended {
            status,
            outcome,
            published,
        } => {
            let to = match published.to.is_empty() {
                true => outcome.clone(),
                false => published.words(),
            };
            let failed = if status == "SUCCEEDED" { "" } else { status };
            (to, format!("{failed} {}", published.claimed()))
        }
        What::Published(published) => {
            let claimed = published.claimed();
            let facts = format!("requested by the workflow {claimed}");
            (published.words(), facts)
        }
        What::Found { status } => {
            let found = format!("found its end ({status}), whose event was lost");
            (found, none)
        }
        What::Noted {
            level,
            text,
            error: why,
        } => {
            let level = if level == "INFO" { "" } else { level };
            (shown(text), spaced([level.to_owned(), error(why)]))
        }
    }
}

impl Publication {
    fn words(&self) -> String {
        format!("published to {}", self.to.join(", "))
    }

    fn claimed(&self) -> &'static str {
        match self.claims {
            None | Some(0) => "",
            Some(_) => "as a claim",
        }
    }
}

fn answered(answer: &Answer, style: Style) -> (String, String) {
    let status = answer.status.map_or(String::new(), |n| format!("{n} "));
    let took = answer
        .took_ms
        .map_or(String::new(), |ms| format!(" in {ms} ms"));
    let targets = answer.targets.iter();
    let targets = targets.map(|Target { route, outcome }| format!("{} {outcome}", shown(route)));
    let targets = targets.collect::<Vec<_>>().join(", ");
    let code = format!("{status}{}", answer.code);
    let code = match answer.code.as_str() {
        "accepted" => style.good(code),
        _ => style.bad(code),
    };
    let error = answer.error.as_deref().map_or(String::new(), shown);
    (code + &took, spaced([targets, error]))
}

fn ran(run: &Run, started_at: i64, style: Style) -> (String, String) {
    let status = match run.status.as_str() {
        "SUCCEEDED" => style.good(&run.status),
        "RUNNING" | "EXPRESS" => style.bold(&run.status),
        _ => style.bad(&run.status),
    };
    let took = run
        .stopped_at
        .map(|at| format!(" in {}", span(at - started_at)));
    let redriven = counted(run.redrives, "redriven once", "redriven # times");
    let error = [run.error.as_deref(), run.cause.as_deref()];
    let error: Vec<_> = error.into_iter().flatten().map(shown).collect();
    let facts = spaced([run.name.clone(), redriven, error.join(": ")]);
    (status + &took.unwrap_or_default(), facts)
}

/// The states of an execution. `published_at` is the time of the message.
fn states(text: &mut String, run: &Run, published_at: Option<i64>, style: Style) {
    let mut below = |when: &str, what: &str| row(text, when, "", what);
    if run.status == "EXPRESS" {
        below("", &style.dim("an EXPRESS workflow has no history"));
    }
    for state in run.states.iter().take(MOST_STATES) {
        let after = published_at.map(|at| state.entered_at - at);
        below(&when(after, state.entered_at), &state_line(state, style));
        for (name, value) in [("input", &state.input), ("output", &state.output)] {
            if let Some(value) = value {
                below("", &format!("  {} {}", style.dim(name), shown(value)));
            }
        }
    }
    if let Some(failure) = &run.failure {
        let words = shown(&failure.words());
        below("", &style.bad(format!("failed {words}")));
    }
    let more = run.states.len().saturating_sub(MOST_STATES);
    if more > 0 {
        below("", &format!("… and {more} more states"));
    }
}

fn state_line(state: &State, style: Style) -> String {
    let name = shown(&state.name);
    let took = state.left_at.map(|left| span(left - state.entered_at));
    let (name, end) = match state.end {
        "open" => (format!("· {name}"), "is there now".to_owned()),
        "left" => (format!("· {name}"), String::new()),
        "caught" => (format!("· {name}"), "failed, caught".to_owned()),
        _ => (style.bad(format!("✗ {name}")), style.bad("failed")),
    };
    let retries = counted(state.retries, "1 retry", "# retries");
    let error = state.error.as_deref().map_or(String::new(), shown);
    spaced([name, took.unwrap_or_default(), end, retries, error])
}

fn verdict(text: &mut String, verdict: &Verdict, style: Style) {
    use RouteState as S;
    let failed = match &verdict.state {
        S::Published { status, .. } => status.as_deref(),
        S::Silent { status, .. } | S::Unpublished { status, .. } => Some(status.as_str()),
        _ => None,
    };
    let mark = match &verdict.state {
        _ if failed.is_some_and(|status| status != "SUCCEEDED") => style.bad("✗"),
        S::Published { .. }
        | S::Silent { .. }
        | S::OnTheBus { .. }
        | S::Resumed { .. }
        | S::Stopped { .. }
        | S::Express { .. } => style.good("✓"),
        S::Running { .. }
        | S::Waits { .. }
        | S::Started { .. }
        | S::Unpublished { .. }
        | S::Other { .. } => style.bold("…"),
        _ => style.bad("✗"),
    };
    let route = verdict.route.as_deref();
    let route = route.map_or(String::new(), |route| format!("{}: ", shown(route)));
    let _ = writeln!(text, "{mark} {route}{}", shown(&verdict.sentence));
}

fn span(ms: i64) -> String {
    seconds(Duration::from_millis(ms.unsigned_abs()))
}

/// `+0.412 s`; the time of day where the time of the publication is unknown.
pub(in crate::tools) fn when(after_ms: Option<i64>, at: i64) -> String {
    let Some(ms) = after_ms else {
        return moment(at).split_off(11);
    };
    let sign = if ms < 0 { '-' } else { '+' };
    let ms = ms.unsigned_abs();
    let seconds = ms / 1000;
    let (hours, minutes) = (seconds / 3600, seconds / 60 % 60);
    match seconds {
        0..600 => format!("{sign}{seconds}.{:03} s", ms % 1000),
        600..86_400 => format!("{sign}{hours}:{minutes:02}:{:02} h", seconds % 60),
        _ => format!("{sign}{} d {:02}:{minutes:02} h", hours / 24, hours % 24),
    }
}
