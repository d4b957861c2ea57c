//! A published message's direction, by the routes.

use crate::domain::inbound::routes::Routes;

/// Similarity by Jaro and Winkler, from 0 to 1: a letter or two differ in a word of usual length.
const NEARLY: f64 = 0.88;

/// A published message's direction, by the routes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// A route listens to its topic.
    In,
    /// Results go to its topic.
    Out,
    Neither,
}

pub fn of(routes: &Routes, cache: &str, topic: &str) -> Direction {
    let enabled = || routes.iter().filter(|route| route.enabled);
    if enabled().any(|route| route.from.covers(cache, topic)) {
        Direction::In
    } else if enabled().any(|route| route.may_reply_to(cache, topic)) {
        Direction::Out
    } else {
        Direction::Neither
    }
}

/// ` (did you mean `x`?)` with the routed topic that is nearly the same, or nothing.
pub fn meant(routes: &Routes, topic: &str) -> String {
    let enabled = routes.iter().filter(|route| route.enabled);
    let topics = enabled.map(|route| route.from.topic.as_str());
    let near = topics.map(|known| (strsim::jaro_winkler(topic, known), known));
    match near.max_by(|(a, _), (b, _)| a.total_cmp(b)) {
        Some((like, known)) if like >= NEARLY => format!(" (did you mean `{known}`?)"),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn routes() -> Routes {
        let document = serde_json::json!({"routes": [{
            "name": "a", "from": {"cache": "demo", "topic": "uppercase-in"},
            "to": {"stateMachine": "arn:aws:states:eu-west-1:123456789012:stateMachine:M"},
            "reply": {"topics": ["uppercase-out"]},
        }]});
        Routes::parse(&document.to_string()).unwrap()
    }

    #[test]
    fn topics_have_a_direction_by_the_routes() {
        for (topic, direction) in [
            ("uppercase-in", Direction::In),
            ("uppercase-out", Direction::Out),
            ("other", Direction::Neither),
        ] {
            assert_eq!(of(&routes(), "demo", topic), direction, "{topic}");
        }
        assert_eq!(of(&routes(), "else", "uppercase-in"), Direction::Neither);
    }

    #[test]
    fn a_topic_with_a_letter_wrong_is_recognized() {
        for topic in ["upercase-in", "uppercase-inn", "uppercase_in"] {
            assert_eq!(meant(&routes(), topic), " (did you mean `uppercase-in`?)");
        }
        assert_eq!(meant(&routes(), "orders"), "");
    }
}
