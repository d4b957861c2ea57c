//! The failures of an event.

use std::time::Duration;

use crate::domain::fault::{Fault, FaultKind};
use crate::domain::inbound::letter::Reason;
use crate::domain::outbound::publisher::Unpublished;
use crate::domain::outbound::result::{Refused, Unreadable};

#[derive(Debug, thiserror::Error)]
pub enum Failed {
    #[error(transparent)]
    Unreadable(#[from] Unreadable),
    #[error("could not describe the execution: {0}; look at the completion's permission for it")]
    Describe(Fault),
    #[error("could not read earlier publications from the ledger: {0}")]
    Ledger(Fault),
    #[error("could not read the routes: {0}; look at the completion's permission for the table")]
    Routes(Fault),
    #[error("another invocation holds the event; a replay makes its missing publications")]
    Busy(Duration),
    #[error(transparent)]
    Refused(#[from] Refused),
    #[error(transparent)]
    Unpublished(#[from] Unpublished),
}

impl Failed {
    /// The reason for a dead letter; `None` for a transient failure.
    pub fn reason(&self) -> Option<Reason> {
        let fault = match (self, self.fault()) {
            (Self::Unreadable(_), _) => return Some(Reason::Unreadable),
            (Self::Refused(_), _) => return Some(Reason::AddressRefused),
            (Self::Unpublished(_), None) => return Some(Reason::ValueTooLarge),
            (_, None) => return None,
            (_, Some(fault)) => fault,
        };
        // Without its ledger the bridge is broken, not the event.
        let hopeless = fault.kind == FaultKind::Permanent && !matches!(self, Self::Ledger(_));
        hopeless.then_some(Reason::Refused)
    }

    /// The service's fault.
    pub fn fault(&self) -> Option<&Fault> {
        match self {
            Self::Describe(fault) | Self::Ledger(fault) | Self::Routes(fault) => Some(fault),
            Self::Unpublished(unpublished) => unpublished.fault(),
            Self::Unreadable(_) | Self::Busy(_) | Self::Refused(_) => None,
        }
    }

    pub fn attempts(&self) -> u32 {
        match self {
            Self::Unpublished(unpublished) => unpublished.attempts(),
            _ => 0,
        }
    }
}
