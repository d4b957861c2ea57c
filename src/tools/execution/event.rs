//! An event of an execution's history.

use serde_json::{Map, Value};

/// An event of GetExecutionHistory.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Event {
    pub id: i64,
    /// The event before it on the same branch; 0 for the first ones, and for all from the local emulator.
    pub previous: i64,
    /// Milliseconds since the epoch.
    pub at: i64,
    /// Its type, such as `TaskStateEntered`.
    pub kind: String,
    /// The fields of its details, as the service spells them: `name`, `input`, `error` …
    pub details: Map<String, Value>,
}

impl Event {
    /// A text among its details.
    pub fn text(&self, key: &str) -> Option<String> {
        self.details.get(key)?.as_str().map(str::to_owned)
    }

    pub fn number(&self, key: &str) -> Option<i64> {
        self.details.get(key)?.as_i64()
    }
}
