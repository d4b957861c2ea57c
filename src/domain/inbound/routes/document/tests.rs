use serde_json::json;

use crate::domain::inbound::routes::tests::{MACHINE, document};
use crate::domain::inbound::routes::{Input, Problems, Routes, Target};

mod keys;

fn problems(document: &str) -> Vec<String> {
    let Problems(list) = Routes::parse(document).expect_err(document);
    list.iter().map(ToString::to_string).collect()
}

/// The only problem of a route with `fields`.
fn problem(fields: serde_json::Value) -> String {
    let mut list = problems(&document(&[fields]));
    assert_eq!(list.len(), 1, "{list:#?}");
    list.remove(0)
}

#[test]
fn the_example_of_the_contract_is_read() {
    let routes = Routes::parse(include_str!(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/fixtures/routes.json"
    )))
    .unwrap();
    let list: Vec<_> = routes.iter().collect();
    assert_eq!(list.len(), 2);
    assert!(matches!(
        &list[0].to,
        Target::StateMachine {
            input: Input::Envelope,
            ..
        }
    ));
    let Target::EventBus { name, source, .. } = &list[1].to else {
        panic!("{:?}", list[1].to);
    };
    assert_eq!((name.as_str(), source.as_str()), ("default", "Momento"));
}

#[test]
fn all_problems_are_reported_at_once_with_route_and_key() {
    let all = problems(
        &json!({"routes": [
            {"name": "a b", "from": {"cache": "c"}, "to": {"stateMachine": "nope", "input": "x", "typo": 1}, "extra": 1},
            {"name": "round", "from": {"cache": "c", "topic": "own"}, "to": {"stateMachine": MACHINE}, "reply": {"topics": ["own"]}},
            {"from": 7, "to": {"statemachine": MACHINE, "input": "payload"}, "enabled": "yes"},
            {"name": "twice", "from": {"cache": "c", "topic": "t"}, "to": {"eventBus": "b"}},
            {"name": "twice", "from": {"cache": "c", "topic": "t"}, "to": {"eventBus": "b"}},
        ], "version": 1})
        .to_string(),
    );
    for expected in [
        "`version`: unknown key; the known ones here are `routes`",
        "route `a b`: `name`: expected 1 to 32 characters of `A-Za-z0-9_-`, found `\"a b\"`",
        "route `a b`: `from.topic`: expected this key, found none",
        "route `a b`: `to.stateMachine`: expected the ARN of a state machine",
        "route `a b`: `to.input`: expected `envelope` or `payload`, found `\"x\"`",
        "route `a b`: `to.typo`: unknown key",
        "route `a b`: `extra`: unknown key",
        "route `#3`: `name`: expected this key, found none",
        "route `#3`: `from`: expected an object, found `7`",
        "route `#3`: `to`: expected exactly one of",
        "route `#3`: `enabled`: expected true or false, found `\"yes\"`",
        "route `#3`: `to.statemachine`: unknown key",
        "route `twice`: `name`: expected a unique name",
        "route `round`: `reply`: expected no topic that a route listens to",
    ] {
        assert!(
            all.iter().any(|p| p.starts_with(expected)),
            "{expected}\n{all:#?}"
        );
    }
    assert_eq!(all.len(), 14, "{all:#?}");
}

