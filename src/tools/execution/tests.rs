use serde_json::{Map, Value, json};

use super::*;
use model::Reach;

mod histories;
mod unlinked;

/// Events from their types and details. `previous` is the event before, where it is missing.
pub(in crate::tools) fn events(list: Value) -> Vec<Event> {
    let event = |(id, fields): (i64, &Value)| {
        let mut details: Map<String, Value> = fields.as_object().unwrap().clone();
        let kind = details.remove("type").unwrap();
        let previous = details.remove("previous");
        Event {
            id,
            previous: previous.map_or(id - 1, |previous| previous.as_i64().unwrap()),
            at: id * 10,
            kind: kind.as_str().unwrap().to_owned(),
            details,
        }
    };
    (1..).zip(list.as_array().unwrap()).map(event).collect()
}

/// A shipped definition.
pub(super) fn shipped(name: &str) -> Value {
    let path = format!(
        "{}/statemachines/{name}.asl.json",
        env!("CARGO_MANIFEST_DIR")
    );
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

/// Name, status and retries of each visit.
fn seen(view: &View) -> Vec<(&str, Status, u32)> {
    let visits = view.visits.iter();
    visits
        .map(|visit| (visit.name.as_str(), visit.status, visit.retries))
        .collect()
}

fn path(visit: &Visit) -> Vec<(&str, i64)> {
    let steps = visit.path.iter();
    steps
        .map(|step| (step.state.as_str(), step.index))
        .collect()
}

fn failing(view: &View) -> &Visit {
    &view.visits[view.failing.unwrap()]
}
