//! The input of an execution.

use std::fmt::{self, Write};

use serde::{Serialize, Serializer};

use crate::json::quote;
use crate::message::TopicMessage;
use crate::routes::{Address, Format, Route};

/// Version of the envelope's shape.
pub(super) const ENVELOPE_VERSION: u64 = 1;
/// Most bytes of an envelope without the texts in it: names, numbers and brackets.
const FRAME_MAX: usize = 400;

/// The input of an execution, as JSON. It writes itself into the request that it is for, so that a text is not copied on the way.
#[derive(Clone, Debug)]
pub struct ExecutionInput<'a> {
    message: &'a TopicMessage,
    /// What the envelope says of the route; none for the text alone.
    bridge: Option<Bridge<'a>>,
}

#[derive(Clone, Debug)]
struct Bridge<'a> {
    route: &'a str,
    reply: Option<Reply>,
}

#[derive(Clone, Debug)]
struct Reply {
    cache: String,
    address: Address,
    format: Format,
}

impl<'a> ExecutionInput<'a> {
    /// Of a route with `"input": "envelope"`.
    pub fn envelope(message: &'a TopicMessage, route: &'a Route) -> Self {
        let reply = route.reply.as_ref().map(|reply| Reply {
            cache: reply.cache.render(message),
            address: reply.address(message),
            format: reply.format,
        });
        let bridge = Bridge {
            route: &route.name,
            reply,
        };
        Self {
            message,
            bridge: Some(bridge),
        }
    }

    /// Of a route with `"input": "payload"`: the text if it is JSON, else the text (or the base64 of a binary message) as a JSON
    /// string.
    pub fn payload(message: &'a TopicMessage) -> Self {
        Self {
            message,
            bridge: None,
        }
    }

    /// Writes it.
    ///
    /// # Errors
    ///
    /// Those of `out`.
    pub fn write_to(&self, out: &mut impl Write) -> fmt::Result {
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
        out.write_str(r#","reply":"#)?;
        match &bridge.reply {
            Some(reply) => reply.write_to(out)?,
            None => out.write_str("null")?,
        }
        out.write_str("}}")
    }

    /// About how many bytes it has: that many where nothing has to be escaped.
    pub fn size_hint(&self) -> usize {
        let text = self.message.value.as_str().len();
        let is_json = self.bridge.is_some() && self.message.json().is_some();
        FRAME_MAX + text * (1 + usize::from(is_json))
    }

    /// The JSON.
    pub fn to_json(&self) -> String {
        let mut json = String::with_capacity(self.size_hint());
        // Writing into a string cannot fail.
        let _ = self.write_to(&mut json);
        json
    }

    /// How many bytes it has, where these are more than `most`.
    pub fn over(&self, most: usize) -> Option<usize> {
        if self.bound() <= most {
            return None;
        }
        let mut length = Length(0);
        let _ = self.write_to(&mut length);
        Some(length.0).filter(|length| *length > most)
    }

    /// No more bytes than this: one of a text becomes six at most (`\u0000`), and a text that is JSON is there once more.
    fn bound(&self) -> usize {
        let message = self.message;
        let quoted = |text: &str| 6 * text.len() + r#""","#.len();
        let value = message.value.as_str();
        let Some(bridge) = &self.bridge else {
            return quoted(value);
        };
        let token_id = message.token_id.iter();
        let reply = bridge.reply.iter().flat_map(|reply| {
            let Address {
                topics, failures, ..
            } = &reply.address;
            topics.iter().chain(failures).chain([&reply.cache])
        });
        let names = [&message.cache, &message.topic].into_iter();
        let names = names.chain(token_id).chain(reply).map(String::as_str);
        let names = names.chain([bridge.route, value]).map(quoted);
        FRAME_MAX + value.len() + names.sum::<usize>()
    }
}

/// The message in an envelope. No time of receipt and no `publish_timestamp`: they differ when a message is delivered again.
fn write_message(out: &mut impl Write, message: &TopicMessage) -> fmt::Result {
    out.write_str(r#"{"id":"#)?;
    quote(out, message.id.as_str())?;
    out.write_str(r#","cache":"#)?;
    quote(out, &message.cache)?;
    out.write_str(r#","topic":"#)?;
    quote(out, &message.topic)?;
    let number = message.topic_sequence_number;
    write!(out, r#","topic_sequence_number":{number}"#)?;
    // Part of the id, and known for messages of the relay only.
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

impl Reply {
    fn write_to(&self, out: &mut impl Write) -> fmt::Result {
        out.write_str(r#"{"cache":"#)?;
        quote(out, &self.cache)?;
        out.write_str(r#","topics":"#)?;
        quote_all(out, &self.address.topics)?;
        out.write_str(r#","failures":"#)?;
        quote_all(out, &self.address.failures)?;
        write!(out, r#","format":"{}"}}"#, self.format.name())
    }
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

impl fmt::Display for ExecutionInput<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write_to(f)
    }
}

/// As a string that holds the JSON, which is how Step Functions takes it.
impl Serialize for ExecutionInput<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Counts the bytes that are written.
struct Length(usize);

impl Write for Length {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0 += text.len();
        Ok(())
    }
}

#[cfg(test)]
mod tests;
