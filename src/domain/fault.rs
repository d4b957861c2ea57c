//! The error of all calls to other services: its kind decides between a retry, the queue and the dead letters.

use std::fmt;

/// A failed call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    pub kind: FaultKind,
    /// The service's error code, such as `StateMachineDoesNotExist`.
    pub code: String,
    /// The service's error text, without content of the request.
    pub text: String,
}

/// Whether a retry can help.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultKind {
    /// Throttled, unavailable or timed out: the call may even have succeeded.
    Transient,
    /// An operator must act: a wrong key or secret, a missing permission.
    Later,
    /// A retry would be refused again.
    Permanent,
}

impl Fault {
    /// The code of a permanent storage fault: the value exceeds a limit of the service.
    pub const TOO_LARGE: &'static str = "TooLarge";

    pub fn transient(code: impl Into<String>, text: impl Into<String>) -> Self {
        Self {
            kind: FaultKind::Transient,
            code: code.into(),
            text: text.into(),
        }
    }

    pub fn later(code: impl Into<String>, text: impl Into<String>) -> Self {
        Self {
            kind: FaultKind::Later,
            code: code.into(),
            text: text.into(),
        }
    }

    pub fn permanent(code: impl Into<String>, text: impl Into<String>) -> Self {
        Self {
            kind: FaultKind::Permanent,
            code: code.into(),
            text: text.into(),
        }
    }

    /// No answer before the deadline.
    pub fn timed_out() -> Self {
        Self::transient("TimedOut", "no answer in time")
    }
}

impl std::error::Error for Fault {}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code, self.text)
    }
}
