//! Dead letters for unit tests.

use serde_json::{Value, json};
use workflow_bridge::domain::inbound::letter::Reason;
use workflow_bridge::tools::letters::{Dead, Payload};

pub fn dead(route: &str, reason: Reason, id: &str, at_ms: i64) -> Dead {
    Dead {
        id: id.to_owned(),
        route: Some(route.to_owned()),
        reason: Some(reason),
        detail: "because".to_owned(),
        attempts: Some(3),
        at_ms,
        subject: Some("demo/in#1".to_owned()),
        send: Some(Payload("{}".to_owned())),
        ..Dead::default()
    }
}

pub fn letter(id: &str, route: Option<&str>, content: (&str, Value)) -> String {
    let mut letter = json!({
        "id": id, "route": route, "reason": "refused", "detail": "because", "attempts": 3,
        "first_at": 1, "last_at": 2, "bridge": "0.1.0",
    });
    letter[content.0] = content.1;
    letter.to_string()
}
