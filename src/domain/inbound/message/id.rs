//! The unique id of a message.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::digest::{Context, SHA256};
use serde::Serialize;

use super::Value;

/// Identifies a message: the first 32 hex digits of the SHA-256 of cache, topic, sequence number, sequence page (or,
/// absent that, `event_timestamp`) and the value's bytes.
///
/// Numbers count as decimal text, and each of the five parts is preceded by its length in bytes as a big-endian 64-bit
/// number. A redelivered message has the same id, from any sender.
#[derive(Clone, PartialEq, Eq, Hash, Serialize)]
#[serde(transparent)]
pub struct MessageId(String);

impl MessageId {
    const BYTES: usize = 16;
    /// Hex digits of an id.
    pub const DIGITS: usize = 2 * Self::BYTES;

    pub(super) fn new(cache: &str, topic: &str, number: u64, instance: &str, value: &[u8]) -> Self {
        let number = number.to_string();
        let mut hash = Context::new(&SHA256);
        for part in [cache, topic, &number, instance]
            .map(str::as_bytes)
            .iter()
            .chain([&value])
        {
            hash.update(&(part.len() as u64).to_be_bytes());
            hash.update(part);
        }
        Self(hex::encode(&hash.finish().as_ref()[..Self::BYTES]))
    }

    /// The id of a message on a known page, equal to the webhook's.
    pub fn of_page(cache: &str, topic: &str, page: u64, number: u64, value: &Value) -> Self {
        Self::of_instance(cache, topic, page, number, value)
    }

    /// The id of a message delivered without a page, equal to the webhook's. `time` is its `event_timestamp`.
    pub fn of_time(cache: &str, topic: &str, time: u64, number: u64, value: &Value) -> Self {
        Self::of_instance(cache, topic, time, number, value)
    }

    fn of_instance(cache: &str, topic: &str, instance: u64, number: u64, value: &Value) -> Self {
        let decoded;
        let bytes = match value {
            Value::Text(text) => text.as_bytes(),
            Value::Binary(base64) => {
                decoded = STANDARD.decode(base64).unwrap_or_default();
                &decoded
            }
        };
        Self::new(cache, topic, number, &instance.to_string(), bytes)
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
