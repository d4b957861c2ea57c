//! The frame of every page, and its small parts.

use maud::{DOCTYPE, Markup, html};

use super::model::Status;
use super::stack::Shown;
use super::text::visible;
use crate::tools::terminal::preview;
use crate::tools::trace::model::Unanswered;

/// The pages in the navigation: address, name.
const PAGES: [(&str, &str); 5] = [
    ("/", "Runs"),
    ("/publish", "Publish"),
    ("/routes", "Routes"),
    ("/letters", "Dead letters"),
    ("/queues", "Queues"),
];

/// Characters of a title.
const TITLE: usize = 80;

/// A whole page. `active` is the address of its entry in the navigation.
pub fn page(title: &str, active: &str, place: Option<&Shown>, body: Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (preview(title, TITLE)) " · workflow-bridge" }
                link rel="icon" href="/icon.svg" type="image/svg+xml";
                link rel="stylesheet" href="/console.css";
                script src="/console.js" defer {}
            }
            body {
                a.skip href="#main" { "To the content" }
                header.top {
                    a.brand href="/" {
                        svg viewBox="0 0 24 24" width="22" height="22" aria-hidden="true" {
                            path d="M2 17h20M4 17v-4a8 8 0 0 1 16 0v4M9 17v-7M15 17v-7" fill="none" stroke="currentColor" stroke-width="2" stroke-linecap="round" {}
                        }
                        span { "workflow-bridge" }
                    }
                    nav aria-label="Pages" {
                        @for (address, name) in PAGES {
                            a href=(address) aria-current=[(address == active).then_some("page")] { (name) }
                        }
                    }
                    @if let Some(place) = place {
                        span.place title=(if place.changes { "pages may change this stack" } else { "pages only read this stack" }) {
                            (place.name)
                            @if !place.changes { span.chip { "read only" } }
                        }
                    }
                }
                main id="main" tabindex="-1" { (body) }
            }
        }
    }
}

/// A state as an icon and a word.
pub fn chip(status: Status) -> Markup {
    mark(status.name(), &status.word())
}

/// A chip of this class, which has its icon.
pub fn mark(class: &str, word: &str) -> Markup {
    html! {
        span class={ "chip " (class) } { span.icon aria-hidden="true" { (icon(class)) } (word) }
    }
}

fn icon(class: &str) -> &'static str {
    match class {
        "succeeded" | "published" | "good" => "✓",
        "failed" | "bad" => "✗",
        "dead_letter" | "not_stored" | "refused" => "!",
        "caught" => "↷",
        "running" => "▸",
        "on_its_way" | "started" => "…",
        "parked" | "waiting" => "‖",
        "done" => "→",
        "duplicate" => "=",
        "aborted" => "■",
        "result" => "←",
        _ => "·",
    }
}

/// The class of an execution's status.
pub fn class_of(status: &str) -> &'static str {
    match status {
        "SUCCEEDED" => "succeeded",
        "RUNNING" => "running",
        "" | "EXPRESS" => "started",
        "ABORTED" => "aborted",
        _ => "failed",
    }
}

/// The sources that could not be asked.
pub fn problems(unanswered: &[Unanswered]) -> Markup {
    html! {
        @for one in unanswered {
            p.alert role="alert" { "Could not query " (one.source) ": " (visible(&one.error)) }
        }
    }
}

/// The field of a form that chooses one of the routes, or all.
pub fn route_choice(routes: &[&str], chosen: &str) -> Markup {
    html! {
        label {
            span { "Route" }
            select name="route" {
                option value="" { "all" }
                @for route in routes { option value=(route) selected[*route == chosen] { (route) } }
            }
        }
    }
}
