//! A message published to a Momento topic starts an AWS Step Functions workflow, or becomes an EventBridge event, and
//! the workflow's result comes back on another topic.
//!
//! The path of a message, by module:
//!
//! 1. [`entrypoints::http`] answers a signed POST, as a Lambda function ([`entrypoints::lambda`]) or behind a server of its
//!    own (`service::serve`, feature `cli`);
//! 2. [`signature`] verifies the bytes;
//! 3. [`message`] parses them, and gives the message its id;
//! 4. [`routes`] selects the message's targets;
//! 5. [`dispatch`] starts executions ([`envelope`]) and puts events ([`request`]), through the [`ports`] that [`adapters`]
//!    implement; or it puts a [`letter`] into a queue, from which [`entrypoints::redrive`] tries again;
//! 6. [`entrypoints::completions`] receives the event of an execution's end;
//! 7. [`result`] decides on the publications, [`claims`] stores values too large for a message, and [`publisher`] publishes
//!    once, as far as known;
//! 8. [`entrypoints::sweep`] finds ended executions whose event was lost, by [`sweep`];
//! 9. [`entrypoints::canary`] makes a round trip through all of these, and reports it by [`metrics`].
//!
//! With the feature `cli`: `check` finds mistakes in a template before its deployment, `explain` shows all of the above for
//! one message without any call, and `trace` shows the history of a message. Where Momento delivers no webhooks, `relay`
//! reads the topics and sends the same POST for each message.
//!
//! [`claims`]: domain::outbound::claims
//! [`dispatch`]: domain::inbound::dispatch
//! [`envelope`]: domain::inbound::envelope
//! [`letter`]: domain::inbound::letter
//! [`message`]: domain::inbound::message
//! [`metrics`]: telemetry::metrics
//! [`ports`]: domain::ports
//! [`publisher`]: domain::outbound::publisher
//! [`request`]: domain::inbound::request
//! [`result`]: domain::outbound::result
//! [`routes`]: domain::inbound::routes
//! [`signature`]: domain::inbound::signature
//! [`sweep`]: domain::outbound::sweep

pub mod adapters;
pub mod clock;
pub mod config;
pub mod domain;
pub mod entrypoints;
pub mod environment;
pub mod json;
#[cfg(feature = "cli")]
pub mod service;
pub mod telemetry;
#[cfg(test)]
mod testing;
#[cfg(feature = "cli")]
pub mod tools;
pub mod wiring;

/// The version of this bridge.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
