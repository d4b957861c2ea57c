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

impl Origin {
    /// `cache/topic#sequence`
    fn place(&self) -> String {
        format!("{}/{}#{}", self.cache, self.topic, self.number)
    }
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

/// Stays the same when a letter comes back, so that one run sends nothing in circles: a message's id and route, or the SHA-256 of
/// an event.
pub type Identity = (String, Option<String>);

impl Dead {
    pub fn read(queue: DeadQueue, record: &Record) -> Self {
        let Ok(letter) = serde_json::from_str::<Letter>(&record.body) else {
            return Self::raw(queue, record);
        };
        let dead = Self {
            id: letter.id,
            route: letter.route,
            reason: Some(letter.reason),
            detail: letter.detail,
            attempts: Some(letter.attempts),
            at_ms: letter.last_at,
            ..Self::default()
        };
        let missing = match (queue, letter.message, letter.event) {
            (DeadQueue::Messages, Some(message), _) => {
                let origin: Option<Origin> = serde_json::from_str(message.get()).ok();
                return Self {
                    subject: origin.as_ref().map(Origin::place),
                    message: origin,
                    send: Some(Payload(record.body.clone())),
                    ..dead
                };
            }
            (DeadQueue::Results, _, Some(event)) => {
                // A JSON string stands for a text other than JSON.
                let text = serde_json::from_str(event.get());
                return dead.about(text.unwrap_or_else(|_| event.get().to_owned()));
            }
            (DeadQueue::Messages, None, _) => "a message",
            (DeadQueue::Results, _, None) => "an event",
        };
        Self {
            detail: format!("a letter without {missing}: it belongs to another queue"),
            reason: None,
            ..dead
        }
    }

    pub fn identity(&self, queue: DeadQueue) -> Identity {
        if queue == DeadQueue::Messages {
            return (self.id.clone(), self.route.clone());
        }
        // Not the id: a text other than an event gets a new one each time.
        let event = self.send.as_ref().map_or("", |event| event.0.trim());
        (hex::encode(digest(&SHA256, event.as_bytes())), None)
    }

    /// A record without a letter. Only among results it can go back.
    fn raw(queue: DeadQueue, record: &Record) -> Self {
        let named: Value = serde_json::from_str(&record.body).unwrap_or_default();
        let id = named["id"].as_str().unwrap_or(&record.message_id);
        let dead = |detail: String| Self {
            id: id.to_owned(),
            detail,
            at_ms: record.sent_ms,
            ..Self::default()
        };
        let bytes = record.body.len();
        let detail = match (queue, &record.undelivered) {
            (DeadQueue::Messages, _) => {
                return dead(format!(
                    "expected a letter, found {bytes} bytes of something else"
                ));
            }
            (DeadQueue::Results, Some(e)) => format!("EventBridge could not deliver it: {e}"),
            (DeadQueue::Results, None) => "the queue gave up after its last receive".to_owned(),
        };
        dead(detail).about(record.body.clone())
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
        let record = Record {
            body: body.to_owned(),
            sent_ms: 7,
            ..Record::default()
        };
        Dead::read(queue, &record)
    }

    #[test]
    fn a_letter_about_a_message_is_sent_unchanged() {
        let message =
            json!({"cache": "demo", "topic": "in", "topic_sequence_number": 42, "text": "hush"});
        let body = letter("abc", None, ("message", message));
        let dead = read(DeadQueue::Messages, &body);
        assert_eq!(dead.subject.as_deref(), Some("demo/in#42"));
        assert_eq!(
            (dead.attempts, dead.at_ms, dead.reason),
            (Some(3), 2, Some(Reason::Refused))
        );
        assert_eq!(dead.send, Some(Payload(body.clone())));
        // The queue of results has no use for it, nor that of messages for an event.
        let event = letter("e", None, ("event", json!({})));
        assert!(read(DeadQueue::Results, &body).send.is_none());
        assert!(read(DeadQueue::Messages, &event).send.is_none());
    }

    #[test]
    fn each_event_of_a_result_is_sent_byte_for_byte() {
        let arn = "arn:aws:states:us-east-1:1:execution:Upper:n";
        let event = format!(r#"{{"id":"e","detail":{{"executionArn":"{arn}"}},"n":1.10}}"#);
        let lettered = letter("e", Some("upper"), ("event", json!("EVENT")));
        let lettered = lettered.replace("\"EVENT\"", &event);
        let text = letter("e", None, ("event", json!("no \"JSON\n")));
        let raw = json!({"id": "e", "detail": {"messages": [{"cache": "demo", "topic": "out", "value": "hush"}]}}).to_string();
        for (body, send, subject) in [
            (&lettered, event.as_str(), Some(arn)),
            (&text, "no \"JSON\n", None),
            (&raw, &raw, Some("demo/out")),
        ] {
            let dead = read(DeadQueue::Results, body);
            assert_eq!(dead.id, "e");
            assert_eq!(dead.send, Some(Payload(send.to_owned())));
            assert_eq!(dead.subject.as_deref(), subject);
        }
    }

    #[test]
    fn records_without_a_letter_go_back_only_among_results() {
        let raw = read(DeadQueue::Results, "{}");
        assert_eq!((raw.reason, raw.at_ms), (None, 7));
        assert!(raw.send.is_some() && raw.detail.contains("last receive"));
        let record = Record {
            undelivered: Some("NO_PERMISSIONS".into()),
            ..Record::default()
        };
        let undelivered = Dead::read(DeadQueue::Results, &record);
        assert!(undelivered.detail.contains("NO_PERMISSIONS"));

        let left = read(DeadQueue::Messages, "hush");
        assert!(left.send.is_none() && left.reason.is_none());
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
        let result = |body: &str| read(DeadQueue::Results, body).identity(DeadQueue::Results);
        let raw = result("no JSON");
        let wrapped = result(&letter("x", None, ("event", json!("no JSON"))));
        assert_eq!(wrapped, raw);
    }
}
