//! Where results go: the key `reply`.

use serde::{Deserialize, Serialize};

use super::{FieldPath, From, Glob, Template};
use crate::message::TopicMessage;

/// Where results go.
#[derive(Clone, Debug)]
pub struct Reply {
    pub cache: Template,
    pub topics: Vec<Template>,
    /// The same as `topics` where the document names none.
    pub failures: Vec<Template>,
    pub format: Format,
    /// Where the sender may ask for another topic.
    pub asked: Option<Asked>,
}

/// A topic that the message itself names for its reply.
#[derive(Clone, Debug)]
pub struct Asked {
    /// The key `reply.from`.
    pub from: FieldPath,
    /// The key `reply.allow`: only such topics.
    pub allow: Vec<Glob>,
    /// Whether failures go there, too: the document names no topic for them.
    pub failures: bool,
}

/// The topics of a reply to one message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    pub topics: Vec<String>,
    pub failures: Vec<String>,
    /// The message asked for a topic that is not allowed.
    pub refused: bool,
}

/// The shape of a successful result.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// What the workflow returned, a JSON string as its bare text.
    Output,
    /// An object with the result and what it answers.
    Envelope,
}

impl Reply {
    /// Where the reply to this message goes.
    pub fn address(&self, message: &TopicMessage) -> Address {
        let render = |templates: &[Template]| {
            let topics = templates.iter().map(|template| template.render(message));
            topics.collect::<Vec<_>>()
        };
        let mut address = Address {
            topics: render(&self.topics),
            failures: render(&self.failures),
            refused: false,
        };
        if let Some(asked) = &self.asked {
            match asked.topic(message) {
                Ok(None) => {}
                Ok(Some(topic)) => {
                    if asked.failures {
                        address.failures = vec![topic.clone()];
                    }
                    address.topics = vec![topic];
                }
                Err(NotAllowed) => address.refused = true,
            }
        }
        address
    }

    /// Whether it gives this topic for the message, for results or for failures, or allows the message to ask for it.
    pub fn may_use(&self, message: &TopicMessage, cache: &str, topic: &str) -> bool {
        let mut given = self.topics.iter().chain(&self.failures);
        let mut allowed = self.asked.iter().flat_map(|asked| &asked.allow);
        self.cache.render(message) == cache
            && (given.any(|template| template.render(message) == topic)
                || allowed.any(|glob| glob.matches(topic)))
    }

    /// Whether this message asks for a topic that is not allowed.
    pub fn refuses(&self, message: &TopicMessage) -> bool {
        let asked = self.asked.as_ref();
        asked.is_some_and(|asked| asked.topic(message).is_err())
    }

    /// What every topic of a reply matches one of, for messages that `from` takes.
    pub(super) fn globs(&self, from: &From) -> Vec<Glob> {
        let templates = self.topics.iter().chain(&self.failures);
        let allowed = self.asked.iter().flat_map(|asked| asked.allow.clone());
        templates
            .map(|template| template.as_glob(from))
            .chain(allowed)
            .collect()
    }
}

/// What a message asks for is no topic, or none of [`Asked::allow`].
struct NotAllowed;

impl Asked {
    /// The topic that this message asks for, where it asks for one.
    fn topic(&self, message: &TopicMessage) -> Result<Option<String>, NotAllowed> {
        let Some(found) = self.from.find(message) else {
            return Ok(None);
        };
        match serde_json::from_str::<String>(&found) {
            Ok(topic)
                if self.allow.iter().any(|allowed| allowed.matches(&topic))
                    && !topic.is_empty() =>
            {
                Ok(Some(topic))
            }
            _ => Err(NotAllowed),
        }
    }
}

impl Format {
    /// As in the document.
    pub fn name(self) -> &'static str {
        match self {
            Self::Output => "output",
            Self::Envelope => "envelope",
        }
    }
}
