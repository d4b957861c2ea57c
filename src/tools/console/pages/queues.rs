//! The depth of the queues.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use maud::html;

use crate::tools::console::app::{App, Problem};
use crate::tools::console::layout::page;

/// `GET /queues`.
pub async fn show(State(app): State<App>) -> Result<Response, Problem> {
    let depths = app.services.queues().await?;
    let body = html! {
        h1 { "Queues" }
        table.queues {
            thead { tr { th scope="col" { "Queue" } th.number scope="col" { "Waiting" } th.number scope="col" { "In hand" } th.number scope="col" { "Delayed" } th scope="col" { "" } } }
            tbody {
                @for depth in &depths {
                    tr {
                        th scope="row" { @match &depth.page { Some(page) => a href=(page) rel="noreferrer" { (depth.name) }, None => (depth.name) } }
                        td.number { (depth.visible) } td.number { (depth.held) } td.number { (depth.delayed) }
                        td.dim { (depth.about) }
                    }
                }
            }
        }
        p.note { "SQS counts approximately. In hand: received, and neither deleted nor waiting again." }
    };
    Ok(page("Queues", "/queues", Some(&app.place), body).into_response())
}
