//! Why a route does not take a message.

use serde::Serialize;
use serde_json::{Value, json};

use super::pattern::Mismatch;
use super::{Glob, Route, event_of};
use crate::domain::inbound::message::TopicMessage;

/// One reason; each alone is enough.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "key")]
pub enum Obstacle {
    /// The route is disabled.
    #[serde(rename = "enabled")]
    Disabled,
    #[serde(rename = "from.cache")]
    Cache { expected: String, found: String },
    #[serde(rename = "from.topic")]
    Topic { expected: String, found: String },
    /// The mismatches for each way through the pattern's `$or`s, the closest way first.
    #[serde(rename = "where")]
    Condition { ways: Vec<Vec<Mismatch>> },
}

impl Route {
    /// All obstacles of this route for `message`; empty if it matches.
    pub fn obstacles(&self, message: &TopicMessage) -> Vec<Obstacle> {
        let mut all = Vec::new();
        if !self.enabled {
            all.push(Obstacle::Disabled);
        }
        let differs = |glob: &Glob, name: &str| {
            let differs = !glob.matches(name);
            differs.then(|| (glob.as_str().to_owned(), name.to_owned()))
        };
        if let Some((expected, found)) = differs(&self.from.cache, &message.cache) {
            all.push(Obstacle::Cache { expected, found });
        }
        if let Some((expected, found)) = differs(&self.from.topic, &message.topic) {
            all.push(Obstacle::Topic { expected, found });
        }
        if let Some(pattern) = &self.condition {
            let number = message.topic_sequence_number.to_string();
            let ways = pattern.mismatches(&event_of(message, &number), &tree_of(message));
            if !ways.is_empty() {
                all.push(Obstacle::Condition { ways });
            }
        }
        all
    }
}

/// A message in the form that patterns match, for display.
fn tree_of(message: &TopicMessage) -> Value {
    let json = message.json().map(serde_json::from_str);
    json!({
        "cache": message.cache,
        "topic": message.topic,
        "topic_sequence_number": message.topic_sequence_number,
        "token_id": message.token_id,
        "text": message.text(),
        "json": json.and_then(Result::ok).unwrap_or(Value::Null),
    })
}

#[cfg(test)]
mod tests {
    use crate::domain::inbound::message::tests::message;
    use crate::domain::inbound::routes::tests::{route, routes};
    use serde_json::json;

    #[test]
    fn every_reason_is_named() {
        let route = route(json!({
            "enabled": false, "from": {"cache": "c*", "topic": "lobby"}, "where": {"json": {"kind": ["order"]}},
        }));
        let all = route.obstacles(&message(json!({"cache": "demo"})));
        assert_eq!(
            json!(all),
            json!([
                {"key": "enabled"},
                {"key": "from.cache", "expected": "c*", "found": "demo"},
                {"key": "from.topic", "expected": "lobby", "found": "room-281"},
                {"key": "where", "ways": [[{"path": "json", "expected": null, "found": null}]]},
            ])
        );
    }

    #[test]
    fn a_route_without_an_obstacle_fires_and_no_other_one() {
        let routes = routes(&[
            json!({}),
            json!({"enabled": false}),
            json!({"from": {"cache": "chat", "topic": "room-*"}, "where": {"text": [{"prefix": "Here"}]}}),
            json!({"where": {"token_id": [null]}}),
            json!({"from": {"cache": "other", "topic": "*"}}),
        ]);
        for fields in [
            json!({}),
            json!({"cache": "other"}),
            json!({"token_id": ""}),
            json!({"text": "x"}),
        ] {
            let message = message(fields);
            let firing: Vec<_> = routes.matching(&message).iter().map(|r| &r.name).collect();
            let free: Vec<_> = routes
                .iter()
                .filter(|route| route.obstacles(&message).is_empty())
                .map(|route| &route.name)
                .collect();
            assert_eq!(firing, free);
        }
    }
}
