//! What keeps a record from being done.

use std::time::Duration;

use crate::letter::Reason;
use crate::ports::{Fault, FaultKind};
use crate::publisher::Unpublished;
use crate::result::{Refused, Unreadable};

/// Why a record is not done.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failed {
    #[error(transparent)]
    Unreadable(#[from] Unreadable),
    #[error(
        "expected a status change of Step Functions or a `Topic Publish` of `workflow-bridge`, found `{0}` of `{1}`; route no other event to this queue"
    )]
    UnknownEvent(String, String),
    #[error("could not describe the execution: {0}; look at the completion's permission for it")]
    Describe(Fault),
    #[error("could not learn what was published before: {0}")]
    Ledger(Fault),
    #[error("another invocation has been publishing it; a replay publishes what that one did not")]
    Busy(Duration),
    #[error(transparent)]
    Refused(#[from] Refused),
    #[error(transparent)]
    Unpublished(#[from] Unpublished),
}

impl Failed {
    /// Why it is a dead letter; none for what may pass.
    pub fn reason(&self) -> Option<Reason> {
        let fault = match (self, self.fault()) {
            (Self::Unreadable(_) | Self::UnknownEvent(..), _) => return Some(Reason::Unreadable),
            (Self::Refused(_), _) => return Some(Reason::AddressRefused),
            (Self::Unpublished(_), None) => return Some(Reason::ValueTooLarge),
            (_, None) => return None,
            (_, Some(fault)) => fault,
        };
        // Without its ledger the bridge itself is broken, and no event is to blame.
        let hopeless = fault.kind == FaultKind::Permanent && !matches!(self, Self::Ledger(_));
        hopeless.then_some(Reason::Refused)
    }

    /// What a service said.
    pub fn fault(&self) -> Option<&Fault> {
        match self {
            Self::Describe(fault) | Self::Ledger(fault) => Some(fault),
            Self::Unpublished(unpublished) => unpublished.fault(),
            Self::Unreadable(_) | Self::UnknownEvent(..) | Self::Busy(_) | Self::Refused(_) => None,
        }
    }

    pub fn attempts(&self) -> u32 {
        match self {
            Self::Unpublished(unpublished) => unpublished.attempts(),
            _ => 0,
        }
    }
}
