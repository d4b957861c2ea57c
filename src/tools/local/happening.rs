//! The events of a message in a running stack.

use std::time::Duration;

use serde::Deserialize;

use super::direction::Direction;
use crate::domain::inbound::arn::execution_arn;
use crate::domain::inbound::execution_name::execution_name_of;
use crate::domain::inbound::routes::Routes;
use crate::tools::execution::Failure;

/// The caller of the webhook.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Caller {
    Momento,
    Relay,
}

/// An event of a message.
#[derive(Clone, Debug)]
pub enum Happening {
    Published {
        cache: String,
        topic: String,
        sequence: u64,
        bytes: usize,
        /// The text; `None` for a binary value.
        text: Option<String>,
        direction: Direction,
        /// For a topic that no route knows: the routed one that is nearly the same, as ` (did you mean …)`.
        meant: String,
    },
    /// A call of the webhook, successful or not.
    Answered {
        by: Caller,
        topic: String,
        sequence: u64,
        took: Duration,
        /// The status code, or the reason why no answer came.
        status: Result<u16, String>,
        answer: Answer,
    },
    /// An execution ended, or takes long (`status` is then `RUNNING`).
    Execution {
        name: String,
        status: String,
        took: Duration,
        /// The names of its states so far, in order.
        states: Vec<String>,
        /// Error and cause of a failed execution.
        failure: Option<String>,
        /// Where it failed.
        failed: Option<Failure>,
    },
}

/// The relevant part of the webhook's answer.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Answer {
    #[serde(default)]
    pub id: String,
    #[serde(default)]
    pub code: String,
    #[serde(default)]
    pub targets: Vec<TargetAnswer>,
}

/// The outcome of a message on one route.
#[derive(Clone, Debug, Deserialize)]
pub struct TargetAnswer {
    pub route: String,
    pub outcome: String,
    /// The name of the execution that the message's key leads to.
    #[serde(default)]
    execution: Option<String>,
}

impl TargetAnswer {
    /// The ARN of the execution on this route; `None` where the route starts none.
    pub fn execution(&self, routes: &Routes, topic: &str, number: u64, id: &str) -> Option<String> {
        let route = routes.enabled(&self.route)?;
        let machine = route.to.state_machine()?;
        let name = self.execution.clone();
        let name = name.unwrap_or_else(|| execution_name_of(&route.name, topic, number, id));
        Some(execution_arn(machine, &name))
    }
}

/// The event of a call of the webhook, with its status and body.
pub fn answered(
    by: Caller,
    topic: &str,
    sequence: u64,
    took: Duration,
    answer: Result<(u16, String), String>,
) -> Happening {
    let (status, answer) = match answer {
        Ok((status, body)) => (Ok(status), serde_json::from_str(&body).unwrap_or_default()),
        Err(reason) => (Err(reason), Answer::default()),
    };
    Happening::Answered {
        by,
        topic: topic.to_owned(),
        sequence,
        took,
        status,
        answer,
    }
}
