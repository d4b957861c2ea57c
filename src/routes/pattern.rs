//! Event patterns as Amazon EventBridge documents them ("Comparison operators for use in event patterns"), evaluated
//! here against a message.
//!
//! A pattern has the shape of the event. An object in it names fields that must **all** match; a list gives the values of
//! which **any** is enough: exact ones, or operators.
//!
//! | entry of a list | matches |
//! |---|---|
//! | `"x"`, `5`, `true`, `null` | exactly that value; numbers by value, so `300` matches `300.0` and `3e2` |
//! | `{"prefix": "x"}`, `{"suffix": "x"}` | a string; `{"prefix": {"equals-ignore-case": "x"}}` whatever its case |
//! | `{"equals-ignore-case": "x"}` | a string, whatever its case |
//! | `{"wildcard": "a*b"}` | a string; `*` is any run of characters, `\*` and `\\` stand for themselves |
//! | `{"numeric": [">", 0, "<=", 5]}` | a number; one comparison, or a lower bound and then an upper one |
//! | `{"cidr": "10.0.0.0/8"}` | a string that is an IP address in that block |
//! | `{"anything-but": …}` | a value, of any type, that is none of these: a string or number, a list of either, or `prefix`, `suffix`, `wildcard`, `equals-ignore-case` with a string or a list |
//! | `{"exists": true}`, `{"exists": false}` | there is, or is not, a string, number, boolean or null under this name |
//!
//! `"$or": [{…}, {…}]` stands beside fields at any level; one of its objects must match.
//!
//! What may surprise:
//! - A missing field matches `exists: false` only, not even `anything-but`. An object is no value, so `exists: false`
//!   matches where the event has an object, or an empty list.
//! - Where the event has a list, one element that matches is enough, also for `anything-but`. Where it has a list of
//!   objects, all fields of the pattern below it are met by the same object; `exists: false` is judged in that object,
//!   and in all of them when no other field of the pattern has picked one.
//! - An empty pattern matches nothing and is refused, as AWS does; leaving the pattern out matches everything.
//!
//! Where this differs from AWS: numbers have no bounds (AWS compares a limited range); field names are taken as written
//! (AWS takes `a.b` for `b` inside `a`); a block of addresses is its prefix alone (AWS starts it at the address given); a
//! wildcard is never too complex; a field that `$or` names once more is refused (AWS keeps the later of the two); in a list
//! of objects the outcome of `exists: false` does not depend on the names of the other fields (in AWS their order decides).

mod matcher;
#[cfg(feature = "cli")]
mod mismatch;
mod operators;
mod parse;
#[cfg(test)]
mod tests;
#[cfg(feature = "cli")]
mod written;

use matcher::Matcher;
#[cfg(feature = "cli")]
pub use mismatch::Mismatch;
#[cfg(feature = "cli")]
pub(super) use operators::OPERATORS;
use serde_json::{Map, Value};
use std::fmt;
use std::iter::from_fn;
use std::sync::Arc;

/// Deepest nesting of objects in a pattern, `$or` included. Ours: it bounds every recursion here.
pub const MAX_DEPTH: usize = 32;

/// Most combinations of `$or` alternatives in one pattern. Each is matched on its own, so this bounds the work per event.
pub const MAX_COMBINATIONS: usize = 1_000;

/// A checked event pattern.
///
/// ```
/// use serde_json::json;
/// use workflow_bridge::routes::pattern::Pattern;
///
/// let pattern = Pattern::parse(&json!({"json": {"total": [{"numeric": [">", 100]}]}}), &["topic", "json"]).unwrap();
/// assert!(pattern.matches(&json!({"topic": "orders", "json": {"total": 250}})));
/// assert!(!pattern.matches(&json!({"topic": "orders", "json": null})));
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Pattern {
    /// One for every way through the `$or`s; one of them must match.
    alternatives: Vec<Fields>,
}

/// Fields that must all match. A name occurs at most once as a list and once as an object.
type Fields = Vec<(String, Node)>;

#[derive(Debug, Clone, PartialEq)]
enum Node {
    /// Shared, because the same list can be part of a thousand alternatives.
    Leaf(Arc<[Matcher]>),
    Object(Fields),
}

impl Pattern {
    /// Checks a pattern whose outermost names may be `fields` only, and `$or`.
    ///
    /// # Errors
    /// Every problem of the pattern, at once.
    pub fn parse(value: &Value, fields: &[&str]) -> Result<Self, Vec<PatternProblem>> {
        parse::parse(value, fields).map(|alternatives| Self { alternatives })
    }

    /// Whether `event` matches; anything but an object does not. Time grows with the size of the event times that of the
    /// pattern (times its `$or` combinations), and never faster.
    pub fn matches(&self, event: &Value) -> bool {
        let Value::Object(event) = event else {
            return false;
        };
        self.alternatives
            .iter()
            .any(|fields| met(fields, event) || absent(fields, &[event]))
    }
}

/// Whether all fields match inside this object, at least one of them by a value: that is what picks this object among
/// its siblings in a list.
fn met(fields: &Fields, object: &Map<String, Value>) -> bool {
    let mut picked = false;
    fields.iter().all(|(name, node)| {
        let value = object.get(name);
        let by_value = match node {
            Node::Leaf(matchers) => {
                scalars(value).any(|value| matchers.iter().any(|matcher| matcher.matches(value)))
            }
            Node::Object(fields) => objects(value).any(|object| met(fields, object)),
        };
        picked |= by_value;
        by_value || node_absent(node, name, &[object])
    }) && picked
}

/// Whether all fields match by having no value in any of these objects.
fn absent(fields: &Fields, among: &[&Map<String, Value>]) -> bool {
    fields
        .iter()
        .all(|(name, node)| node_absent(node, name, among))
}

fn node_absent(node: &Node, name: &str, among: &[&Map<String, Value>]) -> bool {
    let mut values = among.iter().map(|object| object.get(name));
    match node {
        Node::Leaf(matchers) => {
            matchers.contains(&Matcher::Absent)
                && values.all(|value| scalars(value).next().is_none())
        }
        Node::Object(fields) => absent(fields, &values.flat_map(objects).collect::<Vec<_>>()),
    }
}

/// The strings, numbers, booleans and nulls of a field: itself, or the elements of its lists.
fn scalars(value: Option<&Value>) -> impl Iterator<Item = &Value> {
    elements(value).filter(|value| !value.is_object())
}

/// The objects of a field: itself, or the elements of its lists.
fn objects(value: Option<&Value>) -> impl Iterator<Item = &Map<String, Value>> {
    elements(value).filter_map(Value::as_object)
}

/// A value, or what its list and the lists in it hold. Without recursion, since the event sets the depth.
fn elements(value: Option<&Value>) -> impl Iterator<Item = &Value> {
    let mut open: Vec<_> = value
        .into_iter()
        .map(std::slice::from_ref)
        .map(<[Value]>::iter)
        .collect();
    from_fn(move || {
        loop {
            match open.last_mut()?.next() {
                None => drop(open.pop()),
                Some(Value::Array(list)) => open.push(list.iter()),
                Some(value) => return Some(value),
            }
        }
    })
}

/// One thing that is wrong with a pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PatternProblem {
    /// Where, as in `json.price[0].numeric`; empty for the pattern itself.
    pub path: String,
    /// What was expected, what was found, what to do.
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
