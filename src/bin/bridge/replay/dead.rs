//! What a dead-letter queue holds: what is shown of it, and what is sent to put it back.

use ring::digest::{SHA256, digest};
use serde::Deserialize;
use serde_json::Value;
use workflow_bridge::letter::{Letter, Reason};

/// Which of the two dead-letter queues.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Messages that led nowhere.
    Messages,
    /// Results that could not be published.
    Results,
}

impl Kind {
    pub fn name(self) -> &'static str {
        match self {
            Self::Messages => "messages",
            Self::Results => "results",
        }
    }
}

/// One record as SQS hands it out.
#[derive(Clone, Debug, Default)]
pub struct Record {
    /// SQS's own id; stays the same when the record is handed out again.
    pub message_id: String,
    pub receipt: String,
    pub body: String,
    /// When it was put into a queue, in ms since the epoch.
    pub sent_ms: i64,
    /// Why EventBridge could not deliver it, if it was EventBridge who put it here.
    pub undelivered: Option<String>,
}

/// What a record says of itself, without its payload.
#[derive(Clone, Debug)]
pub struct Dead {
    /// The id of the message or of the event; SQS's own for what has none.
    pub id: String,
    pub route: Option<String>,
    /// None for what is no letter.
    pub reason: Option<Reason>,
    pub detail: String,
    pub attempts: Option<u32>,
    /// The last attempt; for what is no letter, when it was put into a queue.
    pub at_ms: i64,
    /// `cache/topic#sequence`, the execution's ARN, or `cache/topic` of a publication.
    pub subject: Option<String>,
    /// What to send; none for what has no way back.
    pub send: Option<String>,
}

/// What stays the same when a letter comes back, so that one run sends nothing round in circles.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Identity {
    Message(String, Option<String>),
    /// The SHA-256 of the event, in hex.
    Result(String),
}

impl Dead {
    pub fn read(kind: Kind, record: &Record) -> Self {
        let letter = serde_json::from_str(&record.body).ok();
        match (kind, letter) {
            (
                Kind::Messages,
                Some(
                    letter @ Letter {
                        message: Some(_), ..
                    },
                ),
            ) => {
                let message = letter.message.as_ref().map(|message| message.get());
                Self {
                    subject: message.and_then(message_subject),
                    send: Some(record.body.clone()),
                    ..Self::of_letter(letter)
                }
            }
            (Kind::Results, Some(letter @ Letter { event: Some(_), .. })) => {
                let event = letter.event.as_ref().map(|event| text_of(event.get()));
                Self {
                    subject: event.as_deref().and_then(event_subject),
                    send: event,
                    ..Self::of_letter(letter)
                }
            }
            (Kind::Messages, Some(letter)) => Self {
                detail: "a letter without a message: it belongs to another queue".to_owned(),
                reason: None,
                ..Self::of_letter(letter)
            },
            (Kind::Results, Some(letter)) => Self {
                detail: "a letter without an event: it belongs to another queue".to_owned(),
                reason: None,
                ..Self::of_letter(letter)
            },
            (Kind::Messages, None) => Self::raw(
                record,
                format!(
                    "expected a letter, found {} bytes of something else",
                    record.body.len()
                ),
            ),
            (Kind::Results, None) => Self {
                subject: event_subject(&record.body),
                send: Some(record.body.clone()),
                ..Self::raw(
                    record,
                    match &record.undelivered {
                        Some(error) => format!("EventBridge could not deliver it: {error}"),
                        None => "the queue gave up after its last receive".to_owned(),
                    },
                )
            },
        }
    }

    /// Whether it stays in its queue whatever is asked for.
    pub fn has_no_way_back(&self) -> bool {
        self.send.is_none()
    }

    pub fn identity(&self, kind: Kind) -> Option<Identity> {
        match kind {
            Kind::Messages => Some(Identity::Message(self.id.clone(), self.route.clone())),
            // Not the id: a text that is no event gets another one each time.
            Kind::Results => {
                let event = self.send.as_ref()?.trim();
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
            subject: None,
            send: None,
        }
    }

    fn raw(record: &Record, detail: String) -> Self {
        #[derive(Deserialize)]
        struct Named {
            id: String,
        }
        let named: Option<Named> = serde_json::from_str(&record.body).ok();
        Self {
            id: named.map_or_else(|| record.message_id.clone(), |named| named.id),
            route: None,
            reason: None,
            detail,
            attempts: None,
            at_ms: record.sent_ms,
            subject: None,
            send: None,
        }
    }
}

/// What a letter's event was before it became JSON: a string stands for a text that was none.
fn text_of(event: &str) -> String {
    serde_json::from_str(event).unwrap_or_else(|_| event.to_owned())
}

fn message_subject(message: &str) -> Option<String> {
    #[derive(Deserialize)]
    struct Message {
        cache: String,
        topic: String,
        topic_sequence_number: u64,
    }
    let message: Message = serde_json::from_str(message).ok()?;
    let (cache, topic) = (message.cache, message.topic);
    Some(format!("{cache}/{topic}#{}", message.topic_sequence_number))
}

fn event_subject(event: &str) -> Option<String> {
    let event: Value = serde_json::from_str(event).ok()?;
    let detail = &event["detail"];
    if let Some(execution) = detail["executionArn"].as_str() {
        return Some(execution.to_owned());
    }
    let first = match detail["messages"].as_array() {
        Some(messages) => messages.first()?,
        None => detail,
    };
    Some(format!(
        "{}/{}",
        first["cache"].as_str()?,
        first["topic"].as_str()?
    ))
}

#[cfg(test)]
pub mod tests {
    use serde_json::json;

