//! The protocol between the bench and its children: one JSON document a line, on the child's standard input and output.

use serde::{Deserialize, Serialize};

/// A child's first line, once its subscriptions or its port are open.
#[derive(Serialize, Deserialize)]
pub struct Ready {
    /// The port of a child that serves.
    pub port: Option<u16>,
}

/// A request to a child, answered by a [`Report`].
#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Request {
    /// Answer once this many different messages were received, or when the time is over.
    Reach { messages: u64, within_ms: u64 },
    /// Answer at once, with the latencies since the last such request.
    Latencies,
}

#[derive(Serialize, Deserialize)]
pub struct Report {
    /// Different messages received so far.
    pub received: u64,
    /// Messages received again.
    pub repeated: u64,
    /// Requests sent, if the transport has requests.
    pub requests: u64,
    /// From publish to receipt, in microseconds.
    pub latencies_us: Vec<u32>,
}
