//! The list of messages, live.

use std::convert::Infallible;
use std::time::Duration;

use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Redirect, Response};
use futures_util::Stream;
use maud::{Markup, html};
use tokio::sync::broadcast::error::{RecvError, TryRecvError};

use crate::clock::now_ms;
use crate::tools::console::app::{App, Problem};
use crate::tools::console::layout::{chip, page, problems, route_choice};
use crate::tools::console::model::{Filter, Kind, Listed, PAGE, Row, Status};
use crate::tools::console::text::{moment, segment, size, span, visible};
use crate::tools::trace::subject::Subject;

/// Pause before changes are sent, so that many come as one.
const GATHER: Duration = Duration::from_millis(120);

type Filters = Result<Query<Filter>, QueryRejection>;

fn filter(filters: Filters) -> Result<Filter, Problem> {
    let Query(filter) = filters.map_err(|error| Problem::bad_request(error.body_text()))?;
    Ok(filter)
}

/// `GET /`.
pub async fn list(State(app): State<App>, filters: Filters) -> Result<Response, Problem> {
    let filter = filter(filters)?;
    if let Some(subject) = named(&filter) {
        return Ok(Redirect::to(&format!("/runs/{}", segment(&subject))).into_response());
    }
    let listed = app.messages.list(&filter).await?;
    let (routes, unanswered) = app.messages.routes().await?;
    let names: Vec<&str> = routes.iter().map(|route| route.name.as_str()).collect();
    let live = app.messages.changes().is_some() && filter.before.is_none();
    let body = html! {
        div.title {
            h1 { "Runs" }
            @if live { span.live id="live" { "live" } }
            a.button href="/publish" { "Publish a message" }
        }
        (form(&filter, &names))
        (problems(&unanswered))
        @if !listed.note.is_empty() { p.note { (listed.note) } }
        (problems(&listed.unanswered))
        (table(&listed, &filter, live))
    };
    Ok(page("Runs", "/", Some(&app.place), body).into_response())
}

/// The message that a search names alone: a whole id, or an execution.
fn named(filter: &Filter) -> Option<String> {
    let others = Filter {
        q: String::new(),
        ..filter.clone()
    };
    let q = filter.q.trim();
    let subject = Subject::parse(q)
        .ok()
        .filter(|_| others == Filter::default())?;
    match subject {
        Subject::Id(id) if id.len() == 32 => Some(id),
        Subject::Execution { .. } => Some(q.to_owned()),
        Subject::Id(_) | Subject::Number { .. } | Subject::Key(_) => None,
    }
}

fn form(filter: &Filter, routes: &[&str]) -> Markup {
    html! {
        form.filters action="/" method="get" role="search" {
            label.wide {
                span { "Search" }
                input id="search" type="search" name="q" value=(filter.q) placeholder="id, key, topic#number or text" spellcheck="false" autocomplete="off";
            }
            label { span { "Topic" } input type="text" name="topic" value=(filter.topic) placeholder="orders/*" spellcheck="false" autocomplete="off"; }
            (route_choice(routes, &filter.route))
            label {
                span { "Status" }
                select name="status" {
                    option value="" { "all" }
                    @for status in Status::ALL {
                        option value=(status.name()) selected[status.name() == filter.status] { (status.word()) }
                    }
                }
            }
            label { span { "Since" } input.short type="text" name="since" value=(filter.since) placeholder="30m, 24h, 7d"; }
            label.check { input type="checkbox" name="show" value="all" checked[filter.show == "all"]; span { "results, too" } }
            button type="submit" { "Filter" }
            @if *filter != Filter::default() { a href="/" { "Clear" } }
        }
    }
}

