//! A message published to a Momento topic starts an AWS Step Functions workflow, or becomes an EventBridge event, and
//! the workflow's result comes back on another topic.
//!
//! The way of a message, by module:
//!
//! 1. [`entrypoints::http`] takes a signed POST and answers it, as a Lambda function ([`entrypoints::lambda`]) or behind a
//!    server of its own (`entrypoints::serve`, with the feature `cli`);
//! 2. [`signature`] believes the bytes or refuses them;
//! 3. [`message`] reads them, and gives the message its id;
//! 4. [`routes`] tells which targets the message has;
//! 5. [`dispatch`] makes it executions ([`input`]) and events ([`request`]), through the [`ports`] that [`adapters`] implement,
//!    or a [`letter`] in a queue, from where [`entrypoints::redrive`] tries again;
//! 6. [`entrypoints::completions`] takes what EventBridge says of an execution's end;
//! 7. [`result`] tells what to publish where, [`claims`] stores what is too large for a message, and [`publisher`] publishes
//!    once as far as known;
//! 8. [`entrypoints::sweep`] finds the ends of executions that nobody told, by [`sweep`];
//! 9. [`entrypoints::canary`] sends a message the whole way round, and tells by [`metrics`] whether it came back.
//!
//! `trace` (feature `cli`) tells afterwards what happened to a message.
//!
//! `check` (feature `cli`) tells what is wrong with a template before it is deployed. `explain` (likewise) tells all of the
//! above of one message, and calls nothing.
//!
//! Where Momento delivers no webhooks, `relay` (feature `cli`) reads the topics and makes the same POST of each message.

pub mod adapters;
#[cfg(feature = "cli")]
mod backoff;
pub mod canary;
#[cfg(feature = "cli")]
pub mod check;
pub mod claims;
pub mod clock;
pub mod config;
pub mod dispatch;
pub mod entrypoints;
#[cfg(feature = "cli")]
pub mod explain;
pub mod input;
pub mod json;
pub mod ledger;
pub mod letter;
#[cfg(feature = "cli")]
pub mod local;
pub mod message;
pub mod metrics;
#[cfg(feature = "cli")]
pub mod plan;
pub mod ports;
pub mod publisher;
#[cfg(feature = "cli")]
pub mod relay;
pub mod request;
pub mod result;
pub mod resume;
pub mod retry;
pub mod routes;
pub mod secrets;
#[cfg(feature = "cli")]
pub mod server;
pub mod signature;
pub mod sweep;
pub mod telemetry;
#[cfg(test)]
mod testing;
#[cfg(feature = "cli")]
pub mod trace;
pub mod wiring;
pub mod xray;

/// The version of this bridge.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
