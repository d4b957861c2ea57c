//! Faults, the calls that meet them, and counters.

use std::collections::BTreeMap;
use std::time::Duration;

use super::answers::Call;

/// A fault.
#[derive(Clone, Debug)]
pub enum Fault {
    /// The port is closed (ECONNREFUSED) and its connections are reset. For one call or one operation the port stays
    /// open, and the connection of the call is reset before anything is executed.
    Refuse,
    /// The call is read and never answered. Healing closes its connection.
    Hang,
    /// The call's stream is reset with INTERNAL_ERROR before anything is executed; its connection stays open. A connection of
    /// HTTP/1.1 is closed.
    ResetStream,
    /// The service answers that it throttles (429), is broken (500) or unavailable (503), in AWS's JSON or as gRPC's
    /// RESOURCE_EXHAUSTED (by rate), INTERNAL and UNAVAILABLE.
    Status(u16),
    /// The call is executed, then the connection is reset without an answer.
    LoseReply,
    /// The call is forwarded after this time, even if its client has disconnected.
    Delay(Duration),
    /// The call is executed; the header and half of the body come, then the connection is reset.
    ResetMidBody,
    /// PutEvents answers 200 with all entries failed. Other calls do not meet this fault.
    PartialFailure,
    /// AWS answers this status and body, a `{"__type": ..., "message": ...}`. gRPC calls do not meet this fault.
    Refusal { status: u16, body: String },
    /// The status of a gRPC call. Other calls do not meet this fault.
    Grpc(tonic::Code),
}

/// How long a fault lasts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Span {
    /// For one call.
    Once,
    /// Until [`super::Proxy::heal`].
    Until,
}

/// Counts of the calls of one operation, or of all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Received calls.
    pub seen: usize,
    /// Calls that met a fault.
    pub faulted: usize,
    /// Executed calls: the upstream answered, even if the client lost the answer.
    pub reached: usize,
}

/// The counts since the proxy's start; never reset.
#[derive(Clone, Debug, Default)]
pub struct Counters(BTreeMap<String, Tally>);

impl Counters {
    /// The counts of one operation, by its name as in [`super::Proxy::fault_of`].
    pub fn of(&self, operation: &str) -> Tally {
        self.0.get(operation).copied().unwrap_or_default()
    }

    pub fn entry(&mut self, operation: &str) -> &mut Tally {
        self.0.entry(operation.to_owned()).or_default()
    }

    pub fn all(&self) -> Tally {
        let add = |sum: Tally, one: &Tally| Tally {
            seen: sum.seen + one.seen,
            faulted: sum.faulted + one.faulted,
            reached: sum.reached + one.reached,
        };
        self.0.values().fold(Tally::default(), add)
    }
}

/// A fault and the calls that meet it.
pub struct Rule {
    /// `None` for all operations.
    pub operation: Option<String>,
    pub fault: Fault,
    pub span: Span,
}

impl Rule {
    pub fn meets(&self, call: &Call) -> bool {
        let named = self.operation.as_ref();
        named.is_none_or(|operation| *operation == call.operation)
            && match self.fault {
                Fault::PartialFailure => call.operation == "PutEvents",
                Fault::Refusal { .. } => !call.grpc,
                Fault::Grpc(_) => call.grpc,
                _ => true,
            }
    }
}
