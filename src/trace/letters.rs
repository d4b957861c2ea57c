//! What a dead-letter queue holds, without its payload.

use serde::Deserialize;
use serde_json::Value;

use super::sources::{Dead, DeadQueue, Origin};
use crate::letter::Letter;

/// Reads a body of a dead-letter queue; `sent_ms` is when it was put there. What is no letter is read as far as it can be.
pub fn read(queue: DeadQueue, body: &str, sent_ms: i64) -> Dead {
    let Ok(letter) = serde_json::from_str::<Letter>(body) else {
        // What SQS or EventBridge moved there by itself is an event as it is.
        let event: Value = serde_json::from_str(body).unwrap_or_default();
        return Dead {
            id: event["id"].as_str().unwrap_or_default().to_owned(),
            at_ms: sent_ms,
            execution: execution_of(&event),
            ..Dead::default()
        };
    };
    let event: Option<Value> = letter
        .event
        .as_ref()
        .and_then(|event| serde_json::from_str(event.get()).ok());
    let message = letter.message.as_ref().map(|message| message.get());
    Dead {
        id: letter.id,
        route: letter.route,
        reason: Some(letter.reason.name().to_owned()),
        detail: Some(letter.detail),
        attempts: Some(letter.attempts),
        at_ms: letter.last_at,
        message: message
            .filter(|_| queue == DeadQueue::Messages)
            .and_then(origin),
        execution: event.as_ref().and_then(execution_of),
    }
}

fn execution_of(event: &Value) -> Option<String> {
    Some(event["detail"]["executionArn"].as_str()?.to_owned())
}

fn origin(message: &str) -> Option<Origin> {
    #[derive(Deserialize)]
    struct Message {
        cache: String,
        topic: String,
        topic_sequence_number: u64,
        event_timestamp: i64,
        #[serde(default)]
        token_id: Option<String>,
    }
    let message: Message = serde_json::from_str(message).ok()?;
    Some(Origin {
        cache: message.cache,
        topic: message.topic,
        number: message.topic_sequence_number,
        published_at: message.event_timestamp,
        token_id: message.token_id.filter(|id| !id.is_empty()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn letters_and_what_stands_in_their_place_are_read() {
        let mut letter = json!({
            "id": "m", "route": "r", "reason": "gave_up", "detail": "because", "attempts": 3,
            "first_at": 1, "last_at": 2, "bridge": "0.1.0",
        });
        letter["message"] = json!({
            "cache": "c", "topic": "t", "topic_sequence_number": 7, "event_timestamp": 5, "publish_timestamp": 6,
            "token_id": "", "text": "secret",
        });
        let dead = read(DeadQueue::Messages, &letter.to_string(), 9);
        assert_eq!((dead.reason.as_deref(), dead.at_ms), (Some("gave_up"), 2));
        let origin = dead.message.clone().unwrap();
        assert_eq!(
            (origin.number, origin.published_at, origin.token_id),
            (7, 5, None)
        );
        assert!(!format!("{dead:?}").contains("secret"));

        let event = json!({"id": "e", "detail": {"executionArn": "arn"}});
        let raw = read(DeadQueue::Results, &event.to_string(), 9);
        assert_eq!(
            (raw.execution.as_deref(), raw.reason, raw.at_ms),
            (Some("arn"), None, 9)
        );
        letter.as_object_mut().unwrap().remove("message");
        letter["event"] = event;
        let dead = read(DeadQueue::Results, &letter.to_string(), 9);
        assert_eq!(dead.execution.as_deref(), Some("arn"));
        assert_eq!(read(DeadQueue::Messages, "no JSON", 9).at_ms, 9);
    }
}
