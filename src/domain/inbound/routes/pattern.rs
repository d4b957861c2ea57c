//! Event patterns as Amazon EventBridge matches them ("Comparison operators for use in event patterns"), evaluated here
//! against a message.
//!
//! A pattern has the shape of the event. An object in it names fields that must **all** match; a list gives the values of
//! which **any** is enough: exact ones, or operators.
//!
//! | entry of a list | matches |
//! |---|---|
//! | `"x"`, `5`, `true`, `null` | exactly that value; numbers by value, so `300` matches `300.0` and `3e2`; IP addresses by value too |
//! | `{"exactly": "x"}` | that string, an IP address as it is written |
//! | `{"prefix": "x"}`, `{"suffix": "x"}` | a string; `{"prefix": {"equals-ignore-case": "x"}}` whatever its case |
//! | `{"equals-ignore-case": "x"}` | a string, whatever its case |
//! | `{"wildcard": "a*b"}` | a string; `*` is any run of characters, `\*` and `\\` stand for themselves |
//! | `{"numeric": [">", 0, "<=", 5]}` | a number; one comparison, or a lower bound and then an upper one |
//! | `{"cidr": "10.0.0.0/8"}` | a string with an IP address in that block |
//! | `{"anything-but": …}` | any value, whatever its type, except these: a string or number, a list of either, or `prefix`, `suffix`, `wildcard`, `equals-ignore-case` with a string or a list |
//! | `{"exists": true}`, `{"exists": false}` | there is, or is not, a string, number, boolean or null under this name |
//!
//! `"$or": [{…}, {…}]` stands beside fields at any level; one of its objects must match.
//!
//! Possible surprises:
//! - `a.b` is the same as `b` inside `a`, in patterns and in events.
//! - A field named twice in a pattern, in one object or by way of `$or`, has its last list. A field named twice in an event
//!   has the values of both.
//! - A missing field matches `exists: false` only, not even `anything-but`. An object does not count as a value, so
//!   `exists: false` matches an object, or an empty list.
//! - In a list of the event, one matching element is enough, also for `anything-but`. In a list of objects or lists, one
//!   element has to match all fields of the pattern below it. `exists: false` applies to the elements picked by the fields
//!   before it, in the order of their names.
//! - A number that no double holds (2^53 + 1) matches only the same digits.
//! - An empty pattern matches nothing and is refused, as AWS does; leaving the pattern out matches everything.
//!
//! docs/routes.md lists the differences from AWS.

mod address;
mod event;
mod json;
mod matcher;
mod mismatch;
mod number;
mod operators;
mod parse;
mod search;
#[cfg(test)]
mod tests;
mod tokens;
mod wildcard;
mod written;

use event::Index;
use matcher::Matcher;
pub use mismatch::Mismatch;
pub use operators::{OPERATORS, RESERVED};
use search::Search;
use serde_json::Value;
use std::fmt;
use std::sync::Arc;

/// Deepest nesting of objects in a pattern, `$or` included. The bridge's own limit: it bounds every recursion here.
pub const MAX_DEPTH: usize = 32;

/// Most combinations of `$or` alternatives in one pattern, as documented by EventBridge.
pub const MAX_COMBINATIONS: usize = 1_000;

/// Most fields that must all match, as in AWS's engine.
pub const MAX_FIELDS: usize = 256;

/// A checked event pattern.
///
/// ```
/// use serde_json::json;
/// use workflow_bridge::domain::inbound::routes::pattern::Pattern;
///
/// let pattern = Pattern::parse(&json!({"json": {"total": [{"numeric": [">", 100]}]}}), &["topic", "json"]).unwrap();
/// assert!(pattern.matches(&json!({"topic": "orders", "json": {"total": 250}})));
/// assert!(!pattern.matches(&json!({"topic": "orders", "json": null})));
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Pattern {
    /// One for every way through the `$or`s, its fields in the order of their paths; one way must match.
    ways: Vec<Vec<Arc<Field>>>,
    /// Number of lists in the pattern.
    lists: usize,
}

/// A list of the pattern, shared by the ways.
#[derive(Debug, PartialEq)]
struct Field {
    /// The list's number in the pattern, from 0.
    number: usize,
    /// Its names, split at their dots.
    path: Vec<String>,
    /// The path for display.
    shown: String,
    matchers: Vec<Matcher>,
    /// The field may be absent.
    absent: bool,
    /// Number of values, texts and ranges to compare a value with.
    entries: usize,
    /// Number of wildcards among them, which scan the whole text.
    wildcards: usize,
}

/// An event to match. Built once for all patterns, in time and memory linear in its text.
#[derive(Debug)]
pub struct Event<'a>(Index<'a>);

/// The limit on work for one message, in comparisons of a value with an entry of a list. A wildcard costs one more for every
/// four bytes of text, a choice between elements of a list ten.
#[derive(Debug)]
pub struct Steps(usize);

/// The steps ran out before the match was decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Undecided;

impl Pattern {
    /// Checks a pattern; its outermost names have to be in `fields`, or `$or`. A tree has lost the order of its names and
    /// duplicates; [`read`](Self::read) keeps them.
    ///
    /// # Errors
    /// Every problem of the pattern, at once.
    pub fn parse(value: &Value, fields: &[&str]) -> Result<Self, Vec<PatternProblem>> {
        Self::read(&value.to_string(), fields)
    }

    /// Checks a pattern in JSON.
    ///
    /// # Errors
    /// Every problem of the pattern, at once; one for a text that is not JSON.
    pub fn read(json: &str, fields: &[&str]) -> Result<Self, Vec<PatternProblem>> {
        let ways = parse::parse(json, fields)?;
        let numbers = ways.iter().flatten().map(|field| field.number + 1);
        let lists = numbers.max().unwrap_or_default();
        Ok(Self { ways, lists })
    }

    /// Whether `event` matches; only an object can. Without a limit on steps.
    pub fn matches(&self, event: &Value) -> bool {
        let json = event.to_string();
        let steps = &mut Steps::new(usize::MAX);
        event.is_object() && self.takes(&Event::of(&json), steps) == Ok(true)
    }

    /// Whether `event` matches.
    ///
    /// # Errors
    /// When the steps run out. That takes lists in the event, with many values, many entries in the pattern, and fields that
    /// match each but not together; all other work is small.
    pub fn takes(&self, event: &Event, steps: &mut Steps) -> Result<bool, Undecided> {
        let mut search = Search::new(self, event, steps);
        for way in &self.ways {
            if search.meets(way)? {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

impl Steps {
    pub fn new(steps: usize) -> Self {
        Self(steps)
    }

    fn take(&mut self, steps: usize) -> Result<(), Undecided> {
        self.0 = self.0.checked_sub(steps).ok_or(Undecided)?;
        Ok(())
    }
}

/// One problem of a pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PatternProblem {
    /// The place, such as `json.price[0].numeric`; empty for the pattern itself.
    pub path: String,
    /// Expected, found, remedy.
    pub message: String,
}

impl fmt::Display for PatternProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.path.is_empty() {
            write!(f, "the pattern: {}", self.message)
        } else {
            write!(f, "`{}`: {}", self.path, self.message)
        }
    }
}

impl std::error::Error for PatternProblem {}
