//! The content of the queues: an undelivered message or an unpublished event, with the reason.
//!
//! Parked messages and dead letters have one format, so that a dead letter can be replayed unchanged.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::domain::fault::{Fault, FaultKind};
use crate::domain::inbound::message::TopicMessage;

/// An undelivered message or an unpublished event, with the reason.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Letter {
    /// The id of the message, or of the event.
    pub id: String,
    /// The route that did not deliver the message; `None` for an unrouted one.
    pub route: Option<String>,
    pub reason: Reason,
    /// A sentence for an operator.
    pub detail: String,
    /// Attempts at the target, at least.
    pub attempts: u32,
    /// First and last attempt, in ms since the epoch.
    pub first_at: i64,
    pub last_at: i64,
    /// Version of the bridge that wrote the letter.
    pub bridge: String,
    /// Of a message parked whole: the routes that have it already.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub delivered: Vec<String>,
    /// Momento's delivery as received.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<Box<RawValue>>,
    /// The unpublished event as received; a JSON string if it is not JSON.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub event: Option<Box<RawValue>>,
}

/// The reason for a letter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// No route takes the message.
    Unrouted,
    /// Matching took too long. The redrive tries it again, with more time.
    Undecided,
    /// The routes of other stacks could not be read. The redrive tries it again.
    RoutesUnavailable,
    /// The target did not take the message in time. The redrive tries it again.
    Unavailable,
    /// The target refused the message, and would again.
    Refused,
    /// The execution's input exceeds the limit of Step Functions.
    InputTooLarge,
    /// The message has no key at its route's path.
    NoKey,
    /// The route was removed or disabled.
    RouteGone,
    /// Attempts failed until the end of the queue's retention.
    GaveUp,
    /// The record has another format than the queue's.
    Unreadable,
    /// The value exceeds the limits of topics and of all configured stores.
    ValueTooLarge,
    /// The address in the execution's input is refused, and the route in the execution's name has no other.
    AddressRefused,
    /// A reason of a newer version of the bridge.
    #[serde(other)]
    Other,
}

impl Reason {
    /// Add every new reason here, too.
    pub const ALL: [Self; 13] = [
        Self::Unrouted,
        Self::Undecided,
        Self::RoutesUnavailable,
        Self::Unavailable,
        Self::Refused,
        Self::InputTooLarge,
        Self::NoKey,
        Self::RouteGone,
        Self::GaveUp,
        Self::Unreadable,
        Self::ValueTooLarge,
        Self::AddressRefused,
        Self::Other,
    ];

    /// The name in the queue's JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::Unrouted => "unrouted",
            Self::Undecided => "undecided",
            Self::RoutesUnavailable => "routes_unavailable",
            Self::Unavailable => "unavailable",
            Self::Refused => "refused",
            Self::InputTooLarge => "input_too_large",
            Self::NoKey => "no_key",
            Self::RouteGone => "route_gone",
            Self::GaveUp => "gave_up",
            Self::Unreadable => "unreadable",
            Self::ValueTooLarge => "value_too_large",
            Self::AddressRefused => "address_refused",
            Self::Other => "other",
        }
    }

    /// The reason of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.name() == name)
    }

    /// The reason for a letter after this fault of the target.
    pub fn of(fault: &Fault) -> Self {
        match fault.kind {
            FaultKind::Transient | FaultKind::Later => Self::Unavailable,
            FaultKind::Permanent
                if fault.code == crate::domain::inbound::request::INPUT_TOO_LARGE =>
            {
                Self::InputTooLarge
            }
            FaultKind::Permanent if fault.code == crate::domain::inbound::key::NO_KEY => {
                Self::NoKey
            }
            FaultKind::Permanent => Self::Refused,
        }
    }
}

impl Letter {
    /// A letter with a message; `body` is the delivery's.
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
            delivered: Vec::new(),
            message: Some(raw(body)),
            event: None,
        }
    }

    pub fn unrouted(message: &TopicMessage, body: &str, now_ms: i64) -> Self {
        let detail = format!(
            "no enabled route takes cache `{}`, topic `{}`; add one, or set `UNROUTED=ignore` (parameter `Unrouted`)",
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

    /// `delivered` are the known routes that matched.
    pub fn routes_unavailable(
        message: &TopicMessage,
        body: &str,
        delivered: Vec<String>,
        now_ms: i64,
    ) -> Self {
        let detail = "the routes of other stacks could not be read; look at the table and the permission for it";
        let reason = Reason::RoutesUnavailable;
        Self {
            delivered,
            ..Self::about(message, body, None, reason, detail.to_owned(), now_ms)
        }
    }

    /// A letter with an event, or with any other content of a queue's record.
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
            delivered: Vec::new(),
            message: None,
            event: Some(raw(body)),
        }
    }

    /// The same letter after another failed attempt.
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
    /// SQS takes the characters of XML 1.0 only, so two characters that JSON allows are escaped.
    pub fn to_json(&self) -> String {
        let json = serde_json::to_string(self).expect("strings and numbers always serialize");
        json.replace('\u{fffe}', "\\ufffe")
            .replace('\u{ffff}', "\\uffff")
    }
}

/// The text unchanged if it is JSON, else as a JSON string.
fn raw(text: &str) -> Box<RawValue> {
    serde_json::from_str(text).unwrap_or_else(|_| {
        let string = serde_json::to_string(text).expect("strings always serialize");
        RawValue::from_string(string).expect("a string is JSON")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::inbound::message::tests::parse;

    #[test]
    fn a_letter_has_a_reason_and_keeps_the_message() {
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
        let older = Letter {
            bridge: "0.0.1".to_owned(),
            ..again
        };
        let later = older.again(Reason::GaveUp, "enough".into(), 3, 20);
        assert_eq!(later.bridge, crate::VERSION);
        assert_eq!((later.attempts, later.first_at, later.last_at), (3, 17, 20));
    }

    #[test]
    fn text_that_is_not_json_is_kept_as_a_string() {
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
