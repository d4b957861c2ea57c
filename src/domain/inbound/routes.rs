//! Routing, by the routes document of the variable `ROUTES`.
//!
//! [`Routes::parse`] reads the document and reports all its problems at once. After that, matching has one error: too many
//! steps.

pub(crate) mod document;
pub mod glob;
mod obstacle;
mod path;
pub mod pattern;
mod reply;
mod template;

pub use document::{LOOP, Problem, Problems, limits};
pub use glob::Glob;
pub use obstacle::Obstacle;
pub use path::FieldPath;
pub use pattern::{Pattern, Undecided};
pub use reply::{Address, Asked, Format, Reply};
pub use template::{Placeholder, Template};

use crate::domain::inbound::arn::unqualified;
use crate::domain::inbound::execution_name;
use crate::domain::inbound::message::TopicMessage;
use pattern::{Event, Steps};

/// Fields of a message in `where` patterns.
pub const EVENT_FIELDS: [&str; 6] = [
    "cache",
    "topic",
    "topic_sequence_number",
    "token_id",
    "text",
    "json",
];

/// Limit on the steps of matching one message, over all routes: tens of milliseconds. See [`Steps`].
pub const MATCHING_STEPS: usize = 5_000_000;

/// A routes document without problems; by default, without routes.
#[derive(Clone, Debug, Default)]
pub struct Routes(Vec<Route>);

/// From a topic to a target, with an optional reply.
#[derive(Clone, Debug)]
pub struct Route {
    pub name: String,
    pub enabled: bool,
    pub from: Source,
    /// The key `where`.
    pub condition: Option<Pattern>,
    pub to: Target,
    pub reply: Option<Reply>,
}

/// The topics of a route.
#[derive(Clone, Debug, PartialEq)]
pub struct Source {
    pub cache: Glob,
    pub topic: Glob,
}

/// The target of a route.
#[derive(Clone, Debug, PartialEq)]
pub enum Target {
    StateMachine {
        /// Of a state machine, a version or an alias.
        arn: String,
        input: Input,
        /// The path of the business key, which names the execution.
        key: Option<FieldPath>,
    },
    EventBus {
        /// Name or ARN.
        name: String,
        source: String,
        detail_type: Template,
    },
    /// A workflow's task that waits for this answer.
    Resume(Resume),
    /// The execution that another route started for a key.
    Stop(Stop),
}

/// Paths to the key of an execution to be stopped, and to the reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stop {
    /// The route that started it, in the same document.
    pub route: String,
    /// Unqualified ARN of that route's state machine.
    pub state_machine: String,
    pub key: FieldPath,
    pub error: Option<FieldPath>,
    pub cause: Option<FieldPath>,
}

/// Paths to a task's answer in a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resume {
    pub token: FieldPath,
    pub output: FieldPath,
    /// A value at this path fails the task.
    pub error: Option<FieldPath>,
}

/// The shape of an execution's input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "cli", schemars(rename_all = "lowercase"))]
pub enum Input {
    /// The message and its route in one object.
    Envelope,
    /// The text alone, as JSON or as a JSON string.
    Payload,
}

impl Routes {
    /// Reads a routes document in JSON.
    ///
    /// # Errors
    ///
    /// All problems of the document, each with its route and key.
    pub fn parse(document: &str) -> Result<Self, Problems> {
        document::read(document).map(Self)
    }

    pub fn iter(&self) -> impl Iterator<Item = &Route> {
        self.0.iter()
    }

    /// The enabled route of that name.
    pub fn enabled(&self, name: &str) -> Option<&Route> {
        self.iter()
            .find(|route| route.enabled && route.name == name)
    }

    /// These routes, then those of `more` with other names.
    pub fn and(&self, more: &Self) -> Self {
        let is_taken = |route: &&Route| self.iter().any(|own| own.name == route.name);
        let more = more.iter().filter(|route| !is_taken(route));
        Self(self.iter().chain(more).cloned().collect())
    }

