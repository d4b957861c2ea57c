//! What the queues hold: a message that a route has not got, or an event that was not published, and why.
//!
//! Parked messages and dead letters have one shape, so that a dead letter is put back on its path as it is.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::message::TopicMessage;
use crate::ports::{Fault, FaultKind};

/// A message or an event, and why it is here.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Letter {
    /// The id of the message, or of the event.
    pub id: String,
    /// The route that has not got the message; none for a message that no route takes.
    pub route: Option<String>,
    pub reason: Reason,
    /// A sentence for the person who reads it.
    pub detail: String,
    /// How many times the target was asked, at least.
    pub attempts: u32,
    /// First and last attempt, in ms since the epoch.
    pub first_at: i64,
    pub last_at: i64,
    /// The version of the bridge that wrote this.
    pub bridge: String,
    /// Momento's delivery as it came.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<Box<RawValue>>,
    /// The event that asked for a publication as it came; a JSON string for what is no JSON.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub event: Option<Box<RawValue>>,
}

/// Why a letter is in its queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// No route takes the message.
    Unrouted,
    /// Matching took too long. The parking queue tries it again, with more time.
    Undecided,
    /// The target did not take it in time. The parking queue tries it again.
    Unavailable,
    /// The target refuses it, and would again.
    Refused,
    /// The execution's input would be longer than Step Functions takes.
    InputTooLarge,
    /// The route is not there any more, or it is switched off.
    RouteGone,
    /// It was tried for as long as the queue keeps it.
    GaveUp,
    /// It is not what the queue is for.
    Unreadable,
    /// The value is longer than a topic, or anything configured beside it, takes.
    ValueTooLarge,
    /// The execution's input asks for an address that is not believed, and its name tells no route with another.
    AddressRefused,
    /// A reason of a newer version of the bridge.
    #[serde(other)]
    Other,
}

impl Reason {
    /// A new one goes here, too.
    pub const ALL: [Self; 11] = [
        Self::Unrouted,
        Self::Undecided,
        Self::Unavailable,
        Self::Refused,
        Self::InputTooLarge,
        Self::RouteGone,
        Self::GaveUp,
        Self::Unreadable,
        Self::ValueTooLarge,
        Self::AddressRefused,
        Self::Other,
    ];

    /// As in the queue.
    pub fn name(self) -> &'static str {
        match self {
            Self::Unrouted => "unrouted",
            Self::Undecided => "undecided",
            Self::Unavailable => "unavailable",
            Self::Refused => "refused",
            Self::InputTooLarge => "input_too_large",
            Self::RouteGone => "route_gone",
            Self::GaveUp => "gave_up",
            Self::Unreadable => "unreadable",
            Self::ValueTooLarge => "value_too_large",
            Self::AddressRefused => "address_refused",
            Self::Other => "other",
        }
    }

    /// Why a target that gave this fault has not got the message.
    pub fn of(fault: &Fault) -> Self {
        match fault.kind {
            FaultKind::Transient | FaultKind::Later => Self::Unavailable,
            FaultKind::Permanent if fault.code == crate::request::INPUT_TOO_LARGE => {
                Self::InputTooLarge
            }
            FaultKind::Permanent => Self::Refused,
        }
    }
}

impl Letter {
    /// A letter about a message; `body` is the delivery's.
    pub fn about(
        message: &TopicMessage,
        body: &str,
        route: Option<&str>,
        reason: Reason,
        detail: String,
        now_ms: i64,
    ) -> Self {
        Self {
            id: message.id.to_string(),
            route: route.map(ToOwned::to_owned),
            reason,
            detail,
            attempts: 0,
            first_at: now_ms,
            last_at: now_ms,
            bridge: crate::VERSION.to_owned(),
            message: Some(raw(body)),
            event: None,
        }
    }

