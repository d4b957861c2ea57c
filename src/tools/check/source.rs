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
        let as_json = parse_json(&source.text).or_else(|problem| {
            // A bare placeholder becomes a number of the same length.
            parse_json(&without_bare_placeholders(&source.text)).map_err(|_| problem)
        });
        let read = match as_json {
            Err(_) if !is_json => parse_with_places(&source.text),
            as_json => as_json,
        };
        match read {
            Ok((value, places)) => {
                source.value = value;
                source.places = places;
                Ok(source)
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

    fn error(&self, place: Place, code: Code, text: String) -> Finding {
        Finding {
            file: self.name.clone(),
            place,
            code,
            severity: Severity::Error,
            text,
        }
    }

    /// The place of a text inside a value of any number of lines, or else the place of the value.
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

/// Replaces each `${Name}` that is a whole value without quotes by a number of the same length.
fn without_bare_placeholders(text: &str) -> String {
    let mut parts = text.split("${");
    let mut whole = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let bare = whole.trim_end().ends_with([':', '[', ',']);
        match part.find('}') {
            Some(end) if bare => {
                whole += &format!("0{}", " ".repeat(part[..end].chars().count() + 2));
                whole += &part[end + 1..];
            }
            _ => {
                whole += "${";
                whole += part;
            }
        }
    }
    whole
}
