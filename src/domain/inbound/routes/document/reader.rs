//! Helpers for all parts of the document.

use serde_json::{Map, Value};

use super::Problem;

#[derive(Default)]
pub(super) struct Reader {
    pub(super) problems: Vec<Problem>,
    /// The route being read.
    pub(super) route: Option<String>,
}

impl Reader {
    pub(super) fn problem(&mut self, key: impl Into<String>, text: impl Into<String>) {
        self.problems.push(Problem {
            route: self.route.clone(),
            key: key.into(),
            text: text.into(),
        });
    }

    pub(super) fn object<'v>(&mut self, key: &str, value: &'v Value) -> Option<Fields<'v>> {
        match value {
            Value::Object(map) => Some(Fields {
                key: key.to_owned(),
                map,
                known: Vec::new(),
            }),
            other => self.unexpected(key, "an object", other),
        }
    }

    pub(super) fn list<'v>(&mut self, key: &str, value: &'v Value) -> Option<&'v Vec<Value>> {
        match value {
            Value::Array(list) => Some(list),
            other => self.unexpected(key, "a list", other),
        }
    }

    pub(super) fn text<'v>(&mut self, key: &str, value: &'v Value) -> Option<&'v str> {
        match value {
            Value::String(s) if !s.is_empty() => Some(s),
            other => self.unexpected(key, "a text that is not empty", other),
        }
    }

    pub(super) fn unexpected<T>(&mut self, key: &str, expected: &str, found: &Value) -> Option<T> {
        self.problem(key, format!("expected {expected}, found {}", shown(found)));
        None
    }
}

/// A value in a problem's text, shortened.
fn shown(value: &Value) -> String {
    const MOST: usize = 60;
    let text = value.to_string();
    match text.char_indices().nth(MOST) {
        Some((at, _)) => format!("`{}…`", &text[..at]),
        None => format!("`{text}`"),
    }
}

/// The keys of an object. Every known key has to be read before [`Fields::finish`].
pub(super) struct Fields<'v> {
    key: String,
    map: &'v Map<String, Value>,
    known: Vec<&'static str>,
}

impl<'v> Fields<'v> {
    pub(super) fn optional(&mut self, key: &'static str) -> Option<&'v Value> {
        if !self.known.contains(&key) {
            self.known.push(key);
        }
        self.map.get(key)
    }

    pub(super) fn required(&mut self, reader: &mut Reader, key: &'static str) -> Option<&'v Value> {
        let value = self.optional(key);
        if value.is_none() {
            reader.problem(self.path(key), "expected this key, found none");
        }
        value
    }

    pub(super) fn finish(self, reader: &mut Reader) {
        for key in self
            .map
            .keys()
            .filter(|key| !self.known.contains(&key.as_str()))
        {
            let known = self
                .known
                .iter()
                .map(|key| format!("`{key}`"))
                .collect::<Vec<_>>()
                .join(", ");
            reader.problem(
                self.path(key),
                format!("unknown key; the known ones here are {known}"),
            );
        }
    }

    fn path(&self, key: &str) -> String {
        match self.key.as_str() {
            "" => key.to_owned(),
            parent => format!("{parent}.{key}"),
        }
    }
}
