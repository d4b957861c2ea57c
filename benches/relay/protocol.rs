//! What the bench and its children say to each other: one JSON document a line, on the child's standard input and output.

use serde::{Deserialize, Serialize};

/// The first thing a child says, once its subscriptions are open or its port is.
#[derive(Serialize, Deserialize)]
pub struct Ready {
    /// The port of a child that serves.
    pub port: Option<u16>,
}

/// What a child is asked; it answers each with a [`Report`].
#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ask {
    /// Answer when so many different messages came, or when the time is over.
    Reach { messages: u64, within_ms: u64 },
    /// Answer at once, with the times of the messages since the last such question.
    Latencies,
}

#[derive(Serialize, Deserialize)]
pub struct Report {
    /// Different messages received so far.
    pub received: u64,
    /// Messages received again.
    pub repeated: u64,
    /// Requests sent, where the transport has requests.
    pub requests: u64,
    /// From publish to receipt, in microseconds.
    pub latencies_us: Vec<u32>,
}
