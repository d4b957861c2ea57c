use serde_json::{Value, json};

use super::*;
use crate::domain::inbound::routes::tests::{MACHINE, routes};

const ARN: &str = "arn:aws:states:us-east-1:123456789012:execution:Uppercase:uppercase-uppercase-in-42-46c9cb27f6b1673f";

fn input() -> String {
    json!({
        "message": {"id": "46c9cb27f6b1673fd1dd32bd0289549c", "cache": "demo", "topic": "uppercase-in",
            "topic_sequence_number": 42, "event_timestamp": 1, "token_id": "mo", "text": "hello", "json": null},
        "bridge": {"version": 1, "route": "uppercase", "reply": {"cache": "demo", "topics": ["uppercase-out", "copy"],
            "failures": ["uppercase-failed"], "format": "output"}},
    })
    .to_string()
}

/// The detail of a status change as AWS sends it, with `fields` replaced.
fn execution(fields: Value) -> Execution {
    let mut detail = json!({
        "executionArn": ARN, "stateMachineArn": MACHINE, "name": ARN.rsplit(':').next(), "status": "SUCCEEDED",
        "startDate": 1704296470564_i64, "stopDate": 1704296471564_i64, "input": input(), "output": "\"HELLO\"",
        "stateMachineVersionArn": null, "stateMachineAliasArn": null, "redriveCount": 0, "redriveDate": null,
        "redriveStatus": "NOT_REDRIVABLE", "redriveStatusReason": "x", "inputDetails": {"included": true},
        "outputDetails": {"included": true}, "error": null, "cause": null,
    });
    for (key, value) in fields.as_object().unwrap() {
        detail[key] = value.clone();
    }
    serde_json::from_value(detail).unwrap()
}

fn published(execution: &Execution, list: &[Value]) -> Vec<(String, String)> {
    match execution.address(execution.origin(), &routes(list)) {
        Ok(address) => {
            let publications = execution.publications(&address).unwrap();
            let pairs = publications
                .into_iter()
                .map(|p| (format!("{}/{}", p.cache, p.topic), p.value));
            pairs.collect()
        }
        Err(NoAddress::Ignored(reason)) => vec![("ignored".into(), reason.into())],
        Err(no_address) => vec![("refused".into(), format!("{no_address:?}"))],
    }
}

