//! The reasons for a mismatch, by the search of [`Pattern::takes`].

use super::parse::below;
use super::search::Search;
use super::written::written;
use super::{Event, Field, Pattern, Steps, Undecided};
use serde::Serialize;
use serde_json::Value;
use std::sync::Arc;

/// A field of a pattern that an event does not match.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Mismatch {
    /// As in `json.order.kind`.
    pub path: String,
    /// The list of the pattern; `None` for an object.
    pub expected: Option<Value>,
    /// The event's value; `None` if it is missing.
    pub found: Option<Value>,
}

impl Pattern {
    /// The mismatching fields for each way through the `$or`s, the closest way first; empty if the event matches. `tree` is
    /// the same event, for display. Without a limit on steps.
    pub fn mismatches(&self, event: &Event, tree: &Value) -> Vec<Vec<Mismatch>> {
        let steps = &mut Steps::new(usize::MAX);
        let mut search = Search::new(self, event, steps);
        let mut ways = Vec::new();
        for fields in &self.ways {
            let way = unmet(&mut search, fields, tree).unwrap_or_default();
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

/// The fields that no choice of elements meets, or else the first one not met together with those before it.
fn unmet(
    search: &mut Search,
    fields: &[Arc<Field>],
    tree: &Value,
) -> Result<Vec<Mismatch>, Undecided> {
    let mut all = Vec::new();
    if search.meets(fields)? {
        return Ok(all);
    }
    for field in fields {
        if !search.can_meet(field)? {
            let mismatch = alone(field, tree);
            if !all.contains(&mismatch) {
                all.push(mismatch);
            }
        }
    }
    if !all.is_empty() {
        return Ok(all);
    }
    let mut together = 1;
    while search.meets(&fields[..together])? {
        together += 1;
    }
    // Again, to restore the picks of the fields before it.
    search.meets(&fields[..together - 1])?;
    let field = &fields[together - 1];
    Ok(vec![Mismatch {
        path: field.shown.clone(),
        expected: Some(list(field)),
        found: search
            .present(field)?
            .map(|position| search.value_at(position)),
    }])
}

/// The mismatch of one field by itself: an object on its path is missing, or no value is as expected.
fn alone(field: &Field, tree: &Value) -> Mismatch {
    for names in 1..field.path.len() {
        let outer = &field.path[..names];
        let found = look(tree, outer);
        if !found.is_some_and(has_object) {
            return Mismatch {
                path: outer
                    .iter()
                    .fold(String::new(), |path, name| below(&path, name)),
                expected: None,
                found: found.cloned(),
            };
        }
    }
    Mismatch {
        path: field.shown.clone(),
        expected: Some(list(field)),
        found: look(tree, &field.path).cloned(),
    }
}

fn list(field: &Field) -> Value {
    field.matchers.iter().map(written).collect()
}

/// The value under a path, in the first element of a list that has it. A name of the event may hold several of the path.
fn look<'v>(value: &'v Value, path: &[String]) -> Option<&'v Value> {
    match value {
        _ if path.is_empty() => Some(value),
        Value::Array(list) => list.iter().find_map(|element| look(element, path)),
        Value::Object(object) => (1..=path.len()).find_map(|names| {
            let (name, rest) = path.split_at(names);
            look(object.get(&name.join("."))?, rest)
        }),
        _ => None,
    }
}

fn has_object(value: &Value) -> bool {
    match value {
        Value::Array(list) => list.iter().any(has_object),
        value => value.is_object(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{small_event, small_pattern, table};
    use super::*;
    use crate::domain::inbound::routes::EVENT_FIELDS;
    use proptest::prelude::*;
    use serde_json::json;

    fn mismatches(pattern: &Value, event: &Value) -> Vec<Vec<Mismatch>> {
        let pattern = Pattern::parse(pattern, &EVENT_FIELDS).unwrap();
        pattern.mismatches(&Event::of(&event.to_string()), event)
    }

    fn missing(path: &str, expected: Value, found: Option<Value>) -> Mismatch {
        Mismatch {
            path: path.into(),
            expected: Some(expected),
            found,
        }
    }

    #[test]
    fn mismatches_exist_only_where_the_event_does_not_match() {
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
    fn every_mismatching_field_is_named_with_its_value() {
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
            let ways = pattern.mismatches(&Event::of(&event.to_string()), &event);
            prop_assert_eq!(ways.is_empty(), pattern.matches(&event));
            prop_assert!(ways.iter().all(|way| !way.is_empty()));
        }
    }
}
