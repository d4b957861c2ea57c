use super::*;
use crate::domain::inbound::message::tests::message;
use serde_json::{Value, json};

pub(crate) const MACHINE: &str = "arn:aws:states:us-east-1:123456789012:stateMachine:Uppercase";

/// A route to [`MACHINE`], with `fields` replaced.
pub(crate) fn route(fields: Value) -> Route {
    routes(&[fields]).0.remove(0)
}

pub(crate) fn routes(list: &[Value]) -> Routes {
    Routes::parse(&document(list)).unwrap()
}

pub(crate) fn document(list: &[Value]) -> String {
    let filled = list.iter().enumerate().map(|(i, fields)| {
        let mut route = json!({
            "name": format!("r{i}"), "from": {"cache": "chat", "topic": "room-281"}, "to": {"stateMachine": MACHINE},
        });
        for (key, value) in fields.as_object().unwrap() {
            route[key] = value.clone();
        }
        route
    });
    json!({"routes": filled.collect::<Vec<_>>()}).to_string()
}

fn names(routes: &Routes, fields: Value) -> Vec<String> {
    let matching = routes.matching(&message(fields));
    matching.into_iter().map(|r| r.name.clone()).collect()
}

#[test]
fn every_matching_route_fires() {
    let routes = routes(&[
        json!({"name": "exact"}),
        json!({"name": "any", "from": {"cache": "*", "topic": "room-*"}}),
        json!({"name": "off", "enabled": false}),
        json!({"name": "other", "from": {"cache": "chat", "topic": "room-28"}}),
        json!({"name": "orders", "where": {"json": {"kind": ["order"]}}}),
    ]);
    assert_eq!(names(&routes, json!({})), ["exact", "any"]);
    assert_eq!(names(&routes, json!({"cache": "else"})), ["any"]);
    assert_eq!(
        names(&routes, json!({"text": "{\"kind\":\"order\"}"})),
        ["exact", "any", "orders"]
    );
    assert!(names(&routes, json!({"topic": "lobby"})).is_empty());
}

#[test]
fn a_condition_sees_the_whole_message() {
    let holds = |condition: Value, fields: Value| {
        !names(&routes(&[json!({"where": condition})]), fields).is_empty()
    };
    assert!(holds(json!({"token_id": [null]}), json!({"token_id": ""})));
    assert!(holds(json!({"token_id": [{"prefix": "m"}]}), json!({})));
    assert!(holds(json!({"text": [{"suffix": "!!"}]}), json!({})));
    assert!(holds(
        json!({"topic_sequence_number": [{"numeric": [">", 0, "<=", 1]}]}),
        json!({})
    ));
    assert!(holds(
        json!({"json": {"a": [{"exists": false}]}}),
        json!({})
    ));
    assert!(!holds(
        json!({"json": {"a": [{"exists": true}]}}),
        json!({"text": "[1]"})
    ));
    assert!(holds(
        json!({"text": [null]}),
        json!({"text": null, "binary": ""})
    ));
}

#[test]
fn a_condition_counts_as_it_is_written() {
    let table: Value = serde_json::from_str(include_str!(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/fixtures/patterns.json"
    )))
    .unwrap();
    for case in table["written"].as_array().unwrap() {
        let pattern = case["pattern"].as_str().unwrap();
        let condition = format!("\"where\": {{\"json\": {pattern}}}");
        let document = document(&[json!({"where": {"json": [0]}})]);
        let document = document.replace("\"where\":{\"json\":[0]}", &condition);
        assert!(document.contains(pattern));
        let takes = Routes::parse(&document).ok().map(|routes| {
            let message = message(json!({"text": case["event"]}));
            let matching = routes.matching(&message).len();
            assert_eq!(
                routes.matching_within(&message, 1_000).unwrap().len(),
                matching
            );
            matching == 1
        });
        assert_eq!(takes, case["matches"].as_bool(), "{}", case["name"]);
    }
}

#[test]
fn matching_is_undecided_when_the_steps_run_out() {
    let combinations: Vec<_> = (2..1_002).map(|n| json!({"json": [n]})).collect();
    let routes = routes(&[json!({}), json!({"where": {"$or": combinations}})]);
    let text = |values: usize| json!({"text": format!("[{}1]", "1,".repeat(values))});
    let matching = |values| {
        let message = message(text(values));
        let matching = routes.matching_within(&message, MATCHING_STEPS);
        matching.map(|routes| routes.len())
    };
    assert_eq!(matching(1_000), Ok(1));
    assert_eq!(matching(500_000), Err(Undecided));
}

#[test]
fn a_route_knows_where_its_results_may_go() {
    let fields = json!({"topics": ["{topic}-out"], "failures": ["failed-{id}"]});
    let route = route(json!({"reply": fields}));
    for (cache, topic, may) in [
        ("chat", "room-281-out", true),
        ("chat", "failed-0f", true),
        ("chat", "room-281", false),
        ("other", "room-281-out", false),
    ] {
        assert_eq!(route.may_reply_to(cache, topic), may, "{cache}/{topic}");
    }
}

#[test]
fn an_execution_finds_its_route() {
    let payload = json!({"stateMachine": format!("{MACHINE}:live"), "input": "payload"});
    let routes = routes(&[
        json!({"name": "a", "to": payload}),
        json!({"name": "b", "to": payload}),
        json!({"name": "envelope"}),
    ]);
    let find = |name: &str| {
        let route = routes.of_execution(MACHINE, name);
        route.map(|route| route.name.as_str())
    };
    assert_eq!(find("a-topic-1-0123456789abcdef"), Some("a"));
    assert_eq!(find("b-1-2-0123456789abcdef"), Some("b"));
    assert_eq!(find("envelope-t-1-0123456789abcdef"), Some("envelope"));
    assert_eq!(find("by-hand"), None);
    assert_eq!(find("a-by-hand"), None);
    let alone = super::tests::routes(&[json!({"name": "a", "to": payload})]);
    assert!(alone.of_execution(MACHINE, "by-hand").is_some());
    assert!(
        alone
            .of_execution("arn:other", "a-t-1-0123456789abcdef")
            .is_none()
    );
}
