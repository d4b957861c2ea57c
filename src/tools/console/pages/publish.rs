//! Publish a message, again and anew.

use axum::Form;
use axum::extract::rejection::FormRejection;
use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse, Redirect, Response};
use maud::{Markup, html};
use serde::Deserialize;

use crate::clock::now_ms;
use crate::domain::inbound::routes::{Route, Routes, Target};
use crate::tools::console::app::{App, Problem};
use crate::tools::console::delivery::delivery;
use crate::tools::console::layout::{page, problems};
use crate::tools::console::model::Delivery;
use crate::tools::console::sample::sample;
use crate::tools::console::text::{payload, query, segment, visible};

/// A message to publish.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Draft {
    pub cache: String,
    pub topic: String,
    pub text: String,
    /// The id of a message to send again.
    pub again: String,
}

/// `GET /publish`.
pub async fn show(
    State(app): State<App>,
    Query(mut draft): Query<Draft>,
) -> Result<Response, Problem> {
    let (routes, unanswered) = app.messages.routes().await?;
    let mut note = None;
    if !draft.again.is_empty() {
        match delivery(&app, &draft.again).await? {
            Some(Delivery(message)) => {
                draft.cache = message.cache.clone();
                draft.topic = message.topic.clone();
                match message.text() {
                    Some(text) => text.clone_into(&mut draft.text),
                    None => {
                        note =
                            Some("The value of that message is binary: deliver it again instead.");
                    }
                }
            }
            None => {
                note = Some("The value of that message is not known any more.");
            }
        }
    }
    let body = html! {
        h1 { @if draft.again.is_empty() { "Publish a message" } @else { "Send it again" } }
        (problems(&unanswered))
        @if let Some(note) = note { p.alert role="alert" { (note) } }
        @if !draft.again.is_empty() && note.is_none() {
            p.note { "A message of its own, with an id of its own. Edit it if you like." }
        }
        (form(&app, &routes, &draft))
        (samples(&routes))
    };
    Ok(page("Publish", "/publish", Some(&app.place), body).into_response())
}

fn form(app: &App, routes: &Routes, draft: &Draft) -> Markup {
    let caches = app.messages.caches();
    let cache = match draft.cache.as_str() {
        "" => default_cache(routes, &caches),
        cache => cache.to_owned(),
    };
    html! {
        form.publish action="/publish" method="post" {
            div.pair {
                label { span { "Cache" } input type="text" name="cache" value=(cache) list="caches" required spellcheck="false" autocomplete="off"; }
                label.wide { span { "Topic" } input id="topic" type="text" name="topic" value=(draft.topic) list="topics" required spellcheck="false" autocomplete="off"; }
            }
            datalist id="caches" { @for cache in &caches { option value=(cache) {} } }
            datalist id="topics" {
                @for route in routes.iter().filter(|route| route.enabled) {
                    option value=(route.from.topic.as_str()) { "route " (route.name) }
                }
            }
            label { span { "Text" } textarea id="text" name="text" rows="8" spellcheck="false" data-limit="4096" { "\n" (draft.text) } }
            p.hint id="validity" aria-live="polite" { "Any text up to 4096 bytes; JSON is recognized." }
            button type="submit" disabled[!app.place.changes] { "Publish" }
            @if !app.place.changes { span.note { " This console only reads: start it with " code { "--allow-changes" } " to publish." } }
        }
    }
}

/// The first exact cache of a route, or of all.
fn default_cache(routes: &Routes, caches: &[String]) -> String {
    let mut named = routes.iter().map(|route| &route.from.cache);
    let first = named.find(|cache| cache.is_exact());
    let first = first.map(|cache| cache.as_str().to_owned());
    first
        .or_else(|| caches.first().cloned())
        .unwrap_or_default()
}

fn samples(routes: &Routes) -> Markup {
    html! {
        h2 { "A sample for each route" }
        ul.samples {
            @for route in routes.iter().filter(|route| route.enabled) {
                @let (topic, text) = sample(route);
                @let cache = match route.from.cache.is_exact() { true => route.from.cache.as_str(), false => "" };
                li {
                    a href={ "/publish?" (query(&[("cache", cache), ("topic", &topic), ("text", &text)])) } { (route.name) }
                    " " span.topic { (visible(&topic)) } " " code { (visible(&text)) }
                    span.dim { " " (target(route)) }
                }
            }
        }
    }
}

/// A route's target in a few words.
pub fn target(route: &Route) -> String {
    match &route.to {
        Target::StateMachine { arn, .. } => arn.rsplit(':').next().unwrap_or(arn).to_owned(),
        Target::EventBus { name, .. } => format!("event bus {name}"),
        Target::Stop(stop) => format!("stops {}", stop.route),
        Target::Resume(_) => "answers a waiting task".to_owned(),
    }
}

/// `POST /publish`.
pub async fn publish(
    State(app): State<App>,
    form: Result<Form<Draft>, FormRejection>,
) -> Result<Response, Problem> {
    app.may_change()?;
    let Form(draft) = form.map_err(|error| Problem::bad_request(error.body_text()))?;
    // Forms send line ends as two characters.
    let text = draft.text.replace("\r\n", "\n");
    let (cache, topic) = (draft.cache.trim(), draft.topic.trim());
    if cache.is_empty() || topic.is_empty() {
        return Err(Problem::bad_request(
            "expected a cache and a topic, found none: fill in both",
        ));
    }
    let id = app.messages.publish(cache, topic, &text).await?;
    let to = match id {
        Some(id) => format!("/runs/{}", segment(&id)),
        None => format!("/?{}", query(&[("topic", topic)])),
    };
    Ok(Redirect::to(&to).into_response())
}

/// `POST /runs/{id}/deliver`: the same delivery again, signed anew.
pub async fn deliver(State(app): State<App>, Path(id): Path<String>) -> Result<Response, Problem> {
    app.may_change()?;
    let found = delivery(&app, &id).await?;
    let found = found.ok_or_else(|| {
        Problem::not_found(
            "the value of this message is not known any more, so it cannot be delivered again",
        )
    })?;
    let (status, answer) = app.messages.deliver(found.body(now_ms())).await?;
    let body = html! {
        h1 { "Delivered again" }
        p { "The webhook answered " strong { (status) } "; a message that was taken before is a " code { "duplicate" } "." }
        (payload("answer", &answer, ""))
        p { a href={ "/runs/" (segment(&id)) } { "Back to the run" } }
    };
    Ok(page("Delivered again", "/", Some(&app.place), body).into_response())
}
