use proptest::prelude::*;
use serde::Serialize;
use serde_json::json;
use serde_json::value::RawValue;

use super::super::*;
use crate::domain::inbound::message::tests::message;
use crate::domain::inbound::routes::tests::{MACHINE, route};

fn envelope(message: &TopicMessage, route: &Route) -> String {
    ExecutionInput::envelope(message, route, None).to_json()
}

fn payload(message: &TopicMessage) -> String {
    ExecutionInput::payload(message).to_json()
}

/// The envelope as written by serde_json.
fn expected(message: &TopicMessage, route: &Route) -> String {
    #[derive(Serialize)]
    struct Envelope<'a> {
        message: Message<'a>,
        bridge: Bridge<'a>,
    }
    #[derive(Serialize)]
    struct Message<'a> {
        id: &'a str,
        cache: &'a str,
        topic: &'a str,
        topic_sequence_number: u64,
        #[serde(skip_serializing_if = "Option::is_none")]
        sequence_page: Option<u64>,
        event_timestamp: i64,
        token_id: Option<&'a str>,
        text: Option<&'a str>,
        json: Option<&'a RawValue>,
        #[serde(skip_serializing_if = "Option::is_none")]
        binary: Option<&'a str>,
    }
    #[derive(Serialize)]
    struct Bridge<'a> {
        version: u32,
        route: &'a str,
        reply: Option<Reply>,
    }
    #[derive(Serialize)]
    struct Reply {
        cache: String,
        topics: Vec<String>,
        failures: Vec<String>,
        format: Format,
    }
    let reply = route.reply.as_ref().map(|reply| {
        let address = reply.address(message);
        Reply {
            cache: reply.cache.render(message),
            topics: address.topics,
            failures: address.failures,
            format: reply.format,
        }
    });
    let envelope = Envelope {
        message: Message {
            id: message.id.as_str(),
            cache: &message.cache,
            topic: &message.topic,
            topic_sequence_number: message.topic_sequence_number,
            sequence_page: message.sequence_page,
            event_timestamp: message.event_timestamp,
            token_id: message.token_id.as_deref(),
            text: message.text(),
            json: message
                .json()
                .map(|json| serde_json::from_str(json).unwrap()),
            binary: message.binary(),
        },
        bridge: Bridge {
            version: 1,
            route: &route.name,
            reply,
        },
    };
    serde_json::to_string(&envelope).unwrap()
}

#[test]
fn the_envelope_follows_the_contract() {
    let route = route(json!({
        "name": "uppercase", "from": {"cache": "demo", "topic": "uppercase-in"}, "to": {"stateMachine": MACHINE},
        "reply": {"topics": ["{topic}-{token_id}-out"], "failures": ["{cache}/{sequence}/{id}"]},
    }));
    let m = message(
        json!({"cache": "demo", "topic": "uppercase-in", "topic_sequence_number": 42, "text": "hello"}),
    );
    assert_eq!(
        envelope(&m, &route),
        format!(
            concat!(
                r#"{{"message":{{"id":"{id}","cache":"demo","topic":"uppercase-in","topic_sequence_number":42,"#,
                r#""event_timestamp":1704296470564,"token_id":"mo","text":"hello","json":null}},"#,
                r#""bridge":{{"version":1,"route":"uppercase","reply":{{"cache":"demo","topics":["uppercase-in-mo-out"],"#,
                r#""failures":["demo/42/{id}"],"format":"output"}}}}}}"#
            ),
            id = m.id
        )
    );
}

