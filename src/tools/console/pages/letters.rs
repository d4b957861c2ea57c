//! Dead letters, and the way back.

use axum::Form;
use axum::extract::rejection::{FormRejection, QueryRejection};
use axum::extract::{Query, State};
use axum::response::{IntoResponse, Response};
use maud::{Markup, html};
use serde::Deserialize;

use crate::clock::now_ms;
use crate::domain::inbound::letter::Reason;
use crate::tools::console::app::{App, Problem};
use crate::tools::console::layout::{mark, page, route_choice};
use crate::tools::console::text::{moment, payload, segment, visible};
use crate::tools::letters::{Dead, DeadQueue};
use crate::tools::replay::choice::{Choice, since};
use crate::tools::replay::run::Tally;

/// Letters of a page, for each queue.
const MOST: usize = 100;

/// Filters of letters, as the address and the forms have them.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Wanted {
    pub queue: String,
    pub route: String,
    pub reason: String,
    pub id: String,
    pub since: String,
    /// `true` counts only.
    pub dry: String,
}

impl Wanted {
    fn choice(&self) -> Result<Choice, Problem> {
        let reasons = match self.reason.as_str() {
            "" => Vec::new(),
            name => vec![Reason::named(name).ok_or_else(|| {
                Problem::bad_request(format!("expected a reason, found `{name}`"))
            })?],
        };
        let list = |text: &str| match text.trim() {
            "" => Vec::new(),
            text => vec![text.to_owned()],
        };
        let since = match self.since.trim() {
            "" => None,
            text => Some(since(text, now_ms()).map_err(Problem::bad_request)?),
        };
        Ok(Choice {
            routes: list(&self.route),
            reasons,
            since,
            ids: list(&self.id),
        })
    }

    fn queues(&self) -> Result<Vec<DeadQueue>, Problem> {
        match self.queue.as_str() {
            "" => Ok(vec![DeadQueue::Messages, DeadQueue::Results]),
            "messages" => Ok(vec![DeadQueue::Messages]),
            "results" => Ok(vec![DeadQueue::Results]),
            other => Err(Problem::bad_request(format!(
                "expected `messages` or `results`, found `{other}`"
            ))),
        }
    }
}

/// `GET /letters`.
pub async fn list(
    State(app): State<App>,
    wanted: Result<Query<Wanted>, QueryRejection>,
) -> Result<Response, Problem> {
    let Query(wanted) = wanted.map_err(|error| Problem::bad_request(error.body_text()))?;
    let choice = wanted.choice()?;
    let mut sections = Vec::new();
    for queue in wanted.queues()? {
        let (letters, all) = app.services.letters(queue, &choice, MOST).await?;
        sections.push((queue, letters, all));
    }
    let (routes, _) = app.messages.routes().await?;
    let names: Vec<&str> = routes.iter().map(|route| route.name.as_str()).collect();
    let body = html! {
        h1 { "Dead letters" }
        p.note { "Letters that are read here are hidden from others for a moment; nothing else changes." }
        (filters(&wanted, &names))
        @for (queue, letters, all) in &sections {
            h2 { @match queue { DeadQueue::Messages => "Messages that no target takes", DeadQueue::Results => "Results that could not be published" } }
            @if letters.is_empty() { p.empty { "None." } }
            @else { (many(&app, *queue, &wanted)) }
            @for letter in letters { (shown(&app, *queue, letter)) }
            @if !all { p.note { "There may be more." } }
        }
    };
    Ok(page("Dead letters", "/letters", Some(&app.place), body).into_response())
}

fn filters(wanted: &Wanted, routes: &[&str]) -> Markup {
    html! {
        form.filters action="/letters" method="get" {
            (route_choice(routes, &wanted.route))
            label {
                span { "Reason" }
                select name="reason" {
                    option value="" { "all" }
                    @for reason in Reason::ALL { option value=(reason.name()) selected[reason.name() == wanted.reason] { (reason.name()) } }
                }
            }
            label { span { "Id" } input id="search" type="search" name="id" value=(wanted.id) spellcheck="false"; }
            label { span { "Since" } input.short type="text" name="since" value=(wanted.since) placeholder="2h"; }
            button type="submit" { "Filter" }
        }
    }
}

