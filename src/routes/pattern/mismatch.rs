//! Why an event does not match: the same walk as [`Pattern::matches`], which keeps what it sees.

use super::parse::below;
use super::written::written;
use super::{Fields, Node, Pattern, absent, met, node_absent, objects};
use serde::Serialize;
use serde_json::{Map, Value};

/// A field of a pattern that an event does not meet.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Mismatch {
    /// As in `json.order.kind`.
    pub path: String,
    /// The list of the pattern; none where the pattern has an object, and looks into it.
    pub expected: Option<Value>,
    /// What the event has there; none for nothing.
    pub found: Option<Value>,
}

impl Pattern {
    /// The fields that `event` does not meet, for each way through the `$or`s, the way that lacks least first; no way at all
    /// where the event matches.
    pub fn mismatches(&self, event: &Map<String, Value>) -> Vec<Vec<Mismatch>> {
        let mut ways = Vec::new();
        for fields in &self.alternatives {
            let mut way = Vec::new();
            unmet(fields, event, "", &mut way);
            if way.is_empty() {
                return Vec::new();
            }
            if !ways.contains(&way) {
                ways.push(way);
            }
        }
        ways.sort_by_key(Vec::len);
        ways
    }
}

/// Adds the fields that do not match inside this object. It adds none only where [`met`] or [`absent`] holds: each field by
/// itself has a value that matches or may be absent.
fn unmet(fields: &Fields, object: &Map<String, Value>, path: &str, into: &mut Vec<Mismatch>) {
    for (name, node) in fields {
        // One field alone is met by its value or by its absence.
        let alone = vec![(name.clone(), node.clone())];
        if met(&alone, object) || absent(&alone, &[object]) {
            continue;
        }
        let here = below(path, name);
        let value = object.get(name);
        match node {
            Node::Leaf(matchers) => into.push(Mismatch {
                path: here,
                expected: Some(matchers.iter().map(written).collect()),
                found: value.cloned(),
            }),
            Node::Object(fields) => {
                let found: Vec<_> = objects(value).collect();
                into.extend(closest(fields, &found, &here).unwrap_or_else(|| {
                    vec![Mismatch {
                        path: here,
                        expected: None,
                        found: value.cloned(),
                    }]
                }));
            }
        }
    }
}

/// What the object of a list lacks that lacks least; `None` without any object.
fn closest(fields: &Fields, found: &[&Map<String, Value>], path: &str) -> Option<Vec<Mismatch>> {
    let lacking = found.iter().map(|object| {
        let mut way = Vec::new();
        unmet(fields, object, path, &mut way);
        way
    });
    let least = lacking.min_by_key(Vec::len)?;
    if !least.is_empty() {
        return Some(least);
    }
    // This object lacks nothing by having nothing, but another one of the list has what may not be there.
    let present = fields
        .iter()
        .filter(|(name, node)| !node_absent(node, name, found));
    let present = present.map(|(name, node)| Mismatch {
        path: below(path, name),
        expected: match node {
            Node::Leaf(matchers) => Some(matchers.iter().map(written).collect()),
            Node::Object(_) => None,
        },
        found: found.iter().find_map(|object| object.get(name)).cloned(),
    });
    Some(present.collect())
}

#[cfg(test)]
mod tests {
    use super::super::tests::{small_event, small_pattern, table};
    use super::*;
    use crate::routes::EVENT_FIELDS;
    use proptest::prelude::*;
    use serde_json::json;

    fn mismatches(pattern: &Value, event: &Value) -> Vec<Vec<Mismatch>> {
        let pattern = Pattern::parse(pattern, &EVENT_FIELDS).unwrap();
        pattern.mismatches(event.as_object().unwrap())
    }

    fn missing(path: &str, expected: Value, found: Option<Value>) -> Mismatch {
        Mismatch {
            path: path.into(),
            expected: Some(expected),
            found,
        }
    }

    #[test]
    fn there_is_a_reason_just_where_the_event_does_not_match() {
        for case in table("matches") {
            if !case["event"].is_object() {
                continue;
            }
            let ways = mismatches(&case["pattern"], &case["event"]);
            assert_eq!(ways.is_empty(), case["matches"] == true, "{}", case["name"]);
            assert!(ways.iter().all(|way| !way.is_empty()), "{}", case["name"]);
        }
    }

    #[test]
    fn every_field_that_fails_is_named_with_what_was_there() {
        let pattern = json!({"topic": ["a"], "json": {"kind": ["order", {"prefix": "o-"}], "n": [{"numeric": [">", 1]}], "more": {"x": [1]}}});
        let event = json!({"topic": "a", "json": {"kind": "invoice", "n": 2, "more": "none"}});
        let object = Mismatch {
            path: "json.more".into(),
            expected: None,
            found: Some(json!("none")),
        };
        let kind = missing(
            "json.kind",
            json!(["order", {"prefix": "o-"}]),
            Some(json!("invoice")),
        );
        assert_eq!(mismatches(&pattern, &event), [[kind, object]]);
        let none = mismatches(
            &json!({"json": {"a": {"b": [1]}}}),
            &json!({"json": {"a": {}}}),
        );
        assert_eq!(none, [[missing("json.a.b", json!([1]), None)]]);
    }

    #[test]
    fn of_several_ways_the_closest_comes_first() {
        let pattern =
            json!({"$or": [{"topic": ["x"], "cache": ["x"]}, {"topic": ["a"], "cache": ["x"]}]});
        let ways = mismatches(&pattern, &json!({"topic": "a", "cache": "c"}));
        let cache = missing("cache", json!(["x"]), Some(json!("c")));
        assert_eq!(ways[0], [cache]);
        assert_eq!(ways.len(), 2);
    }

    #[test]
    fn of_several_objects_the_closest_is_meant() {
        let pattern = json!({"json": {"a": [1], "b": [2]}});
        let event = json!({"json": [{"a": 5, "b": 5}, {"a": 1, "b": 5}]});
        assert_eq!(
            mismatches(&pattern, &event),
            [[missing("json.b", json!([2]), Some(json!(5)))]]
        );
        let absent = json!({"json": {"a": [{"exists": false}]}});
        let event = json!({"json": [{"b": 1}, {"a": 1}]});
        assert_eq!(
            mismatches(&absent, &event),
            [[missing(
                "json.a",
                json!([{"exists": false}]),
                Some(json!(1))
            )]]
        );
    }

    proptest! {
        #[test]
        fn any_event_matches_or_lacks_something(pattern in small_pattern(), event in small_event()) {
            let pattern = Pattern::parse(&pattern, &["a", "b", "c"]).unwrap();
            let ways = pattern.mismatches(event.as_object().unwrap());
            prop_assert_eq!(ways.is_empty(), pattern.matches(&event));
            prop_assert!(ways.iter().all(|way| !way.is_empty()));
        }
    }
}
