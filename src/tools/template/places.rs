//! The places of a file's parts.

use std::collections::{HashMap, HashSet};
use std::fmt;

use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::Value;
use serde_json::value::RawValue;

/// A line and a column, both from 1; columns are characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    pub line: usize,
    pub column: usize,
}

impl Place {
    pub const START: Self = Self { line: 1, column: 1 };
}

/// An error in a text, with its place.
#[derive(Debug, PartialEq)]
pub struct Problem {
    pub place: Place,
    pub what: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Place { line, column } = self.place;
        write!(f, "line {line} column {column}: {}", self.what)
    }
}

impl std::error::Error for Problem {}

impl Problem {
    pub(super) fn new(place: Place, what: impl Into<String>) -> Self {
        Self {
            place,
            what: what.into(),
        }
    }
}

/// The places of a document's parts by JSON pointer: the key of a YAML entry, the value of any other part.
#[derive(Clone, Debug, Default)]
pub struct Places {
    known: HashMap<String, Place>,
    written: Vec<Written>,
    repeated: Vec<Repeated>,
}

/// A name that occurs in an object again. The last value counts, as for CloudFormation and SAM CLI.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Repeated {
    pub name: String,
    /// Of the last occurrence.
    pub place: Place,
}

/// An unquoted scalar as written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written {
    pub pointer: String,
    pub text: String,
    /// Whether it is the name of an entry.
    pub is_name: bool,
}

impl Places {
    pub(super) fn insert(&mut self, pointer: &str, place: Place) {
        self.known.insert(pointer.to_owned(), place);
    }

    pub(super) fn insert_written(&mut self, written: Written) {
        self.written.push(written);
    }

    /// Adds a repeated name, and forgets the places inside its former value.
    pub(super) fn insert_repeated(&mut self, pointer: &str, repeated: Repeated) {
        let former = |inner: &str| {
            let rest = inner.strip_prefix(pointer);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        self.known.retain(|inner, _| !former(inner));
        self.written.retain(|written| !former(&written.pointer));
        self.repeated.push(repeated);
    }

    pub fn repeated(&self) -> &[Repeated] {
        &self.repeated
    }

    /// The scalars that YAML 1.2 reads otherwise.
    pub fn written(&self) -> &[Written] {
        &self.written
    }

    /// The place of a part, or else of its nearest parent.
    pub fn of(&self, pointer: &str) -> Place {
        let mut pointer = pointer;
        loop {
            if let Some(place) = self.known.get(pointer) {
                return *place;
            }
            match pointer.rfind('/') {
                Some(at) => pointer = &pointer[..at],
                None => return Place::START,
            }
        }
    }
}

/// The pointer to `key` below `pointer`.
pub fn below(pointer: &str, key: impl fmt::Display) -> String {
    let key = key.to_string().replace('~', "~0").replace('/', "~1");
    format!("{pointer}/{key}")
}

/// Parses JSON. Of a repeated name in an object the last value counts.
pub fn parse_json(text: &str) -> Result<(Value, Places), Problem> {
    let wrong = |error: serde_json::Error| {
        let place = Place {
            line: error.line().max(1),
            column: error.column().max(1),
        };
        // The text ends with the place, which the problem has already.
        let what = error.to_string();
        let what = what
            .rsplit_once(" at line ")
            .map_or(what.as_str(), |(what, _)| what);
        Problem::new(
            place,
            format!("expected JSON, found an error in it: {what}"),
        )
    };
    let value = serde_json::from_str(text).map_err(wrong)?;
    let root: &RawValue = serde_json::from_str(text).map_err(wrong)?;
    let mut reader = Json {
        text,
        lines: std::iter::once(0)
            .chain(text.match_indices('\n').map(|(at, _)| at + 1))
            .collect(),
        places: Places::default(),
    };
    reader.read(root, "");
    Ok((value, reader.places))
}

struct Json<'t> {
    text: &'t str,
    /// The offset of each line.
    lines: Vec<usize>,
    places: Places,
}

impl<'t> Json<'t> {
    fn read(&mut self, raw: &'t RawValue, pointer: &str) {
        let place = self.place(raw);
        self.places.insert(pointer, place);
        let inner = raw.get();
        // The whole text parsed, so its parts do.
        if inner.starts_with('[') {
            let items: Vec<&RawValue> = serde_json::from_str(inner).unwrap_or_default();
            for (i, item) in items.into_iter().enumerate() {
                self.read(item, &below(pointer, i));
            }
        } else if inner.starts_with('{') {
            let mut names = HashSet::new();
            let entries = serde_json::Deserializer::from_str(inner).deserialize_map(Entries);
            for (name, entry) in entries.unwrap_or_default() {
                let pointer = below(pointer, &name);
                if !names.insert(name.clone()) {
                    let place = self.place(entry);
                    let repeated = Repeated { name, place };
                    self.places.insert_repeated(&pointer, repeated);
                }
                self.read(entry, &pointer);
            }
        }
    }

    /// The place of a raw value. It is a part of the text, so its address is its offset.
    fn place(&self, raw: &RawValue) -> Place {
        let offset = (raw.get().as_ptr() as usize).saturating_sub(self.text.as_ptr() as usize);
        let line = self.lines.partition_point(|begin| *begin <= offset).max(1);
        let before = self
            .text
            .get(self.lines[line - 1]..offset)
            .unwrap_or_default();
        Place {
            line,
            column: before.chars().count() + 1,
        }
    }
}

/// Reads an object's entries in their order, with duplicates.
struct Entries;

impl<'de> Visitor<'de> for Entries {
    type Value = Vec<(String, &'de RawValue)>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = map.next_entry()? {
            entries.push(entry);
        }
        Ok(entries)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn at(places: &Places, pointer: &str) -> (usize, usize) {
        let place = places.of(pointer);
        (place.line, place.column)
    }

    #[test]
    fn every_part_of_json_has_its_place() {
        let text = "{\n  \"ä\": [1,\n    {\"b/c\": \"x\"}],\n  \"d\": null}";
        let (value, places) = parse_json(text).unwrap();
        assert_eq!(value, json!({"ä": [1, {"b/c": "x"}], "d": null}));
        for (pointer, place) in [
            ("", (1, 1)),
            ("/ä", (2, 8)),
            ("/ä/0", (2, 9)),
            ("/ä/1/b~1c", (3, 13)),
            ("/d", (4, 8)),
            ("/ä/1/nowhere/at/all", (3, 5)),
            ("/nowhere", (1, 1)),
        ] {
            assert_eq!(at(&places, pointer), place, "{pointer}");
        }
    }

    #[test]
    fn the_last_value_of_a_repeated_name_counts() {
        let text = "{\"a\": {\"b\": 1},\n \"a\": {\"c\": 2}}";
        let (value, places) = parse_json(text).unwrap();
        assert_eq!(value, json!({"a": {"c": 2}}));
        assert_eq!(at(&places, "/a/c"), (2, 13));
        assert_eq!(at(&places, "/a/b"), (2, 7), "the former value is forgotten");
        let repeated = Repeated {
            name: "a".to_owned(),
            place: Place { line: 2, column: 7 },
        };
        assert_eq!(places.repeated(), [repeated]);
    }

    #[test]
    fn problems_of_json_have_a_place() {
        for (text, expected) in [
            (
                "{\n\"a\": 1,}",
                "line 2 column 8: expected JSON, found an error in it: trailing comma",
            ),
            (
                "",
                "line 1 column 1: expected JSON, found an error in it: EOF",
            ),
        ] {
            let problem = parse_json(text).unwrap_err().to_string();
            assert!(problem.starts_with(expected), "{problem}");
        }
    }
}
