//! The envelope, read back from the input of an execution that ended.
//!
//! An input may be anyone's: a publisher's text, if the route has `"input": "payload"`, or what a workflow hands to another
//! one. [`Envelope::is_of`] is the one check of whether the bridge wrote it.

use std::collections::HashMap;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::execution::ENVELOPE_VERSION;
use super::execution_name;
use crate::json;
use crate::message::{Body, TopicMessage};
use crate::routes::Format;

/// The envelope of an execution's input.
#[derive(Clone, Debug)]
pub struct Envelope {
    /// With the id that its own fields have.
    pub message: TopicMessage,
    /// The id that the envelope states.
    stated_id: String,
    pub route: String,
    /// None for a route without a reply.
    pub reply: Option<ReplyAddress>,
}

/// Where a result goes, and its shape.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct ReplyAddress {
    pub cache: String,
    pub topics: Vec<String>,
    pub failures: Vec<String>,
    pub format: Format,
}

/// What an input that looks like an envelope has in place of one of this version.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Unreadable(String);

#[derive(Deserialize)]
struct Message {
    id: String,
    cache: String,
    topic: String,
    topic_sequence_number: u64,
    #[serde(default)]
    sequence_page: Option<u64>,
    event_timestamp: i64,
    #[serde(default)]
    token_id: Option<String>,
    #[serde(default)]
    text: Option<String>,
    #[serde(default)]
    binary: Option<String>,
}

#[derive(Deserialize)]
struct Bridge {
    route: String,
    #[serde(default)]
    reply: Option<ReplyAddress>,
}

impl Envelope {
    /// Reads an input; none where it does not look like an envelope.
    ///
    /// # Errors
    ///
    /// When it looks like one and has another version, or a part that is missing or of another type.
    pub fn read(input: &str) -> Result<Option<Self>, Unreadable> {
        let parts: HashMap<String, &RawValue> = match serde_json::from_str(input) {
            Ok(parts) => parts,
            Err(_) => return Ok(None),
        };
        let Some(bridge) = parts.get("bridge") else {
            return Ok(None);
        };
        let keys: HashMap<String, &RawValue> =
            serde_json::from_str(bridge.get()).unwrap_or_default();
        let Some(message) = parts.get("message") else {
            let is_ours = keys.contains_key("version") && keys.contains_key("route");
            let unreadable = || Unreadable("no `message`".to_owned());
            return if is_ours { Err(unreadable()) } else { Ok(None) };
        };
        match keys.get("version").map(|version| version.get().parse()) {
            Some(Ok(ENVELOPE_VERSION)) => {}
            Some(Ok(version)) => return Err(Unreadable(format!("version {version}"))),
            _ => return Err(Unreadable("no `bridge.version`".to_owned())),
        }
        let wrong = |key: &str, why: String| Unreadable(format!("another `{key}`: {why}"));
        let broken = |key, e: &serde_json::Error| wrong(key, json::error_without_content(e));
        let bridge: Bridge =
            serde_json::from_str(bridge.get()).map_err(|e| broken("bridge", &e))?;
        let message: Message =
            serde_json::from_str(message.get()).map_err(|e| broken("message", &e))?;
        let body = Body {
            cache: message.cache,
            topic: message.topic,
            topic_sequence_number: message.topic_sequence_number,
            sequence_page: message.sequence_page,
            event_timestamp: message.event_timestamp,
            // Not in the envelope, nor in the id.
            publish_timestamp: message.event_timestamp,
            token_id: message.token_id,
            text: message.text,
            binary: message.binary,
        };
        Ok(Some(Self {
            message: TopicMessage::of(body).map_err(|e| wrong("message", e.to_string()))?,
            stated_id: message.id,
            route: bridge.route,
            reply: bridge.reply,
        }))
    }

    /// Whether the bridge wrote it, as the input of the execution of this name.
    ///
    /// The name ends with the hash of the message that started the execution. A text within that message cannot contain the
    /// text's own hash, so no publisher can write an envelope that fits the name of its execution.
    pub fn is_of(&self, execution_name: &str) -> bool {
        self.stated_id == self.message.id.as_str()
            && execution_name == self::execution_name(&self.route, &self.message)
    }
}

/// The envelope that the bridge gave to the execution of this name; none where the input is anything else.
pub fn own_envelope(execution_name: &str, input: &str) -> Option<Envelope> {
    let envelope = Envelope::read(input).ok()??;
    envelope.is_of(execution_name).then_some(envelope)
}

#[cfg(test)]
mod tests;
