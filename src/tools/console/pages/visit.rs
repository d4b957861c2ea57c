//! The panel of one visit of a state: what came in and went out, and what failed.

use maud::{Markup, html};

use crate::tools::console::layout::mark;
use crate::tools::console::pages::shown::Shown;
use crate::tools::console::text::{moment, payload, query, span, visible};
use crate::tools::execution::model::Status;
use crate::tools::execution::{View, Visit};

/// The panel; open if failing or waiting.
pub fn panel(shown: &Shown<'_>, view: &View, visit: &Visit) -> Markup {
    let failing = view.failing.and_then(|index| view.visits.get(index));
    let failing = failing.is_some_and(|failing| failing.id == visit.id);
    let token = visit
        .token
        .as_ref()
        .filter(|_| visit.status == Status::Waiting);
    let class = visit.status.word();
    html! {
        details class={ "visit " (class) } id={ (shown.prefix()) "visit-" (visit.id) } open[failing || token.is_some()] {
            summary {
                (mark(class, class))
                strong { (visible(&visit.name)) }
                @for step in &visit.path { span.dim { (visible(&step.state)) " #" (step.index) } }
                @if let Some(left) = visit.left_at { span.dim { (span(left - visit.entered_at)) } }
                @if visit.retries > 0 { span.chip { "↻ " (visit.retries) @if visit.retries == 1 { " retry" } @else { " retries" } } }
                @if let Some(error) = &visit.error { span.error { (visible(error)) } }
            }
            div.inside {
                (error(visit))
                @if let Some(token) = token.filter(|_| shown.app.place.changes) { (answer(shown, visit, token)) }
                (facts(shown, visit))
                (payloads(shown, visit))
                (attempts(visit))
            }
        }
    }
}

fn error(visit: &Visit) -> Markup {
    html! {
        @if visit.error.is_some() || visit.cause.is_some() {
            div.alert {
                @if let Some(error) = &visit.error { strong { (visible(error)) } }
                @if let Some(field) = &visit.field { p { "at " code { (visible(field)) } } }
                @if let Some(expression) = &visit.expression { p { code { (visible(expression)) } } }
                @if let Some(cause) = &visit.cause { p { (visible(cause)) } }
            }
        }
    }
}

fn facts(shown: &Shown<'_>, visit: &Visit) -> Markup {
    let published = shown.event.at - shown.event.after_ms.unwrap_or(0);
    html! {
        dl.facts {
            div { dt { "type" } dd { (visit.kind) } }
            div { dt { "entered" } dd { (moment(visit.entered_at, true)) span.dim { " +" (span(visit.entered_at - published)) } } }
            @if let Some(left) = visit.left_at { div { dt { "left" } dd { (moment(left, true)) } } }
            @if let Some(resource) = &visit.resource { div { dt { "resource" } dd { code { (visible(resource)) } } } }
            @if let Some(items) = &visit.items { div { dt { "items" } dd { (items.succeeded) " of " (items.total) " succeeded" @if items.failed > 0 { ", " (items.failed) " failed" } @if items.aborted > 0 { ", " (items.aborted) " aborted" } } } }
            @if let Some(run) = &visit.map_run { div { dt { "map run" } dd { code { (visible(run)) } } } }
            @if visit.inferred { div { dt { "note" } dd { "inferred from its task: the local emulator records no entry" } } }
        }
    }
}

/// The texts of a visit by their names in addresses.
pub fn part<'a>(visit: &'a Visit, name: &str) -> Option<&'a str> {
    match name {
        "input" => visit.input.as_deref(),
        "arguments" => visit.arguments.as_deref(),
        "result" => visit.result.as_deref(),
        "output" => visit.output.as_deref(),
        _ => visit
            .variables
            .get(name.strip_prefix('$')?)
            .map(String::as_str),
    }
}

fn payloads(shown: &Shown<'_>, visit: &Visit) -> Markup {
    let address = |name: &str| {
        let (arn, id) = (shown.run.arn.as_str(), visit.id.to_string());
        let pairs = [("arn", arn), ("visit", &id), ("part", name)];
        format!("/executions/payload?{}", query(&pairs))
    };
    html! {
        @for name in ["input", "arguments", "result", "output"] {
            @if let Some(text) = part(visit, name) { (payload(name, text, &address(name))) }
        }
        @for (name, value) in &visit.variables {
            (payload(&format!("${name}"), value, &address(&format!("${name}"))))
        }
    }
}

fn attempts(visit: &Visit) -> Markup {
    html! {
        @if visit.attempts.len() > 1 {
            table.attempts {
                thead { tr { th.number scope="col" { "Attempt" } th scope="col" { "At" } th scope="col" { "Took" } th scope="col" { "Error" } } }
                tbody {
                    @for (index, attempt) in visit.attempts.iter().enumerate() {
                        tr {
                            td.number { (index + 1) }
                            td { (moment(attempt.scheduled_at, true)) }
                            td { @if let Some(end) = attempt.ended_at { (span(end - attempt.scheduled_at)) } }
                            td { @if let Some(error) = &attempt.error { span.error { (visible(error)) } } @if let Some(cause) = &attempt.cause { " " (visible(cause)) } }
                        }
                    }
                }
            }
        }
    }
}

fn answer(shown: &Shown<'_>, visit: &Visit, token: &str) -> Markup {
    let own = format!("{}answer-{}", shown.prefix(), visit.id);
    let hidden = html! {
        input type="hidden" name="token" value=(token);
        input type="hidden" name="run" value=(shown.run_id);
    };
    html! {
        div.answer {
            p { strong { "This task waits for an answer." } }
            form action="/tasks/answer" method="post" {
                (hidden)
                label { span { "Output, as JSON" } textarea id=(own) name="output" rows="2" required spellcheck="false" { "\n{\"approved\": true}" } }
                p { button type="submit" { "Go on with this output" } }
            }
            form.pair action="/tasks/answer" method="post" {
                (hidden)
                label { span { "Error" } input type="text" name="error" required spellcheck="false" value="Declined"; }
                label.wide { span { "Cause" } input type="text" name="cause"; }
                button type="submit" { "Let it fail" }
            }
        }
    }
}
