//! The business key of a message, which names its execution.

use crate::domain::fault::Fault;
use crate::domain::inbound::message::TopicMessage;
use crate::domain::inbound::routes::FieldPath;

/// Most characters of a key.
const KEY_MAX: usize = 256;
/// The fault code of a message without a key.
pub const NO_KEY: &str = "NoKey";

/// The key at a path: a text, or the JSON of a number or a boolean.
///
/// # Errors
///
/// A permanent fault, if there is no such value, or the key has no or more than 256 characters.
pub fn of(message: &TopicMessage, path: &FieldPath) -> Result<String, Fault> {
    let json = path.find(message);
    let key = json
        .as_deref()
        .and_then(|json| match json.as_bytes().first()? {
            b'"' => serde_json::from_str(json).ok(),
            b'{' | b'[' => None,
            _ => Some(json.to_owned()),
        });
    let key = key.filter(|key: &String| (1..=KEY_MAX).contains(&key.chars().count()));
    key.ok_or_else(|| {
        let found = match json.as_deref() {
            None => "none",
            Some(json) if json.starts_with('{') => "an object",
            Some(json) if json.starts_with('[') => "a list",
            Some(_) => "a text of another length",
        };
        let text = format!(
            "expected a key at `{path}`, a text of 1 to {KEY_MAX} characters, a number or a boolean, found {found}"
        );
        Fault::permanent(NO_KEY, text)
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::domain::inbound::message::tests::message;

    fn key(path: &str, text: &str) -> Result<String, String> {
        let message = message(json!({ "text": text }));
        let key = of(&message, &FieldPath::parse(path).unwrap());
        key.map_err(|fault| {
            assert_eq!(fault.code, NO_KEY);
            fault.text
        })
    }

    #[test]
    fn a_text_a_number_and_a_boolean_are_keys() {
        let text = r#"{"id": "A\u00e4 1", "n": 4711, "big": 90071992547409930.10, "b": false}"#;
        for (path, found) in [
            ("json.id", "A\u{e4} 1"),
            ("json.n", "4711"),
            ("json.big", "90071992547409930.10"),
            ("json.b", "false"),
            ("topic", "room-281"),
            ("topic_sequence_number", "1"),
        ] {
            assert_eq!(key(path, text).unwrap(), found, "{path}");
        }
        assert_eq!(key("text", "plain").unwrap(), "plain");
        assert_eq!(
            key("text", &"\u{e4}".repeat(256)).unwrap().chars().count(),
            256
        );
    }

    #[test]
    fn a_message_without_a_key_is_refused() {
        let long = format!(r#"{{"k":"{}"}}"#, "x".repeat(257));
        for (text, found) in [
            ("no JSON", "found none"),
            ("{}", "found none"),
            (r#"{"k":null}"#, "found none"),
            (r#"{"k":{}}"#, "found an object"),
            (r#"{"k":[1]}"#, "found a list"),
            (r#"{"k":""}"#, "found a text of another length"),
            (&long, "found a text of another length"),
        ] {
            let error = key("json.k", text).unwrap_err();
            assert!(error.ends_with(found), "{error}");
        }
    }
}
