//! What the dead-letter queue holds: a message, and why it is there.

use serde::Serialize;
use serde_json::value::RawValue;

use crate::message::{MessageId, TopicMessage};

/// A message that went nowhere.
#[derive(Clone, Debug, Serialize)]
pub struct DeadLetter<'a> {
    pub id: &'a MessageId,
    /// The route that failed; none for a message without a route.
    pub route: Option<&'a str>,
    pub reason: Reason,
    /// A sentence for the person who reads it.
    pub detail: String,
    pub attempts: u32,
    /// First and last attempt, in ms since the epoch.
    pub first_at: i64,
    pub last_at: i64,
    /// The version of the bridge that wrote this.
    pub bridge: &'static str,
}

/// Why a message is a dead letter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    Unrouted,
}

impl<'a> DeadLetter<'a> {
    pub fn unrouted(message: &'a TopicMessage, now_ms: i64) -> Self {
        Self {
            id: &message.id,
            route: None,
            reason: Reason::Unrouted,
            detail: format!(
                "no enabled route takes cache `{}`, topic `{}`; add one, or set `UNROUTED=ignore`",
                message.cache, message.topic
            ),
            attempts: 0,
            first_at: now_ms,
            last_at: now_ms,
            bridge: crate::VERSION,
        }
    }

    /// The letter as a JSON object, with the delivery's body as it came under `message`.
    ///
    /// SQS takes the characters of XML 1.0 only, so two that JSON allows are escaped.
    pub fn to_json(&self, body: &str) -> String {
        #[derive(Serialize)]
        struct Letter<'a> {
            #[serde(flatten)]
            about: &'a DeadLetter<'a>,
            message: Option<&'a RawValue>,
        }
        let letter = Letter {
            about: self,
            message: serde_json::from_str(body).ok(),
        };
        let json = serde_json::to_string(&letter).expect("strings and numbers always serialize");
        json.replace('\u{fffe}', "\\ufffe")
            .replace('\u{ffff}', "\\uffff")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::tests::parse;

    #[test]
    fn a_letter_says_why_and_keeps_the_message() {
        let body = r#"{ "cache":"c","topic":"t\u0001￾", "topic_sequence_number":1,"event_timestamp":1,"publish_timestamp":1,"text":"9007199254740993","more":[1.10]}"#;
        let message = parse(body).unwrap();
        let json = DeadLetter::unrouted(&message, 17).to_json(body);
        assert!(json.contains(r#""more":[1.10]}"#), "{json}");
        assert!(!json.contains(['\u{fffe}', '\u{ffff}', '\u{1}']));
        let letter: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert_eq!(letter["reason"], "unrouted");
        assert_eq!(letter["first_at"], 17);
        assert_eq!(
            letter["message"],
            serde_json::from_str::<serde_json::Value>(body).unwrap()
        );
    }
}
