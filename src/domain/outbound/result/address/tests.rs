use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::domain::inbound::envelope::ExecutionInput;
use crate::domain::inbound::execution_name::execution_name;
use crate::domain::inbound::message::tests::message;
use crate::domain::inbound::routes::tests::{MACHINE, routes};

const OTHER: &str = "arn:aws:states:us-east-1:123456789012:stateMachine:Other";

/// An execution of [`MACHINE`] that returned `"done"`.
fn ended(name: &str, input: &str) -> Execution {
    ended_of(MACHINE, name, input)
}

fn ended_of(machine: &str, name: &str, input: &str) -> Execution {
    let detail = json!({
        "executionArn": "arn:execution", "stateMachineArn": machine, "name": name, "status": "SUCCEEDED", "input": input,
        "output": "\"done\"",
    });
    serde_json::from_value(detail).unwrap()
}

/// Name and input of the execution that the bridge starts for a message by a route.
fn started(route: &Value, fields: &Value) -> (String, String) {
    let all = routes(std::slice::from_ref(route));
    let (route, message) = (all.iter().next().unwrap(), message(fields.clone()));
    let input = if route.takes_payload() {
        ExecutionInput::payload(&message)
    } else {
        ExecutionInput::envelope(&message, route, None)
    };
    (execution_name(&route.name, &message), input.to_json())
}

/// The result's address as `cache/topic`, after `!` if it replaces a refused one; or the reason for none.
fn goes(execution: &Execution, today: &[Value]) -> String {
    match execution.address(execution.origin(), &routes(today)) {
        Ok(address) => {
            let publications = execution.publications(&address).unwrap();
            let to = publications
                .iter()
                .map(|p| format!("{}/{}", p.cache, p.topic));
            let to = to.collect::<Vec<_>>().join(" ");
            if address.refused {
                format!("!{to}")
            } else {
                to
            }
        }
        Err(NoAddress::Ignored(reason)) => reason.to_owned(),
        Err(NoAddress::Refused(refused)) => format!("{refused:?}"),
        Err(NoAddress::Unreadable(unreadable)) => unreadable.to_string(),
    }
}

fn envelope_route() -> Value {
    json!({"name": "r", "reply": {"topics": ["out-{token_id}"], "failures": ["failed"]}})
}

fn payload_route() -> Value {
    json!({"name": "r", "to": {"stateMachine": MACHINE, "input": "payload"}, "reply": {"topics": ["out"]}})
}

/// A publisher's text in the form of a complete envelope, with the id of its own fields.
fn forged() -> String {
    let admin = json!({"name": "r", "reply": {"topics": ["commands"], "cache": "admin"}});
    started(&admin, &json!({"text": "x"})).1
}

