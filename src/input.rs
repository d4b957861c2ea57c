//! What a workflow is given: the name of its execution and its input. Both are functions of the message and its route
//! alone, so that a message delivered again asks for the very same execution.

use serde::Serialize;
use serde_json::value::RawValue;

use crate::message::{MessageId, TopicMessage};
use crate::routes::{Format, Route};

/// Most characters in an execution's name, by StartExecution's model.
const NAME_MAX: usize = 80;
/// Hex digits of the message id in the name.
pub const NAME_ID_DIGITS: usize = 16;
/// Version of the envelope's shape.
const ENVELOPE_VERSION: u32 = 1;

/// `<route>-<topic>-<sequence>-<first 16 digits of the id>`, at most 80 characters of `[A-Za-z0-9_-]`.
///
/// Every other character of the topic becomes `_`; the topic, then the route, is cut to make room for the rest.
pub fn execution_name(route: &str, message: &TopicMessage) -> String {
    let (number, id) = (message.topic_sequence_number, message.id.as_str());
    execution_name_of(route, &message.topic, number, id)
}

/// The same for a message of which no more is known; `id` may be its first 16 digits.
pub fn execution_name_of(route: &str, topic: &str, number: u64, id: &str) -> String {
    let tail = format!("-{number}-{}", id.get(..NAME_ID_DIGITS).unwrap_or(id));
    let room = NAME_MAX.saturating_sub(tail.len());
    let name = [route, "-", topic].concat();
    let legal = |c: char| match c {
        'A'..='Z' | 'a'..='z' | '0'..='9' | '_' | '-' => c,
        _ => '_',
    };
    name.chars().map(legal).take(room).collect::<String>() + &tail
}

/// The first digits of the message's id in a name that [`execution_name`] gave; `None` for any other name.
pub fn id_in_name(name: &str) -> Option<&str> {
    let (_, id) = name.rsplit_once('-')?;
    let hex = |b: u8| matches!(b, b'0'..=b'9' | b'a'..=b'f');
    (id.len() == NAME_ID_DIGITS && id.bytes().all(hex)).then_some(id)
}

/// The sequence number in a name that [`execution_name`] gave for `route`; `None` for any other name.
pub fn sequence_in_name(name: &str, route: &str) -> Option<u64> {
    let rest = name.strip_prefix(route)?.strip_prefix('-')?;
    id_in_name(rest)?;
    let (rest, _) = rest.rsplit_once('-')?;
    rest.rsplit_once('-')?.1.parse().ok()
}

/// The input of an execution of a route with `"input": "payload"`: the text if it is JSON, else the text (or the
/// base64 of a binary message) as a JSON string.
pub fn payload(message: &TopicMessage) -> String {
    match (message.json(), message.text(), message.binary()) {
        (Some(json), ..) => json.get().to_owned(),
        (None, Some(text), _) => quoted(text),
        (None, None, binary) => quoted(binary.unwrap_or_default()),
    }
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// The input of an execution of a route with `"input": "envelope"`, as JSON.
pub fn envelope(route: &Route, message: &TopicMessage) -> String {
    let envelope = Envelope {
        message: Message {
            id: &message.id,
            cache: &message.cache,
            topic: &message.topic,
            topic_sequence_number: message.topic_sequence_number,
            event_timestamp: message.event_timestamp,
            token_id: message.token_id.as_deref(),
            text: message.text(),
            json: message.json(),
            binary: message.binary(),
        },
        bridge: Bridge {
            version: ENVELOPE_VERSION,
            route: &route.name,
            reply: route.reply.as_ref().map(|reply| {
                let address = reply.address(message);
                Reply {
                    cache: reply.cache.render(message),
                    topics: address.topics,
                    failures: address.failures,
                    format: reply.format,
                }
            }),
        },
    };
    serde_json::to_string(&envelope).expect("strings and numbers always serialize")
}

#[derive(Serialize)]
struct Envelope<'a> {
    message: Message<'a>,
    bridge: Bridge<'a>,
}

