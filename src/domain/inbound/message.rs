//! A topic message as delivered by Momento, and its unique id.

use std::sync::OnceLock;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use crate::domain::inbound::signature::Verified;
use crate::json;

pub mod delivery;
mod id;

pub use id::MessageId;

/// A message on a topic.
#[derive(Clone, Debug)]
pub struct TopicMessage {
    pub id: MessageId,
    pub cache: String,
    pub topic: String,
    /// Counts a topic's messages from 0; starts again at 0 after a time without messages.
    pub topic_sequence_number: u64,
    /// The instance of the topic that the sequence number belongs to; only the relay's messages have it.
    pub sequence_page: Option<u64>,
    /// When the message was published, in ms since the epoch.
    pub event_timestamp: i64,
    /// When this delivery was sent, in ms since the epoch.
    pub publish_timestamp: i64,
    /// The identifier in the publisher's token; `None` for an empty one.
    pub token_id: Option<String>,
    pub value: Value,
    /// Whether the text is JSON, determined on first use.
    is_json: OnceLock<bool>,
}

/// The published value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Value {
    Text(String),
    /// Bytes, in base64 as received.
    Binary(String),
}

impl Value {
    /// The text, or the base64.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Text(text) => text,
            Self::Binary(binary) => binary,
        }
    }
}

/// A verified body that is not a topic message.
#[derive(Debug, thiserror::Error)]
pub enum Malformed {
    #[error("expected a topic message as a JSON object in UTF-8, found {0}")]
    Json(String),
    #[error("expected the value in `text` or `binary`, found neither")]
    NoValue,
    #[error("expected base64 in `binary`, found something else")]
    Base64,
}

/// The body of a delivery. Unknown fields are ignored; a known field given twice is an error.
#[derive(Deserialize)]
pub(crate) struct Body {
    pub cache: String,
    pub topic: String,
    pub topic_sequence_number: u64,
    #[serde(default)]
    pub sequence_page: Option<u64>,
    pub event_timestamp: i64,
    pub publish_timestamp: i64,
    #[serde(default)]
    pub token_id: Option<String>,
    #[serde(default)]
    pub text: Option<String>,
    #[serde(default)]
    pub binary: Option<String>,
}

impl TopicMessage {
    /// Reads the body of a delivery, and returns it as text, too. `text` takes precedence over `binary`.
    ///
    /// # Errors
    ///
    /// When the bytes are not the JSON object of docs/reference.md: a field is missing or mistyped (a timestamp is a whole
    /// number of milliseconds), the value is missing, or a binary one is not base64.
    pub fn parse(body: Verified<'_>) -> Result<(Self, &str), Malformed> {
        // Text first: serde_json does not look into strings that it ignores, and would read a list as an object.
        let text = std::str::from_utf8(body.bytes())
            .map_err(|e| Malformed::Json(format!("invalid UTF-8 at byte {}", e.valid_up_to())))?;
        if !text.trim_start().starts_with('{') {
            return Err(Malformed::Json("no object".to_owned()));
        }
        let body: Body = serde_json::from_str(text)
            .map_err(|e| Malformed::Json(json::error_without_content(&e)))?;
        Ok((Self::of(body)?, text))
    }

    /// The message with these fields.
    ///
    /// # Errors
    ///
    /// When the value is missing, or is not base64.
    pub(crate) fn of(body: Body) -> Result<Self, Malformed> {
        let mut decoded = Vec::new();
        let value = match (body.text, body.binary) {
            (Some(text), _) => Value::Text(text),
            (None, Some(binary)) => {
                decoded = STANDARD.decode(&binary).map_err(|_| Malformed::Base64)?;
                Value::Binary(binary)
            }
            (None, None) => return Err(Malformed::NoValue),
        };
        let bytes = match &value {
            Value::Text(text) => text.as_bytes(),
            Value::Binary(_) => &decoded,
        };
        // The page distinguishes two messages with one number; without it, the time of publication does.
        let instance = match body.sequence_page {
            Some(page) => page.to_string(),
            None => body.event_timestamp.to_string(),
        };
        let number = body.topic_sequence_number;
        Ok(Self {
            id: MessageId::new(&body.cache, &body.topic, number, &instance, bytes),
            cache: body.cache,
            topic: body.topic,
            topic_sequence_number: body.topic_sequence_number,
            sequence_page: body.sequence_page,
            event_timestamp: body.event_timestamp,
            publish_timestamp: body.publish_timestamp,
            token_id: body.token_id.filter(|id| !id.is_empty()),
            value,
            is_json: OnceLock::new(),
        })
    }