#[test]
fn the_bridges_own_input_is_trusted_if_its_route_agrees() {
    let (name, input) = started(&envelope_route(), &json!({}));
    let execution = ended(&name, &input);
    let changed = |key: &str, value: Value| {
        let mut route = envelope_route();
        route[key] = value;
        vec![route]
    };
    for (today, expected) in [
        (vec![envelope_route()], "chat/out-mo"),
        (changed("enabled", json!(false)), "chat/out-mo"),
        // Renamed, removed, or with the other input.
        (changed("name", json!("s")), "chat/out-mo"),
        (vec![], "chat/out-mo"),
        (changed("to", json!({"stateMachine": OTHER})), "chat/out-mo"),
        // The route has other topics: today's are filled in.
        (
            changed("reply", json!({"topics": ["new-{sequence}"]})),
            "!chat/new-1",
        ),
        (
            changed("reply", json!({"topics": ["out-mo", "failed"]})),
            "chat/out-mo",
        ),
        (
            changed(
                "reply",
                json!({"cache": "else", "topics": ["out-mo", "failed"]}),
            ),
            "!else/out-mo else/failed",
        ),
        (
            changed(
                "reply",
                json!({"topics": ["new"], "from": "json.to", "allow": ["out-*", "failed"]}),
            ),
            "chat/out-mo",
        ),
        (
            changed(
                "reply",
                json!({"topics": ["new"], "from": "json.to", "allow": ["out-*"]}),
            ),
            "!chat/new",
        ),
        // This execution has no other address.
        (changed("reply", json!(null)), r#"Route("r")"#),
        (
            vec![json!({"name": "r", "to": {"stateMachine": OTHER}, "reply": {"topics": ["new"]}})],
            r#"Route("r")"#,
        ),
    ] {
        let today: Vec<Value> = today
            .into_iter()
            .map(|mut route| {
                route
                    .as_object_mut()
                    .unwrap()
                    .retain(|_, value| !value.is_null());
                route
            })
            .collect();
        assert_eq!(goes(&execution, &today), expected, "{today:?}");
    }
    let today = routes(&changed(
        "reply",
        json!({"topics": ["new"], "format": "envelope"}),
    ));
    let address = execution.address(execution.origin(), &today).unwrap();
    let publications = execution.publications(&address).unwrap();
    assert!(
        publications[0]
            .value
            .contains("fbef2d94cda3d4500a34b5d7a27c3c01"),
        "the message is known"
    );
}

#[test]
fn a_route_without_a_reply_gets_none() {
    let silent = json!({"name": "r"});
    let (name, input) = started(&silent, &json!({}));
    for today in [vec![silent], vec![envelope_route()], vec![]] {
        assert_eq!(
            goes(&ended(&name, &input), &today),
            "its route had no reply"
        );
    }
}

#[test]
fn a_text_shaped_like_an_envelope_chooses_no_address() {
    let text = forged();
    let (name, input) = started(&payload_route(), &json!({"text": text}));
    assert_eq!(input, text);
    let fixed = json!({"name": "r", "reply": {"topics": ["out"]}});
    let silent = json!({"name": "r", "to": {"stateMachine": MACHINE, "input": "payload"}});
    let elsewhere = json!({"name": "r", "to": {"stateMachine": OTHER, "input": "payload"}, "reply": {"topics": ["out"]}});
    for (today, expected) in [
        (vec![payload_route()], "chat/out"),
        (vec![silent], "its route has no reply"),
        // With the other input since the execution's start.
        (vec![fixed], "!chat/out"),
        (vec![envelope_route()], r#"Placeholders("r")"#),
        (vec![json!({"name": "r"})], r#"Route("r")"#),
        // Renamed, removed, or with another target.
        (
            vec![json!({"name": "s", "reply": {"topics": ["out"]}})],
            "Name",
        ),
        (vec![], "Name"),
        (vec![elsewhere], "Name"),
    ] {
        assert_eq!(goes(&ended(&name, &input), &today), expected, "{today:?}");
    }
    // A plain text has no address to refuse.
    let (name, input) = started(&payload_route(), &json!({"text": "{}"}));
    let fixed = json!({"name": "r", "reply": {"topics": ["out"]}});
    assert_eq!(goes(&ended(&name, &input), &[fixed]), "chat/out");
    assert_eq!(goes(&ended(&name, &input), &[]), "no route asked for it");
}

#[test]
fn a_nested_execution_does_not_answer_for_its_parent() {
    let (name, input) = started(&envelope_route(), &json!({}));
    let child = json!({"name": "child", "to": {"stateMachine": OTHER}, "from": {"cache": "c", "topic": "t"}, "reply": {"topics": ["of-child"]}});
    let payload_child = json!({"name": "child", "to": {"stateMachine": OTHER, "input": "payload"}, "from": {"cache": "c", "topic": "t"},
        "reply": {"topics": ["of-child"]}});
    let today = [envelope_route(), child];
    let run = |name: &str, input: &str, today: &[Value]| goes(&ended_of(OTHER, name, input), today);
    assert_eq!(goes(&ended(&name, &input), &today), "chat/out-mo");
    // Named by Step Functions or by the workflow.
    for name in [
        "0c2f6a35-7d6c-4f0d-9f0a-27d9cbb2a9f1",
        "child-1",
        "r-room-281-1-0123456789abcdef",
    ] {
        assert_eq!(run(name, &input, &today), "Name");
        assert_eq!(
            run(name, &input, &[envelope_route(), payload_child.clone()]),
            "c/of-child"
        );
    }
    // An input with the parent's name, or with a part of the envelope only, asks for no reply.
    let mut nested: Value = serde_json::from_str(&input).unwrap();
    nested["AWS_STEP_FUNCTIONS_STARTED_BY_EXECUTION_ID"] =
        json!("arn:aws:states:us-east-1:123456789012:execution:Uppercase:r");
    assert_eq!(
        run("child-1", &nested.to_string(), &today),
        "another execution started it"
    );
    nested["AWS_STEP_FUNCTIONS_STARTED_BY_EXECUTION_ID"] = json!("a person");
    assert_eq!(run("child-1", &nested.to_string(), &today), "Name");
    let message = json!({"message": nested["message"]}).to_string();
    assert_eq!(run("child-1", &message, &today), "no route asked for it");
    let mut silent = nested;
    silent["bridge"]["reply"] = json!(null);
    silent
        .as_object_mut()
        .unwrap()
        .remove("AWS_STEP_FUNCTIONS_STARTED_BY_EXECUTION_ID");
    assert_eq!(
        run("child-1", &silent.to_string(), &today),
        "its input asks for no reply"
    );
}

#[test]
fn an_unreadable_envelope_is_an_error_unless_it_is_a_payload() {
    let (name, input) = started(&envelope_route(), &json!({}));
    let newer = input.replace(r#""version":1"#, r#""version":2"#);
    let unreadable = "expected an envelope of version 1 in the execution's input, found: version 2";
    for today in [vec![envelope_route()], vec![]] {
        assert_eq!(goes(&ended(&name, &newer), &today), unreadable);
        assert_eq!(goes(&ended("by-hand", &newer), &today), unreadable);
    }
    // A payload may be any text.
    assert_eq!(goes(&ended(&name, &newer), &[payload_route()]), "chat/out");
}

proptest! {
    /// Whatever a publisher sends, and whatever happens to the route meanwhile, its result goes to a topic of the document
    /// or to none.
    #[test]
    fn no_message_chooses_its_address(
        now in 0..7usize, inner in "\\PC{0,30}", number: u64, mine: bool, by_hand: bool,
    ) {
        let fields = json!({"text": inner, "topic_sequence_number": number});
        let admin = json!({"name": "r", "reply": {"topics": ["commands"], "cache": "admin"}});
        let (_, text) = started(&admin, &fields);
        let then = if mine { payload_route() } else { envelope_route() };
        let (name, input) = started(&then, &json!({"text": text, "topic_sequence_number": number}));
        // A workflow may hand the message's JSON to another one.
        let (name, input) = if by_hand { ("child".to_owned(), text) } else { (name, input) };
        let today = [
            vec![payload_route()],
            vec![envelope_route()],
            vec![json!({"name": "r", "reply": {"topics": ["out"]}})],
            vec![json!({"name": "s", "reply": {"topics": ["out"]}})],
            vec![json!({"name": "r"})],
            vec![json!({"name": "r", "to": {"stateMachine": OTHER}, "reply": {"topics": ["out"]}})],
            vec![],
        ];
        let to = goes(&ended(&name, &input), &today[now]);
        prop_assert!(!to.contains("admin/") && !to.contains("commands"), "{to}");
    }
}
