use serde_json::{Value, json};

use super::*;
use crate::domain::inbound::message::tests::message;
use crate::domain::inbound::routes::tests::{MACHINE, routes};

const NOW: i64 = 1_704_296_470_565;

/// The routes of the explanation, in JSON, for a message with `fields`.
fn explained(list: &[Value], fields: Value) -> Value {
    json!(explain(&message(fields), None, &routes(list), NOW).routes)
}

fn letter(route: Option<&str>) -> Letter {
    let message = message(json!({}));
    Letter::about(&message, "{}", route, Reason::Unavailable, "slow".into(), 5)
}

#[test]
fn a_matching_route_shows_its_call() {
    let all = explained(
        &[
            json!({"reply": {"topics": ["out"]}}),
            json!({"name": "raw", "to": {"stateMachine": MACHINE, "input": "payload"}}),
            json!({"to": {"eventBus": "bus", "detailType": "{topic}"}}),
            json!({"to": {"resume": {"token": "json.token", "output": "json.n", "error": "json.no"}}}),
        ],
        json!({"text": r#"{"token":"t","n":1.10}"#}),
    );
    let name = all[0]["does"]["name"].as_str().unwrap();
    assert!(name.starts_with("r0-room-281-1-"), "{name}");
    let input: Value = serde_json::from_str(all[0]["does"]["input"].as_str().unwrap()).unwrap();
    assert_eq!(input["bridge"]["reply"]["topics"], json!(["out"]));
    assert_eq!(all[0]["reply"]["topics"], json!(["out"]));
    assert_eq!(all[1]["does"]["input"], r#"{"token":"t","n":1.10}"#);
    assert_eq!(all[1].get("reply"), None);
    let put = &all[2]["does"];
    assert_eq!(
        (&put["action"], &put["bus"]),
        (&json!("put_event"), &json!("bus"))
    );
    assert_eq!(
        (&put["detail_type"], &put["source"]),
        (&json!("room-281"), &json!("Momento"))
    );
    let expected = json!({"action": "task_success", "token": "t", "output": "1.10"});
    assert_eq!(all[3]["does"], expected);
}

#[test]
fn an_impossible_call_is_a_dead_letter() {
    let all = explained(
        &[
            json!({}),
            json!({"to": {"resume": {"token": "json.token"}}}),
        ],
        json!({"text": "x".repeat(300_000)}),
    );
    assert_eq!(all[0]["does"]["reason"], "input_too_large");
    assert_eq!(all[1]["does"]["reason"], "refused");
    assert!(
        all[1]["does"]["detail"]
            .as_str()
            .unwrap()
            .contains("json.token")
    );
    let failure = explained(
        &[json!({"to": {"resume": {"token": "json.t", "error": "json.no"}}})],
        json!({"text": r#"{"t":"t","no":{"error":"Denied","cause":"dear"}}"#}),
    );
    let expected =
        json!({"action": "task_failure", "token": "t", "error": "Denied", "cause": "dear"});
    assert_eq!(failure[0]["does"], expected);
}

#[test]
fn a_reply_topic_from_the_message_is_granted_or_refused() {
    let reply = json!({"reply": {"topics": ["out"], "from": "json.to", "allow": ["r/*"]}});
    for (text, found, granted, topics) in [
        (r#"{"to":"r/1"}"#, json!(r#""r/1""#), true, "r/1"),
        (r#"{"to":"x"}"#, json!(r#""x""#), false, "out"),
        ("{}", json!(null), false, "out"),
    ] {
        let all = explained(std::slice::from_ref(&reply), json!({ "text": text }));
        let address = &all[0]["reply"];
        assert_eq!(address["asked"]["found"], found, "{text}");
        assert_eq!(address["asked"]["granted"], granted, "{text}");
        assert_eq!(address["topics"], json!([topics]), "{text}");
    }
}

#[test]
fn a_letter_goes_to_its_route_alone() {
    let routes = routes(&[
        json!({"name": "one"}),
        json!({"name": "two", "from": {"cache": "chat", "topic": "moved"}}),
        json!({"name": "off", "enabled": false}),
    ]);
    let fate = |route: Option<&str>| {
        let explanation = explain(&message(json!({})), Some(&letter(route)), &routes, NOW);
        let going = explanation.routes.iter().filter(|r| r.call.is_some());
        let going: Vec<_> = going.map(|route| route.name.clone()).collect();
        (explanation.fate, going)
    };
    // Like the redrive, without matching the route again.
    assert_eq!(fate(Some("two")), (Fate::Accepted, vec!["two".to_owned()]));
    assert_eq!(fate(None), (Fate::Accepted, vec!["one".to_owned()]));
    assert_eq!(fate(Some("off")), (Fate::RouteGone, vec![]));
    assert_eq!(fate(Some("gone")), (Fate::RouteGone, vec![]));
}

#[test]
fn fate_and_freshness_follow_the_routes_and_the_age() {
    let routes = routes(&[json!({"from": {"cache": "c", "topic": "t"}})]);
    for (ahead_ms, freshness) in [
        (0, Freshness::Fresh),
        (60_000, Freshness::Fresh),
        (60_001, Freshness::Stale),
        (-30_000, Freshness::Fresh),
        (-30_001, Freshness::FromTheFuture),
    ] {
        let explanation = explain(&message(json!({})), None, &routes, NOW + ahead_ms);
        assert_eq!(explanation.message.freshness, freshness, "{ahead_ms}");
        assert_eq!(explanation.message.age_ms, ahead_ms);
        assert_eq!(explanation.fate, Fate::Unrouted);
    }
}

mod sources {
    use super::*;
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;

    const BODY: &str = r#"{"cache":"chat","topic":"room-281","event_timestamp":1704296470564,"publish_timestamp":1704296470565,"topic_sequence_number":1,"token_id":"mo","text":"Here I am!!","reason":"x"}"#;

    fn id(bytes: &str) -> String {
        Source::read(bytes.as_bytes())
            .unwrap()
            .message
            .id
            .to_string()
    }

    #[test]
    fn a_message_is_found_in_every_holder() {
        let expected = message(json!({})).id.to_string();
        assert_eq!(id(&format!("{BODY}\n")), expected);
        let letter = Letter {
            message: Some(serde_json::from_str(BODY).unwrap()),
            ..letter(None)
        };
        let letter = letter.to_json();
        assert_eq!(id(&letter), expected);
        assert_eq!(
            id(&json!({"Messages": [{"Body": letter}]}).to_string()),
            expected
        );
        assert_eq!(
            id(&json!({"Records": [{"body": letter}]}).to_string()),
            expected
        );
        let source = Source::read(letter.as_bytes()).unwrap();
        assert!(matches!(source.holder, Holder::Letter(l) if l.reason == Reason::Unavailable));
    }

    #[test]
    fn every_trigger_is_known_with_its_signature() {
        for event in [
            include_str!(concat!(
                env!("CARGO_MANIFEST_DIR"),
                "/tests/fixtures/events/function_url.json"
            )),
            include_str!(concat!(
                env!("CARGO_MANIFEST_DIR"),
                "/tests/fixtures/events/http_api.json"
            )),
            include_str!(concat!(
                env!("CARGO_MANIFEST_DIR"),
                "/tests/fixtures/events/rest_api.json"
            )),
            include_str!(concat!(
                env!("CARGO_MANIFEST_DIR"),
                "/tests/fixtures/events/alb.json"
            )),
            include_str!(concat!(
                env!("CARGO_MANIFEST_DIR"),
                "/tests/fixtures/events/alb_multi_value.json"
            )),
        ] {
            let mut event: Value = serde_json::from_str(event).unwrap();
            event["body"] = BODY.into();
            assert_eq!(id(&event.to_string()), message(json!({})).id.to_string());
            event["body"] = STANDARD.encode(BODY).into();
            event["isBase64Encoded"] = true.into();
            let holder = |event: &Value| Source::read(event.to_string().as_bytes()).unwrap().holder;
            assert!(matches!(holder(&event), Holder::Event { signed: false }));
            let headers = ["headers", "multiValueHeaders"]
                .into_iter()
                .find(|key| event[key].is_object());
            event[headers.unwrap()]["Momento-Signature"] = "0".into();
            assert!(matches!(holder(&event), Holder::Event { signed: true }));
        }
    }

    #[test]
    fn input_without_a_message_is_an_error_with_a_remedy() {
        let result = json!({"id": "e", "reason": "refused", "route": null, "detail": "", "attempts": 1, "first_at": 1, "last_at": 1, "bridge": "1", "event": {}});
        let bare = json!({"requestContext": {}});
        let two = json!({"Messages": [{"Body": "{}"}, {"Body": "{}"}]});
        for (text, expected) in [
            (String::new(), "found nothing"),
            ("hello".into(), "found no JSON"),
            ("[1]".into(), "JSON of another kind"),
            (result.to_string(), "cargo bridge replay --results"),
            (bare.to_string(), "expected a `body` in the event"),
            (two.to_string(), "found 2: keep the one to explain"),
            (
                r#"{"Messages":[{}]}"#.into(),
                "expected the letter as a text in `Body`",
            ),
            (
                r#"{"reason":"refused"}"#.into(),
                "expected a letter of the bridge",
            ),
            (
                BODY.replace("\"room-281\"", "7"),
                "`topic`: expected a text, found `7`",
            ),
            (
                BODY.replace("1704296470564", "1.5"),
                "`event_timestamp`: expected a whole number of milliseconds",
            ),
            (
                BODY.replace("text", "words"),
                "expected the value in `text` or `binary`",
            ),
            (
                BODY.replace(r#""text":"Here"#, r#""binary":"Here"#),
                "`binary`: expected a text in base64",
            ),
            (
                BODY.replace(r#""token_id":"mo""#, r#""topic":"again""#),
                "perhaps a duplicate field",
            ),
        ] {
            let error = Source::read(text.as_bytes()).unwrap_err().to_string();
            assert!(error.contains(expected), "{text}: {error}");
        }
        let error = Source::read(b"\xff").unwrap_err().to_string();
        assert!(error.contains("invalid UTF-8 at byte 0"), "{error}");
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..200), at in 0usize..200, put in ".{0,10}") {
            let _ = Source::read(&bytes);
            let mut body = BODY.to_owned();
            body.insert_str(at.min(body.len()), &put);
            let _ = Source::read(body.as_bytes());
        }
    }
}
