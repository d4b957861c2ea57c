//! The name of an execution: a function of the message and its route alone, so that a redelivery has the same execution.

use ring::digest::{Context, SHA256};

use crate::domain::inbound::message::TopicMessage;

/// Most characters in an execution's name, by StartExecution's model.
const NAME_MAX: usize = 80;
/// Hex digits of the message id in the name.
pub const NAME_ID_DIGITS: usize = 16;

/// `<route>-<topic>-<sequence>-<first 16 digits of the id>`, at most 80 characters of `[A-Za-z0-9_-]`.
///
/// Every other character of the topic becomes `_`. The topic, then the route, is cut to fit.
pub fn execution_name(route: &str, message: &TopicMessage) -> String {
    let (number, id) = (message.topic_sequence_number, message.id.as_str());
    execution_name_of(route, &message.topic, number, id)
}

/// The name for a message known by these fields only; `id` may be its first 16 digits.
pub fn execution_name_of(route: &str, topic: &str, number: u64, id: &str) -> String {
    let tail = format!("-{number}-{}", id.get(..NAME_ID_DIGITS).unwrap_or(id));
    with_tail([route, "-", topic], &tail)
}

/// `<route>-<key>-<first 16 hex digits of SHA-256 over route and key>`, at most 80 characters of `[A-Za-z0-9_-]`. Each of
/// both is hashed after its length in bytes, as a big-endian 64-bit number.
///
/// Every other character of the key becomes `_`. The key is cut to fit.
pub fn keyed_execution_name(route: &str, key: &str) -> String {
    let mut context = Context::new(&SHA256);
    for part in [route, key] {
        context.update(&(part.len() as u64).to_be_bytes());
        context.update(part.as_bytes());
    }
    let digest = hex::encode(context.finish());
    let tail = format!("-{}", &digest[..NAME_ID_DIGITS]);
    with_tail([route, "-", key], &tail)
}

/// Whether a name has the form of [`execution_name`] or [`keyed_execution_name`] for `route`.
pub fn is_named_after(name: &str, route: &str) -> bool {
    let rest = name
        .strip_prefix(route)
        .and_then(|rest| rest.strip_prefix('-'));
    rest.is_some_and(|rest| id_in_name(rest).is_some())
}

/// The parts in legal characters, cut to leave room for the tail.
fn with_tail(parts: [&str; 3], tail: &str) -> String {
    let room = NAME_MAX.saturating_sub(tail.len());
    let legal = |c: char| match c {
        'A'..='Z' | 'a'..='z' | '0'..='9' | '_' | '-' => c,
        _ => '_',
    };
    let mut name = String::with_capacity(NAME_MAX);
    name.extend(
        parts
            .iter()
            .flat_map(|part| part.chars())
            .map(legal)
            .take(room),
    );
    name + tail
}

/// The first digits of the message's id in a name by [`execution_name`]; `None` for any other name.
pub fn id_in_name(name: &str) -> Option<&str> {
    let (_, id) = name.rsplit_once('-')?;
    let hex = |b: u8| matches!(b, b'0'..=b'9' | b'a'..=b'f');
    (id.len() == NAME_ID_DIGITS && id.bytes().all(hex)).then_some(id)
}

/// The sequence number in a name by [`execution_name`] for `route`; `None` for any other name.
pub fn sequence_in_name(name: &str, route: &str) -> Option<u64> {
    let rest = name.strip_prefix(route)?.strip_prefix('-')?;
    id_in_name(rest)?;
    let (rest, _) = rest.rsplit_once('-')?;
    rest.rsplit_once('-')?.1.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::inbound::message::tests::message;
    use proptest::prelude::*;
    use serde_json::json;

    fn legal(name: &str) -> bool {
        (1..=80).contains(&name.len())
            && name
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
    }

    #[test]
    fn a_name_has_topic_and_number() {
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
    fn a_keyed_name_has_its_key() {
        // printf '\0\0\0\0\0\0\0\6orders\0\0\0\0\0\0\0\x044711' | sha256sum
        let name = keyed_execution_name("orders", "4711");
        assert_eq!(name, "orders-4711-ab4edd012d39858d");
        assert!(is_named_after(&name, "orders"));
        assert!(!is_named_after(&name, "order"));
        assert!(!is_named_after("orders-4711", "orders"));
        let long = keyed_execution_name(&"r".repeat(32), &"ü/".repeat(200));
        assert!(legal(&long) && long.len() == 80, "{long}");
        assert!(long.starts_with(&format!("{}-____", "r".repeat(32))));
        // The same characters in another place, and keys that differ in their cut part only.
        for (one, other) in [
            (("a", "b-c"), ("a-b", "c")),
            (("a", "x/y"), ("a", "x_y")),
            (("a", &"k".repeat(100)), ("a", &"k".repeat(101))),
        ] {
            let (one, other) = (
                keyed_execution_name(one.0, one.1),
                keyed_execution_name(other.0, other.1),
            );
            assert_ne!(one, other);
        }
    }

    proptest! {
        #[test]
        fn names_are_legal(topic in ".{0,300}", number in any::<u64>()) {
            let m = message(json!({"topic": topic, "topic_sequence_number": number}));
            prop_assert!(legal(&execution_name("a-route", &m)));
        }
    }
}
