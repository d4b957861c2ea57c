//! The events of an execution, and the texts of its visits.

use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::response::{IntoResponse, Response};
use maud::html;
use serde::Deserialize;

use crate::tools::console::app::{App, Problem};
use crate::tools::console::layout::page;
use crate::tools::console::pages::visit::part;
use crate::tools::console::recorded::{MOST_PAGES, Recorded};
use crate::tools::console::text::{moment, query, segment, visible};
use crate::tools::execution::rows;

/// Events of a page.
const ROWS: usize = 200;

/// Bytes shown of an event's details.
const DETAILS: usize = 2048;

/// What to show of an execution.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Asked {
    arn: String,
    run: String,
    /// The first row.
    from: usize,
    /// `failed`: errors only.
    only: String,
    visit: i64,
    part: String,
}

type Wanted = Result<Query<Asked>, QueryRejection>;

/// `GET /executions/events`.
pub async fn list(State(app): State<App>, asked: Wanted) -> Result<Response, Problem> {
    let Query(asked) = asked.map_err(|error| Problem::bad_request(error.body_text()))?;
    let recorded = Recorded::read(app.services.as_ref(), &asked.arn, MOST_PAGES).await?;
    let all = rows(&recorded.view, &recorded.events);
    let failed = asked.only == "failed";
    let bad = |kind: &str| {
        ["Failed", "TimedOut", "Aborted"]
            .iter()
            .any(|end| kind.ends_with(end))
    };
    let chosen: Vec<_> = all.iter().filter(|row| !failed || bad(&row.kind)).collect();
    let to = |from: usize, only: &str| {
        let from = from.to_string();
        let pairs = [
            ("arn", asked.arn.as_str()),
            ("run", &asked.run),
            ("from", &from),
            ("only", only),
        ];
        format!("/executions/events?{}", query(&pairs))
    };
    let name = asked.arn.rsplit(':').next().unwrap_or_default();
    let body = html! {
        h1 { "Events" }
        p { code { (visible(name)) } " · " (all.len()) " events" @if recorded.view.more { ", and more" } }
        p {
            @if !asked.run.is_empty() { a href={ "/runs/" (segment(&asked.run)) } { "Back to the run" } " · " }
            @if failed { a href=(to(0, "")) { "All events" } } @else { a href=(to(0, "failed")) { "Failures only" } }
        }
        table.events {
            thead { tr { th.number scope="col" { "#" } th scope="col" { "At" } th scope="col" { "Event" } th scope="col" { "State" } th scope="col" { "Details" } } }
            tbody {
                @for row in chosen.iter().skip(asked.from).take(ROWS) {
                    @let cut = row.details.floor_char_boundary(DETAILS);
                    tr id={ "event-" (row.id) } class=(if bad(&row.kind) { "failed" } else { "" }) {
                        td.number { (row.id) }
                        td { (moment(row.at, true)) }
                        td { (row.kind) }
                        td { @if let Some(state) = &row.state { (visible(state)) } }
                        td { details { summary { (visible(&row.summary)) " …" } pre { (visible(&row.details[..cut])) @if cut < row.details.len() { "…" } } } }
                    }
                }
            }
        }
        @if chosen.len() > asked.from + ROWS { p.more { a.button href=(to(asked.from + ROWS, &asked.only)) { "More events" } } }
    };
    Ok(page("Events", "/", Some(&app.place), body).into_response())
}

/// `GET /executions/payload`: an input, an output and the like as text.
pub async fn payload(State(app): State<App>, asked: Wanted) -> Result<Response, Problem> {
    let Query(asked) = asked.map_err(|error| Problem::bad_request(error.body_text()))?;
    let recorded = Recorded::read(app.services.as_ref(), &asked.arn, MOST_PAGES).await?;
    let visit = recorded
        .view
        .visits
        .iter()
        .find(|visit| visit.id == asked.visit);
    let text = visit.and_then(|visit| part(visit, &asked.part));
    let text = text.ok_or_else(|| Problem::not_found("this visit has no such text"))?;
    Ok(text.to_owned().into_response())
}
