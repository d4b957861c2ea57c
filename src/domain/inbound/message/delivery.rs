//! The body of a delivery in the format of Momento's webhooks, sent by the relay and the local Topics server.

use serde::Serialize;

/// A delivery's body; its fields are in Momento's order. `value` is written as `"text": "…"` or `"binary": "<base64>"`.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct DeliveryBody<'a, V: Serialize> {
    pub cache: &'a str,
    pub topic: &'a str,
    /// When the message was published, in ms since the epoch; for the relay, when it received the message, since a
    /// subscription has no times.
    pub event_timestamp: i64,
    /// When this request was made, in ms since the epoch.
    pub publish_timestamp: i64,
    pub topic_sequence_number: u64,
    /// Set by the relay only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sequence_page: Option<u64>,
    /// `""` for a publisher without one.
    pub token_id: &'a str,
    #[serde(flatten)]
    pub value: V,
}

impl<V: Serialize> DeliveryBody<'_, V> {
    pub fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("strings and numbers always serialize")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::inbound::message::tests::parse;
    use crate::domain::inbound::message::{MessageId, Value};

    #[test]
    fn a_written_body_is_read_again() {
        for (value, page) in [
            (Value::Text("Here I am!!".into()), None),
            (Value::Binary("AAEC".into()), Some(7)),
            (Value::Text("Here I am!!".into()), Some(8)),
        ] {
            let body = DeliveryBody {
                cache: "chat",
                topic: "room-281",
                event_timestamp: 1704296470564,
                publish_timestamp: 1704296470565,
                topic_sequence_number: 1,
                sequence_page: page,
                token_id: "mo",
                value: &value,
            };
            let message = parse(body.to_json()).unwrap();
            assert_eq!(message.value, value);
            let id = match page {
                Some(page) => MessageId::of_page("chat", "room-281", page, 1, &value),
                None => MessageId::of_time("chat", "room-281", 1704296470564, 1, &value),
            };
            assert_eq!(message.id, id);
            assert_eq!(message.sequence_page, page);
            assert_eq!(message.token_id.as_deref(), Some("mo"));
        }
    }

    #[test]
    fn a_body_without_a_page_equals_momentos() {
        let body = DeliveryBody {
            cache: "chat",
            topic: "room-281",
            event_timestamp: 1704296470564,
            publish_timestamp: 1704296470565,
            topic_sequence_number: 1,
            sequence_page: None,
            token_id: "mo",
            value: &Value::Text("Here I am!!".into()),
        };
        assert_eq!(
            String::from_utf8(body.to_json()).unwrap(),
            r#"{"cache":"chat","topic":"room-281","event_timestamp":1704296470564,"publish_timestamp":1704296470565,"topic_sequence_number":1,"token_id":"mo","text":"Here I am!!"}"#
        );
    }
}
