//! One entry of a pattern's list, matched against one value of an event.

use super::super::glob::matches_pieces;
use super::address::{Block, address};
use super::json::Json;
use super::number::Number;
use std::borrow::Cow;
use std::cmp::Ordering;
use std::net::IpAddr;

/// A value of an event: anything but an object or a list.
#[derive(Debug, Clone)]
pub(super) enum Scalar<'a> {
    Null,
    Bool(bool),
    Number(Number<'a>),
    Text(Cow<'a, str>),
}

impl<'a> Scalar<'a> {
    /// The value of a literal.
    pub(super) fn literal(text: &'a str) -> Self {
        match text {
            "null" => Self::Null,
            "true" => Self::Bool(true),
            "false" => Self::Bool(false),
            number => Self::Number(Number::new(Cow::Borrowed(number))),
        }
    }

    pub(super) fn to_json(&self) -> serde_json::Value {
        match self {
            Self::Null => serde_json::Value::Null,
            Self::Bool(value) => (*value).into(),
            Self::Number(number) => number.to_json(),
            Self::Text(text) => text.as_ref().into(),
        }
    }
}

/// Matches one string, number, boolean or null of an event.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Matcher {
    Null,
    Bool(bool),
    Number(Number<'static>),
    Text(String),
    /// A string with an IP address, as written; other notations of the address match as well.
    Address(String, IpAddr),
    Prefix(String),
    Suffix(String),
    PrefixIgnoringCase(String),
    SuffixIgnoringCase(String),
    EqualsIgnoringCase(String),
    /// The literal text between the stars.
    Wildcard(Vec<String>),
    /// Any value, whatever its type, except matches of these.
    AnythingBut(Vec<Matcher>),
    Range(Option<Bound>, Option<Bound>),
    Block(Block),
    Exists,
    /// `exists: false`: matches a missing value only.
    Absent,
}

impl Matcher {
    /// The exact match for a scalar; `None` for a list or an object.
    pub(super) fn exact(value: &Json) -> Option<Self> {
        Some(match value {
            Json::Text(text) => match address(text) {
                Some(address) => Self::Address(text.clone().into_owned(), address),
                None => Self::Text(text.clone().into_owned()),
            },
            Json::Literal(literal) => match Scalar::literal(literal) {
                Scalar::Null => Self::Null,
                Scalar::Bool(value) => Self::Bool(value),
                _ => Self::Number(Number::new(Cow::Owned((*literal).to_owned()))),
            },
            _ => return None,
        })
    }

    /// The matcher itself, or the exclusions of `anything-but`.
    pub(super) fn each(&self) -> impl Iterator<Item = &Self> {
        match self {
            Self::AnythingBut(these) => these.iter(),
            one => std::slice::from_ref(one).iter(),
        }
    }

    pub(super) fn matches(&self, value: &Scalar) -> bool {
        match (self, value) {
            (Self::Exists, _) | (Self::Null, Scalar::Null) => true,
            (Self::Absent, _) => false,
            (Self::AnythingBut(these), _) => !these.iter().any(|this| this.matches(value)),
            (Self::Bool(a), Scalar::Bool(b)) => a == b,
            (Self::Number(a), Scalar::Number(b)) => a == b,
            (Self::Range(low, high), Scalar::Number(number)) => {
                number.value().is_some()
                    && low
                        .as_ref()
                        .is_none_or(|low| low.holds(number.compare(&low.number)))
                    && high
                        .as_ref()
                        .is_none_or(|high| high.holds(high.number.compare(number)))
            }
            (_, Scalar::Text(text)) => self.matches_text(text),
            _ => false,
        }
    }

    fn matches_text(&self, value: &str) -> bool {
        match self {
            Self::Text(text) => text == value,
            Self::Address(text, ip) => text == value || address(value) == Some(*ip),
            Self::Prefix(text) => value.starts_with(text.as_str()),
            Self::Suffix(text) => value.ends_with(text.as_str()),
            Self::PrefixIgnoringCase(text) => after_ignoring_case(value, text).is_some(),
            Self::SuffixIgnoringCase(text) => before_ignoring_case(value, text).is_some(),
            Self::EqualsIgnoringCase(text) => {
                after_ignoring_case(value, text).is_some_and(str::is_empty)
            }
            Self::Wildcard(pieces) => matches_pieces(pieces, value),
            Self::Block(block) => address(value).is_some_and(|address| block.contains(address)),
            _ => false,
        }
    }
}

/// The text after `prefix`. Each character of the prefix matches its lower and its upper case, as in AWS's engine: `ß`
/// matches `ß` and `SS`, but not `ss`.
fn after_ignoring_case<'v>(text: &'v str, prefix: &str) -> Option<&'v str> {
    let strip = |mut rest: &'v str, case: &mut dyn Iterator<Item = char>| {
        for c in case {
            rest = rest.strip_prefix(c)?;
        }
        Some(rest)
    };
    prefix.chars().try_fold(text, |rest, c| {
        strip(rest, &mut c.to_lowercase()).or_else(|| strip(rest, &mut c.to_uppercase()))
    })
}

/// The text before `suffix`.
fn before_ignoring_case<'v>(text: &'v str, suffix: &str) -> Option<&'v str> {
    let strip = |mut rest: &'v str, case: &mut dyn Iterator<Item = char>| {
        for c in case {
            rest = rest.strip_suffix(c)?;
        }
        Some(rest)
    };
    suffix.chars().rev().try_fold(text, |rest, c| {
        let (lower, upper) = (c.to_lowercase(), c.to_uppercase());
        strip(rest, &mut lower.rev()).or_else(|| strip(rest, &mut upper.rev()))
    })
}

/// One end of a numeric range.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Bound {
    pub(super) number: Number<'static>,
    pub(super) inclusive: bool,
}

impl Bound {
    /// `order` is that of the value seen from this bound, `Greater` meaning well inside.
    fn holds(&self, order: Option<Ordering>) -> bool {
        match order {
            Some(Ordering::Greater) => true,
            Some(Ordering::Equal) => self.inclusive,
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn case_is_ignored_as_in_the_engine() {
        let equal = |pattern: &str, text: &str| {
            Matcher::EqualsIgnoringCase(pattern.to_owned()).matches_text(text)
        };
        for (pattern, text, expected) in [
            ("aB-é", "Ab-É", true),
            ("ß", "SS", true),
            ("ß", "ss", false),
            ("ss", "ß", false),
            ("k", "\u{212a}", false),
            ("\u{212a}", "k", true),
            ("ǅ", "ǆ", true),
            ("ab", "abc", false),
            ("", "", true),
        ] {
            assert_eq!(equal(pattern, text), expected, "{pattern} and {text}");
        }
        let prefix = Matcher::PrefixIgnoringCase("STRASSE".to_owned());
        assert!(prefix.matches_text("strasse 1") && !prefix.matches_text("straße"));
        let suffix = Matcher::SuffixIgnoringCase("ßE".to_owned());
        assert!(suffix.matches_text("straSSe") && !suffix.matches_text("sse"));
    }

    /// So taking the first case that fits misses no match.
    #[test]
    fn neither_case_of_a_character_begins_or_ends_the_other() {
        for c in '\0'..=char::MAX {
            let (lower, upper) = (c.to_lowercase().to_string(), c.to_uppercase().to_string());
            let apart = |a: &str, b: &str| !a.starts_with(b) && !a.ends_with(b);
            assert!(
                lower == upper || apart(&lower, &upper) && apart(&upper, &lower),
                "{c}"
            );
        }
    }
}
