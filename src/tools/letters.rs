//! Records of a dead-letter queue: their description, and the text that puts them back.

use std::fmt;

use crate::domain::inbound::letter::{Letter, Reason};
use ring::digest::{SHA256, digest};
use serde::Deserialize;
use serde_json::Value;

/// The two dead-letter queues.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeadQueue {
    /// Undeliverable messages.
    Messages,
    /// Unpublished results.
    Results,
}

impl DeadQueue {
    pub fn name(self) -> &'static str {
        match self {
            Self::Messages => "messages",
            Self::Results => "results",
        }
    }
}

/// One record as received from SQS.
#[derive(Clone, Debug, Default)]
pub struct Record {
    /// SQS's own id; the same at every receive.
    pub message_id: String,
    pub receipt: String,
    pub body: String,
    /// Time of sending, in ms since the epoch.
    pub sent_ms: i64,
    /// Time of the first receive.
    pub received_ms: i64,
    /// Why EventBridge could not deliver it; `None` for other senders.
    pub undelivered: Option<String>,
}

/// The fields of a message.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct Origin {
    pub cache: String,
    pub topic: String,
    #[serde(rename = "topic_sequence_number")]
    pub number: u64,
    #[serde(rename = "event_timestamp", default)]
    pub published_at: i64,
    pub token_id: Option<String>,
}

/// The text that puts a record back: its payload, which `Debug` leaves out.
#[derive(Clone, PartialEq, Eq)]
pub struct Payload(pub String);

impl fmt::Debug for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.0.len())
    }
}

/// The description of a record.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Dead {
    /// The id of the message or event, else SQS's own.
    pub id: String,
    pub route: Option<String>,
    /// `None` without a letter.
    pub reason: Option<Reason>,
    pub detail: String,
    pub attempts: Option<u32>,
    /// Time of the last attempt; without a letter, time of sending.
    pub at_ms: i64,
    /// `cache/topic#sequence`, the execution's ARN, or `cache/topic` of a publication.
    pub subject: Option<String>,
    pub message: Option<Origin>,
    /// The execution whose end it is.
    pub execution: Option<String>,
    /// `None` if the record cannot be replayed.
    pub send: Option<Payload>,
}

/// Stays the same when a letter comes back, so that one run sends nothing in circles.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Identity {
    Message(String, Option<String>),
    /// The SHA-256 of the event, in hex.
    Result(String),
}

impl Dead {
    pub fn read(queue: DeadQueue, record: &Record) -> Self {
        let Ok(letter) = serde_json::from_str::<Letter>(&record.body) else {
            return Self::raw(queue, record);
        };
        let (message, event) = (letter.message.as_ref(), letter.event.as_ref());
        let missing = match (queue, message, event) {
            (DeadQueue::Messages, Some(message), _) => {
                let origin = serde_json::from_str(message.get()).ok();
                let origin = origin.map(|origin: Origin| Origin {
                    token_id: origin.token_id.filter(|id| !id.is_empty()),
                    ..origin
                });
                return Self {
                    subject: origin.as_ref().map(
                        |Origin {
                             cache,
                             topic,
                             number,
                             ..
                         }| format!("{cache}/{topic}#{number}"),
                    ),
                    message: origin,
                    send: Some(Payload(record.body.clone())),
                    ..Self::of_letter(letter)
                };
            }
            (DeadQueue::Results, _, Some(event)) => {
                let event = text_of(event.get());
                let dead = Self::of_letter(letter);
                return dead.about(event);
            }
            (DeadQueue::Messages, None, _) => "a message",
            (DeadQueue::Results, _, None) => "an event",
        };
        Self {
            detail: format!("a letter without {missing}: it belongs to another queue"),
            reason: None,
            ..Self::of_letter(letter)
        }
    }

    /// Whether it stays in its queue, whatever the filters.
    pub fn has_no_way_back(&self) -> bool {
        self.send.is_none()
    }

    pub fn identity(&self, queue: DeadQueue) -> Option<Identity> {
        match queue {
            DeadQueue::Messages => Some(Identity::Message(self.id.clone(), self.route.clone())),
            // Not the id: a text other than an event gets a new one each time.
            DeadQueue::Results => {
                let event = self.send.as_ref()?.0.trim();
                let digest = digest(&SHA256, event.as_bytes());
                Some(Identity::Result(hex::encode(digest)))
            }
        }
    }

    fn of_letter(letter: Letter) -> Self {
        Self {
            id: letter.id,
            route: letter.route,
            reason: Some(letter.reason),
            detail: letter.detail,
            attempts: Some(letter.attempts),
            at_ms: letter.last_at,
            ..Self::default()
        }
    }

    /// A record without a letter. Only among results it can go back.
    fn raw(queue: DeadQueue, record: &Record) -> Self {
        #[derive(Deserialize)]
        struct Named {
            id: String,
        }
        let named: Option<Named> = serde_json::from_str(&record.body).ok();
        let dead = Self {
            id: named.map_or_else(|| record.message_id.clone(), |named| named.id),
            at_ms: record.sent_ms,
            ..Self::default()
        };
        let detail = match (queue, &record.undelivered) {
            (DeadQueue::Messages, _) => {
                let bytes = record.body.len();
                format!("expected a letter, found {bytes} bytes of something else")
            }
            (DeadQueue::Results, Some(e)) => format!("EventBridge could not deliver it: {e}"),
            (DeadQueue::Results, None) => "the queue gave up after its last receive".to_owned(),
        };
        let dead = Self { detail, ..dead };
        match queue {
            DeadQueue::Messages => dead,
            DeadQueue::Results => dead.about(record.body.clone()),
        }
    }

