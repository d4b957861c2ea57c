//! JSON text kept as written, and text embedded in JSON.

use std::fmt::{self, Write};

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// Whether `text` is JSON; surrounding white space is allowed.
///
/// Nesting deeper than 127 levels, numbers that no double can hold (`1e999`) and strings with half a surrogate pair count as
/// text: Step Functions and the tools behind it disagree on those, and a message must not fail for resembling them.
pub fn is_sound(text: &str) -> bool {
    serde_json::from_str::<Sound>(text).is_ok()
}

/// JSON without surrounding white space; digits, key order and inner spacing are kept.
pub fn trim(json: &str) -> &str {
    json.trim_matches([' ', '\t', '\n', '\r'])
}

/// Writes `text` as a JSON string, its quotes included.
///
/// # Errors
///
/// Those of `out`.
pub fn quote(out: &mut impl Write, text: &str) -> fmt::Result {
    out.write_char('"')?;
    Escaped(&mut *out).write_str(text)?;
    out.write_char('"')
}

/// Escapes text written through it for a JSON string, as serde_json does, with less work.
#[derive(Debug)]
pub struct Escaped<W>(pub W);

/// Bytes examined together.
const BLOCK: usize = 32;
/// The longest escape: `\u001f`.
const ESCAPE_MAX: usize = 6;

impl<W: Write> Write for Escaped<W> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let mut rest = text;
        while !rest.is_empty() {
            let (plain, more) = rest.split_at(plain(rest));
            if !plain.is_empty() {
                self.0.write_str(plain)?;
            }
            let (mixed, more) = more.split_at(more.floor_char_boundary(BLOCK));
            if !mixed.is_empty() {
                self.write_mixed(mixed)?;
            }
            rest = more;
        }
        Ok(())
    }
}

impl<W: Write> Escaped<W> {
    /// Writes at most a block of text.
    fn write_mixed(&mut self, text: &str) -> fmt::Result {
        let mut escaped = [0; BLOCK * ESCAPE_MAX];
        let mut end = 0;
        for &byte in text.as_bytes() {
            if is_special(byte) {
                let (escape, length) = escape(byte);
                escaped[end..end + ESCAPE_MAX].copy_from_slice(&escape);
                end += length;
            } else {
                escaped[end] = byte;
                end += 1;
            }
        }
        let escaped = std::str::from_utf8(&escaped[..end]);
        self.0.write_str(escaped.map_err(|_| fmt::Error)?)
    }
}

/// The escape of a special byte, and its length.
fn escape(byte: u8) -> ([u8; ESCAPE_MAX], usize) {
    let letter = match byte {
        b'\n' => b'n',
        b'\r' => b'r',
        b'\t' => b't',
        0x08 => b'b',
        0x0c => b'f',
        ..0x20 => {
            let digit = |value: u8| b"0123456789abcdef"[usize::from(value)];
            let [high, low] = [digit(byte >> 4), digit(byte & 0xf)];
            return ([b'\\', b'u', b'0', b'0', high, low], ESCAPE_MAX);
        }
        itself => itself,
    };
    ([b'\\', letter, 0, 0, 0, 0], 2)
}

fn is_special(byte: u8) -> bool {
    byte < 0x20 || byte == b'"' || byte == b'\\'
}

/// The length of the beginning without escapes: the whole text, or else whole blocks.
fn plain(text: &str) -> usize {
    let (blocks, last) = text.as_bytes().as_chunks();
    // Without an early exit, so that the compiler examines a whole block at once.
    let special = |any, byte: &u8| any | is_special(*byte);
    let is_plain = |block: &&[u8; BLOCK]| !block.iter().fold(false, special);
    let whole = blocks.iter().take_while(is_plain).count();
    if whole == blocks.len() && !last.iter().any(|byte| is_special(*byte)) {
        return text.len();
    }
    text.floor_char_boundary(whole * BLOCK)
}

/// The kind and place of an error only: its text may quote the content.
pub fn error_without_content(e: &serde_json::Error) -> String {
    format!(
        "a {:?} error at line {}, column {}",
        e.classify(),
        e.line(),
        e.column()
    )
}

/// JSON, decoded completely and dropped.
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
    use proptest::prelude::*;

    use super::*;

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
            assert!(is_sound(text), "{text}");
            assert_eq!(trim(text), text);
        }
        let spaced = " \t{\"a\" : 1}\r\n";
        assert!(is_sound(spaced));
        assert_eq!(trim(spaced), "{\"a\" : 1}");
    }

    #[test]
    fn unsound_json_counts_as_text() {
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
            assert!(!is_sound(text), "{text}");
        }
    }

    /// As written by serde_json.
    fn expected(text: &str) -> String {
        serde_json::Value::from(text).to_string()
    }

    fn quoted(text: &str) -> String {
        let mut json = String::new();
        quote(&mut json, text).unwrap();
        json
    }

    #[test]
    fn every_ascii_character_is_escaped_correctly() {
        for byte in 0..=0x7f_u8 {
            let text = char::from(byte).to_string();
            assert_eq!(quoted(&text), expected(&text), "{byte}");
            // At every place of a block.
            for at in 0..70 {
                let text = format!("{}{text}{}", "ü".repeat(at), "-".repeat(40));
                assert_eq!(quoted(&text), expected(&text), "{byte} after {at}");
            }
        }
    }

    proptest! {
        #[test]
        fn strings_are_written_as_serde_json_does(text in "(\\PC|[\"\\\\\u{0}-\u{1f}]|[a-z]{40}){0,40}") {
            prop_assert_eq!(quoted(&text), expected(&text));
        }

        #[test]
        fn escapes_are_escaped_again(text in "(\\PC|[\"\\\\\u{0}-\u{1f}]){0,40}") {
            let mut twice = String::new();
            quote(&mut Escaped(&mut twice), &text).unwrap();
            let twice = format!("\"{twice}\"");
            prop_assert_eq!(twice, expected(&expected(&text)));
        }
    }
}