/// The form that puts all letters of these filters back, beginning with a dry run.
fn many(app: &App, queue: DeadQueue, wanted: &Wanted) -> Markup {
    html! {
        @if app.place.changes {
            form action="/letters/back" method="post" {
                (hidden(queue, wanted))
                input type="hidden" name="dry" value="true";
                button type="submit" { "Put all of these back …" }
            }
        }
    }
}

fn hidden(queue: DeadQueue, wanted: &Wanted) -> Markup {
    html! {
        input type="hidden" name="queue" value=(queue.name());
        @for (name, value) in [("route", &wanted.route), ("reason", &wanted.reason), ("id", &wanted.id), ("since", &wanted.since)] {
            @if !value.is_empty() { input type="hidden" name=(name) value=(value); }
        }
    }
}

fn shown(app: &App, queue: DeadQueue, dead: &Dead) -> Markup {
    let reason = dead.reason.map_or("moved by SQS", Reason::name);
    let run = match queue {
        DeadQueue::Messages => Some(dead.id.as_str()),
        DeadQueue::Results => dead.execution.as_deref(),
    };
    let one = Wanted {
        id: dead.id.clone(),
        route: dead.route.clone().unwrap_or_default(),
        ..Wanted::default()
    };
    html! {
        article.letter {
            header {
                (mark("dead_letter", reason))
                @if let Some(route) = &dead.route { strong { (visible(route)) } }
                @if let Some(subject) = &dead.subject {
                    @match run { Some(run) => a href={ "/runs/" (segment(run)) } { (visible(subject)) }, None => span { (visible(subject)) } }
                }
                (moment(dead.at_ms, false))
                @if let Some(attempts) = dead.attempts { span.dim { (attempts) " attempts" } }
                @if app.place.changes && dead.send.is_some() {
                    form action="/letters/back" method="post" { (hidden(queue, &one)) button type="submit" { "Put back" } }
                }
            }
            p { (visible(&dead.detail)) }
            @if let Some(send) = &dead.send { details { summary { "Letter" } (payload("body", &send.0, "")) } }
            @else { p.note { "It is no letter of this queue, so it stays." } }
        }
    }
}

/// `POST /letters/back`.
pub async fn put_back(
    State(app): State<App>,
    wanted: Result<Form<Wanted>, FormRejection>,
) -> Result<Response, Problem> {
    app.may_change()?;
    let Form(wanted) = wanted.map_err(|error| Problem::bad_request(error.body_text()))?;
    let choice = wanted.choice()?;
    let queues = wanted.queues()?;
    let [queue] = queues[..] else {
        return Err(Problem::bad_request("expected one queue, found two"));
    };
    let dry = wanted.dry == "true";
    let tally = app.services.put_back(queue, &choice, dry).await?;
    let body = html! {
        h1 { @if dry { "Dry run" } @else { "Put back" } }
        (counted(&tally, dry))
        @if dry && tally.replayed > 0 {
            form action="/letters/back" method="post" {
                (hidden(queue, &wanted))
                button type="submit" { "Put " (tally.replayed) " back" }
            }
        }
        p {
            a href="/letters" { "Dead letters" }
            @if !wanted.id.is_empty() && queue == DeadQueue::Messages { " · " a href={ "/runs/" (segment(&wanted.id)) } { "the run" } }
        }
    };
    Ok(page("Put back", "/letters", Some(&app.place), body).into_response())
}

fn counted(tally: &Tally, dry: bool) -> Markup {
    let facts = [
        (tally.not_matching, "do not match"),
        (tally.came_back, "came back at once"),
        (tally.no_letter, "are no letters of this queue, and stay"),
        (tally.not_sent, "could not be sent"),
        (tally.not_deleted, "were sent, but are still here, too"),
    ];
    html! {
        p.result {
            strong { (tally.replayed) } " of " (tally.found) " letters "
            @if dry { "would go back" } @else { "are back on their path" } "."
        }
        ul { @for (count, text) in facts.iter().filter(|(count, _)| *count > 0) { li { (count) " " (text) } } }
        @if let Some(why) = &tally.broke_off { p.alert role="alert" { "Ended early: " (visible(why)) } }
    }
}
