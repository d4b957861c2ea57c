//! The destinations of results: the key `reply`.

use serde::{Deserialize, Serialize};

use super::{FieldPath, Glob, Source, Template};
use crate::domain::inbound::message::TopicMessage;

/// The destinations of results.
#[derive(Clone, Debug)]
pub struct Reply {
    pub cache: Template,
    pub topics: Vec<Template>,
    /// The same as `topics` if the document has none.
    pub failures: Vec<Template>,
    /// Topics of the announcement that the execution started; none by default.
    pub started: Vec<Template>,
    pub format: Format,
    /// Topics that the sender may request.
    pub asked: Option<Asked>,
}

/// A reply topic requested by the message itself.
#[derive(Clone, Debug)]
pub struct Asked {
    /// The key `reply.from`.
    pub from: FieldPath,
    /// The key `reply.allow`: the permitted topics.
    pub allow: Vec<Glob>,
    /// Whether failures go there, too: the document has no topics for them.
    pub failures: bool,
}

/// The topics of a reply to one message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    pub topics: Vec<String>,
    pub failures: Vec<String>,
    pub started: Vec<String>,
    /// The message requested a topic outside `allow`.
    pub refused: bool,
}

/// The shape of a successful result.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// The workflow's output; of a JSON string, its text.
    Output,
    /// An object with the result and what it answers.
    Envelope,
}

impl Reply {
    /// The topics of the reply to this message.
    pub fn address(&self, message: &TopicMessage) -> Address {
        let render = |templates: &[Template]| {
            let topics = templates.iter().map(|template| template.render(message));
            topics.collect::<Vec<_>>()
        };
        let mut address = Address {
            topics: render(&self.topics),
            failures: render(&self.failures),
            started: render(&self.started),
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

    /// Whether the reply gives the message this topic for any publication, or allows it.
    pub fn may_use(&self, message: &TopicMessage, cache: &str, topic: &str) -> bool {
        let mut given = self.all();
        let mut allowed = self.asked.iter().flat_map(|asked| &asked.allow);
        self.cache.render(message) == cache
            && (given.any(|template| template.render(message) == topic)
                || allowed.any(|glob| glob.matches(topic)))
    }

    fn all(&self) -> impl Iterator<Item = &Template> {
        let ends = self.topics.iter().chain(&self.failures);
        ends.chain(&self.started)
    }

    /// Whether this message requests a topic outside `allow`.
    pub fn refuses(&self, message: &TopicMessage) -> bool {
        let asked = self.asked.as_ref();
        asked.is_some_and(|asked| asked.topic(message).is_err())
    }

    /// Globs for all topics of replies to messages from `from`.
    pub(super) fn globs(&self, from: &Source) -> Vec<Glob> {
        let templates = self.all();
        let allowed = self.asked.iter().flat_map(|asked| asked.allow.clone());
        templates
            .map(|template| template.as_glob(from))
            .chain(allowed)
            .collect()
    }
}

/// The requested value is not a topic, or is outside [`Asked::allow`].
struct NotAllowed;

impl Asked {
    /// The topic requested by this message, if any.
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
    /// The name in the document.
    pub fn name(self) -> &'static str {
        match self {
            Self::Output => "output",
            Self::Envelope => "envelope",
        }
    }
}
