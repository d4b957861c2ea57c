//! Events of messages in a running stack, reported live: publication, the webhook's answer, the execution.

use std::sync::Arc;

use tokio::sync::{broadcast, mpsc, watch};
use tokio::task::JoinSet;

use super::direction;
pub use super::direction::Direction;
use super::executions::Executions;
pub use super::happening::{Answer, Caller, Happening, TargetAnswer, answered};
use super::stack::{Known, Stack};
use super::topics::broker::{Message, Value};
use super::topics::{DeliveryOutcome, TopicsEvent};
use crate::domain::inbound::routes::Routes;
use crate::service::relay::destination::Attempt;

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
            executions: Executions::new(stack.account().config()),
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
                direction: watcher.direction(&message),
                meant: direction::meant(&watcher.routes(), &message.topic),
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

struct Watcher {
    executions: Executions,
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
            let followed = match &happening {
                Happening::Answered {
                    topic,
                    sequence,
                    answer,
                    ..
                } => self
                    .executions
                    .started(&self.routes(), answer, topic, *sequence),
                _ => Vec::new(),
            };
            for execution in followed {
                let sender = self.sender.clone();
                following.spawn(execution.follow(sender));
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

    /// What the bridge publishes is an answer, to whatever topic.
    fn direction(&self, message: &Message) -> Direction {
        match direction::of(&self.routes(), &message.cache, &message.topic) {
            Direction::Neither if message.by_bridge => Direction::Out,
            direction => direction,
        }
    }
}
