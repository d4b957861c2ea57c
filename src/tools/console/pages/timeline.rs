//! The events of a message on a time axis.

use maud::{Markup, html};

use crate::tools::console::layout::class_of;
use crate::tools::console::text::{moment, visible};
use crate::tools::terminal::Style;
use crate::tools::trace::model::{Event, Trace, What};
use crate::tools::trace::show::{described, when};

/// The width of the axis, in its own units.
const WIDTH: i64 = 1000;

/// The shortest bar.
const SHORTEST: i64 = 6;

/// All events, each with a bar from its start to its end.
pub fn timeline(trace: &Trace) -> Markup {
    let start = trace.message.published_at;
    let start = start.or_else(|| trace.events.first().map(|event| event.at));
    let start = start.unwrap_or_default();
    let end = trace.events.iter().map(|event| event.at + length(event));
    let whole = end.max().map_or(1, |end| (end - start).max(1));
    let scale = |ms: i64| ms.clamp(0, whole) * WIDTH / whole;
    let mut errors = String::new();
    let mut rows = Vec::new();
    for event in &trace.events {
        let (outcome, facts) = described(event, &errors, Style::plain());
        errors.push_str(event.answer_error());
        let from = scale(event.at - start);
        let width = scale(event.at + length(event) - start) - from;
        rows.push((event, outcome, facts, from, width.max(SHORTEST)));
    }
    html! {
        @if !rows.is_empty() {
            h2 { "Timeline" }
            ol.timeline {
                @for (event, outcome, facts, from, width) in &rows {
                    li class=(class(event)) {
                        span.at title=(when(event.after_ms, event.at)) { (when(event.after_ms, event.at)) }
                        span.part { (event.part.name()) }
                        span.what {
                            @if let Some(route) = &event.route { strong { (visible(route)) } " " }
                            (visible(outcome)) " " span.dim { (visible(facts.trim())) }
                        }
                        svg.bar viewBox={ "0 0 " (WIDTH) " 10" } preserveAspectRatio="none" aria-hidden="true" {
                            rect x=(from.min(&(WIDTH - SHORTEST))) y="1" width=(width.min(&WIDTH)) height="8" rx="2" {}
                        }
                        span.hidden { (moment(event.at, false)) }
                    }
                }
            }
        }
    }
}

/// How long it took, in ms.
fn length(event: &Event) -> i64 {
    match &event.what {
        What::Answered(answer) => answer.took_ms.unwrap_or(0),
        What::Ran(run) => run.stopped_at.map_or(0, |end| end - event.at).max(0),
        _ => 0,
    }
}

fn class(event: &Event) -> &'static str {
    match &event.what {
        What::Answered(answer) if answer.code == "accepted" => "good",
        What::Answered(_) | What::DeadLettered { .. } => "bad",
        What::Ran(run) => class_of(&run.status),
        What::Waits { .. } => "parked",
        What::Noted { level, .. } if matches!(&**level, "ERROR" | "WARN") => "bad",
        What::Ended { .. } | What::Published { .. } | What::Redriven { .. } => "good",
        What::Replayed | What::Found { .. } | What::Noted { .. } => "",
    }
}