/// No time of receipt and no `publish_timestamp`: they differ when a message is delivered again.
#[derive(Serialize)]
struct Message<'a> {
    id: &'a MessageId,
    cache: &'a str,
    topic: &'a str,
    topic_sequence_number: u64,
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::tests::message;
    use crate::routes::tests::{MACHINE, route};
    use proptest::prelude::*;
    use serde_json::json;

    fn legal(name: &str) -> bool {
        (1..=80).contains(&name.len())
            && name
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
    }

    #[test]
    fn a_reviewer_finds_a_message_by_topic_and_number() {
        let m = message(json!({"topic": "uppercase-in", "topic_sequence_number": 42}));
        assert_eq!(
            execution_name("uppercase", &m),
            format!("uppercase-uppercase-in-42-{}", &m.id.as_str()[..16])
        );
    }

    #[test]
    fn a_name_gives_its_number_back() {
        let m = message(json!({"topic": "a-b", "topic_sequence_number": 42}));
        let name = execution_name("r", &m);
        assert_eq!(sequence_in_name(&name, "r"), Some(42));
        for (name, route) in [
            (name.as_str(), "r-a"),
            ("r", "r"),
            ("by-hand", "by"),
            ("r-topic-1-0123456789abcdeF", "r"),
            ("r-topic-x-0123456789abcdef", "r"),
        ] {
            let number = sequence_in_name(name, route);
            assert!(number.is_none() || route == "r-a", "{name}");
        }
    }

    #[test]
    fn any_topic_makes_a_legal_name() {
        let r = "r".repeat(32);
        for topic in [
            "a/b#c d",
            &"t".repeat(256),
            "🙂🙂",
            "ünï",
            "",
            "a\u{0}b",
            "-",
        ] {
            let m = message(json!({"topic": topic, "topic_sequence_number": u64::MAX}));
            let name = execution_name(&r, &m);
            let tail = format!("-{}-{}", u64::MAX, &m.id.as_str()[..16]);
            assert!(legal(&name) && name.ends_with(&tail), "{name}");
            assert!(name.starts_with(&format!("{r}-")), "{name}");
        }
        let m = message(json!({"topic": "a/b#c d"}));
        assert!(execution_name("r", &m).starts_with("r-a_b_c_d-1-"));
    }

    #[test]
    fn the_envelope_is_the_one_of_the_contract() {
        let route = route(json!({
            "name": "uppercase", "from": {"cache": "demo", "topic": "uppercase-in"}, "to": {"stateMachine": MACHINE},
            "reply": {"topics": ["{topic}-{token_id}-out"], "failures": ["{cache}/{sequence}/{id}"]},
        }));
        let m = message(
            json!({"cache": "demo", "topic": "uppercase-in", "topic_sequence_number": 42, "text": "hello"}),
        );
        assert_eq!(
            envelope(&route, &m),
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
            let input: serde_json::Value = serde_json::from_str(&envelope(&route, &m)).unwrap();
            let reply = &input["bridge"]["reply"];
            assert_eq!(reply["topics"], json!([expected.0]), "{text}");
            assert_eq!(reply["failures"], json!([expected.1]), "{text}");
            assert_eq!(route.reply.unwrap().address(&m).refused, refused, "{text}");
        }
    }

    #[test]
    fn digits_survive_and_redeliveries_are_equal() {
        let route = route(json!({}));
        let one = message(json!({"text": "{\"n\": 9007199254740993}"}));
        let again = message(json!({"text": "{\"n\": 9007199254740993}", "publish_timestamp": 1}));
        assert!(envelope(&route, &one).contains(r#""json":{"n": 9007199254740993}"#));
        assert_eq!(envelope(&route, &one), envelope(&route, &again));
    }

    #[test]
    fn a_binary_message_has_no_text() {
        let m = message(json!({"text": null, "binary": "AAEC"}));
        let input: serde_json::Value =
            serde_json::from_str(&envelope(&route(json!({})), &m)).unwrap();
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

    proptest! {
        #[test]
        fn names_are_legal_and_inputs_are_json(topic in ".{0,300}", number in any::<u64>(), text in ".{0,60}") {
            let m = message(json!({"topic": topic, "topic_sequence_number": number, "text": text}));
            let route = route(json!({}));
            prop_assert!(legal(&execution_name(&route.name, &m)));
            prop_assert!(serde_json::from_str::<serde_json::Value>(&envelope(&route, &m)).is_ok());
            prop_assert!(serde_json::from_str::<serde_json::Value>(&payload(&m)).is_ok());
        }
    }
}