fn table(listed: &Listed, filter: &Filter, live: bool) -> Markup {
    let stream = live.then(|| format!("/events?{}", filter.query()));
    let more = Filter {
        before: listed.more,
        ..filter.clone()
    };
    html! {
        table.runs id="runs" data-stream=[stream] data-page=(PAGE) {
            caption.hidden { "Messages, newest first" }
            thead {
                tr { th scope="col" { "Status" } th scope="col" { "Message" } th scope="col" { "Routes" } th scope="col" { "Key" } th scope="col" { "Published" } th scope="col" { "Took" } }
            }
            tbody aria-live="off" {
                @for row in &listed.rows { (line(row)) }
            }
        }
        p.empty id="empty" hidden[!listed.rows.is_empty()] {
            "No message " @if *filter == Filter::default() { "yet. " a href="/publish" { "Publish one" } "." } @else { "passes these filters." }
        }
        // Hidden, it is there for a list that grows.
        p.more { a.button rel="next" id="more" href={ "/?" (more.query()) } hidden[listed.more.is_none()] { "Load more" } }
    }
}

/// A row of the list.
pub fn line(row: &Row) -> Markup {
    let status = row.status();
    html! {
        tr id={ "row-" (row.number) } data-number=(row.number) class=(status.name()) {
            td.state { (chip(status)) }
            td.message {
                a href={ "/runs/" (row.id) } { span.topic { (visible(&row.topic)) } "#" (row.sequence) }
                @match (&row.text, row.bytes) {
                    (Some(text), _) => span.text { (visible(text)) },
                    (None, Some(bytes)) => span.text.dim { "binary, " (size(bytes)) },
                    (None, None) => {}
                }
                @for error in row.errors() { span.error { (visible(error)) } }
                @if row.legs.is_empty() {
                    @if let Some(answer) = row.answer.as_ref().filter(|answer| answer.status != Some(200)) {
                        span.error { @if let Some(status) = answer.status { (status) " " } (visible(&answer.code)) }
                    }
                }
            }
            td.routes {
                @for leg in &row.legs { span.leg { (leg.route) " " span.dim { (leg.outcome) } } }
                @if row.legs.is_empty() && row.kind == Kind::Other { span.dim { "no route listens" } }
            }
            td.key { @if let Some(key) = &row.key { (visible(key)) } }
            td.when { (moment(row.at, true)) }
            td.took { @if let Some(took) = row.took_ms() { (span(took)) } }
        }
    }
}

/// `GET /events`: new and changed rows that pass the filters, as server-sent events.
pub async fn events(
    State(app): State<App>,
    filters: Filters,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, Problem> {
    let filter = filter(filters)?;
    let since = filter.since(now_ms()).map_err(Problem::bad_request)?;
    let changes = app.messages.changes();
    let mut changes =
        changes.ok_or_else(|| Problem::not_found("expected a live list, found one of logs"))?;
    let stream = async_stream::stream! {
        loop {
            let first = match changes.recv().await {
                Ok(place) => Some(place),
                Err(RecvError::Lagged(_)) => None,
                Err(RecvError::Closed) => return,
            };
            tokio::time::sleep(GATHER).await;
            let mut behind = first.is_none();
            let mut places: Vec<u64> = first.into_iter().collect();
            loop {
                match changes.try_recv() {
                    Ok(place) => places.push(place),
                    Err(TryRecvError::Lagged(_)) => behind = true,
                    Err(TryRecvError::Empty | TryRecvError::Closed) => break,
                }
            }
            places.sort_unstable();
            places.dedup();
            if behind || places.len() > PAGE {
                // The page shows this many at most; with more changes it is loaded again.
                yield Ok(Event::default().event("reload").data(""));
                continue;
            }
            // Rows that do not pass any more are taken away.
            let (mut rows, mut gone) = (String::new(), Vec::new());
            for (row, text) in places.iter().filter_map(|place| app.messages.at(*place)) {
                let recent = since.is_none_or(|since| row.at >= since);
                match recent && filter.takes(&row, text.as_deref()) {
                    true => rows.push_str(&line(&row).into_string()),
                    false => gone.push(row.number.to_string()),
                }
            }
            if !rows.is_empty() {
                yield Ok(Event::default().event("rows").data(app.redacted(&rows)));
            }
            if !gone.is_empty() {
                yield Ok(Event::default().event("gone").data(gone.join(" ")));
            }
        }
    };
    Ok(Sse::new(stream).keep_alive(KeepAlive::default()))
}
