//! One entry of a pattern's list, and how it meets one value of an event.

use super::super::glob::matches_pieces;
use serde_json::Value;
use std::cmp::Ordering;
use std::net::IpAddr;

/// Matches one string, number, boolean or null of an event.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Matcher {
    Null,
    Bool(bool),
    Number(Number),
    Text(String),
    Prefix(String),
    Suffix(String),
    /// These three hold folded text.
    PrefixIgnoringCase(String),
    SuffixIgnoringCase(String),
    EqualsIgnoringCase(String),
    /// The literal text between the stars.
    Wildcard(Vec<String>),
    /// Any value that none of these matches, whatever its type.
    AnythingBut(Vec<Matcher>),
    Range(Option<Bound>, Option<Bound>),
    Cidr(Cidr),
    Exists,
    /// `exists: false`: matches no value, only the lack of one.
    Absent,
}

impl Matcher {
    /// The exact match for a scalar; none for a list or an object.
    pub(super) fn exact(value: &Value) -> Option<Self> {
        match value {
            Value::Null => Some(Self::Null),
            Value::Bool(value) => Some(Self::Bool(*value)),
            Value::Number(value) => Some(Self::Number(Number::new(value))),
            Value::String(value) => Some(Self::Text(value.clone())),
            Value::Array(_) | Value::Object(_) => None,
        }
    }

    pub(super) fn matches(&self, value: &Value) -> bool {
        match self {
            Self::Exists => true,
            Self::Absent => false,
            Self::AnythingBut(these) => !these.iter().any(|this| this.matches(value)),
            _ => match value {
                Value::Null => *self == Self::Null,
                Value::Bool(value) => *self == Self::Bool(*value),
                Value::Number(value) => self.matches_number(Number::new(value)),
                Value::String(value) => self.matches_text(value),
                Value::Array(_) | Value::Object(_) => false,
            },
        }
    }

    fn matches_number(&self, value: Number) -> bool {
        match self {
            Self::Number(number) => *number == value,
            Self::Range(low, high) => {
                low.is_none_or(|low| low.holds(value.compare(low.number)))
                    && high.is_none_or(|high| high.holds(high.number.compare(value)))
            }
            _ => false,
        }
    }

    fn matches_text(&self, value: &str) -> bool {
        match self {
            Self::Text(text) => text == value,
            Self::Prefix(text) => value.starts_with(text.as_str()),
            Self::Suffix(text) => value.ends_with(text.as_str()),
            Self::PrefixIgnoringCase(text) => fold(value).starts_with(text.as_str()),
            Self::SuffixIgnoringCase(text) => fold(value).ends_with(text.as_str()),
            Self::EqualsIgnoringCase(text) => fold(value) == *text,
            Self::Wildcard(pieces) => matches_pieces(pieces, value),
            Self::Cidr(cidr) => cidr.contains(value),
            _ => false,
        }
    }
}

/// Text in which only case was lost, one character at a time, so that no neighbour changes the outcome.
pub(super) fn fold(text: &str) -> String {
    text.chars().flat_map(char::to_lowercase).collect()
}

/// Splits a wildcard at its stars and resolves its escapes; the error is a sentence.
pub(super) fn wildcard(text: &str) -> Result<Vec<String>, String> {
    let mut pieces = Vec::new();
    let mut piece = String::new();
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '*' if chars.peek() == Some(&'*') => {
                return Err("expected single `*`s, found `**`; one `*` already stands for any run of characters".into());
            }
            '*' => pieces.push(std::mem::take(&mut piece)),
            '\\' => match chars.next() {
                Some(escaped @ ('*' | '\\')) => piece.push(escaped),
                other => {
                    let found = other.map_or("the end".to_owned(), |c| format!("`{c}`"));
                    return Err(format!(
                        r"expected `*` or `\` after a `\`, found {found}; write `\\` for a backslash (`\\\\` in JSON)"
                    ));
                }
            },
            other => piece.push(other),
        }
    }
    pieces.push(piece);
    Ok(pieces)
}

