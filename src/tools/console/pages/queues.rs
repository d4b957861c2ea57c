//! Queues, alarms and gaps.

use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use maud::{Markup, html};

use crate::service::relay::track::Gap;
use crate::tools::console::alarms::{self, Alarm, State as AlarmState};
use crate::tools::console::app::{App, Problem};
use crate::tools::console::gaps::Gaps;
use crate::tools::console::layout::{mark, page, problems};
use crate::tools::console::source::Depth;
use crate::tools::console::text::{moment, span, visible};

/// `GET /queues`.
pub async fn show(State(app): State<App>) -> Result<Response, Problem> {
    let (queues, gaps) = tokio::join!(app.services.queues(), app.messages.gaps());
    let (queues, gaps) = (queues?, gaps?);
    let body = html! {
        h1 { "Queues" }
        (problems(&queues.unread))
        (depths(&queues.depths))
        p.note {
            "SQS counts approximately. In hand: received, and neither deleted nor waiting again. Oldest: the age of the oldest message"
            @if !app.place.local { ", up to some minutes late, without messages that were received three times; the alarms `parked` and `waiting-results` see all" }
            "."
        }
        h2 { "Alarms" }
        @if queues.alarms.is_empty() { p.empty { "No alarm of this stack was found." } } @else { (conditions(&queues.alarms)) }
        h2 { "Gaps" }
        (missing(&gaps))
    };
    Ok(page("Queues", "/queues", Some(&app.place), body).into_response())
}

/// `GET /runbooks/NAME`.
pub async fn runbook(
    State(app): State<App>,
    Path(name): Path<String>,
) -> Result<Response, Problem> {
    let text = alarms::runbook(&name)
        .ok_or_else(|| Problem::not_found("there is no runbook of that name"))?;
    let body = html! {
        p { a href="/queues" { "Queues" } }
        h1 { "Runbook: " (name) }
        pre tabindex="0" { (text) }
        p.note { "From docs/operations.md." }
    };
    Ok(page(&name, "/queues", Some(&app.place), body).into_response())
}

fn depths(depths: &[Depth]) -> Markup {
    html! {
        table.queues {
            thead { tr {
                th scope="col" { "Queue" } th.number scope="col" { "Waiting" } th.number scope="col" { "In hand" }
                th.number scope="col" { "Delayed" } th.number scope="col" { "Oldest" } th scope="col" { "" }
            } }
            tbody {
                @for depth in depths {
                    tr {
                        th scope="row" { @match &depth.page { Some(page) => a href=(page) rel="noreferrer" { (depth.name) }, None => (depth.name) } }
                        td.number { (depth.now.visible) } td.number { (depth.now.held) } td.number { (depth.now.delayed) }
                        td.number { @match depth.age { Some(age) => (span(age)), None if depth.now.total() > 0 => "not known yet", None => "" } }
                        td.dim { (depth.about) }
                    }
                }
            }
        }
    }
}

fn conditions(alarms: &[Alarm]) -> Markup {
    html! {
        table.alarms {
            thead { tr { th scope="col" { "Alarm" } th scope="col" { "State" } th scope="col" { "Condition" } } }
            tbody {
                @for alarm in alarms {
                    tr {
                        th scope="row" { a href={ "/runbooks/" (alarm.name) } title="its runbook" { (alarm.name) } }
                        td {
                            @match alarm.state {
                                AlarmState::Good => (mark("good", "ok")),
                                AlarmState::Alarm => (mark("bad", "alarm")),
                                AlarmState::NoData => "no data",
                                AlarmState::Unknown => span.dim { "not evaluated locally" },
                            }
                            @if let Some(since) = alarm.since { " " span.dim { "since " (moment(since, false)) } }
                        }
                        td { (alarm.condition) span.dim.about { (alarm.about) } }
                    }
                }
            }
        }
    }
}

fn missing(gaps: &Gaps) -> Markup {
    html! {
        @if let Some(unread) = &gaps.unread { (problems(std::slice::from_ref(unread))) }
        @if !gaps.reported.is_empty() {
            table.gaps {
                thead { tr { th scope="col" { "Reported" } th scope="col" { "Topic" } th.number scope="col" { "Missing" } th scope="col" { "Numbers" } } }
                tbody {
                    @for one in &gaps.reported {
                        tr {
                            td { (moment(one.at, false)) }
                            td.topic { (visible(&one.topic.to_string())) }
                            td.number { @if !one.gap.exact { "at least " } (one.gap.missed) }
                            td { (range(&one.gap)) }
                        }
                    }
                }
            }
        } @else if gaps.unread.is_none() { p.empty { "None." } }
        @if !gaps.note.is_empty() { p.note { (visible(&gaps.note)) } }
    }
}

/// `5 to 8 of page 7`, or both ends where a page ended.
fn range(gap: &Gap) -> String {
    let (from, until) = (gap.from, gap.until);
    match from.page == until.page {
        true => format!(
            "{} to {} of page {}",
            from.next,
            until.next.saturating_sub(1),
            from.page
        ),
        false => format!(
            "from {} of page {}, up to {} of page {}",
            from.next, from.page, until.next, until.page
        ),
    }
}
