//! Topic names with placeholders.

use std::fmt;

use super::{Glob, Source};
use crate::domain::inbound::message::TopicMessage;

/// The value of a placeholder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Placeholder {
    Cache,
    Topic,
    TokenId,
    Id,
    Sequence,
}

impl Placeholder {
    const ALL: [(&'static str, Self); 5] = [
        ("cache", Self::Cache),
        ("topic", Self::Topic),
        ("token_id", Self::TokenId),
        ("id", Self::Id),
        ("sequence", Self::Sequence),
    ];

    pub fn name(self) -> &'static str {
        let (name, _) = Self::ALL
            .into_iter()
            .find(|(_, p)| *p == self)
            .expect("all are listed");
        name
    }
}

/// Text in which `{cache}`, `{topic}`, `{token_id}`, `{id}` and `{sequence}` are filled in from a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template(Vec<Part>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Literal(String),
    Filled(Placeholder),
}

/// The text as written.
impl fmt::Display for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|part| match part {
            Part::Literal(text) => f.write_str(text),
            Part::Filled(placeholder) => write!(f, "{{{}}}", placeholder.name()),
        })
    }
}

impl Template {
    /// # Errors
    ///
    /// A sentence, for a brace that begins no placeholder.
    pub fn parse(text: &str) -> Result<Self, String> {
        let wrong = |found: &str| {
            format!(
                "expected the placeholders {{cache}}, {{topic}}, {{token_id}}, {{id}} and {{sequence}} only, found `{found}`"
            )
        };
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some(at) = rest.find(['{', '}']) {
            if at > 0 {
                parts.push(Part::Literal(rest[..at].to_owned()));
            }
            let end = rest[at..].find('}').map_or(rest.len(), |end| at + end + 1);
            let found = &rest[at..end];
            let name = found
                .strip_prefix('{')
                .and_then(|name| name.strip_suffix('}'));
            let known = Placeholder::ALL
                .iter()
                .find(|(known, _)| Some(*known) == name);
            let (_, placeholder) = known.ok_or_else(|| wrong(found))?;
            parts.push(Part::Filled(*placeholder));
            rest = &rest[end..];
        }
        if !rest.is_empty() {
            parts.push(Part::Literal(rest.to_owned()));
        }
        Ok(Self(parts))
    }

    /// The placeholders, in order.
    pub fn placeholders(&self) -> impl Iterator<Item = Placeholder> {
        self.0.iter().filter_map(|part| match part {
            Part::Literal(_) => None,
            Part::Filled(placeholder) => Some(*placeholder),
        })
    }

    /// Whether the text may be empty: a token id is optional.
    pub fn can_be_empty(&self) -> bool {
        self.0
            .iter()
            .all(|part| *part == Part::Filled(Placeholder::TokenId))
    }

    /// The text for `message`; a missing token id becomes empty.
    pub fn render(&self, message: &TopicMessage) -> String {
        self.fill(|placeholder| match placeholder {
            Placeholder::Cache => message.cache.clone(),
            Placeholder::Topic => message.topic.clone(),
            Placeholder::TokenId => message.token_id.clone().unwrap_or_default(),
            Placeholder::Id => message.id.to_string(),
            Placeholder::Sequence => message.topic_sequence_number.to_string(),
        })
    }

    /// The text for all messages from `from`, if it is the same.
    pub fn render_without_message(&self, from: &Source) -> Option<String> {
        self.placeholders()
            .all(|placeholder| match placeholder {
                Placeholder::Cache => from.cache.is_exact(),
                Placeholder::Topic => from.topic.is_exact(),
                Placeholder::TokenId | Placeholder::Id | Placeholder::Sequence => false,
            })
            .then(|| self.as_glob(from).as_str().to_owned())
    }

    /// A glob for all texts of this template, for messages from `from`.
    pub fn as_glob(&self, from: &Source) -> Glob {
        Glob::new(&self.fill(|placeholder| match placeholder {
            Placeholder::Cache => from.cache.as_str().to_owned(),
            Placeholder::Topic => from.topic.as_str().to_owned(),
            Placeholder::TokenId | Placeholder::Id | Placeholder::Sequence => "*".to_owned(),
        }))
    }

    fn fill(&self, value: impl Fn(Placeholder) -> String) -> String {
        let parts = self.0.iter().map(|part| match part {
            Part::Literal(text) => text.clone(),
            Part::Filled(placeholder) => value(*placeholder),
        });
        parts.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::inbound::message::tests::message;
    use serde_json::json;

    #[test]
    fn placeholders_are_filled_in() {
        let m = message(json!({"cache": "c", "topic": "{id}", "topic_sequence_number": 7}));
        let render = |text: &str| Template::parse(text).unwrap().render(&m);
        assert_eq!(render("plain"), "plain");
        assert_eq!(render("a{cache}b{sequence}{token_id}"), "acb7mo");
        assert_eq!(render("{id}"), m.id.as_str());
        // Filled-in text is not read again.
        assert_eq!(render("{topic}!"), "{id}!");
    }

    #[test]
    fn other_braces_are_refused() {
        for (text, found) in [
            ("{nope}", "`{nope}`"),
            ("a{", "`{`"),
            ("{topic", "`{topic`"),
            ("}b", "`}`"),
            ("{{id}}", "`{{id}`"),
        ] {
            let problem = Template::parse(text).unwrap_err();
            assert!(problem.contains(found), "{text}: {problem}");
        }
    }
}