    /// With the event to send back.
    fn about(self, event: String) -> Self {
        let value: Value = serde_json::from_str(&event).unwrap_or_default();
        let detail = &value["detail"];
        let execution = detail["executionArn"].as_str().map(str::to_owned);
        let first = detail["messages"]
            .as_array()
            .map_or(Some(detail), |all| all.first());
        let topic = || {
            let (cache, topic) = (&first?["cache"], &first?["topic"]);
            Some(format!("{}/{}", cache.as_str()?, topic.as_str()?))
        };
        Self {
            subject: execution.clone().or_else(topic),
            execution,
            send: Some(Payload(event)),
            ..self
        }
    }
}

/// The original text of a letter's event: a JSON string stands for a text other than JSON.
fn text_of(event: &str) -> String {
    serde_json::from_str(event).unwrap_or_else(|_| event.to_owned())
}

#[cfg(test)]
pub(in crate::tools) mod tests {
    use serde_json::json;

    use super::*;

    /// A letter about a `message` or an `event`.
    pub fn letter(id: &str, route: Option<&str>, content: (&str, Value)) -> String {
        let mut letter = json!({
            "id": id, "route": route, "reason": "refused", "detail": "because", "attempts": 3,
            "first_at": 1, "last_at": 2, "bridge": "0.1.0",
        });
        letter[content.0] = content.1;
        letter.to_string()
    }

    fn read(queue: DeadQueue, body: &str) -> Dead {
        let body = body.to_owned();
        Dead::read(
            queue,
            &Record {
                body,
                sent_ms: 7,
                ..Record::default()
            },
        )
    }

    #[test]
    fn a_letter_about_a_message_is_sent_unchanged() {
        let message =
            json!({"cache": "demo", "topic": "in", "topic_sequence_number": 42, "text": "hush"});
        let body = letter("abc", None, ("message", message.clone()));
        let dead = read(DeadQueue::Messages, &body);
        assert_eq!(dead.send, Some(Payload(body.clone())));
        assert_eq!(dead.subject.as_deref(), Some("demo/in#42"));
        assert_eq!(
            (dead.attempts, dead.at_ms, dead.reason),
            (Some(3), 2, Some(Reason::Refused))
        );
        // The queue of results has no use for it.
        assert!(read(DeadQueue::Results, &body).has_no_way_back());
        assert!(
            read(
                DeadQueue::Messages,
                &letter("e", None, ("event", json!({})))
            )
            .has_no_way_back()
        );
    }

    #[test]
    fn a_letter_about_an_event_sends_the_event() {
        let event = r#"{"id":"e","detail":{"executionArn":"arn:aws:states:us-east-1:1:execution:Upper:n"},"n":1.10}"#;
        let body =
            letter("e", Some("upper"), ("event", json!("EVENT"))).replace("\"EVENT\"", event);
        let dead = read(DeadQueue::Results, &body);
        assert_eq!(dead.send, Some(Payload(event.to_owned())), "byte for byte");
        assert_eq!(
            dead.subject.as_deref(),
            Some("arn:aws:states:us-east-1:1:execution:Upper:n")
        );
        let text = read(
            DeadQueue::Results,
            &letter("e", None, ("event", json!("no \"JSON\n"))),
        );
        assert_eq!(text.send, Some(Payload("no \"JSON\n".to_owned())));
        assert_eq!(text.subject, None);
    }

    #[test]
    fn records_without_a_letter_go_back_only_among_results() {
        let event = json!({"id": "e", "detail": {"messages": [{"cache": "demo", "topic": "out", "value": "hush"}]}}).to_string();
        let raw = read(DeadQueue::Results, &event);
        assert_eq!(raw.send, Some(Payload(event)));
        assert_eq!((raw.id.as_str(), raw.reason, raw.at_ms), ("e", None, 7));
        assert_eq!(raw.subject.as_deref(), Some("demo/out"));
        assert!(raw.detail.contains("last receive"));
        let record = Record {
            body: "x".into(),
            undelivered: Some("NO_PERMISSIONS".into()),
            ..Record::default()
        };
        assert!(
            Dead::read(DeadQueue::Results, &record)
                .detail
                .contains("NO_PERMISSIONS")
        );

        let left = read(DeadQueue::Messages, "hush");
        assert!(left.has_no_way_back() && left.reason.is_none());
        assert!(!format!("{left:?}").contains("hush"));
    }

    #[test]
    fn a_returning_letter_is_recognized() {
        let message = |route, detail: &str| {
            let body = letter("abc", route, ("message", json!({}))).replace("because", detail);
            read(DeadQueue::Messages, &body).identity(DeadQueue::Messages)
        };
        assert_eq!(message(Some("a"), "once"), message(Some("a"), "twice"));
        assert_ne!(message(Some("a"), "once"), message(Some("b"), "once"));
        // A text other than an event, before and after it was wrapped in a letter.
        let raw = read(DeadQueue::Results, "no JSON").identity(DeadQueue::Results);
        let wrapped = read(
            DeadQueue::Results,
            &letter("x", None, ("event", json!("no JSON"))),
        );
        assert_eq!(wrapped.identity(DeadQueue::Results), raw);
        assert!(raw.is_some());
    }
}
