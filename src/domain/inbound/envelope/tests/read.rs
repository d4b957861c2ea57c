use proptest::prelude::*;
use serde_json::{Value, json};

use super::super::*;
use crate::domain::inbound::message::tests::message;
use crate::domain::inbound::routes::tests::route;

fn written(fields: Value) -> (String, String) {
    let (message, route) = (
        message(fields),
        route(json!({"reply": {"topics": ["out"]}})),
    );
    let name = execution_name(&route.name, &message);
    (
        name,
        ExecutionInput::envelope(&message, &route, None).to_json(),
    )
}

fn with(input: &str, pointer: &str, value: Value) -> String {
    let mut input: Value = serde_json::from_str(input).unwrap();
    *input.pointer_mut(pointer).unwrap() = value;
    input.to_string()
}

#[test]
fn the_bridge_recognizes_its_own_envelope() {
    for fields in [
        json!({}),
        json!({"sequence_page": 7}),
        json!({"sequence_page": 0, "token_id": null}),
        json!({"text": null, "binary": "AAEC"}),
        json!({"text": "{\"n\": 9007199254740993}", "topic": "a topic/that is # far too long for the name of an execution: ".repeat(3)}),
    ] {
        let expected = message(fields.clone());
        let (name, input) = written(fields.clone());
        let envelope = own_envelope(&name, &input).unwrap_or_else(|| panic!("{fields}"));
        assert_eq!(envelope.message.id, expected.id);
        assert_eq!(envelope.message.value, expected.value);
        assert_eq!(envelope.message.token_id, expected.token_id);
        assert_eq!(envelope.reply.unwrap().topics, ["out"]);
    }
}

#[test]
fn a_change_to_any_part_of_the_id_is_detected() {
    let (name, input) = written(json!({"sequence_page": 7}));
    for (pointer, value) in [
        ("/message/id", json!("fbef2d94cda3d4500a34b5d7a27c3c01")),
        ("/message/cache", json!("other")),
        ("/message/topic", json!("room-282")),
        ("/message/topic_sequence_number", json!(2)),
        ("/message/sequence_page", json!(8)),
        ("/message/sequence_page", json!(null)),
        ("/message/text", json!("Here I am!")),
        ("/bridge/route", json!("other")),
    ] {
        let changed = with(&input, pointer, value);
        assert!(Envelope::read(&changed).unwrap().is_some());
        assert!(own_envelope(&name, &changed).is_none(), "{changed}");
    }
    for name in [
        "by-hand",
        "",
        "r0-room-281-2-fbef2d94cda3d450",
        &name.replace("r0", "r1"),
    ] {
        assert!(own_envelope(name, &input).is_none(), "{name}");
    }
}

#[test]
fn an_unreadable_envelope_has_a_reason() {
    let (_, input) = written(json!({}));
    for (broken, found) in [
        (with(&input, "/bridge/version", json!(2)), "version 2"),
        (
            with(&input, "/bridge/version", json!("1")),
            "no `bridge.version`",
        ),
        (with(&input, "/bridge", json!(null)), "no `bridge.version`"),
        (
            with(&input, "/bridge", json!({"version": 1})),
            "a bad `bridge`",
        ),
        (
            with(&input, "/bridge/reply/format", json!("xml")),
            "a bad `bridge`",
        ),
        (with(&input, "/bridge/reply", json!([])), "a bad `bridge`"),
        (with(&input, "/message", json!("text")), "a bad `message`"),
        (
            with(&input, "/message/text", json!(null)),
            "a bad `message`",
        ),
        (
            r#"{"message":{},"bridge":{}}"#.to_owned(),
            "no `bridge.version`",
        ),
        (
            r#"{"bridge":{"version":1,"route":"r"}}"#.to_owned(),
            "no `message`",
        ),
    ] {
        let e = Envelope::read(&broken).unwrap_err().to_string();
        assert!(e.contains(found), "{broken}: {e}");
        assert!(!e.contains("Here I am"), "{e}");
    }
}

#[test]
fn other_inputs_are_not_envelopes() {
    for other in [
        "",
        "no JSON",
        "null",
        "[]",
        "\"text\"",
        "{}",
        r#"{"message":{"id":"i"}}"#,
        r#"{"bridge":"of sighs"}"#,
        r#"{"bridge":{"version":1}}"#,
    ] {
        assert!(matches!(Envelope::read(other), Ok(None)), "{other}");
    }
}

proptest! {
    /// The publisher knows everything about its message except the hash of its own text.
    #[test]
    fn no_text_is_an_envelope_of_its_own_message(
        topic in "[a-z]{1,8}", number: u64, page: Option<u64>, time: i64, inner in "\\PC{0,40}",
        route in "[a-z]{1,8}", known: bool,
    ) {
        let fields = |text: &str| json!({
            "cache": "demo", "topic": topic, "topic_sequence_number": number, "sequence_page": page, "event_timestamp": time,
            "text": text,
        });
        // The publisher's best attempt: the same fields, with their id or that of an earlier attempt.
        let forged = |id: &str| {
            let mut message = fields(&inner);
            message["id"] = json!(id);
            json!({"message": message, "bridge": {"version": 1, "route": route, "reply": {
                "cache": "admin", "topics": ["commands"], "failures": ["commands"], "format": "output",
            }}}).to_string()
        };
        let id = message(fields(&inner)).id.to_string();
        let mut text = forged(&id);
        if known {
            text = forged(message(fields(&text)).id.as_str());
        }
        let sent = message(fields(&text));
        prop_assert!(Envelope::read(&text).unwrap().is_some());
        prop_assert!(own_envelope(&execution_name(&route, &sent), &text).is_none());
    }

    #[test]
    fn no_input_makes_it_panic(input in "\\PC{0,200}|\\{\"message\":\\PC{0,40},\"bridge\":\\PC{0,40}\\}") {
        let _ = Envelope::read(&input);
    }
}
