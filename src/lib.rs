//! A message published to a Momento topic starts an AWS Step Functions workflow, or becomes an EventBridge event, and
//! the workflow's result comes back on another topic.
//!
//! The way of a message, by module:
//!

pub mod json;
pub mod signature;

/// The version of this bridge.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
