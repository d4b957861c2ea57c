//! An execution of a state machine: the states it visited, its events and its graph.
//!
//! [`history`] reads executions and events from Step Functions; [`mod@visits`] turns them into visits of states; [`fn@view`] joins these with
//! the definition; [`graph::svg`] draws the result.

pub mod event;
pub mod failure;
pub mod graph;
pub mod history;
pub mod model;
pub mod outline;
mod rows;
mod summaries;
pub mod visits;

use serde_json::Value;

use crate::tools::drawing::asl;
pub use event::Event;
pub use failure::{Failure, visited};
pub use history::{Execution, Executions};
pub use model::{Ending, EventRow, Status, Step, View, Visit};
use outline::Outline;
pub use rows::rows;
use visits::visits;

/// Joins a definition with the events of an execution, oldest first. `more` says that there are events beyond these,
/// as with the first pages of a long history.
pub fn view(definition: &Value, events: &[Event], more: bool) -> View {
    let outline = Outline::of(definition);
    let found = visits(events, &outline);
    let linked = events.iter().any(|event| event.previous != 0);
    View {
        machine: asl::read(definition).map_err(|error| format!("{error:#}")),
        states: summaries::summaries(&found, &outline, linked),
        failing: found.failing,
        status: found.status,
        error: found.error,
        cause: found.cause,
        more,
        visits: found.visits,
        visit_of: found.visit_of,
    }
}

#[cfg(test)]
pub(in crate::tools) mod tests;
