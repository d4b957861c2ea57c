//! Events as rows of a table.

use super::event::Event;
use super::model::{EventRow, View};
use crate::tools::terminal::preview;

/// Characters of a summary, at most.
const WIDTH: usize = 160;

/// The rows of some events of a view, in their order.
pub fn rows(view: &View, events: &[Event]) -> Vec<EventRow> {
    let row = |event: &Event| {
        let visit = view
            .visit_of
            .get(&event.id)
            .map(|index| &view.visits[*index]);
        let name = event.text("name").or_else(|| event.text("state"));
        EventRow {
            id: event.id,
            at: event.at,
            kind: event.kind.clone(),
            state: visit.map(|visit| visit.name.clone()).or(name),
            visit: visit.map(|visit| visit.id),
            summary: preview(&summary(event), WIDTH),
            // A map of JSON values has no keys that cannot be written.
            details: serde_json::to_string_pretty(&event.details).unwrap_or_default(),
        }
    };
    events.iter().map(row).collect()
}

fn summary(event: &Event) -> String {
    if let Some(error) = event.text("error") {
        let at = event
            .text("location")
            .map_or(String::new(), |at| format!(" at `{at}`"));
        let cause = event
            .text("cause")
            .map_or(String::new(), |cause| format!(": {cause}"));
        return format!("{error}{at}{cause}");
    }
    if let Some(index) = event.number("index") {
        return format!("iteration {index}");
    }
    if let Some(length) = event.number("length") {
        return format!("{length} items");
    }
    let keys = ["resource", "mapRunArn", "workerName", "name"];
    keys.iter()
        .find_map(|key| event.text(key))
        .unwrap_or_default()
}