#[test]
fn invalid_documents_are_refused() {
    for (document, expected) in [
        ("", "expected JSON"),
        ("{", "expected JSON"),
        ("[]", "expected an object"),
        ("{}", "`routes`: expected this key"),
        (r#"{"routes":{}}"#, "`routes`: expected a list"),
        (r#"{"routes":[1]}"#, "route `#1`: expected an object"),
    ] {
        let list = problems(document);
        assert!(
            list.len() == 1 && list[0].contains(expected),
            "{document}: {list:?}"
        );
    }
    assert_eq!(Routes::parse(r#"{"routes":[]}"#).unwrap().iter().count(), 0);
}

/// Fields of a route with one invalid value, and the problem's text.
pub(crate) fn wrong_values() -> Vec<(serde_json::Value, &'static str)> {
    let bus = |bus: &str| json!({"to": {"eventBus": bus}});
    vec![
        (json!({"name": ""}), "`name`"),
        (json!({"name": "n".repeat(33)}), "`name`"),
        (
            json!({"from": {"cache": "", "topic": "t"}}),
            "`from.cache`: expected a text",
        ),
        (
            json!({"from": {"cache": "c", "topic": "t", "page": 1}}),
            "`from.page`: unknown key",
        ),
        (json!({"where": {"nope": ["x"]}}), "`where.nope`"),
        (json!({"where": {"text": "x"}}), "`where.text`"),
        (
            json!({"to": {"stateMachine": MACHINE, "eventBus": "b"}}),
            "found 2 of them",
        ),
        (
            json!({"to": {"stateMachine": format!("{MACHINE}:a:b")}}),
            "`to.stateMachine`",
        ),
        (
            json!({"to": {"stateMachine": MACHINE.replace("stateMachine", "execution")}}),
            "`to.stateMachine`",
        ),
        (
            json!({"to": {"stateMachine": MACHINE, "source": "x"}}),
            "`to.source`: unknown key",
        ),
        (
            json!({"to": {"resume": {}}}),
            "`to.resume.token`: expected this key",
        ),
        (
            json!({"to": {"resume": {"token": "token"}}}),
            "`to.resume.token`: expected a path",
        ),
        (
            json!({"to": {"resume": {"token": "json.t", "error": "json."}}}),
            "`to.resume.error`: expected a path",
        ),
        (
            json!({"to": {"resume": {"token": "json.t", "input": "payload"}}}),
            "`to.resume.input`: unknown key",
        ),
        (
            json!({"to": {"resume": {"token": "json.t"}}, "reply": {"topics": ["t"]}}),
            "`reply`: expected no reply for an answer",
        ),
        (
            json!({"reply": {"topics": ["t"], "from": "json.reply_to"}}),
            "`reply`: expected `from` and `allow` together",
        ),
        (
            json!({"reply": {"topics": ["t"], "allow": ["r/*"]}}),
            "`reply`: expected `from` and `allow` together",
        ),
        (
            json!({"reply": {"topics": ["t"], "from": "json.reply_to", "allow": []}}),
            "`reply.allow`: expected at least one topic",
        ),
        (
            json!({"reply": {"topics": ["t"], "from": "reply_to", "allow": ["r/*"]}}),
            "`reply.from`: expected a path",
        ),
        (
            json!({"to": {"stateMachine": MACHINE, "input": "payload"}, "reply": {"topics": ["t"], "from": "json.r", "allow": ["r/*"]}}),
            "`reply.from`: expected no topic from the message",
        ),
        (
            json!({"reply": {"topics": ["t"], "from": "json.r", "allow": ["room-*"]}}),
            "`reply`: expected no topic that a route listens to",
        ),
        (bus(""), "`to.eventBus`"),
        (bus("no spaces"), "`to.eventBus`"),
        (bus(MACHINE), "`to.eventBus`"),
        (
            json!({"to": {"eventBus": "b", "source": "aws.states"}}),
            "`to.source`",
        ),
        (
            json!({"to": {"eventBus": "b", "detailType": "{nope}"}}),
            "`to.detailType`",
        ),
        (
            json!({"to": {"eventBus": "b", "input": "payload"}}),
            "`to.input`: unknown key",
        ),
        (
            json!({"to": {"eventBus": "b"}, "reply": {"topics": ["t"]}}),
            "`reply`: expected no reply",
        ),
        (json!({"reply": {}}), "`reply.topics`: expected this key"),
        (
            json!({"reply": {"topics": []}}),
            "`reply.topics`: expected at least one topic",
        ),
        (json!({"reply": {"topics": ["t", 1]}}), "`reply.topics[1]`"),
        (json!({"reply": {"topics": ["{x}"]}}), "`reply.topics[0]`"),
        (
            json!({"reply": {"topics": ["{token_id}{token_id}"]}}),
            "`reply.topics[0]`: expected more than",
        ),
        (
            json!({"reply": {"topics": ["t"], "format": "xml"}}),
            "`reply.format`",
        ),
        (
            json!({"reply": {"topics": ["t"], "to": 1}}),
            "`reply.to`: unknown key",
        ),
        (json!({"loop": true}), "`loop`: expected `allowed`"),
    ]
}

/// Fields of a valid route.
pub(crate) fn good_values() -> Vec<serde_json::Value> {
    vec![
        json!({"to": {"stateMachine": format!("{MACHINE}:live")}}),
        json!({"to": {"stateMachine": MACHINE.replace("aws", "aws-us-gov")}}),
        json!({"to": {"eventBus": "arn:aws:events:us-east-1:123456789012:event-bus/partner/x.y"}}),
        json!({"to": {"eventBus": "b", "source": "chat", "detailType": "{topic}"}}),
        json!({"from": {"cache": "*", "topic": "*"}, "enabled": false}),
        json!({"reply": {"cache": "other", "topics": ["{topic}"], "failures": ["f"], "format": "envelope"}}),
        json!({"to": {"resume": {"token": "json.token"}}}),
        json!({"to": {"resume": {"token": "json.t.0", "output": "text", "error": "json.no"}}}),
        json!({"reply": {"topics": ["t"], "from": "json.reply_to", "allow": ["r/*", "s"]}}),
        json!({"where": {"$or": [{"token_id": ["a"]}, {"json": {"n": [{"numeric": [">", 1]}]}}]}}),
    ]
}

#[test]
fn every_value_is_checked() {
    for (fields, expected) in wrong_values() {
        let found = problem(fields.clone());
        assert!(
            found.starts_with("route `") && found.contains(expected),
            "{fields}: {found}"
        );
    }
}

#[test]
fn good_values_are_taken() {
    for fields in good_values() {
        Routes::parse(&document(std::slice::from_ref(&fields)))
            .unwrap_or_else(|e| panic!("{fields}: {e}"));
    }
}

#[test]
fn a_payload_reply_has_to_be_fixed() {
    let to = json!({"stateMachine": MACHINE, "input": "payload"});
    let any = json!({"cache": "*", "topic": "in-*"});
    for (from, reply) in [
        (
            json!({"cache": "c", "topic": "in"}),
            json!({"topics": ["out-{token_id}"]}),
        ),
        (
            json!({"cache": "c", "topic": "in"}),
            json!({"topics": ["out"], "failures": ["out/{id}"]}),
        ),
        (any.clone(), json!({"topics": ["out"]})),
        (
            any.clone(),
            json!({"cache": "c", "topics": ["out-{topic}"]}),
        ),
    ] {
        let found = problem(json!({"from": from, "to": to, "reply": reply}));
        assert!(found.contains("`payload` does not carry"), "{found}");
    }
    for (from, reply) in [
        (
            json!({"cache": "c", "topic": "in"}),
            json!({"topics": ["{cache}-{topic}-out"]}),
        ),
        (any, json!({"cache": "c", "topics": ["out"]})),
    ] {
        let fields = json!({"from": from, "to": to, "reply": reply});
        Routes::parse(&document(&[fields])).unwrap();
    }
}

#[test]
fn names_distinguish_executions_of_one_machine() {
    let payload = json!({"stateMachine": MACHINE, "input": "payload"});
    let named = |name: &str, to: &serde_json::Value| json!({"name": name, "to": to});
    let list = problems(&document(&[
        named("orders", &payload),
        named("orders-eu", &payload),
    ]));
    assert!(
        list.len() == 1
            && list[0].starts_with("route `orders-eu`: `name`")
            && list[0].contains("`orders-`"),
        "{list:?}"
    );
    for other in [
        named("ordersX", &payload),
        named(
            "orders-eu",
            &json!({"stateMachine": format!("{MACHINE}2"), "input": "payload"}),
        ),
    ] {
        Routes::parse(&document(&[named("orders", &payload), other])).unwrap();
    }
}

#[test]
fn loops_are_refused_unless_allowed() {
    let looping =
        |reply: serde_json::Value| json!({"from": {"cache": "c", "topic": "in/*"}, "reply": reply});
    for reply in [
        json!({"topics": ["in/x"]}),
        json!({"topics": ["out"], "failures": ["{topic}"]}),
        json!({"topics": ["{topic}/out"]}),
        json!({"topics": ["in{id}"]}),
        json!({"topics": ["in/x"], "cache": "{cache}"}),
    ] {
        let found = problem(looping(reply.clone()));
        assert!(found.contains("that route `r0` takes"), "{reply}: {found}");
        let mut allowed = looping(reply);
        allowed["loop"] = json!("allowed");
        Routes::parse(&document(&[allowed])).unwrap();
    }
    for reply in [
        json!({"topics": ["out"]}),
        json!({"topics": ["in/x"], "cache": "d"}),
        json!({"topics": ["out/{topic}"]}),
    ] {
        Routes::parse(&document(&[looping(reply)])).unwrap();
    }
    // Through another route, but not through a disabled one.
    let first = json!({"from": {"cache": "c", "topic": "a"}, "reply": {"topics": ["b"]}});
    let second = json!({"name": "second", "from": {"cache": "c", "topic": "b"}});
    let list = problems(&document(&[first.clone(), second.clone()]));
    assert!(
        list.len() == 1
            && list[0].starts_with("route `r0`: `reply`")
            && list[0].contains("`second`"),
        "{list:?}"
    );
    let mut off = second;
    off["enabled"] = json!(false);
    Routes::parse(&document(&[first, off])).unwrap();
}

proptest::proptest! {
    #[test]
    fn no_text_makes_it_panic(text in ".{0,200}") {
        let _ = Routes::parse(&text);
    }

    #[test]
    fn no_mangled_document_makes_it_panic(at in 0usize..700, len in 0usize..30, put in ".{0,30}") {
        let good = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/routes.json"));
        let mut bytes = good.as_bytes().to_vec();
        let at = at.min(bytes.len());
        bytes.splice(at..(at + len).min(good.len()), put.into_bytes());
        let _ = Routes::parse(&String::from_utf8_lossy(&bytes));
    }
}
