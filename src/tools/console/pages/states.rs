//! An execution: its graph, and a panel for each visit of a state.

use maud::{Markup, PreEscaped, html};

use crate::tools::console::layout::{class_of, mark};
use crate::tools::console::pages::shown::Shown;
use crate::tools::console::pages::visit::panel;
use crate::tools::console::recorded::Recorded;
use crate::tools::console::text::{query, segment, span, visible};
use crate::tools::execution::model::{Reach, Status};
use crate::tools::execution::{View, Visit, graph};

/// Panels of one execution, at most.
const MOST_PANELS: usize = 400;

/// The widest graph that is made to fit its place, in pixels; a wider one is scrolled, since its texts would be too small.
const WIDEST: f64 = 1_100.0;

/// Visits inside of Maps and Parallels that show without folds.
const FLAT: usize = 24;

impl Shown<'_> {
    pub fn section(&self) -> Markup {
        let class = class_of(&self.run.status);
        html! {
            section class={ "execution " (class) } aria-label={ "Execution " (self.number + 1) } {
                h2 {
                    "Execution" @if let Some(route) = &self.event.route { " of " (visible(route)) }
                    (mark(class, &self.run.status.to_lowercase().replace('_', " ")))
                    @if let Some(end) = self.run.stopped_at { span.dim { (span(end - self.event.at)) } }
                }
                p { code { (visible(&self.run.name)) } }
                (self.error())
                (self.actions())
                @if self.run.status == "EXPRESS" { p.note { "An EXPRESS workflow keeps no history; its own log has more." } }
                @if let Some(recorded) = self.recorded { (self.states(&recorded.view)) (self.events(recorded)) }
            }
        }
    }

    fn error(&self) -> Markup {
        let view = self.recorded.map(|recorded| &recorded.view);
        let error = self.run.error.as_ref().or_else(|| view?.error.as_ref());
        let cause = self.run.cause.as_ref().or_else(|| view?.cause.as_ref());
        let failing = view.and_then(|view| view.visits.get(view.failing?));
        html! {
            @if error.is_some() || cause.is_some() {
                div.alert {
                    @if let Some(visit) = failing {
                        p {
                            "Failed in " a href={ "#" (self.prefix()) "visit-" (visit.id) } { (visible(&visit.name)) }
                            @if let Some(field) = &visit.field { " at " code { (visible(field)) } }
                            @if let Some(expression) = &visit.expression { ": " code { (visible(expression)) } }
                        }
                    }
                    @if let Some(error) = error { strong { (visible(error)) } }
                    @if let Some(cause) = cause { p { (visible(cause)) } }
                }
            }
        }
    }

    fn actions(&self) -> Markup {
        let place = &self.app.place;
        let ended_badly = matches!(self.run.status.as_str(), "FAILED" | "TIMED_OUT" | "ABORTED");
        let action = match self.run.status.as_str() {
            "RUNNING" => Some(("/executions/stop", "Stop", "Ends it as ABORTED")),
            _ if ended_badly => Some((
                "/executions/redrive",
                "Redrive",
                "Goes on from the failed state, with the same input and definition",
            )),
            _ => None,
        };
        html! {
            @if let Some((address, word, about)) = action.filter(|_| place.changes) {
                div.actions {
                    form action=(address) method="post" {
                        input type="hidden" name="arn" value=(self.run.arn);
                        input type="hidden" name="run" value=(self.run_id);
                        button type="submit" title=(about) { (word) }
                    }
                }
            }
        }
    }

    fn states(&self, view: &View) -> Markup {
        // Only attributes have this text: every text of a definition is escaped.
        let own = format!("href=\"#{}", self.prefix());
        let graph = graph::svg(view).map(|svg| svg.replace("href=\"#", &own));
        html! {
            div.split {
                @match graph {
                    Some(svg) => div.drawing.fits[width(&svg) <= WIDEST] tabindex="0" role="region" aria-label="Graph of the states" { (PreEscaped(svg)) },
                    None => @if let Err(why) = &view.machine { p.note { "No graph: " (visible(why)) } },
                }
                div.visits {
                    @for part in parts(view) {
                        @match part {
                            Part::One(visit) => (panel(self, view, visit)),
                            Part::Fold(visits) => (self.fold(view, &visits)),
                        }
                    }
                    @if view.visits.len() > MOST_PANELS {
                        p.note { (MOST_PANELS) " of " (view.visits.len()) " visits are shown; the events have all." }
                    }
                    (self.not_reached(view))
                }
            }
        }
    }

    /// A Map iteration or Parallel branch, folded.
    fn fold(&self, view: &View, visits: &[&Visit]) -> Markup {
        let Some((first, step)) = visits
            .first()
            .and_then(|one| Some((one, one.path.first()?)))
        else {
            return html! {};
        };
        let worst = visits.iter().map(|visit| visit.status).max();
        let class = worst.map_or("", Status::word);
        let failing = view.failing.and_then(|index| view.visits.get(index));
        let open = failing.is_some_and(|failing| visits.iter().any(|one| one.id == failing.id));
        html! {
            details.visit.fold open[open] id={ (self.prefix()) "fold-" (first.id) } {
                summary { (mark(class, class)) strong { (visible(&step.state)) " #" (step.index) } span.dim { (visits.len()) " visits" } }
                div.inside { @for visit in visits { (panel(self, view, visit)) } }
            }
        }
    }

    fn not_reached(&self, view: &View) -> Markup {
        let rest = view.states.iter();
        let rest: Vec<_> = rest
            .filter(|(_, summary)| !matches!(summary.reach, Reach::Reached(_)))
            .map(|(name, summary)| (name, summary.reach == Reach::NotRecorded))
            .collect();
        html! {
            @if !rest.is_empty() {
                ul.unreached {
                    @for (name, unrecorded) in rest {
                        li id={ (self.prefix()) (graph::href(view, name)) } {
                            (mark("", if unrecorded { "not recorded" } else { "not reached" })) " " (visible(name))
                        }
                    }
                }
            }
        }
    }

    fn events(&self, recorded: &Recorded) -> Markup {
        let own = query(&[("arn", &self.run.arn), ("run", self.run_id)]);
        html! {
            p {
                a href={ "/executions/events?" (own) } { "Events (" (recorded.events.len()) @if recorded.view.more { "+" } ")" }
                @if recorded.view.more {
                    " · The history is longer than what is shown. "
                    a href={ "/runs/" (segment(self.run_id)) "?pages=25" } { "Read all of it" }
                }
            }
        }
    }
}

