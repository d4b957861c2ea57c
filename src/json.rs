//! Text that is JSON, kept as it was written.

use std::fmt;

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

/// `text` as JSON, digits, spacing and key order kept, or `None` where it is none.
///
/// Taken for text rather than JSON are also nestings deeper than 127 levels, numbers that no double can hold (`1e999`)
/// and strings with half a surrogate pair: Step Functions and the tools behind it disagree on those, and a message
/// must not fail for looking like them.
pub fn parse(text: &str) -> Option<&RawValue> {
    serde_json::from_str::<Sound>(text).ok()?;
    serde_json::from_str(text).ok()
}

/// The kind and place of an error only: its own words may quote the content.
pub fn error_without_content(e: &serde_json::Error) -> String {
    format!(
        "a {:?} error at line {}, column {}",
        e.classify(),
        e.line(),
        e.column()
    )
}

/// JSON whose every part was decoded once, without keeping any.
struct Sound;

impl<'de> Deserialize<'de> for Sound {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(SoundVisitor)
    }
}

struct SoundVisitor;

impl<'de> Visitor<'de> for SoundVisitor {
    type Value = Sound;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_bool<E>(self, _: bool) -> Result<Sound, E> {
        Ok(Sound)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Sound, E> {
        Ok(Sound)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Sound, E> {
        Ok(Sound)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Sound, E> {
        Ok(Sound)
    }

    fn visit_str<E>(self, _: &str) -> Result<Sound, E> {
        Ok(Sound)
    }

    fn visit_unit<E>(self) -> Result<Sound, E> {
        Ok(Sound)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Sound, A::Error> {
        while seq.next_element::<Sound>()?.is_some() {}
        Ok(Sound)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Sound, A::Error> {
        // A key is decoded as a string whatever it is read into.
        while map.next_entry::<IgnoredAny, Sound>()?.is_some() {}
        Ok(Sound)
    }
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn json_is_kept_to_the_letter() {
        for text in [
            r#"{"b":1,"a":[9007199254740993, 1.10]}"#,
            "null",
            r#""x""#,
            "12345678901234567890123",
            "0.1",
            r#"{"a":1,"a":2}"#,
        ] {
            assert_eq!(parse(text).unwrap().get(), text);
        }
        assert_eq!(parse(" {\"a\" : 1}\n").unwrap().get(), "{\"a\" : 1}");
    }

    #[test]
    fn what_is_no_sound_json_is_none() {
        let deep = "[".repeat(2000) + &"]".repeat(2000);
        for text in [
            "",
            "hello",
            "{",
            "{}x",
            "1e999",
            r#""\ud800""#,
            r#"{"\udc00":1}"#,
            &deep,
            "NaN",
        ] {
            assert!(parse(text).is_none(), "{text}");
        }
    }
}
