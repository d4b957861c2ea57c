//! Writes a report for people.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use super::model::{
    Event, Head, Report, RouteState, Run, State, StateEnd, Target, Trace, Verdict, What,
};
use crate::tools::terminal::{Style, preview, seconds};

/// States shown of one execution, at most.
const MOST_STATES: usize = 30;

/// Columns of a part's name.
const PART_WIDTH: usize = 11;

/// The whole report, with a line at its end for each route.
pub fn show(report: &Report, style: Style) -> String {
    let mut text = String::new();
    if report.messages.len() > 1 {
        let count = report.messages.len();
        let _ = writeln!(
            text,
            "{count} messages have this number, since numbers start again; the newest first\n"
        );
    }
    let mut errors: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for unanswered in &report.unanswered {
        let sources = errors.entry(&unanswered.error).or_default();
        sources.push(&unanswered.source);
    }
    for (error, sources) in &errors {
        let could_not = style.bad("could not query");
        let _ = writeln!(text, "{could_not} {}: {}", sources.join(", "), shown(error));
    }
    if !errors.is_empty() {
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

fn message(text: &mut String, trace: &Trace, style: Style) {
    head(text, &trace.message, style);
    text.push('\n');
    let mut errors = String::new();
    for event in &trace.events {
        line(text, event, &errors, style);
        if let What::Answered {
            error: Some(error), ..
        } = &event.what
        {
            errors.push_str(error);
        }
    }
    text.push('\n');
    if !trace.links.is_empty() {
        for link in &trace.links {
            let _ = writeln!(text, "{}", style.dim(format!("{}: {}", link.what, link.to)));
        }
        text.push('\n');
    }
    for verdict in &trace.routes {
        self::verdict(text, verdict, style);
    }
}

fn head(text: &mut String, head: &Head, style: Style) {
    let unknown = || "?".to_owned();
    let id = head.id.clone().unwrap_or_else(unknown);
    let place = match (&head.cache, &head.topic, head.number) {
        (Some(cache), Some(topic), Some(number)) => {
            format!("  {}/{} number {number}", shown(cache), shown(topic))
        }
        _ => String::new(),
    };
    let _ = writeln!(text, "message {}{place}", style.bold(id));
    let mut facts = Vec::new();
    if let Some(at) = head.published_at {
        facts.push(format!("published {}", moment(at)));
    }
    if let Some(token) = &head.token_id {
        facts.push(format!("token {}", shown(token)));
    }
    if let Some(trace) = &head.xray_trace_id {
        facts.push(format!("trace {trace}"));
    }
    if !facts.is_empty() {
        let _ = writeln!(text, "  {}", style.dim(facts.join("  ")));
    }
}

/// `before` has the errors of earlier lines, which a letter need not repeat.
fn line(text: &mut String, event: &Event, before: &str, style: Style) {
    let when = when(event.after_ms, event.at);
    let (outcome, facts) = described(event, before, style);
    let route = event
        .route
        .as_deref()
        .map_or(String::new(), |route| format!("{}  ", shown(route)));
    let part = event.part.name();
    let _ = writeln!(
        text,
        "{when:>12}  {part:<PART_WIDTH$}  {route}{outcome}{}",
        if facts.trim().is_empty() {
            String::new()
        } else {
            format!("  {}", facts.trim())
        }
    );
    if let What::Ran(run) = &event.what {
        states(
            text,
            run,
            event.at - event.after_ms.unwrap_or(event.at),
            event.after_ms.is_some(),
            style,
        );
    }
}

/// The outcome of an event, and its facts. `before` has the errors of earlier events.
pub(in crate::tools) fn described(event: &Event, before: &str, style: Style) -> (String, String) {
    let error = |error: &Option<String>| error.as_deref().map_or(String::new(), shown);
    match &event.what {
        What::Answered {
            code,
            status,
            targets,
            took_ms,
            error: why,
        } => {
            let status = status.map_or(String::new(), |status| format!("{status} "));
            let took = took_ms.map_or(String::new(), |ms| format!(" in {ms} ms"));
            let targets: Vec<_> = targets
                .iter()
                .map(|Target { route, outcome }| format!("{} {outcome}", shown(route)))
                .collect();
            let facts = [targets.join(", "), error(why)];
            let facts: Vec<_> = facts.into_iter().filter(|fact| !fact.is_empty()).collect();
            let colour = if matches!(code.as_str(), "accepted") {
                Style::good
            } else {
                Style::bad
            };
            (
                format!("{}{took}", colour(style, format!("{status}{code}"))),
                facts.join("  "),
            )
        }
        What::Redriven { outcome } => (style.good(outcome), String::new()),
        What::Waits { error: why } => ("tried in vain, goes on waiting".to_owned(), error(why)),
        What::DeadLettered {
            reason,
            error: why,
            attempts,
        } => {
            let attempts = match attempts {
                None | Some(0) => String::new(),
                Some(1) => "1 attempt  ".to_owned(),
                Some(n) => format!("{n} attempts  "),
            };
            let repeated = why.as_deref().is_some_and(|why| before.contains(why));
            let why = if repeated { String::new() } else { error(why) };
            (style.bad(format!("dead letter: {reason}")), attempts + &why)
        }
        What::Replayed => (
            "put back by a replay, before this".to_owned(),
            String::new(),
        ),
        What::Ran(run) => ran(run, event.at, style),
        What::Ended {
            status,
            outcome,
            published,
            claims,
        } => {
            let to = if published.is_empty() {
                outcome.clone()
            } else {
                format!("published to {}", published.join(", "))
            };
            let failed = if status == "SUCCEEDED" { "" } else { status };
            (to, format!("{failed} {}", claimed(*claims)))
        }
        What::Published { published, claims } => (
            format!("published to {}", published.join(", ")),
            format!("requested by the workflow {}", claimed(*claims)),
        ),
        What::Found { status } => (
            format!("found its end ({status}), whose event was lost"),
            String::new(),
        ),
        What::Noted {
            level,
            text,
            error: why,
        } => (
            shown(text),
            if level == "INFO" {
                error(why)
            } else {
                format!("{level}  {}", error(why))
            },
        ),
    }
}

fn claimed(claims: Option<i64>) -> &'static str {
    match claims {
        None | Some(0) => "",
        Some(_) => "as a claim",
    }
}

fn ran(run: &Run, started_at: i64, style: Style) -> (String, String) {
    let colour = match run.status.as_str() {
        "SUCCEEDED" => Style::good,
        "RUNNING" | "EXPRESS" => Style::bold,
        _ => Style::bad,
    };
    let took = run
        .stopped_at
        .map_or(String::new(), |at| format!(" in {}", span(at - started_at)));
    let redriven = match run.redrives {
        0 => String::new(),
        1 => "  redriven once".to_owned(),
        n => format!("  redriven {n} times"),
    };
    let error = [run.error.as_deref(), run.cause.as_deref()];
    let error: Vec<_> = error.into_iter().flatten().map(shown).collect();
    let error = if error.is_empty() {
        String::new()
    } else {
        format!("  {}", error.join(": "))
    };
    (
        format!("{}{took}", colour(style, &run.status)),
        format!("{}{redriven}{error}", run.name),
    )
}

fn states(text: &mut String, run: &Run, origin: i64, relative: bool, style: Style) {
    if run.status == "EXPRESS" {
        let _ = writeln!(
            text,
            "{:>12}  {:<PART_WIDTH$}  {}",
            "",
            "",
            style.dim("an EXPRESS workflow has no history")
        );
    }
    for state in run.states.iter().take(MOST_STATES) {
        let at = relative.then(|| state.entered_at - origin);
        let _ = writeln!(
            text,
            "{:>12}  {:<PART_WIDTH$}  {}",
            when(at, state.entered_at),
            "",
            state_line(state, style)
        );
        for (name, value) in [("input", &state.input), ("output", &state.output)] {
            if let Some(value) = value {
                let _ = writeln!(
                    text,
                    "{:>12}  {:<PART_WIDTH$}    {} {}",
                    "",
                    "",
                    style.dim(name),
                    shown(value)
                );
            }
        }
    }
    if let Some(failure) = &run.failure {
        let words = format!("failed {}", shown(&failure.words()));
        let _ = writeln!(
            text,
            "{:>12}  {:<PART_WIDTH$}  {}",
            "",
            "",
            style.bad(words)
        );
    }
    if let Some(more) = run
        .states
        .len()
        .checked_sub(MOST_STATES)
        .filter(|more| *more > 0)
    {
        let _ = writeln!(
            text,
            "{:>12}  {:<PART_WIDTH$}  … and {more} more states",
            "", ""
        );
    }
}

fn state_line(state: &State, style: Style) -> String {
    let took = state.left_at.map_or(String::new(), |left| {
        format!("  {}", span(left - state.entered_at))
    });
    let end = match state.end {
        StateEnd::Open => "  is there now".to_owned(),
        StateEnd::Left => String::new(),
        StateEnd::Caught => "  failed, caught".to_owned(),
        StateEnd::Failed => style.bad("  failed"),
    };
    let retries = match state.retries {
        0 => String::new(),
        1 => "  1 retry".to_owned(),
        n => format!("  {n} retries"),
    };
    let error = state
        .error
        .as_deref()
        .map_or(String::new(), |error| format!("  {}", shown(error)));
    let (mark, name) = match state.end {
        StateEnd::Failed => (style.bad("✗"), style.bad(shown(&state.name))),
        _ => ("·".to_owned(), shown(&state.name)),
    };
    format!("{mark} {name}{took}{end}{retries}{error}")
}

fn verdict(text: &mut String, verdict: &Verdict, style: Style) {
    let (mark, colour): (_, fn(Style, &str) -> String) = match &verdict.state {
        RouteState::Published {
            status: Some(status),
            ..
        }
        | RouteState::Silent { status, .. }
        | RouteState::Unpublished { status, .. }
            if status != "SUCCEEDED" =>
        {
            ("✗", |s, t| s.bad(t))
        }
        RouteState::Published { .. }
        | RouteState::Silent { .. }
        | RouteState::OnTheBus { .. }
        | RouteState::Resumed { .. }
        | RouteState::Express { .. } => ("✓", |s, t| s.good(t)),
        RouteState::Running { .. }
        | RouteState::Waits { .. }
        | RouteState::Started { .. }
        | RouteState::Unpublished { .. }
        | RouteState::Other { .. } => ("…", |s, t| s.bold(t)),
        _ => ("✗", |s, t| s.bad(t)),
    };
    let route = verdict
        .route
        .as_deref()
        .map_or(String::new(), |route| format!("{}: ", shown(route)));
    let _ = writeln!(
        text,
        "{} {route}{}",
        colour(style, mark),
        shown(&verdict.sentence)
    );
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
    match ms / 1000 {
        0..600 => format!("{sign}{}.{:03} s", ms / 1000, ms % 1000),
        seconds @ 600..86_400 => format!(
            "{sign}{}:{:02}:{:02} h",
            seconds / 3600,
            seconds / 60 % 60,
            seconds % 60
        ),
        seconds => format!(
            "{sign}{} d {:02}:{:02} h",
            seconds / 86_400,
            seconds / 3600 % 24,
            seconds / 60 % 60
        ),
    }
}

/// `2026-01-31 09:30:00.123` in UTC.
pub(super) fn moment(ms: i64) -> String {
    let text = super::words::time(ms);
    let text = text.trim_end_matches('Z').replace('T', " ");
    format!("{text}.{:03} UTC", ms.rem_euclid(1000))
}

/// On one line, without characters that move the cursor.
pub(super) fn shown(text: &str) -> String {
    preview(text, usize::MAX)
}
