//! Events of messages in a running stack, reported live: publication, the webhook's answer, the execution.

use std::sync::Arc;
use std::time::Duration;

use aws_sdk_sfn::Client;
use aws_sdk_sfn::types::{ExecutionListItem, ExecutionStatus};
use serde::Deserialize;
use tokio::sync::{broadcast, mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::stack::{Known, Stack};
use super::topics::broker::Value;
use super::topics::{DeliveryOutcome, TopicsEvent};
use crate::domain::inbound::routes::{Routes, Target};
use crate::service::relay::destination::Attempt;

/// An execution of a short workflow ends within a few polls; a long one is polled ever more rarely.
const FIRST_POLL: Duration = Duration::from_millis(25);
const SLOWEST_POLL: Duration = Duration::from_secs(2);

/// A longer execution is reported as running.
const SHORT: Duration = Duration::from_secs(3);

/// The search for an execution ends without a find after this.
const SEARCH: Duration = Duration::from_secs(60);

/// Executions whose input is read to find one by its message.
const NEWEST: usize = 20;

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
            routes: stack.known(),
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

/// How to find the execution of a message.
enum Search {
    /// By the end of its name.
    Name(String),
    /// By the message's id: its name has the key of the message.
    Message(String),
}

struct Watcher {
    client: Client,
    routes: watch::Receiver<Known>,
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
                    let routes = self.routes();
                    let found = routes.iter().find(|route| route.name == target.route);
                    let search = found.and_then(|route| match &route.to {
                        Target::StateMachine { arn, key: None, .. } => {
                            let id = answer.id.get(..16).unwrap_or(&answer.id);
                            let ending = format!("-{sequence}-{id}");
                            Some((arn.clone(), Search::Name(ending)))
                        }
                        Target::StateMachine { arn, .. } => {
                            Some((arn.clone(), Search::Message(answer.id.clone())))
                        }
                        Target::EventBus { .. } | Target::Resume(_) | Target::Stop(_) => None,
                    });
                    if let Some((machine, search)) = search {
                        following.spawn(Arc::clone(&self).follow(machine, search));
                    }
                }
            }
            if self.sender.send(happening).is_err() {
                return;
            }
        }
    }

    /// The routes now.
    fn routes(&self) -> Arc<Routes> {
        Arc::clone(&self.routes.borrow().routes)
    }

    fn direction(&self, cache: &str, topic: &str) -> Direction {
        let routes = self.routes();
        let enabled = || routes.iter().filter(|route| route.enabled);
        if enabled().any(|route| route.from.covers(cache, topic)) {
            Direction::In
        } else if enabled().any(|route| route.may_reply_to(cache, topic)) {
            Direction::Out
        } else {
            Direction::Neither
        }
    }

    /// Finds an execution and reports its end. EXPRESS executions cannot be found: AWS keeps no list of them, and the first
    /// refusal ends the search.
    async fn follow(self: Arc<Self>, machine: String, search: Search) {
        let started = Instant::now();
        let (mut seen, mut reported) = (false, false);
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
            let listed = listed.executions();
            let found = match &search {
                Search::Name(ending) => listed.iter().find(|one| one.name().ends_with(ending)),
                Search::Message(id) => self.started_by(listed, id).await,
            };
            seen |= found.is_some();
            if !seen && started.elapsed() > SEARCH {
                return;
            }
            if let Some(found) = found {
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

    /// The newest execution with the message's id in its input.
    async fn started_by<'a>(
        &self,
        listed: &'a [ExecutionListItem],
        id: &str,
    ) -> Option<&'a ExecutionListItem> {
        for execution in listed.iter().take(NEWEST) {
            let arn = execution.execution_arn();
            let described = self.client.describe_execution().execution_arn(arn);
            let described = described.send().await.ok()?;
            if described.input().is_some_and(|input| input.contains(id)) {
                return Some(execution);
            }
        }
        None
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