/// The width of a graph, in pixels.
fn width(svg: &str) -> f64 {
    let width = svg
        .split_once(" width=\"")
        .and_then(|(_, rest)| rest.split_once('"'));
    width
        .and_then(|(width, _)| width.parse().ok())
        .unwrap_or(0.0)
}

/// A visit, or those of one Map iteration or Parallel branch.
enum Part<'a> {
    One(&'a Visit),
    Fold(Vec<&'a Visit>),
}

/// Visits in order; those inside of a Map or Parallel are folded by iteration or branch where there are many.
fn parts(view: &View) -> Vec<Part<'_>> {
    let inner = view.visits.iter().filter(|visit| !visit.path.is_empty());
    let fold = inner.count() > FLAT;
    let mut parts: Vec<Part> = Vec::new();
    for visit in view.visits.iter().take(MOST_PANELS) {
        let Some(step) = visit.path.first().filter(|_| fold) else {
            parts.push(Part::One(visit));
            continue;
        };
        let same = parts.iter_mut().find_map(|part| match part {
            Part::Fold(visits) if visits[0].path.first() == Some(step) => Some(visits),
            _ => None,
        });
        match same {
            Some(visits) => visits.push(visit),
            None => parts.push(Part::Fold(vec![visit])),
        }
    }
    parts
}
