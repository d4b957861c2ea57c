//! From the end of an execution to the publication of its result.

pub mod canary;
pub mod claims;
pub mod complete;
pub mod ledger;
pub mod publisher;
pub mod result;
pub mod sweep;
