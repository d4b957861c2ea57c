//! A pattern's JSON with the order of its names, duplicates, and the digits of its numbers.

use super::tokens::{Token, Tokens};
use std::borrow::Cow;
use std::fmt;

/// Longest quotation of the user's text in a message, in characters.
const SHOWN: usize = 60;

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Json<'a> {
    Object(Vec<(Cow<'a, str>, Json<'a>)>),
    List(Vec<Json<'a>>),
    Text(Cow<'a, str>),
    /// A number, `true`, `false` or `null`, as written.
    Literal(&'a str),
}

impl<'a> Json<'a> {
    /// Reads valid JSON.
    pub(super) fn new(text: &'a str) -> Self {
        let mut open: Vec<(Cow<'a, str>, Self)> = Vec::new();
        let mut named = Cow::Borrowed("");
        for token in Tokens::new(text) {
            let (name, value) = match token {
                Token::Name(name) => {
                    named = name;
                    continue;
                }
                Token::Object => {
                    open.push((std::mem::take(&mut named), Self::Object(Vec::new())));
                    continue;
                }
                Token::List => {
                    open.push((std::mem::take(&mut named), Self::List(Vec::new())));
                    continue;
                }
                Token::ObjectEnd | Token::ListEnd => match open.pop() {
                    Some(closed) => closed,
                    None => continue,
                },
                Token::Text(text) => (std::mem::take(&mut named), Self::Text(text)),
                Token::Literal(literal) => (std::mem::take(&mut named), Self::Literal(literal)),
            };
            match open.last_mut() {
                None => return value,
                Some((_, Self::List(list))) => list.push(value),
                Some((_, Self::Object(fields))) => fields.push((name, value)),
                Some(_) => {}
            }
        }
        Self::Literal("null")
    }

    pub(super) fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    pub(super) fn as_number(&self) -> Option<&'a str> {
        match self {
            Self::Literal(literal) if !matches!(*literal, "null" | "true" | "false") => {
                Some(literal)
            }
            _ => None,
        }
    }
}

/// A scalar as JSON.
impl fmt::Display for Json<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Object(_) => f.write_str("{…}"),
            Self::List(_) => f.write_str("[…]"),
            Self::Text(text) => serde_json::Value::from(text.as_ref()).fmt(f),
            Self::Literal(literal) => f.write_str(literal),
        }
    }
}

/// A value in an error text: its type, and its content if that is short and helpful.
pub(super) fn found(value: &Json) -> String {
    match value {
        Json::Literal("null") => "null".into(),
        Json::Literal(value @ ("true" | "false")) => format!("`{value}`"),
        Json::Literal(value) => format!("the number `{}`", shorten(value)),
        Json::Text(value) => format!("the string `{}`", shorten(value)),
        Json::List(list) if list.is_empty() => "an empty list".into(),
        Json::List(_) => "a list".into(),
        Json::Object(object) if object.is_empty() => "an empty object".into(),
        Json::Object(_) => "an object".into(),
    }
}

pub(super) fn shorten(text: &str) -> String {
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

pub(super) fn quoted<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    let names: Vec<_> = names
        .into_iter()
        .map(|name| format!("`{}`", shorten(name)))
        .collect();
    names.join(", ")
}