#[test]
fn a_sender_may_ask_for_a_reply_where_the_route_allows_it() {
    let reply = |failures: Option<&str>| {
        let mut reply =
            json!({"topics": ["out"], "from": "json.reply_to", "allow": ["results/*", "mine"]});
        if let Some(failures) = failures {
            reply["failures"] = json!([failures]);
        }
        route(json!({ "reply": reply }))
    };
    for (text, failures, expected, refused) in [
        (
            r#"{"reply_to":"results/7"}"#,
            None,
            ("results/7", "results/7"),
            false,
        ),
        (
            r#"{"reply_to":"mine"}"#,
            Some("bad"),
            ("mine", "bad"),
            false,
        ),
        (r#"{"reply_to":"theirs"}"#, None, ("out", "out"), true),
        (
            r#"{"reply_to":"theirs"}"#,
            Some("bad"),
            ("out", "bad"),
            true,
        ),
        (r#"{"reply_to":""}"#, None, ("out", "out"), true),
        (r#"{"reply_to":["mine"]}"#, None, ("out", "out"), true),
        (r#"{"reply_to":null}"#, None, ("out", "out"), false),
        ("no JSON", None, ("out", "out"), false),
    ] {
        let route = reply(failures);
        let m = message(json!({ "text": text }));
        let input: serde_json::Value = serde_json::from_str(&envelope(&m, &route)).unwrap();
        let reply = &input["bridge"]["reply"];
        assert_eq!(reply["topics"], json!([expected.0]), "{text}");
        assert_eq!(reply["failures"], json!([expected.1]), "{text}");
        let reply = route.reply.unwrap();
        assert_eq!(reply.address(&m).refused, refused, "{text}");
        assert_eq!(reply.refuses(&m), refused, "{text}");
    }
}

#[test]
fn digits_survive_and_redeliveries_are_equal() {
    let route = route(json!({}));
    let one = message(json!({"text": "{\"n\": 9007199254740993}"}));
    let again = message(json!({"text": "{\"n\": 9007199254740993}", "publish_timestamp": 1}));
    assert!(envelope(&one, &route).contains(r#""json":{"n": 9007199254740993}"#));
    assert_eq!(envelope(&one, &route), envelope(&again, &route));
}

#[test]
fn a_binary_message_has_no_text() {
    let m = message(json!({"text": null, "binary": "AAEC"}));
    let input: serde_json::Value = serde_json::from_str(&envelope(&m, &route(json!({})))).unwrap();
    assert_eq!(input["message"]["text"], json!(null));
    assert_eq!(input["message"]["binary"], json!("AAEC"));
    assert_eq!(payload(&m), r#""AAEC""#);
}

#[test]
fn a_payload_is_the_text_as_json_or_as_a_json_string() {
    for (text, input) in [
        (r#"{"n": 9007199254740993}"#, r#"{"n": 9007199254740993}"#),
        ("42", "42"),
        ("say \"hi\"", r#""say \"hi\"""#),
        ("", r#""""#),
    ] {
        assert_eq!(payload(&message(json!({"text": text}))), input);
    }
}

#[test]
fn the_length_of_an_input_over_a_limit_is_exact() {
    let route = route(json!({"reply": {"topics": ["{topic}-{token_id}-out", "audit"]}}));
    for text in ["", "a", "{}", "[1]", "\u{0}", "\"\"\"", &"ü\n".repeat(4000)] {
        let message = message(json!({ "text": text }));
        for input in [
            ExecutionInput::envelope(&message, &route, None),
            ExecutionInput::payload(&message),
        ] {
            let length = input.to_json().len();
            assert!(length <= input.bound(), "{text}");
            assert_eq!(input.over(length), None, "{text}");
            assert_eq!(input.over(length - 1), Some(length), "{text}");
        }
    }
}

const JSON_LIKE: &str =
    r#"\PC{0,60}|[\x00-\x1f\\"]{0,30}|\s{0,2}\{"a": ?\[1,"\PC{0,5}"\]\}\s{0,2}"#;

proptest! {
    #[test]
    fn an_envelope_equals_the_output_of_serde_json(
        topic in JSON_LIKE, token in JSON_LIKE, text in JSON_LIKE, binary: bool, number: u64, time: i64,
        page: Option<u64>,
    ) {
        let mut fields = json!({
            "topic": topic, "token_id": token, "topic_sequence_number": number, "event_timestamp": time, "text": text,
            "sequence_page": page,
        });
        if binary {
            fields["text"] = json!(null);
            fields["binary"] = json!("AAEC");
        }
        let m = message(fields);
        for reply in [
            json!({}),
            json!({"reply": {"topics": ["{topic}{token_id}-out", "b"], "failures": ["{cache}{id}"]}}),
            json!({"reply": {"topics": ["out"], "format": "envelope"}}),
        ] {
            let route = route(reply);
            let input = ExecutionInput::envelope(&m, &route, None);
            let text = expected(&m, &route);
            prop_assert!(text.len() <= input.bound());
            prop_assert_eq!(input.to_json(), text);
        }
        let payload = payload(&m);
        prop_assert!(serde_json::from_str::<serde_json::Value>(&payload).is_ok(), "{payload}");
    }
}
