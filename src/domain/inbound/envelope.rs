//! The input of an execution: written for StartExecution, and read back when the execution has ended.
//!
//! An input may also be a publisher's text (a route with `"input": "payload"`) or come from another workflow.
//! [`Envelope::is_of`] is the one check for the bridge's own.

use std::collections::HashMap;
use std::fmt::{self, Write};

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::domain::inbound::execution_name::{execution_name, keyed_execution_name};
use crate::domain::inbound::message::{Body, TopicMessage};
use crate::domain::inbound::routes::{Address, Format, Reply, Route};
use crate::json::{self, quote};

/// Version of the envelope's format.
const ENVELOPE_VERSION: u64 = 1;
/// Most bytes of an envelope besides its texts: names, numbers and brackets.
const FRAME_MAX: usize = 400;

/// The input of an execution, as JSON.
#[derive(Clone, Debug)]
pub struct ExecutionInput<'a> {
    message: &'a TopicMessage,
    /// The envelope's `bridge`; `None` for the text alone.
    bridge: Option<WrittenBridge<'a>>,
}

#[derive(Clone, Debug)]
struct WrittenBridge<'a> {
    route: &'a str,
    key: Option<&'a str>,
    reply: Option<ReplyAddress>,
}

impl<'a> ExecutionInput<'a> {
    /// The input of a route with `"input": "envelope"`.
    pub fn envelope(message: &'a TopicMessage, route: &'a Route, key: Option<&'a str>) -> Self {
        let reply = route.reply.as_ref();
        let reply = reply.map(|reply| ReplyAddress::of(reply, message));
        let bridge = WrittenBridge {
            route: &route.name,
            key,
            reply,
        };
        Self {
            message,
            bridge: Some(bridge),
        }
    }

    /// The input of a route with `"input": "payload"`: the text if it is JSON, else the text (or the base64 of a binary
    /// message) as a JSON string.
    pub fn payload(message: &'a TopicMessage) -> Self {
        Self {
            message,
            bridge: None,
        }
    }

