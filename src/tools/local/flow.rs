//! Events of messages in a running stack, reported live: publication, the webhook's answer, the execution.

use std::sync::Arc;
use std::time::Duration;

use aws_sdk_sfn::Client;
use aws_sdk_sfn::types::ExecutionStatus;
use serde::Deserialize;
use tokio::sync::{broadcast, mpsc};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::stack::Stack;
use super::topics::broker::Value;
use super::topics::{DeliveryOutcome, TopicsEvent};
use crate::domain::inbound::routes::{Routes, Target};
use crate::service::relay::destination::Attempt;

/// An execution of a short workflow ends within a few polls; a long one is polled ever more rarely.
const FIRST_POLL: Duration = Duration::from_millis(25);
const SLOWEST_POLL: Duration = Duration::from_secs(2);

/// A longer execution is reported as running.
const SHORT: Duration = Duration::from_secs(3);

/// A published message's direction, by the routes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// A route listens to its topic.
    In,
    /// Results go to its topic.
    Out,
    Neither,
}

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
}

/// Reports events from now on. Dropping it ends the reports.
pub struct Flow {
    happenings: mpsc::UnboundedReceiver<Happening>,
    _tasks: JoinSet<()>,
}

impl Flow {
    /// Watches `stack` from now on.
    pub fn watch(stack: &Stack) -> Self {
        let (sender, happenings) = mpsc::unbounded_channel();
        let watcher = Arc::new(Watcher {
            client: Client::new(stack.account().config()),
            routes: stack.routes().clone(),
            sender,
        });
        let mut tasks = JoinSet::new();
        tasks.spawn(Arc::clone(&watcher).run(stack.topics().events()));
        if let Some(attempts) = stack.relayed() {
            tasks.spawn(watcher.run(attempts));
        }
        Self {
            happenings,
            _tasks: tasks,
        }
    }

    /// The next happening; `None` when the stack is stopping.
    pub async fn next(&mut self) -> Option<Happening> {
        self.happenings.recv().await
    }
}

/// An event that can be reported.
trait Report: Clone + Send + 'static {
    fn report(self, watcher: &Watcher) -> Happening;
}

impl Report for TopicsEvent {
    fn report(self, watcher: &Watcher) -> Happening {
        match self {
            Self::Published(message) => Happening::Published {
                direction: watcher.direction(&message.cache, &message.topic),
                cache: message.cache.clone(),
                topic: message.topic.clone(),
                sequence: message.sequence,
                bytes: message.value.bytes(),
                text: match &message.value {
                    Value::Text(text) => Some(text.clone()),
                    Value::Binary(_) => None,
                },
            },
            Self::WebhookDelivered {
                message,
                outcome,
                elapsed,
                ..
            } => answered(
                Caller::Momento,
                &message.topic,
                message.sequence,
                elapsed,
                match outcome {
                    DeliveryOutcome::Answered { status, body } => Ok((status, body)),
                    DeliveryOutcome::TimedOut => Err("no answer in time".to_owned()),
                    DeliveryOutcome::Unreachable(reason) => Err(format!("unreachable: {reason}")),
                    DeliveryOutcome::Dropped => {
                        Err("not attempted: too many deliveries at once".to_owned())
                    }
                },
            ),
        }
    }
}

impl Report for Attempt {
    fn report(self, _: &Watcher) -> Happening {
        let topic = &self.topic.topic;
        answered(Caller::Relay, topic, self.number, self.took, self.answer)
    }
}

fn answered(
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

struct Watcher {
    client: Client,
    routes: Routes,
    sender: mpsc::UnboundedSender<Happening>,
}

impl Watcher {
    async fn run<E: Report>(self: Arc<Self>, mut events: broadcast::Receiver<E>) {
        let mut following = JoinSet::new();
        loop {
            let event = match events.recv().await {
                Ok(event) => event,
                // A burst too fast for a reader anyway.
                Err(broadcast::error::RecvError::Lagged(_)) => continue,
                Err(broadcast::error::RecvError::Closed) => return,
            };
            while following.try_join_next().is_some() {}
            let happening = event.report(&self);
            if let Happening::Answered {
                sequence, answer, ..
            } = &happening
            {
                for target in answer
                    .targets
                    .iter()
                    .filter(|target| target.outcome == "started")
                {
                    let machine = self
                        .routes
                        .iter()
                        .find(|route| route.name == target.route)
                        .and_then(|route| match &route.to {
                            Target::StateMachine { arn, .. } => Some(arn.clone()),
                            Target::EventBus { .. } | Target::Resume(_) => None,
                        });
                    let ending =
                        format!("-{sequence}-{}", answer.id.get(..16).unwrap_or(&answer.id));
                    if let Some(machine) = machine {
                        following.spawn(Arc::clone(&self).follow(machine, ending));
                    }
                }
            }
            if self.sender.send(happening).is_err() {
                return;
            }
        }
    }

    fn direction(&self, cache: &str, topic: &str) -> Direction {
        let enabled = || self.routes.iter().filter(|route| route.enabled);
        if enabled().any(|route| route.from.covers(cache, topic)) {
            Direction::In
        } else if enabled().any(|route| route.may_reply_to(cache, topic)) {
            Direction::Out
        } else {
            Direction::Neither
        }
    }

    /// Finds the execution whose name has this ending and reports its end. EXPRESS executions cannot be found: AWS keeps no
    /// list of them, and the first refusal ends the search.
    async fn follow(self: Arc<Self>, machine: String, ending: String) {
        let started = Instant::now();
        let mut reported = false;
        let mut pause = FIRST_POLL;
        loop {
            let Ok(listed) = self
                .client
                .list_executions()
                .state_machine_arn(&machine)
                .max_results(100)
                .send()
                .await
            else {
                return;
            };
            if let Some(found) = listed
                .executions()
                .iter()
                .find(|execution| execution.name().ends_with(&ending))
            {
                let ended = *found.status() != ExecutionStatus::Running;
                if ended || (!reported && started.elapsed() > SHORT) {
                    reported = true;
                    let _ = self.sender.send(
                        self.describe(found.execution_arn(), found.name(), started.elapsed())
                            .await,
                    );
                }
                if ended {
                    return;
                }
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 5 / 4).min(SLOWEST_POLL);
        }
    }

    async fn describe(&self, arn: &str, name: &str, seen: Duration) -> Happening {
        let mut status = "unknown".to_owned();
        let (mut took, mut failure) = (seen, None);
        if let Ok(execution) = self
            .client
            .describe_execution()
            .execution_arn(arn)
            .send()
            .await
        {
            status = execution.status().as_str().to_owned();
            if let Some(stopped) = execution.stop_date() {
                let span = stopped.as_secs_f64() - execution.start_date().as_secs_f64();
                took = Duration::try_from_secs_f64(span).unwrap_or(seen);
            }
            let parts: Vec<_> = [execution.error(), execution.cause()]
                .into_iter()
                .flatten()
                .collect();
            failure = (!parts.is_empty()).then(|| parts.join(": "));
        }
        Happening::Execution {
            name: name.to_owned(),
            status,
            took,
            states: self.states(arn).await,
            failure,
        }
    }

    /// The states that an execution has entered so far, by its first page of history.
    async fn states(&self, arn: &str) -> Vec<String> {
        let history = self.client.get_execution_history().execution_arn(arn);
        let Ok(history) = history.max_results(1000).send().await else {
            return Vec::new();
        };
        let entered = history.events().iter();
        let entered = entered.filter_map(|event| event.state_entered_event_details());
        entered.map(|details| details.name().to_owned()).collect()
    }
}