    use super::*;

    pub fn dead(route: &str, reason: Reason, id: &str, at_ms: i64) -> Dead {
        Dead {
            id: id.to_owned(),
            route: Some(route.to_owned()),
            reason: Some(reason),
            detail: "because".to_owned(),
            attempts: Some(3),
            at_ms,
            subject: Some("demo/in#1".to_owned()),
            send: Some("{}".to_owned()),
        }
    }

    pub fn letter(id: &str, route: Option<&str>, content: (&str, Value)) -> String {
        let mut letter = json!({
            "id": id, "route": route, "reason": "refused", "detail": "because", "attempts": 3,
            "first_at": 1, "last_at": 2, "bridge": "0.1.0",
        });
        letter[content.0] = content.1;
        letter.to_string()
    }

    fn read(kind: Kind, body: &str) -> Dead {
        let body = body.to_owned();
        Dead::read(
            kind,
            &Record {
                body,
                sent_ms: 7,
                ..Record::default()
            },
        )
    }

    #[test]
    fn a_letter_about_a_message_is_sent_as_it_is() {
        let message =
            json!({"cache": "demo", "topic": "in", "topic_sequence_number": 42, "text": "hush"});
        let body = letter("abc", None, ("message", message.clone()));
        let dead = read(Kind::Messages, &body);
        assert_eq!(dead.send.as_deref(), Some(body.as_str()));
        assert_eq!(dead.subject.as_deref(), Some("demo/in#42"));
        assert_eq!(
            (dead.attempts, dead.at_ms, dead.reason),
            (Some(3), 2, Some(Reason::Refused))
        );
        // The queue of results has nothing to do with it.
        assert!(read(Kind::Results, &body).has_no_way_back());
        assert!(read(Kind::Messages, &letter("e", None, ("event", json!({})))).has_no_way_back());
    }

    #[test]
    fn of_a_letter_about_an_event_the_event_is_sent() {
        let event = r#"{"id":"e","detail":{"executionArn":"arn:aws:states:us-east-1:1:execution:Upper:n"},"n":1.10}"#;
        let body =
            letter("e", Some("upper"), ("event", json!("EVENT"))).replace("\"EVENT\"", event);
        let dead = read(Kind::Results, &body);
        assert_eq!(dead.send.as_deref(), Some(event), "byte for byte");
        assert_eq!(
            dead.subject.as_deref(),
            Some("arn:aws:states:us-east-1:1:execution:Upper:n")
        );
        let text = read(
            Kind::Results,
            &letter("e", None, ("event", json!("no \"JSON\n"))),
        );
        assert_eq!(text.send.as_deref(), Some("no \"JSON\n"));
        assert_eq!(text.subject, None);
    }

    #[test]
    fn what_is_no_letter_goes_back_only_among_results() {
        let event = json!({"id": "e", "detail": {"messages": [{"cache": "demo", "topic": "out", "value": "hush"}]}}).to_string();
        let raw = read(Kind::Results, &event);
        assert_eq!(raw.send.as_deref(), Some(event.as_str()));
        assert_eq!((raw.id.as_str(), raw.reason, raw.at_ms), ("e", None, 7));
        assert_eq!(raw.subject.as_deref(), Some("demo/out"));
        assert!(raw.detail.contains("last receive"));
        let record = Record {
            body: "x".into(),
            undelivered: Some("NO_PERMISSIONS".into()),
            ..Record::default()
        };
        assert!(
            Dead::read(Kind::Results, &record)
                .detail
                .contains("NO_PERMISSIONS")
        );

        let left = read(Kind::Messages, "hush");
        assert!(left.has_no_way_back() && left.reason.is_none());
        assert!(!format!("{left:?}").contains("hush"));
    }

    #[test]
    fn what_comes_back_is_recognized() {
        let message = |route, detail: &str| {
            let body = letter("abc", route, ("message", json!({}))).replace("because", detail);
            read(Kind::Messages, &body).identity(Kind::Messages)
        };
        assert_eq!(message(Some("a"), "once"), message(Some("a"), "twice"));
        assert_ne!(message(Some("a"), "once"), message(Some("b"), "once"));
        // A text that is no event, before and after it was wrapped in a letter.
        let raw = read(Kind::Results, "no JSON").identity(Kind::Results);
        let wrapped = read(
            Kind::Results,
            &letter("x", None, ("event", json!("no JSON"))),
        );
        assert_eq!(wrapped.identity(Kind::Results), raw);
        assert!(raw.is_some());
    }
}
