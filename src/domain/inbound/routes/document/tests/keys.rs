//! Routes with keys, routes that stop their executions, and announcements.

use super::*;

fn keyed() -> serde_json::Value {
    json!({"name": "orders", "to": {"stateMachine": format!("{MACHINE}:live"), "key": "json.orderId"}})
}

#[test]
fn a_stop_names_a_keyed_route_of_the_document() {
    let stop = json!({"name": "cancel", "from": {"cache": "chat", "topic": "cancel"}, "to": {"stop": {"route": "orders", "key": "json.id", "error": "json.reason"}}});
    // In any order.
    for list in [[keyed(), stop.clone()], [stop.clone(), keyed()]] {
        let routes = Routes::parse(&document(&list)).unwrap();
        let stop = routes.iter().find_map(|route| match &route.to {
            Target::Stop(stop) => Some(stop),
            _ => None,
        });
        assert_eq!(stop.unwrap().state_machine, MACHINE, "without the alias");
    }
    let keyless = json!({"name": "orders"});
    for list in [vec![stop.clone()], vec![stop.clone(), keyless], vec![stop]] {
        let problem = problems(&document(&list)).remove(0);
        assert!(problem.starts_with("route `cancel`: `to.stop.route`: expected a route of this document to a state machine with a `key`, found `orders`"), "{problem}");
    }
}

#[test]
fn keys_and_stops_have_valid_paths_and_no_other_keys() {
    for (to, expected) in [
        (
            json!({"stateMachine": MACHINE, "key": "orderId"}),
            "`to.key`: expected a path such as `json.answer`",
        ),
        (
            json!({"stateMachine": MACHINE, "key": 4711}),
            "`to.key`: expected a text",
        ),
        (
            json!({"eventBus": "b", "key": "json.k"}),
            "`to.key`: unknown key",
        ),
        (
            json!({"stop": {"route": "r", "key": "x"}}),
            "`to.stop.key`: expected a path",
        ),
        (
            json!({"stop": {"key": "json.k"}}),
            "`to.stop.route`: expected this key",
        ),
        (
            json!({"stop": {"route": "r", "key": "json.k", "status": "json.s"}}),
            "`to.stop.status`: unknown key",
        ),
        (
            json!({"stop": {"route": "r", "key": "json.k", "cause": "cause"}}),
            "`to.stop.cause`: expected a path",
        ),
        (
            json!({"stop": {"route": "r", "key": "json.k"}, "key": "json.k"}),
            "`to.key`: unknown key",
        ),
        (
            json!({"stateMachine": MACHINE, "stop": {}}),
            "`to`: expected exactly one of",
        ),
    ] {
        let all = problems(&document(&[json!({"to": to})]));
        assert!(
            all.iter().any(|p| p.contains(expected)),
            "{expected}: {all:#?}"
        );
    }
    let reply =
        json!({"to": {"stop": {"route": "r0", "key": "json.k"}}, "reply": {"topics": ["x"]}});
    assert!(problems(&document(&[reply]))[0].contains("expected no reply for a stop"));
}

#[test]
fn announcements_are_checked_like_other_topics() {
    let started =
        |started: serde_json::Value| json!({"reply": {"topics": ["out"], "started": started}});
    assert!(Routes::parse(&document(&[started(json!(["status-{id}"]))])).is_ok());
    for (topics, expected) in [
        (json!([]), "`reply.started`: expected at least one topic"),
        (json!(["{nothing}"]), "`reply.started[0]`"),
        (
            json!(["room-281"]),
            "expected no topic that a route listens to",
        ),
    ] {
        let text = problem(started(topics));
        assert!(text.contains(expected), "{text}");
    }
    let payload = json!({"to": {"stateMachine": MACHINE, "input": "payload"}, "reply": {"topics": ["out"], "started": ["s-{id}"]}});
    assert!(problem(payload).contains("expected a fixed name"));
}

#[test]
fn the_names_of_keyed_executions_lead_to_one_route() {
    let other = json!({"name": "orders-late"});
    let text = problems(&document(&[keyed(), other]));
    assert!(
        text[0].contains("expected a name that distinguishes executions"),
        "{text:?}"
    );
}