    pub fn unrouted(message: &TopicMessage, body: &str, now_ms: i64) -> Self {
        let detail = format!(
            "no enabled route takes cache `{}`, topic `{}`; add one, or set `UNROUTED=ignore`",
            message.cache, message.topic
        );
        Self::about(message, body, None, Reason::Unrouted, detail, now_ms)
    }

    pub fn undecided(message: &TopicMessage, body: &str, now_ms: i64) -> Self {
        let detail = format!(
            "the `where` of the routes for cache `{}`, topic `{}` takes too long to match; make it simpler",
            message.cache, message.topic
        );
        Self::about(message, body, None, Reason::Undecided, detail, now_ms)
    }

    /// A letter about an event, or about whatever else a queue held in its place.
    pub fn about_event(id: &str, body: &str, reason: Reason, detail: String, now_ms: i64) -> Self {
        Self {
            id: id.to_owned(),
            route: None,
            reason,
            detail,
            attempts: 0,
            first_at: now_ms,
            last_at: now_ms,
            bridge: crate::VERSION.to_owned(),
            message: None,
            event: Some(raw(body)),
        }
    }

    /// The same letter, tried again without success.
    pub fn again(self, reason: Reason, detail: String, attempts: u32, now_ms: i64) -> Self {
        Self {
            reason,
            detail,
            attempts: self.attempts.saturating_add(attempts),
            last_at: now_ms,
            bridge: crate::VERSION.to_owned(),
            ..self
        }
    }

    /// The letter as a JSON object.
    ///
    /// SQS takes the characters of XML 1.0 only, so two that JSON allows are escaped.
    pub fn to_json(&self) -> String {
        let json = serde_json::to_string(self).expect("strings and numbers always serialize");
        json.replace('\u{fffe}', "\\ufffe")
            .replace('\u{ffff}', "\\uffff")
    }
}

/// The text as it is if it is JSON, else as a JSON string.
fn raw(text: &str) -> Box<RawValue> {
    serde_json::from_str(text).unwrap_or_else(|_| {
        let string = serde_json::to_string(text).expect("strings always serialize");
        RawValue::from_string(string).expect("a string is JSON")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::tests::parse;

    #[test]
    fn a_letter_says_why_and_keeps_the_message() {
        let body = r#"{ "cache":"c","topic":"t\u0001￾", "topic_sequence_number":1,"event_timestamp":1,"publish_timestamp":1,"text":"9007199254740993","more":[1.10]}"#;
        let message = parse(body).unwrap();
        let json = Letter::unrouted(&message, body, 17).to_json();
        assert!(json.contains(r#""more":[1.10]}"#), "{json}");
        assert!(!json.contains(['\u{fffe}', '\u{ffff}', '\u{1}']));
        let value: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert_eq!(value["reason"], "unrouted");
        assert_eq!((&value["first_at"], value.get("event")), (&17.into(), None));
        assert_eq!(
            value["message"],
            serde_json::from_str::<serde_json::Value>(body).unwrap()
        );
        let again: Letter = serde_json::from_str(&json).unwrap();
        assert_eq!(again.to_json(), json);
        let newer = json.replace("unrouted", "invented_later");
        let newer: Letter = serde_json::from_str(&newer).unwrap();
        assert_eq!(newer.reason, Reason::Other);
        let later = again.again(Reason::GaveUp, "enough".into(), 3, 20);
        assert_eq!((later.attempts, later.first_at, later.last_at), (3, 17, 20));
    }

    #[test]
    fn what_is_no_json_is_kept_as_text() {
        let letter = Letter::about_event("e", "no \"JSON", Reason::Unreadable, "x".into(), 1);
        assert_eq!(letter.event.unwrap().get(), r#""no \"JSON""#);
    }

    #[test]
    fn reasons_are_named_as_they_are_written() {
        for reason in Reason::ALL {
            assert_eq!(
                serde_json::to_string(&reason).unwrap(),
                format!("\"{}\"", reason.name())
            );
        }
    }
}
