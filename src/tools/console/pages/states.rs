//! An execution: its states as a table, each with its data.

use maud::{Markup, html};

use crate::tools::console::app::App;
use crate::tools::console::layout::{class_of, mark};
use crate::tools::console::text::{payload, span, visible};
use crate::tools::trace::model::{Event, Run, State, StateEnd, Trace};

/// The section of an execution.
pub async fn execution(app: &App, trace: &Trace, event: &Event, run: &Run) -> Markup {
    let id = trace.message.id.as_deref().unwrap_or_default();
    html! {
        section.execution {
            h2 {
                "Execution " @if let Some(route) = &event.route { (visible(route)) } " "
                (mark(class_of(&run.status), &run.status))
            }
            p { code { (visible(&run.name)) } @if let Some(end) = run.stopped_at { " took " (span(end - event.at)) } }
            @if let Some(error) = &run.error { p.alert { strong { (visible(error)) } @if let Some(cause) = &run.cause { ": " (visible(cause)) } } }
            @if app.place.changes && run.status == "RUNNING" {
                form action="/executions/stop" method="post" {
                    input type="hidden" name="arn" value=(run.arn);
                    input type="hidden" name="run" value=(id);
                    button type="submit" { "Stop" }
                }
            }
            @for state in &run.states { (row(state)) }
        }
    }
}

fn row(state: &State) -> Markup {
    let (class, word) = match state.end {
        StateEnd::Open => ("running", "running"),
        StateEnd::Left => ("succeeded", "succeeded"),
        StateEnd::Caught => ("caught", "caught"),
        StateEnd::Failed => ("failed", "failed"),
    };
    html! {
        details.visit open[state.end == StateEnd::Failed] {
            summary { (mark(class, word)) strong { (visible(&state.name)) } @if let Some(left) = state.left_at { span.dim { (span(left - state.entered_at)) } } @if let Some(error) = &state.error { span.error { (visible(error)) } } }
            @if let Some(input) = &state.input { (payload("input", input, "")) }
            @if let Some(output) = &state.output { (payload("output", output, "")) }
        }
    }
}
