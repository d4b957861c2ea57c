//! Why a route does not take a message.

use serde::Serialize;
use serde_json::{Value, json};

use super::pattern::Mismatch;
use super::{Glob, Route, event_of};
use crate::message::TopicMessage;

/// One reason, which alone is enough.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "key")]
pub enum Obstacle {
    /// The route is switched off.
    #[serde(rename = "enabled")]
    Disabled,
    #[serde(rename = "from.cache")]
    Cache { expected: String, found: String },
    #[serde(rename = "from.topic")]
    Topic { expected: String, found: String },
    /// For each way through the pattern's `$or`s what the message lacks, the closest way first.
    #[serde(rename = "where")]
    Condition { ways: Vec<Vec<Mismatch>> },
}

impl Route {
    /// Every reason why this route does not take `message`; none where it takes it.
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

/// What patterns see of a message, to show parts of it.
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
    use crate::message::tests::message;
    use crate::routes::tests::{route, routes};
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
