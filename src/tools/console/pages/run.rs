//! One message: its way from the publication to its results.

use axum::extract::{Path, Query, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use maud::{Markup, html};
use serde::Deserialize;

use crate::tools::console::app::{App, Problem};
use crate::tools::console::delivery::kept;
use crate::tools::console::layout::{chip, mark, page, problems};
use crate::tools::console::model::{Delivery, Row};
use crate::tools::console::pages::shown::Shown;
use crate::tools::console::pages::timeline;
use crate::tools::console::recorded::{PAGES, Recorded};
use crate::tools::console::results::results;
use crate::tools::console::text::{moment, payload, segment, size, visible};
use crate::tools::letters::DeadQueue;
use crate::tools::trace::model::{
    Event, Head, Report, RouteState, Run, Trace, Unanswered, Verdict,
};
use crate::tools::trace::subject::Subject;

/// How much of a history to show, in pages of a thousand events.
#[derive(Debug, Deserialize)]
pub struct Length {
    #[serde(default = "length")]
    pages: usize,
}

fn length() -> usize {
    PAGES
}

/// The end of an address that asks for JSON.
const JSON: &str = ".json";

/// `GET /runs/{subject}`: a message id, `cache/topic/number`, an execution or a key; with `.json`, as `bridge trace --json --payloads`.
pub async fn show(
    State(app): State<App>,
    Path(subject): Path<String>,
    Query(length): Query<Length>,
) -> Result<Response, Problem> {
    let (name, as_json) = match subject.strip_suffix(JSON) {
        Some(name) => (name, true),
        None => (subject.as_str(), false),
    };
    let (routes, mut unread) = app.messages.routes().await?;
    let mut report = app.services.report(name, &routes, as_json).await?;
    report.unanswered.append(&mut unread);
    if as_json {
        let text = serde_json::to_string_pretty(&report);
        let text = text.map_err(|error| Problem::bad_request(error.to_string()))?;
        let kind = [(header::CONTENT_TYPE, "application/json")];
        return Ok((kind, text).into_response());
    }
    let id = report
        .messages
        .first()
        .and_then(|one| one.message.id.clone());
    let id = id.unwrap_or_else(|| name.to_owned());
    let row = app.messages.find(&id);
    if report.messages.is_empty() && row.is_none() {
        let nothing = report.nothing.clone().unwrap_or_default();
        let unanswered = problems(&report.unanswered).into_string();
        return Err(Problem::not_found(match unanswered.is_empty() {
            true => nothing,
            false => format!("{nothing}; {}", failed(&report)),
        }));
    }
    let found = kept(&app, &report).await.unwrap_or_default();
    let found = found.or_else(|| app.messages.delivery(&id));
    let title = title(&report, row.as_ref());
    let body = render(&app, &report, row.as_ref(), found.as_ref(), length.pages).await;
    Ok(page(&title, "/", Some(&app.place), body).into_response())
}

fn failed(report: &Report) -> String {
    let all = report.unanswered.iter();
    let all = all.map(|one| format!("could not query {}: {}", one.source, one.error));
    all.collect::<Vec<_>>().join("; ")
}

fn title(report: &Report, row: Option<&Row>) -> String {
    let head = report.messages.first().map(|trace| &trace.message);
    let place = head.and_then(|head| Some((head.topic.clone()?, head.number?)));
    let place = place.or_else(|| row.map(|row| (row.topic.clone(), row.sequence)));
    place.map_or_else(
        || "Run".to_owned(),
        |(topic, number)| format!("{topic}#{number}"),
    )
}

async fn render(
    app: &App,
    report: &Report,
    row: Option<&Row>,
    found: Option<&Delivery>,
    pages: usize,
) -> Markup {
    let empty = Trace::default();
    let trace = report.messages.first().unwrap_or(&empty);
    let mut recorded = Vec::new();
    let mut unread = Vec::new();
    for (_, run) in runs(trace).filter(|(_, run)| run.status != "EXPRESS") {
        match Recorded::read(app.services.as_ref(), &run.arn, pages).await {
            Ok(one) => recorded.push(one),
            Err(fault) => {
                unread.push(Unanswered::new("the history of the execution", fault));
            }
        }
    }
    let results = results(app, trace, &recorded);
    let id = trace.message.id.as_deref().unwrap_or_default();
    let open = is_open(trace, row);
    // On AWS, every look costs calls.
    let refresh = (open && app.place.local).then_some("1500");
    html! {
        div id="run" data-refresh=[refresh] {
            (head(app, trace, row, found))
            (problems(&report.unanswered))
            @if report.messages.len() > 1 { (others(report)) }
            (verdicts(app, trace))
            (problems(&unread))
            @for (number, (event, run)) in runs(trace).enumerate() {
                @let recorded = recorded.iter().find(|one| one.arn == run.arn);
                (Shown { app, run_id: id, number, event, run, recorded }.section())
            }
            @if let Some(Delivery(message)) = found {
                h2 { "Message" }
                @match message.text() {
                    Some(text) => (payload("text", text, &format!("/runs/{}/value", message.id))),
                    None => (payload("binary, in base64", message.value.as_str(), &format!("/runs/{}/value", message.id))),
                }
            }
            @if !results.is_empty() {
                h2 { "Published" }
                @for (row, text, claim) in &results {
                    p { a href={ "/runs/" (row.id) } { span.topic { (visible(&row.topic)) } "#" (row.sequence) } " " (moment(row.at, true)) }
                    (payload("value", text, &format!("/runs/{}/value", row.id)))
                    @if *claim {
                        p.note { "A claim: the value is stored beside the topic. " a href={ "/runs/" (row.id) "/claim" } { "Read the value" } }
                    }
                }
            }
            (timeline::timeline(trace))
            (links(trace))
        }
    }
}

/// The executions of a message.
fn runs(trace: &Trace) -> impl Iterator<Item = (&Event, &Run)> {
    let events = trace.events.iter();
    events.filter_map(|event| Some((event, event.run()?)))
}

/// Whether something may still happen to it soon.
fn is_open(trace: &Trace, row: Option<&Row>) -> bool {
    let open = |verdict: &Verdict| {
        matches!(
            verdict.state,
            RouteState::Running { .. }
                | RouteState::Started { .. }
                | RouteState::Unpublished { .. }
                | RouteState::Waits { .. }
        )
    };
    let young = row.is_some_and(|row| crate::clock::now_ms() - row.at < 10_000);
    trace.routes.iter().any(open) || (young && trace.routes.is_empty())
}

fn head(app: &App, trace: &Trace, row: Option<&Row>, found: Option<&Delivery>) -> Markup {
    let from_row = row.map(|row| Head {
        id: Some(row.id.clone()),
        cache: Some(row.cache.clone()),
        topic: Some(row.topic.clone()),
        number: Some(row.sequence),
        published_at: Some(row.at),
        ..Head::default()
    });
    let head = match &trace.message {
        head if head.topic.is_some() => head,
        head => from_row.as_ref().unwrap_or(head),
    };
    let id = head.id.clone().unwrap_or_default();
    let own = format!("/runs/{}", segment(&id));
    html! {
        div.title {
            h1 {
                span.topic { (visible(head.topic.as_deref().unwrap_or("?"))) }
                @if let Some(number) = head.number { "#" (number) }
            }
            @if let Some(row) = row { (chip(row.status())) }
            @else if let Some(worst) = trace.routes.iter().map(state_class).min() { (mark(worst.1, worst.2)) }
        }
        dl.facts {
            div { dt { "id" } dd { code { (id) } } }
            @if let Some(cache) = &head.cache { div { dt { "cache" } dd { (visible(cache)) } } }
            @if let Some(at) = head.published_at { div { dt { "published" } dd { (moment(at, false)) } } }
            @if let Some(token) = &head.token_id { div { dt { "token id" } dd { (visible(token)) } } }
            @if let Some(key) = row.and_then(|row| row.key.as_ref()) { div { dt { "key" } dd { (visible(key)) } } }
            @if let Some(bytes) = row.and_then(|row| row.bytes) { div { dt { "size" } dd { (size(bytes)) } } }
        }
        div.actions {
            @if app.place.changes && found.is_some() {
                a.button href={ "/publish?again=" (id) } { "Send again …" }
                form action={ (own) "/deliver" } method="post" { button type="submit" title="The same message, signed anew: one that was taken before is a duplicate" { "Deliver again" } }
            }
            a.button href={ (own) (JSON) } { "Export JSON" }
            a.button href=(own) { "Reload" }
        }
    }
}

/// Rank, class and word of a verdict; the worst has the lowest rank.
fn state_class(verdict: &Verdict) -> (u8, &'static str, &'static str) {
    match &verdict.state {
        RouteState::ResultDead { .. } => (0, "dead_letter", "result dead"),
        RouteState::Dead { gone: false, .. } => (0, "dead_letter", "dead letter"),
        RouteState::NotStored { .. } => (0, "not_stored", "not stored"),
        RouteState::Refused { .. } => (0, "refused", "refused"),
        RouteState::Waits { .. } => (1, "parked", "parked"),
        RouteState::Unpublished { .. } => (2, "running", "not published"),
        RouteState::Running { .. } => (2, "running", "running"),
        RouteState::Started { .. } => (3, "started", "started"),
        RouteState::Published { .. } => (4, "published", "published"),
        RouteState::Silent { status, .. } if status != "SUCCEEDED" => (0, "failed", "failed"),
        RouteState::Silent { .. } => (4, "succeeded", "succeeded"),
        RouteState::Express { .. } => (4, "started", "express"),
        _ => (5, "done", "done"),
    }
}

fn verdicts(app: &App, trace: &Trace) -> Markup {
    let id = trace.message.id.as_deref().unwrap_or_default();
    html! {
        ul.verdicts {
            @for verdict in &trace.routes {
                @let (_, class, word) = state_class(verdict);
                @let queue = match verdict.state {
                    RouteState::Dead { gone: false, .. } => Some(DeadQueue::Messages),
                    RouteState::ResultDead { .. } => Some(DeadQueue::Results),
                    _ => None,
                };
                li {
                    (mark(class, word))
                    @if let Some(route) = &verdict.route { strong { (route) } }
                    span { (visible(&verdict.sentence)) }
                    @if let Some(queue) = queue.filter(|_| app.place.changes) {
                        form action="/letters/back" method="post" {
                            input type="hidden" name="queue" value=(queue.name());
                            @if queue == DeadQueue::Messages { input type="hidden" name="id" value=(id); }
                            @if let Some(route) = &verdict.route { input type="hidden" name="route" value=(route); }
                            @if queue == DeadQueue::Results { input type="hidden" name="dry" value="true"; }
                            button type="submit" { @if queue == DeadQueue::Messages { "Put back" } @else { "Put back …" } }
                        }
                    }
                }
            }
        }
    }
}

/// Other messages of the same number or key.
fn others(report: &Report) -> Markup {
    html! {
        p.note {
            "Numbers start again, and a key may have several routes; others: "
            @for trace in report.messages.iter().skip(1) {
                @if let Some(id) = &trace.message.id { a href={ "/runs/" (id) } { code { (id) } } " " }
            }
        }
    }
}

fn links(trace: &Trace) -> Markup {
    html! {
        @if !trace.links.is_empty() {
            h2 { "Elsewhere" }
            ul.links {
                @for link in &trace.links {
                    li {
                        @if link.to.starts_with("https://") { a href=(link.to) rel="noreferrer" { (link.what) } }
                        @else { (link.what) ": " code { (visible(&link.to)) } }
                    }
                }
            }
        }
    }
}

/// `GET /runs/{id}/value`: the value as text.
pub async fn value(State(app): State<App>, Path(id): Path<String>) -> Result<Response, Problem> {
    let found = crate::tools::console::delivery::delivery(&app, &id).await?;
    let Some(Delivery(message)) = found else {
        return Err(Problem::not_found(
            "the value of this message is not known any more",
        ));
    };
    Ok(message.value.as_str().to_owned().into_response())
}

/// `GET /runs/{id}/claim`: the claimed value as text.
pub async fn claim(State(app): State<App>, Path(id): Path<String>) -> Result<Response, Problem> {
    if !matches!(Subject::parse(&id), Ok(Subject::Id(_))) {
        return Err(Problem::bad_request("expected a message id"));
    }
    let found = app.messages.delivery(&id);
    let text = found.as_ref().and_then(|found| found.0.text());
    let text = text.ok_or_else(|| Problem::not_found("this message is not known any more"))?;
    match app.messages.claimed(text).await? {
        Some(value) => Ok(value.into_response()),
        None => Err(Problem::not_found("expected a claim, found another value")),
    }
}
