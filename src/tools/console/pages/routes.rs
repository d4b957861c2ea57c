//! The routes, and which of them take a message.

use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::response::{IntoResponse, Response};
use maud::{Markup, html};
use serde::Deserialize;

use crate::clock::now_ms;
use crate::domain::inbound::message::{Body, TopicMessage};
use crate::domain::inbound::routes::{Reply, Route, Routes};
use crate::tools::console::app::{App, Problem};
use crate::tools::console::layout::{mark, page, problems};
use crate::tools::console::pages::publish::target;
use crate::tools::console::text::{moment, payload, query, visible};
use crate::tools::explain::words::reasons;
use crate::tools::explain::{Call, Explained, Fate, explain};

/// A message to explain.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Asked {
    pub cache: String,
    pub topic: String,
    pub text: String,
}

/// `GET /routes`.
pub async fn show(
    State(app): State<App>,
    asked: Result<Query<Asked>, QueryRejection>,
) -> Result<Response, Problem> {
    let Query(asked) = asked.map_err(|error| Problem::bad_request(error.body_text()))?;
    let (routes, unanswered) = app.messages.routes().await?;
    let body = html! {
        h1 { "Routes" }
        (problems(&unanswered))
        ul.route-list { @for route in routes.iter() { (picture(&app, route)) } }
        h2 id="which" { "Which routes take this message?" }
        form.publish action="/routes#which" method="get" {
            div.pair {
                label { span { "Cache" } input type="text" name="cache" value=(asked.cache) required spellcheck="false"; }
                label.wide { span { "Topic" } input type="text" name="topic" value=(asked.topic) required spellcheck="false"; }
            }
            label { span { "Text" } textarea name="text" rows="4" spellcheck="false" { "\n" (asked.text) } }
            button type="submit" { "Explain" }
        }
        @if !asked.topic.is_empty() { (explained(&asked, &routes)) }
    };
    Ok(page("Routes", "/routes", Some(&app.place), body).into_response())
}

fn picture(app: &App, route: &Route) -> Markup {
    let seen = app.messages.last_seen(&route.name);
    let name = route.name.as_str();
    html! {
        li.route id={ "route-" (name) } {
            header {
                strong { (name) }
                @if !route.enabled { span.chip { "switched off" } }
                @if let Some(key) = route.key() { span.dim { "key " code { (key) } } }
                span.dim { @match seen { Some(at) => { "last message " (moment(at, true)) }, None => "no message seen" } }
                a href={ "/?" (query(&[("route", name)])) } { "its runs" }
            }
            div.way {
                span.box.topic { span.dim { (visible(route.from.cache.as_str())) "/" } (visible(route.from.topic.as_str())) }
                span.arrow aria-label="to" { "→" @if route.condition.is_some() { span.dim { " if" } } }
                span.box.target { (visible(&target(route))) }
                @if let Some(reply) = &route.reply { (replies(reply)) }
            }
        }
    }
}

fn replies(reply: &Reply) -> Markup {
    let lists = [
        ("", &reply.topics),
        ("failures", &reply.failures),
        ("started", &reply.started),
    ];
    html! {
        span.arrow aria-label="to" { "→" }
        span.replies {
            @for (name, topics) in lists {
                @if name.is_empty() || *topics != reply.topics {
                    @for topic in topics {
                        span.box.topic { (visible(&topic.to_string())) @if !name.is_empty() { span.dim { " " (name) } } }
                    }
                }
            }
        }
    }
}

fn explained(asked: &Asked, routes: &Routes) -> Markup {
    let now = now_ms();
    let message = TopicMessage::of(Body {
        cache: asked.cache.clone(),
        topic: asked.topic.clone(),
        topic_sequence_number: 1,
        sequence_page: None,
        event_timestamp: now,
        publish_timestamp: now,
        token_id: None,
        text: Some(asked.text.replace("\r\n", "\n")),
        binary: None,
    });
    let message = match message {
        Ok(message) => message,
        Err(error) => return html! { p.alert role="alert" { (error.to_string()) } },
    };
    let explanation = explain(&message, None, routes, now);
    html! {
        section.explained aria-live="polite" {
            @if explanation.fate != Fate::Accepted {
                p.alert { "No route takes it: it becomes a dead letter with the reason " code { "unrouted" } ", or nothing where UNROUTED=ignore." }
            }
            ul.verdicts { @for route in &explanation.routes { (decision(route)) } }
        }
    }
}

fn decision(route: &Explained) -> Markup {
    let why_not: Vec<String> = route.why_not.iter().flat_map(reasons).collect();
    html! {
        li {
            @match &route.call {
                None => (mark("aborted", "no")),
                Some(Call::DeadLetter { .. }) => (mark("dead_letter", "dead letter")),
                Some(_) => (mark("good", "yes")),
            }
            strong { (route.name) }
            @for reason in &why_not { span { (visible(reason)) } }
            @match &route.call {
                Some(Call::StartExecution { name, input, .. }) => { code { (visible(name)) } (payload("input", input, "")) },
                Some(Call::PutEvent { bus, detail_type, detail, .. }) => { span { "an event on " (visible(bus)) ", " (visible(detail_type)) } (payload("detail", detail, "")) },
                Some(Call::TaskSuccess { output, .. }) => (payload("output", output, "")),
                Some(Call::TaskFailure { error, .. }) => span { "fails the task with " (visible(error)) },
                Some(Call::StopExecution { execution, .. }) => span { "stops " code { (visible(execution)) } },
                Some(Call::DeadLetter { reason, detail }) => span { (*reason) ": " (visible(detail)) },
                None => {}
            }
        }
    }
}