#[test]
fn a_success_publishes_the_output() {
    for (output, value) in [
        (r#""HELLO""#, "HELLO"),
        (r#""\"quoted\" \u00fc""#, "\"quoted\" ü"),
        (r#"{"n": 9007199254740993}"#, r#"{"n": 9007199254740993}"#),
        ("null", "null"),
        ("42", "42"),
    ] {
        let to = published(&execution(json!({"output": output})), &[]);
        let value = value.to_owned();
        assert_eq!(
            to,
            [
                ("demo/uppercase-out".into(), value.clone()),
                ("demo/copy".into(), value)
            ]
        );
    }
}

#[test]
fn a_failure_publishes_the_envelope_on_the_failures_topic() {
    for (status, error, cause) in [
        ("FAILED", json!("States.TaskFailed"), json!("it broke")),
        ("FAILED", json!(null), json!(null)),
        ("TIMED_OUT", json!(null), json!(null)),
        ("ABORTED", json!("Stopped"), json!(null)),
    ] {
        let fields = json!({"status": status, "output": null, "outputDetails": null, "error": error, "cause": cause});
        let to = published(&execution(fields), &[]);
        assert_eq!(to.len(), 1);
        assert_eq!(to[0].0, "demo/uppercase-failed");
        assert_eq!(
            to[0].1,
            format!(
                r#"{{"id":"46c9cb27f6b1673fd1dd32bd0289549c","route":"uppercase","status":"{status}","execution":"{ARN}","output":null,"error":{error},"cause":{cause},"in_reply_to":{{"cache":"demo","topic":"uppercase-in","topic_sequence_number":42}},"started_at":1704296470564,"stopped_at":1704296471564}}"#
            )
        );
    }
}

#[test]
fn the_envelope_format_wraps_a_success() {
    let input = input().replace(r#""format":"output""#, r#""format":"envelope""#);
    let to = published(
        &execution(json!({"input": input, "output": "{\"n\":9007199254740993}"})),
        &[],
    );
    assert_eq!(to[0].0, "demo/uppercase-out");
    assert!(
        to[0].1.contains(r#""status":"SUCCEEDED""#)
            && to[0]
                .1
                .contains(r#""output":{"n":9007199254740993},"error":null"#),
        "{}",
        to[0].1
    );
}

#[test]
fn missing_keys_read_as_null() {
    let detail = json!({"executionArn": ARN, "stateMachineArn": MACHINE, "name": ARN.rsplit(':').next(), "status": "SUCCEEDED"});
    let mut execution: Execution = serde_json::from_value(detail).unwrap();
    assert!(execution.lacks_detail());
    let described = Described {
        status: "SUCCEEDED".into(),
        input: Some(input()),
        output: Some("1".into()),
        ..Described::default()
    };
    execution.fill_in(described).unwrap();
    assert!(!execution.lacks_detail());
    assert_eq!(published(&execution, &[])[0].1, "1");
}

#[test]
fn missing_details_are_detected() {
    let out = json!({"included": false});
    assert!(execution(json!({"input": null, "inputDetails": out})).lacks_detail());
    assert!(execution(json!({"output": null, "outputDetails": out})).lacks_detail());
    assert!(
        !execution(json!({"status": "FAILED", "output": null, "outputDetails": null}))
            .lacks_detail()
    );
}

#[test]
fn open_and_unrouted_executions_are_ignored() {
    for status in ["RUNNING", "PENDING_REDRIVE", "SOMETHING_NEW"] {
        assert!(!execution(json!({"status": status})).has_ended());
    }
    for input in ["{}", "\"text\"", "[]", "not json"] {
        assert_eq!(
            published(&execution(json!({"input": input})), &[])[0].1,
            "no route asked for it",
            "{input}"
        );
    }
    let mut no_reply: Value = serde_json::from_str(&input()).unwrap();
    no_reply["bridge"]["reply"] = json!(null);
    assert_eq!(
        published(&execution(json!({"input": no_reply.to_string()})), &[])[0].1,
        "its route had no reply"
    );
}

#[test]
fn a_payload_route_has_the_address_itself() {
    let route = json!({
        "name": "uppercase", "from": {"cache": "c", "topic": "uppercase-in"}, "to": {"stateMachine": format!("{MACHINE}:live"), "input": "payload"},
        "reply": {"topics": ["{topic}-out"], "failures": ["failed"], "format": "output"},
    });
    let to = published(
        &execution(json!({"input": "{\"n\":1}"})),
        std::slice::from_ref(&route),
    );
    assert_eq!(to, [("c/uppercase-in-out".into(), "HELLO".into())]);
    let to = published(
        &execution(json!({"input": "{}", "status": "FAILED", "output": null})),
        &[route],
    );
    let envelope: Value = serde_json::from_str(&to[0].1).unwrap();
    assert_eq!(
        (to[0].0.as_str(), &envelope["id"], &envelope["route"]),
        ("c/failed", &json!(null), &json!("uppercase"))
    );
    assert_eq!(
        envelope["in_reply_to"],
        json!({"cache": "c", "topic": "uppercase-in", "topic_sequence_number": 42})
    );
}

#[test]
fn a_payload_cannot_choose_where_its_result_goes() {
    let route = json!({
        "name": "uppercase", "from": {"cache": "c", "topic": "uppercase-in"}, "to": {"stateMachine": MACHINE, "input": "payload"},
        "reply": {"topics": ["out"]},
    });
    // The publisher's text looks just like an envelope.
    let routes = std::slice::from_ref(&route);
    for name in ["uppercase-uppercase-in-42-0123456789abcdef", "by-hand"] {
        let forged = execution(json!({"name": name, "input": input()}));
        assert_eq!(
            published(&forged, routes),
            [("c/out".into(), "HELLO".into())],
            "{name}"
        );
    }
}

#[test]
fn an_invalid_output_is_refused_without_quoting_it() {
    let mut input: Value = serde_json::from_str(&input()).unwrap();
    input["bridge"]["reply"]["format"] = json!("envelope");
    let broken = execution(json!({"input": input.to_string(), "output": "{secret"}));
    let address = broken.address(broken.origin(), &routes(&[])).unwrap();
    let e = broken.publications(&address).unwrap_err().to_string();
    assert!(!e.contains("secret"), "{e}");
}

#[test]
fn a_topic_publish_is_one_message_or_a_list() {
    let publish = |detail: Value| {
        topic_publish(&detail.to_string()).map(|list| {
            list.into_iter()
                .map(|p| format!("{}/{}={}", p.cache, p.topic, p.value))
                .collect::<Vec<_>>()
        })
    };
    assert_eq!(
        publish(json!({"cache": "c", "topic": "t", "value": "v"})).unwrap(),
        ["c/t=v"]
    );
    assert_eq!(
        publish(json!({"cache": "c", "topic": "t", "value": {"n": 9007199254740993_i64}})).unwrap(),
        [r#"c/t={"n":9007199254740993}"#]
    );
    assert_eq!(
        publish(json!({"cache": "c", "topic": "t", "value": null, "more": 1})).unwrap(),
        ["c/t=null"]
    );
    let list = json!({"messages": [{"cache": "c", "topic": "t", "value": "v"}, {"cache": "c", "topic": "u", "value": 1}]});
    assert_eq!(publish(list).unwrap(), ["c/t=v", "c/u=1"]);
    assert_eq!(publish(json!({"messages": []})).unwrap().len(), 0);
    for wrong in [
        json!({}),
        json!([]),
        json!({"cache": "c", "topic": "t"}),
        json!({"cache": "", "topic": "t", "value": 1}),
        json!({"messages": [{"topic": "t"}]}),
    ] {
        assert!(
            publish(wrong.clone())
                .unwrap_err()
                .to_string()
                .starts_with("expected `cache`"),
            "{wrong}"
        );
    }
}
