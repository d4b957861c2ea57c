//! A checked file: its text, its value, and the places of its parts.

use std::path::Path;

use serde_json::Value;

use super::code::Code;
use super::finding::{Finding, Severity};
use crate::tools::template::{Place, Places, parse_json, parse_with_places};

pub struct Source {
    /// The name in findings.
    pub name: String,
    text: String,
    pub value: Value,
    pub places: Places,
}

impl Source {
    /// Reads JSON or YAML.
    ///
    /// # Errors
    ///
    /// When the file is unreadable, or neither.
    pub fn read(path: &Path, name: String) -> Result<Self, Finding> {
        let mut source = Self {
            name,
            text: String::new(),
            value: Value::Null,
            places: Places::default(),
        };
        let is_json = path
            .extension()
            .is_some_and(|extension| extension == "json");
        match std::fs::read_to_string(path) {
            Ok(text) => source.text = text,
            Err(error) => {
                let text =
                    format!("expected a file of text, found none: {error}; name an existing file");
                return Err(source.error(Place::START, Code::FileUnreadable, text));
            }
        }
        // CloudFormation accepts JSON under any file name, and YAML accepts most of JSON.
        let as_json = parse_json(&source.text)
            .or_else(|problem| parse_json(&quote_placeholders(&source.text)).map_err(|_| problem));
        let read = match as_json {
            Err(_) if !is_json => parse_with_places(&source.text),
            as_json => as_json,
        };
        match read {
            Ok((value, places)) => {
                source.value = value;
                source.places = places;
                match source.places.repeated().first() {
                    Some(repeated) if !source.is_template() => {
                        let text = format!("{}; remove one", repeats(&repeated.name));
                        Err(source.error(repeated.place, Code::Syntax, text))
                    }
                    _ => Ok(source),
                }
            }
            Err(problem) => {
                let text = format!(
                    "{}; mend it first, nothing else in this file was checked",
                    problem.what
                );
                Err(source.error(problem.place, Code::Syntax, text))
            }
        }
    }

    pub fn is_template(&self) -> bool {
        self.value["Resources"].is_object()
    }

    fn error(&self, place: Place, code: Code, text: String) -> Finding {
        Finding {
            file: self.name.clone(),
            place,
            code,
            severity: Severity::Error,
            text,
        }
    }

    /// The place of a text in the lines from a value's place on, or else that place.
    pub fn find(&self, pointer: &str, text: &str) -> Place {
        const LINES: usize = 400;
        let place = self.places.of(pointer);
        let lines = self
            .text
            .lines()
            .enumerate()
            .skip(place.line - 1)
            .take(LINES);
        let mut found = lines.filter_map(|(i, line)| {
            let from = match i + 1 == place.line {
                true => line
                    .char_indices()
                    .nth(place.column - 1)
                    .map_or(0, |(at, _)| at),
                false => 0,
            };
            let at = from + line.get(from..)?.find(text)?;
            Some(Place {
                line: i + 1,
                column: line[..at].chars().count() + 1,
            })
        });
        found.next().unwrap_or(place)
    }
}

/// The beginning of a finding about a name that an object has twice.
pub fn repeats(name: &str) -> String {
    format!("expected each name once in an object, found `{name}` again")
}

/// Quotes each `${Name}` outside a text: SAM replaces it by a number, a flag, a list or an object.
///
/// The columns right of it in its line grow by two.
fn quote_placeholders(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len());
    let mut rest = text;
    let mut in_text = false;
    while let Some(at) = rest.find(['"', '\\', '$']) {
        let (before, found) = rest.split_at(at);
        quoted += before;
        let placeholder = found
            .starts_with("${")
            .then(|| found.find('}'))
            .flatten()
            .filter(|_| !in_text);
        let length = match placeholder {
            Some(end) => end + 1,
            // An escaped character ends no text.
            None if found.starts_with('\\') => {
                1 + found[1..].chars().next().map_or(0, char::len_utf8)
            }
            None => 1,
        };
        in_text ^= found.starts_with('"');
        let (part, after) = found.split_at(length);
        match placeholder {
            Some(_) => quoted += &format!("\"{part}\""),
            None => quoted += part,
        }
        rest = after;
    }
    quoted + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_outside_of_texts_are_quoted() {
        for (text, expected) in [
            (r#"{"a": ${B}}"#, r#"{"a": "${B}"}"#),
            (
                r#"[${A},${B}, "${C}: ${D}"]"#,
                r#"["${A}","${B}", "${C}: ${D}"]"#,
            ),
            (r#"{"a\": ${B}": ${C}}"#, r#"{"a\": ${B}": "${C}"}"#),
            (r#"{"a": ${B"#, r#"{"a": ${B"#),
            ("$ \\", "$ \\"),
        ] {
            assert_eq!(quote_placeholders(text), expected);
        }
    }
}