    fn write_to(&self, out: &mut impl Write) -> fmt::Result {
        let message = self.message;
        let Some(bridge) = &self.bridge else {
            return match message.json() {
                Some(json) => out.write_str(json),
                None => quote(out, message.value.as_str()),
            };
        };
        out.write_str(r#"{"message":"#)?;
        write_message(out, message)?;
        write!(out, r#","bridge":{{"version":{ENVELOPE_VERSION},"route":"#)?;
        quote(out, bridge.route)?;
        if let Some(key) = bridge.key {
            out.write_str(r#","key":"#)?;
            quote(out, key)?;
        }
        out.write_str(r#","reply":"#)?;
        match &bridge.reply {
            Some(reply) => reply.write_to(out)?,
            None => out.write_str("null")?,
        }
        out.write_str("}}")
    }

    /// Approximate length in bytes, exact if no character needs an escape.
    fn size_hint(&self) -> usize {
        let text = self.message.value.as_str().len();
        let is_json = self.bridge.is_some() && self.message.json().is_some();
        FRAME_MAX + text * (1 + usize::from(is_json))
    }

    /// The input as JSON.
    pub fn to_json(&self) -> String {
        let mut json = String::with_capacity(self.size_hint());
        // Writing into a string cannot fail.
        let _ = self.write_to(&mut json);
        json
    }

    /// The length in bytes, if it exceeds `most`.
    pub fn over(&self, most: usize) -> Option<usize> {
        if self.bound() <= most {
            return None;
        }
        let mut length = Length(0);
        let _ = self.write_to(&mut length);
        Some(length.0).filter(|length| *length > most)
    }

    /// An upper bound of the length: a byte of text becomes six at most (`\u0000`), and a text in JSON is written twice.
    fn bound(&self) -> usize {
        let message = self.message;
        let quoted = |text: &str| 6 * text.len() + r#""","#.len();
        let value = message.value.as_str();
        let Some(bridge) = &self.bridge else {
            return quoted(value);
        };
        let token_id = message.token_id.iter();
        let reply = bridge.reply.iter().flat_map(|reply| {
            let topics = reply.topics.iter().chain(&reply.failures);
            topics.chain(&reply.started).chain([&reply.cache])
        });
        let names = [&message.cache, &message.topic].into_iter();
        let names = names.chain(token_id).chain(reply).map(String::as_str);
        let names = names
            .chain(bridge.key)
            .chain([bridge.route, value])
            .map(quoted);
        FRAME_MAX + value.len() + names.sum::<usize>()
    }
}

/// The envelope's message, without time of receipt and `publish_timestamp`, which differ between deliveries.
fn write_message(out: &mut impl Write, message: &TopicMessage) -> fmt::Result {
    out.write_str(r#"{"id":"#)?;
    quote(out, message.id.as_str())?;
    out.write_str(r#","cache":"#)?;
    quote(out, &message.cache)?;
    out.write_str(r#","topic":"#)?;
    quote(out, &message.topic)?;
    let number = message.topic_sequence_number;
    write!(out, r#","topic_sequence_number":{number}"#)?;
    // Part of the id; only the relay's messages have one.
    if let Some(page) = message.sequence_page {
        write!(out, r#","sequence_page":{page}"#)?;
    }
    let time = message.event_timestamp;
    write!(out, r#","event_timestamp":{time},"token_id":"#)?;
    quote_or_null(out, message.token_id.as_deref())?;
    out.write_str(r#","text":"#)?;
    quote_or_null(out, message.text())?;
    out.write_str(r#","json":"#)?;
    out.write_str(message.json().unwrap_or("null"))?;
    if let Some(binary) = message.binary() {
        out.write_str(r#","binary":"#)?;
        quote(out, binary)?;
    }
    out.write_char('}')
}

fn quote_or_null(out: &mut impl Write, text: Option<&str>) -> fmt::Result {
    match text {
        Some(text) => quote(out, text),
        None => out.write_str("null"),
    }
}

fn quote_all(out: &mut impl Write, texts: &[String]) -> fmt::Result {
    let mut before = '[';
    for text in texts {
        out.write_char(before)?;
        quote(out, text)?;
        before = ',';
    }
    out.write_str(if texts.is_empty() { "[]" } else { "]" })
}

/// Counts bytes written.
struct Length(usize);

impl Write for Length {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0 += text.len();
        Ok(())
    }
}

/// The envelope of an execution's input.
#[derive(Clone, Debug)]
pub struct Envelope {
    /// Its id is computed from its own fields.
    pub message: TopicMessage,
    /// The id stated in the envelope.
    stated_id: String,
    pub route: String,
    /// The business key of a keyed route's message.
    pub key: Option<String>,
    /// `None` for a route without a reply.
    pub reply: Option<ReplyAddress>,
}

/// The topics of a result, and its format.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct ReplyAddress {
    pub cache: String,
    pub topics: Vec<String>,
    pub failures: Vec<String>,
    #[serde(default)]
    pub started: Vec<String>,
    pub format: Format,
}

impl ReplyAddress {
    /// The address that a route gives to the result of a message.
    pub fn of(reply: &Reply, message: &TopicMessage) -> Self {
        let Address {
            topics,
            failures,
            started,
            ..
        } = reply.address(message);
        Self {
            cache: reply.cache.render(message),
            topics,
            failures,
            started,
            format: reply.format,
        }
    }

    fn write_to(&self, out: &mut impl Write) -> fmt::Result {
        out.write_str(r#"{"cache":"#)?;
        quote(out, &self.cache)?;
        out.write_str(r#","topics":"#)?;
        quote_all(out, &self.topics)?;
        out.write_str(r#","failures":"#)?;
        quote_all(out, &self.failures)?;
        if !self.started.is_empty() {
            out.write_str(r#","started":"#)?;
            quote_all(out, &self.started)?;
        }
        write!(out, r#","format":"{}"}}"#, self.format.name())
    }
}

/// The defect of an input that resembles an envelope of this version.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Unreadable(String);

#[derive(Deserialize)]
struct ReadMessage {
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
struct ReadBridge {
    route: String,
    #[serde(default)]
    key: Option<String>,
    #[serde(default)]
    reply: Option<ReplyAddress>,
}

impl Envelope {
    /// Reads an input; `None` if it does not resemble an envelope.
    ///
    /// # Errors
    ///
    /// When it resembles one but has another version, or a missing or mistyped part.
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
        let wrong = |key: &str, why: String| Unreadable(format!("a bad `{key}`: {why}"));
        let broken = |key, e: &serde_json::Error| wrong(key, json::error_without_content(e));
        let bridge: ReadBridge =
            serde_json::from_str(bridge.get()).map_err(|e| broken("bridge", &e))?;
        let message: ReadMessage =
            serde_json::from_str(message.get()).map_err(|e| broken("message", &e))?;
        let body = Body {
            cache: message.cache,
            topic: message.topic,
            topic_sequence_number: message.topic_sequence_number,
            sequence_page: message.sequence_page,
            event_timestamp: message.event_timestamp,
            // Neither the envelope nor the id has it.
            publish_timestamp: message.event_timestamp,
            token_id: message.token_id,
            text: message.text,
            binary: message.binary,
        };
        Ok(Some(Self {
            message: TopicMessage::of(body).map_err(|e| wrong("message", e.to_string()))?,
            stated_id: message.id,
            route: bridge.route,
            key: bridge.key,
            reply: bridge.reply,
        }))
    }

    /// Whether the bridge wrote it, as the input of the execution with this name.
    ///
    /// The name ends with a hash of the message that started the execution. A text in that message cannot contain the
    /// message's hash, so no publisher can write an envelope that fits the name of its execution.
    ///
    /// The name of a keyed execution has a hash of route and key, which a publisher knows: such an envelope needs its route's
    /// confirmation.
    pub fn is_of(&self, execution_name: &str) -> bool {
        let name = match &self.key {
            Some(key) => keyed_execution_name(&self.route, key),
            None => self::execution_name(&self.route, &self.message),
        };
        self.stated_id == self.message.id.as_str() && execution_name == name
    }
}

/// The bridge's own envelope in the input of the execution with this name; `None` for any other input.
pub fn own_envelope(execution_name: &str, input: &str) -> Option<Envelope> {
    let envelope = Envelope::read(input).ok()??;
    envelope.is_of(execution_name).then_some(envelope)
}

#[cfg(test)]
mod tests;