    pub fn text(&self) -> Option<&str> {
        match &self.value {
            Value::Text(text) => Some(text),
            Value::Binary(_) => None,
        }
    }

    pub fn binary(&self) -> Option<&str> {
        match &self.value {
            Value::Text(_) => None,
            Value::Binary(binary) => Some(binary),
        }
    }

    /// The text, if it is JSON (see [`json::is_sound`]).
    pub fn json(&self) -> Option<&str> {
        let text = self.text()?;
        let is_json = self.is_json.get_or_init(|| json::is_sound(text));
        is_json.then(|| json::trim(text))
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::domain::inbound::signature::{SigningSecret, sign, verify};
    use proptest::prelude::*;

    /// Parses `body` as if it were signed.
    pub(crate) fn parse(body: impl AsRef<[u8]>) -> Result<TopicMessage, Malformed> {
        let body = body.as_ref();
        let header = sign("k", body);
        let secrets = [SigningSecret::new("k").unwrap()];
        let verified = verify(&secrets, body, [header.as_bytes()]).unwrap();
        TopicMessage::parse(verified).map(|(message, _)| message)
    }

    /// The documentation's example message, with `fields` replaced.
    pub(crate) fn message(fields: serde_json::Value) -> TopicMessage {
        let mut body = serde_json::json!({
            "cache": "chat", "topic": "room-281", "event_timestamp": 1704296470564_i64,
            "publish_timestamp": 1704296470565_i64, "topic_sequence_number": 1, "token_id": "mo", "text": "Here I am!!",
        });
        for (key, value) in fields.as_object().unwrap() {
            body[key] = value.clone();
        }
        parse(body.to_string()).unwrap()
    }

    const EXAMPLE: &str = r#"{"cache":"chat","topic":"room-281","event_timestamp":1704296470564,"publish_timestamp":1704296470565,"topic_sequence_number":1,"token_id":"mo","text":"Here I am!!"}"#;

    #[test]
    fn the_documented_body_is_read() {
        let m = parse(EXAMPLE).unwrap();
        assert_eq!((m.cache.as_str(), m.topic.as_str()), ("chat", "room-281"));
        assert_eq!((m.topic_sequence_number, m.sequence_page), (1, None));
        assert_eq!(m.token_id.as_deref(), Some("mo"));
        assert_eq!(m.text(), Some("Here I am!!"));
        assert!(m.json().is_none());
    }

    #[test]
    fn the_id_is_a_known_answer() {
        // python3: parts joined as len(part).to_bytes(8, "big") + part, sha256, first 32 hex digits.
        assert_eq!(
            parse(EXAMPLE).unwrap().id.as_str(),
            "fbef2d94cda3d4500a34b5d7a27c3c01"
        );
    }

    #[test]
    fn the_id_depends_on_identifying_fields_only() {
        let id = |fields| message(fields).id;
        let same = id(serde_json::json!({}));
        for other in [
            serde_json::json!({"publish_timestamp": 9}),
            serde_json::json!({"token_id": null}),
            serde_json::json!({"extra": {"a": 1}}),
            serde_json::json!({"text": null, "binary": "SGVyZSBJIGFtISE="}),
        ] {
            assert_eq!(id(other.clone()), same, "{other}");
        }
        for other in [
            serde_json::json!({"cache": "cha"}),
            serde_json::json!({"cache": "chatroom-", "topic": "281"}),
            serde_json::json!({"topic_sequence_number": 2}),
            serde_json::json!({"event_timestamp": 1}),
            serde_json::json!({"sequence_page": 7}),
            serde_json::json!({"text": "Here I am!"}),
        ] {
            assert_ne!(id(other.clone()), same, "{other}");
        }
        // With a page, the time of publication does not count.
        assert_eq!(
            id(serde_json::json!({"sequence_page": 7, "event_timestamp": 1})),
            id(serde_json::json!({"sequence_page": 7})),
        );
    }

    #[test]
    fn odd_but_sound_bodies_are_read() {
        for token in [r#""token_id":"","#, r#""token_id":null,"#, ""] {
            let body = EXAMPLE.replace(r#""token_id":"mo","#, token);
            assert_eq!(parse(body).unwrap().token_id, None);
        }
        let spaced = EXAMPLE.replace(':', " :\n\t").replace(',', " , ");
        assert_eq!(parse(spaced).unwrap().text(), Some("Here I am!!"));
        let escaped = EXAMPLE.replace("Here", r"H\u0065r\ud83d\ude42");
        assert_eq!(parse(escaped).unwrap().text(), Some("Her🙂 I am!!"));
        let deep = format!(r#""deep":{}{},"cache""#, "[".repeat(2000), "]".repeat(2000));
        assert!(parse(EXAMPLE.replace(r#""cache""#, &deep)).is_ok());
        let big = EXAMPLE.replace("Here I am!!", r#"{\"n\":9007199254740993}"#);
        assert_eq!(
            parse(big).unwrap().json().unwrap(),
            r#"{"n":9007199254740993}"#
        );
    }

    #[test]
    fn other_bodies_are_malformed() {
        let with = |from: &str, to: &str| {
            assert!(EXAMPLE.contains(from), "{from}");
            EXAMPLE.replace(from, to).into_bytes()
        };
        let mut not_utf8 = EXAMPLE.as_bytes().to_vec();
        let at = EXAMPLE.find("Here").unwrap();
        not_utf8[at] = 0xff;
        for body in [
            b"".to_vec(),
            b"[]".to_vec(),
            b"null".to_vec(),
            "[".repeat(2000).into_bytes(),
            "{\"a\":".repeat(2000).into_bytes(),
            with("}", "} {}"),
            with(r#""cache":"chat","#, ""),
            with(r#""text":"Here I am!!""#, r#""other":1"#),
            with(r#""text":"Here I am!!""#, r#""binary":"***""#),
            br#"["c","t",1,null,1,1,"mo","hi",null]"#.to_vec(),
            [
                EXAMPLE.trim_end_matches('}').as_bytes(),
                b",\"extra\":\"\xff\"}",
            ]
            .concat(),
            with(r#""text":"Here I am!!""#, r#""text":null"#),
            with(r#""topic":"room-281""#, r#""topic":"a","topic":"b""#),
            with(r#""topic":"room-281""#, r#""topic":["a"]"#),
            with("1704296470565", r#""1704296470565""#),
            with("1704296470565", "1704296470565.5"),
            with("1704296470565", "9223372036854775808"),
            with(
                r#""topic_sequence_number":1"#,
                r#""topic_sequence_number":-1"#,
            ),
            not_utf8,
        ] {
            assert!(parse(&body).is_err(), "{}", String::from_utf8_lossy(&body));
        }
    }

    #[test]
    fn an_error_does_not_quote_the_body() {
        for body in [
            EXAMPLE.replace(r#""Here I am!!""#, "4111111111111111"),
            EXAMPLE.replace(":1,", r#":"4111111111111111","#),
            r#""4111111111111111""#.to_owned(),
            r#"{"4111111111111111":"#.to_owned(),
            EXAMPLE.replace(r#""text":"Here I am!!""#, r#""binary":"4111111111111111*""#),
        ] {
            let error = parse(&body).unwrap_err().to_string();
            assert!(
                error.starts_with("expected") && !error.contains("4111"),
                "{body}: {error}"
            );
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(body in any::<Vec<u8>>()) {
            let _ = parse(body);
        }

        #[test]
        fn no_mangled_message_makes_it_panic(at in 0..EXAMPLE.len(), len in 0usize..20, put in ".{0,20}") {
            let mut body = EXAMPLE.as_bytes().to_vec();
            body.splice(at..(at + len).min(EXAMPLE.len()), put.into_bytes());
            if let Ok(message) = parse(body) {
                let _ = message.json();
            }
        }
    }
}