/// A JSON number. Whole numbers are exact, so 300, 300.0 and 3e2 are one number and 2^53 + 1 is not 2^53.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Number {
    Whole(i128),
    /// Not whole, or beyond what an integer here holds.
    Double(f64),
}

/// Whole doubles below this become integers; the cast is exact, and no integer of JSON (64 bits) reaches it.
const LARGEST_WHOLE: f64 = 1e30;

impl Number {
    pub(super) fn new(number: &serde_json::Number) -> Self {
        if let Some(whole) = number.as_i64() {
            return Self::Whole(whole.into());
        }
        if let Some(whole) = number.as_u64() {
            return Self::Whole(whole.into());
        }
        match number.as_f64() {
            Some(double) if double.fract() == 0.0 && double.abs() < LARGEST_WHOLE => {
                Self::Whole(double as i128)
            }
            Some(double) => Self::Double(double),
            None => Self::Double(f64::NAN),
        }
    }

    /// None only for what is no number. A whole number that a double cannot hold is far from every double that is not
    /// whole, so rounding it does not change the order.
    pub(super) fn compare(self, other: Self) -> Option<Ordering> {
        match (self, other) {
            (Self::Whole(a), Self::Whole(b)) => Some(a.cmp(&b)),
            (Self::Whole(a), Self::Double(b)) => (a as f64).partial_cmp(&b),
            (Self::Double(a), Self::Whole(b)) => a.partial_cmp(&(b as f64)),
            (Self::Double(a), Self::Double(b)) => a.partial_cmp(&b),
        }
    }
}

/// One end of a numeric range.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Bound {
    pub(super) number: Number,
    pub(super) inclusive: bool,
}

impl Bound {
    /// `order` is that of the value seen from this bound, `Greater` meaning well inside.
    fn holds(self, order: Option<Ordering>) -> bool {
        match order {
            Some(Ordering::Greater) => true,
            Some(Ordering::Equal) => self.inclusive,
            _ => false,
        }
    }
}

/// A block of IPv4 or IPv6 addresses. An address and a block of different versions never match.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Cidr {
    pub(super) v4: bool,
    /// At the upper end of 128 bits, like the mask.
    pub(super) network: u128,
    pub(super) mask: u128,
}

impl Cidr {
    /// Reads `10.0.0.0/8` or `2001:db8::/32`; address bits behind the prefix count for nothing. The error is a sentence.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let expected = "expected an address block such as `10.0.0.0/8` or `2001:db8::/32`";
        let Some((address, length)) = text.split_once('/') else {
            return Err(format!(
                "{expected}, found no `/`; for a single address write `/32` (IPv4) or `/128` (IPv6)"
            ));
        };
        let Ok(address) = address.parse::<IpAddr>() else {
            return Err(format!(
                "{expected}, found no IP address before the `/`; write the address in full"
            ));
        };
        let (v4, bits) = bits(address);
        let longest = if v4 { 32 } else { 128 };
        let digits = !length.is_empty() && length.bytes().all(|b| b.is_ascii_digit());
        match length.parse::<u32>() {
            Ok(length) if digits && length <= longest => {
                let mask = u128::MAX.checked_shl(128 - length).unwrap_or(0);
                Ok(Self {
                    v4,
                    network: bits & mask,
                    mask,
                })
            }
            _ => Err(format!(
                "{expected}, found no prefix length from 0 to {longest} after the `/`; write the number of leading bits that must agree"
            )),
        }
    }

    fn contains(&self, text: &str) -> bool {
        text.parse::<IpAddr>().is_ok_and(|address| {
            let (v4, bits) = bits(address);
            v4 == self.v4 && bits & self.mask == self.network
        })
    }
}

/// The version (true for 4) and the address at the upper end of 128 bits.
fn bits(address: IpAddr) -> (bool, u128) {
    match address {
        IpAddr::V4(address) => (true, u128::from(address.to_bits()) << 96),
        IpAddr::V6(address) => (false, address.to_bits()),
    }
}
