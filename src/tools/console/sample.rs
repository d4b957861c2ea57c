//! A message that a route takes, as an example.

use serde_json::{Map, Value, json};

use crate::domain::inbound::message::{Body, TopicMessage};
use crate::domain::inbound::routes::pattern::Mismatch;
use crate::domain::inbound::routes::{Obstacle, Route, Target};

/// Rounds of mending a sample.
const ROUNDS: usize = 8;

/// A topic and a text that the route takes, as far as its conditions can be met by simple values.
pub fn sample(route: &Route) -> (String, String) {
    let topic = route.from.topic.as_str().replace('*', "1");
    let cache = route.from.cache.as_str().replace('*', "1");
    let mut json = Map::new();
    match &route.to {
        Target::Resume(resume) => {
            put(&mut json, &resume.token.to_string(), json!("TOKEN"));
            put(
                &mut json,
                &resume.output.to_string(),
                json!({"approved": true}),
            );
        }
        Target::Stop(stop) => put(&mut json, &stop.key.to_string(), json!("4711")),
        Target::StateMachine { .. } | Target::EventBus { .. } => {}
    }
    if let Some(key) = route.key() {
        put(&mut json, &key.to_string(), json!("4711"));
    }
    let mut is_object = !json.is_empty();
    for _ in 0..ROUNDS {
        let Some(message) = message(&cache, &topic, &text(&json, is_object)) else {
            break;
        };
        let mut open = route.obstacles(&message).into_iter();
        let missing = open.find_map(|obstacle| match obstacle {
            Obstacle::Condition { ways } => ways.into_iter().next(),
            _ => None,
        });
        let Some(missing) = missing else { break };
        is_object = true;
        for mismatch in missing {
            let value = first(&mismatch);
            put(&mut json, &mismatch.path, value);
        }
    }
    (topic, text(&json, is_object))
}

fn text(json: &Map<String, Value>, is_object: bool) -> String {
    match is_object {
        true => Value::Object(json.clone()).to_string(),
        false => "hello".to_owned(),
    }
}

fn message(cache: &str, topic: &str, text: &str) -> Option<TopicMessage> {
    TopicMessage::of(Body {
        cache: cache.to_owned(),
        topic: topic.to_owned(),
        topic_sequence_number: 1,
        sequence_page: None,
        event_timestamp: 0,
        publish_timestamp: 0,
        token_id: None,
        text: Some(text.to_owned()),
        binary: None,
    })
    .ok()
}

/// A value that the first entry of the condition's list takes.
fn first(mismatch: &Mismatch) -> Value {
    let Some(entry) = mismatch.expected.as_ref().and_then(|list| list.get(0)) else {
        return json!({});
    };
    let Some((operator, of)) = entry.as_object().and_then(|map| map.iter().next()) else {
        return entry.clone();
    };
    match (operator.as_str(), of) {
        ("prefix" | "suffix" | "equals-ignore-case" | "exactly", Value::String(text)) => {
            json!(text)
        }
        ("prefix" | "suffix", Value::Object(inner)) => {
            inner.values().next().cloned().unwrap_or_default()
        }
        ("wildcard", Value::String(text)) => json!(text.replace('*', "1")),
        ("numeric", Value::Array(bounds)) => match (bounds.first(), bounds.get(1)) {
            (Some(Value::String(operator)), Some(Value::Number(bound))) => {
                let bound = bound.as_f64().unwrap_or_default();
                json!(match operator.as_str() {
                    ">" => bound + 1.0,
                    "<" => bound - 1.0,
                    _ => bound,
                })
            }
            _ => json!(1),
        },
        _ => json!("x"),
    }
}

/// Sets the value at a path into the message's JSON; other fields cannot be chosen.
fn put(json: &mut Map<String, Value>, path: &str, value: Value) {
    let Some(path) = path.strip_prefix("json.") else {
        return;
    };
    let mut place = json;
    let mut names: Vec<&str> = path.split('.').collect();
    let Some(last) = names.pop() else { return };
    for name in names {
        let inner = place.entry(name).or_insert_with(|| json!({}));
        if !inner.is_object() {
            *inner = json!({});
        }
        let Some(inner) = inner.as_object_mut() else {
            return;
        };
        place = inner;
    }
    place.insert(last.to_owned(), value);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::inbound::routes::tests::route;

    #[test]
    fn a_sample_passes_its_route() {
        for fields in [
            json!({}),
            json!({"where": {"json": {"kind": ["order", "refund"]}}}),
            json!({"where": {"json": {"kind": ["order"], "customer": {"vip": [true], "name": [{"prefix": "A"}]}}}}),
            json!({"where": {"json": {"count": [{"numeric": [">", 5]}]}}}),
            json!({"from": {"cache": "*", "topic": "orders/*"}, "to": {"stateMachine": "arn:aws:states:us-east-1:123456789012:stateMachine:M", "key": "json.order.id"}}),
        ] {
            let route = route(fields.clone());
            let (topic, text) = sample(&route);
            let message = message("chat", &topic, &text).unwrap();
            assert_eq!(route.obstacles(&message), [], "{fields}: {text}");
        }
    }

    #[test]
    fn a_condition_that_no_simple_value_meets_has_a_sample_all_the_same() {
        let route = route(json!({"where": {"json": {"a": [{"cidr": "10.0.0.0/8"}]}}}));
        assert_eq!(sample(&route).1, "{\"a\":\"x\"}");
    }
}