    /// All enabled routes that match `message`, in the order of the document. Without a limit on steps: see
    /// [`matching_within`](Self::matching_within).
    pub fn matching<'a>(&'a self, message: &TopicMessage) -> Vec<&'a Route> {
        self.decide(message, Steps::new(usize::MAX))
            .unwrap_or_default()
    }

    /// All enabled routes that match `message`, in the order of the document, within so many steps: [`MATCHING_STEPS`] while
    /// a sender waits.
    ///
    /// # Errors
    ///
    /// When the steps run out. Any route may be missing then, so the whole message belongs into the parking queue.
    pub fn matching_within<'a>(
        &'a self,
        message: &TopicMessage,
        steps: usize,
    ) -> Result<Vec<&'a Route>, Undecided> {
        self.decide(message, Steps::new(steps))
    }

    fn decide(&self, message: &TopicMessage, mut steps: Steps) -> Result<Vec<&Route>, Undecided> {
        let number = message.topic_sequence_number.to_string();
        let mut event = None;
        let mut matching = Vec::new();
        for route in self.iter() {
            if !route.enabled || !route.from.covers(&message.cache, &message.topic) {
                continue;
            }
            let takes = match &route.condition {
                None => true,
                Some(pattern) => {
                    let event = event.get_or_insert_with(|| event_of(message, &number));
                    pattern.takes(event, &mut steps)?
                }
            };
            if takes {
                matching.push(route);
            }
        }
        Ok(matching)
    }

    /// The route of an execution of `state_machine` (an unqualified ARN), enabled or not.
    ///
    /// The execution's name contains its route. An execution with another name (started by hand, for example) belongs to the
    /// state machine's only route, if that one has the input `payload`.
    pub fn of_execution(&self, state_machine: &str, execution_name: &str) -> Option<&Route> {
        let candidates: Vec<&Route> = self
            .iter()
            .filter(|route| route.to.state_machine() == Some(state_machine))
            .collect();
        let named = candidates.iter().find(|route| {
            // No candidate's name begins with another's: such a document is refused.
            match route.key() {
                None => execution_name::sequence_in_name(execution_name, &route.name).is_some(),
                Some(_) => execution_name::is_named_after(execution_name, &route.name),
            }
        });
        match (named, candidates.as_slice()) {
            (Some(route), _) => Some(route),
            (None, [only]) if only.takes_payload() => Some(only),
            _ => None,
        }
    }
}

impl Route {
    /// Whether results of this route may go to this topic.
    pub fn may_reply_to(&self, cache: &str, topic: &str) -> bool {
        self.reply.as_ref().is_some_and(|reply| {
            reply.cache.as_glob(&self.from).matches(cache)
                && reply
                    .globs(&self.from)
                    .iter()
                    .any(|glob| glob.matches(topic))
        })
    }

    /// The path of the business key.
    pub fn key(&self) -> Option<&FieldPath> {
        match &self.to {
            Target::StateMachine { key, .. } => key.as_ref(),
            _ => None,
        }
    }

    /// Whether an execution's input is the text of the message alone.
    pub fn takes_payload(&self) -> bool {
        matches!(
            self.to,
            Target::StateMachine {
                input: Input::Payload,
                ..
            }
        )
    }
}

impl Target {
    /// The unqualified ARN, if the target is a state machine.
    pub(crate) fn state_machine(&self) -> Option<&str> {
        match self {
            Self::StateMachine { arn, .. } => Some(unqualified(arn)),
            Self::EventBus { .. } | Self::Resume(_) | Self::Stop(_) => None,
        }
    }
}

impl Source {
    /// Whether the source includes this topic.
    pub fn covers(&self, cache: &str, topic: &str) -> bool {
        self.cache.matches(cache) && self.topic.matches(topic)
    }
}

/// A message in the form that patterns match. `number` is its sequence number.
fn event_of<'a>(message: &'a TopicMessage, number: &'a str) -> Event<'a> {
    let mut event = Event::new();
    event.text("cache", Some(&message.cache));
    event.text("topic", Some(&message.topic));
    event.json("topic_sequence_number", number);
    event.text("token_id", message.token_id.as_deref());
    event.text("text", message.text());
    event.json("json", message.json().unwrap_or("null"));
    event
}

#[cfg(test)]
pub(crate) mod tests;
