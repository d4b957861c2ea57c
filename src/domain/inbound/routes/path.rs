//! Paths to a part of a message: `json.answer.text`.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;

use serde_json::value::RawValue;

use super::EVENT_FIELDS;
use crate::domain::inbound::message::TopicMessage;

/// Names with dots between: a field of the message, and below `json` the keys of objects and the numbers of list items.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldPath {
    text: String,
    field: String,
    below: Vec<String>,
}

impl FieldPath {
    /// # Errors
    ///
    /// A sentence, for a path that leads nowhere in any message.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut names = text.split('.').map(str::to_owned);
        let field = names.next().unwrap_or_default();
        let below: Vec<String> = names.collect();
        let known = EVENT_FIELDS.contains(&field.as_str());
        if !known || below.iter().any(String::is_empty) || (field != "json" && !below.is_empty()) {
            return Err(format!(
                "expected a path such as `json.answer`: {}, and below `json` the keys with dots between, found `{text}`",
                EVENT_FIELDS.map(|name| format!("`{name}`")).join(", ")
            ));
        }
        Ok(Self {
            text: text.to_owned(),
            field,
            below,
        })
    }

    /// The value as JSON, with its digits and spacing; `None` if it is missing or `null`.
    pub fn find<'a>(&self, message: &'a TopicMessage) -> Option<Cow<'a, str>> {
        let string = |text: &str| Cow::Owned(serde_json::Value::from(text).to_string());
        let found = match self.field.as_str() {
            "cache" => string(&message.cache),
            "topic" => string(&message.topic),
            "topic_sequence_number" => Cow::Owned(message.topic_sequence_number.to_string()),
            "token_id" => string(message.token_id.as_deref()?),
            "text" => string(message.text()?),
            _ => {
                let mut json = message.json()?;
                for name in &self.below {
                    json = child(json, name)?;
                }
                Cow::Borrowed(json)
            }
        };
        Some(found).filter(|json| json != "null")
    }

    /// The text; `None` for any other value.
    pub fn find_text(&self, message: &TopicMessage) -> Option<String> {
        serde_json::from_str(&self.find(message)?).ok()
    }
}

impl fmt::Display for FieldPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// The value of a key, the last of duplicates, or the item of that number.
fn child<'a>(json: &'a str, name: &str) -> Option<&'a str> {
    if json.starts_with('[') {
        let items: Vec<&RawValue> = serde_json::from_str(json).ok()?;
        let item = items.get(name.parse::<usize>().ok()?)?;
        return Some(item.get());
    }
    let fields: HashMap<Cow<'_, str>, &RawValue> = serde_json::from_str(json).ok()?;
    fields.get(name).map(|field| field.get())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::inbound::message::tests::message;
    use serde_json::json;

    fn find(path: &str, text: &str) -> Option<String> {
        let message = message(json!({ "text": text }));
        let path = FieldPath::parse(path).unwrap();
        path.find(&message).map(Cow::into_owned)
    }

    #[test]
    fn a_part_is_found_as_it_was_written() {
        let text = r#"{"a": {"b c": [1, {"n": 9007199254740993.10}]}, "none": null, "a\u0062": 2}"#;
        for (path, found) in [
            ("json.a.b c.1.n", Some("9007199254740993.10")),
            ("json.a.b c.0", Some("1")),
            ("json.ab", Some("2")),
            ("json", Some(text)),
            ("json.a.b c.2", None),
            ("json.a.b c.x", None),
            ("json.a.n", None),
            ("json.none", None),
            ("json.none.x", None),
            ("topic", Some(r#""room-281""#)),
            ("token_id", Some(r#""mo""#)),
            ("topic_sequence_number", Some("1")),
        ] {
            assert_eq!(find(path, text).as_deref(), found, "{path}");
        }
        assert_eq!(find("text", "no \"JSON").as_deref(), Some(r#""no \"JSON""#));
        assert_eq!(find("json.a", "no JSON"), None);
    }

    #[test]
    fn a_path_that_leads_nowhere_is_refused() {
        for wrong in [
            "", "answer", "json.", "json..a", "topic.a", ".json", "binary",
        ] {
            let error = FieldPath::parse(wrong).unwrap_err();
            assert!(error.contains(&format!("found `{wrong}`")), "{error}");
        }
    }
}
