//! Dead letters for unit tests.

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
