//! A round trip: a message is published to its own topic, routed to a workflow that returns it, and received as that
//! workflow's result.
//!
//! The canary observes both ends only. If no reply comes, the list of the workflow's executions shows how far the message
//! came.

use std::time::Duration;

use futures_util::StreamExt;
use serde::Deserialize;
use tokio::time::{Instant, timeout_at};

use crate::domain::fault::Fault;
use crate::domain::ports::{Listing, Subscription, Subscriptions, Topics};
use crate::domain::retry::{RetryPolicy, retry};

/// The topic of the canary's route.
pub const TOPIC: &str = "workflow-bridge-canary";

/// The topic of the route's replies, which are envelopes.
pub const REPLY_TOPIC: &str = "workflow-bridge-canary-out";

/// Tolerance for an execution's start before its message, by another clock, in ms.
const CLOCKS_DIFFER_MS: i64 = 2000;

/// Time limit for listing the executions, after the deadline of the reply.
const ASK_WITHIN: Duration = Duration::from_secs(10);

/// Ports and settings of a round trip.
pub struct Canary<'a> {
    pub topics: &'a dyn Topics,
    pub heard: &'a dyn Subscriptions,
    pub listing: &'a dyn Listing,
    pub cache: &'a str,
    /// ARN of the canary's workflow.
    pub state_machine: &'a str,
    /// Time limit from the subscription to the reply.
    pub within: Duration,
    /// The time, in ms since the epoch.
    pub now_ms: fn() -> i64,
}

/// A returned message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Returned {
    /// The ids of the message and of its execution.
    pub id: String,
    pub execution: String,
    /// From the publication to the reply.
    pub round_trip: Duration,
}

/// A lost message.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Lost {
    #[error(
        "could not subscribe to topic `{REPLY_TOPIC}`: {0}; look at what the API key may do, and at Momento"
    )]
    Subscribe(Fault),
    #[error(
        "could not publish to topic `{TOPIC}`: {0}; look at what the API key may do, and at Momento"
    )]
    Publish(Fault),
    #[error(
        "expected an execution of the canary's workflow, found none; look whether Momento's webhook, or the relay, has topic `{TOPIC}`, and then at the webhook's log"
    )]
    NotStarted,
    #[error("expected the execution to succeed, found it {status}; look at its history")]
    InWorkflow { execution: String, status: String },
    #[error(
        "expected the result of a succeeded execution on topic `{REPLY_TOPIC}`, found none; look at the completion's log and queue, and at what its API key may do"
    )]
    NotPublished { execution: String },
    #[error(
        "expected a reply on topic `{REPLY_TOPIC}`, found none, and could not list the workflow's executions: {0}"
    )]
    Unknown(Fault),
}

impl Lost {
    /// The last part reached by the message, as named in the log.
    pub fn reached(&self) -> &'static str {
        match self {
            Self::Subscribe(_) | Self::Publish(_) => "canary",
            Self::NotStarted => "momento",
            Self::InWorkflow { .. } => "workflow",
            Self::NotPublished { .. } => "completion",
            Self::Unknown(_) => "unknown",
        }
    }

    pub fn execution(&self) -> Option<&str> {
        match self {
            Self::InWorkflow { execution, .. } | Self::NotPublished { execution } => {
                Some(execution)
            }
            _ => None,
        }
    }

    /// The code of a service's fault.
    pub fn code(&self) -> Option<&str> {
        match self {
            Self::Subscribe(fault) | Self::Publish(fault) | Self::Unknown(fault) => {
                Some(&fault.code)
            }
            _ => None,
        }
    }
}

/// The relevant part of a reply's envelope.
#[derive(Deserialize)]
struct Envelope {
    id: String,
    execution: String,
    output: serde_json::Value,
}

impl Canary<'_> {
    /// Sends the secret `value`, and waits for its return.
    ///
    /// # Errors
    ///
    /// How far the message came, if it is not back in time.
    pub async fn round_trip(&self, value: &str) -> Result<Returned, Lost> {
        let deadline = Instant::now() + self.within;
        let policy = RetryPolicy::until(deadline);
        // Before the publication: a topic keeps nothing for later subscribers.
        let listen = || self.heard.listen(self.cache, REPLY_TOPIC);
        let mut heard = retry(policy, listen).await.0.map_err(Lost::Subscribe)?;
        let (began, began_ms) = (Instant::now(), (self.now_ms)());
        let publish = || self.topics.publish(self.cache, TOPIC, value);
        retry(policy, publish).await.0.map_err(Lost::Publish)?;
        match timeout_at(deadline, reply(&mut heard, value)).await {
            Ok(Some(envelope)) => Ok(Returned {
                id: envelope.id,
                execution: envelope.execution,
                round_trip: began.elapsed(),
            }),
            Ok(None) | Err(_) => Err(self.how_far(began_ms).await),
        }
    }

    /// From the newest execution since the publication.
    async fn how_far(&self, began_ms: i64) -> Lost {
        let list = || self.listing.list(self.state_machine, None);
        let listed = retry(RetryPolicy::until(Instant::now() + ASK_WITHIN), list)
            .await
            .0;
        let page = match listed {
            Ok(page) => page,
            Err(fault) => return Lost::Unknown(fault),
        };
        let mine = page.executions.into_iter();
        let mine = mine.filter(|execution| execution.started_at + CLOCKS_DIFFER_MS >= began_ms);
        let Some(newest) = mine.max_by_key(|execution| execution.started_at) else {
            return Lost::NotStarted;
        };
        let execution = newest.execution_arn;
        match newest.status.as_str() {
            "SUCCEEDED" => Lost::NotPublished { execution },
            _ => Lost::InWorkflow {
                execution,
                status: newest.status,
            },
        }
    }
}

/// The envelope with the value; `None` when the subscription ends. Other replies are skipped.
async fn reply(heard: &mut Subscription, value: &str) -> Option<Envelope> {
    loop {
        let text = heard.next().await?;
        match serde_json::from_str::<Envelope>(&text) {
            Ok(envelope) if envelope.output == value => return Some(envelope),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests;
