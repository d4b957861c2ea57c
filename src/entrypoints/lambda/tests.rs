mod properties;

use http::{HeaderValue, Response, header};
use serde_json::{Value, json};

use super::answer::Answer;
use super::event::Event;
use super::*;

const URL: &str = include_str!(concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/tests/fixtures/events/function_url.json"
));
const HTTP_API: &str = include_str!(concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/tests/fixtures/events/http_api.json"
));
const REST_API: &str = include_str!(concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/tests/fixtures/events/rest_api.json"
));
const ALB: &str = include_str!(concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/tests/fixtures/events/alb.json"
));
const ALB_OF_LISTS: &str = include_str!(concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/tests/fixtures/events/alb_multi_value.json"
));
const ALL: [&str; 5] = [URL, HTTP_API, REST_API, ALB, ALB_OF_LISTS];

fn json(event: &str) -> Value {
    serde_json::from_str(event).unwrap()
}

fn read(event: &Value) -> Event {
    serde_json::from_str(&event.to_string()).unwrap_or_else(|e| panic!("{e}: {event}"))
}

fn path(event: &Value) -> String {
    read(event).request.uri().path().to_owned()
}

/// The values of the signature's header, when `event` has these headers.
fn signatures(event: &str, headers: &Value, multi_value_headers: &Value) -> Vec<String> {
    let mut event = json(event);
    event["headers"] = headers.clone();
    event["multiValueHeaders"] = multi_value_headers.clone();
    let values = read(&event);
    let values = values.request.headers().get_all("momento-signature");
    let values = values.iter().map(|value| value.as_bytes().to_vec());
    values
        .map(|value| String::from_utf8(value).unwrap())
        .collect()
}

#[test]
fn every_trigger_is_known_with_its_method_and_path() {
    // An HTTP API with the payload 1.0.
    let mut old_payload = json(REST_API);
    old_payload["version"] = json!("1.0");
    old_payload["path"] = json!("/live/hooks");
    for (event, trigger, path) in [
        (json(URL), Trigger::Http, "/"),
        (json(HTTP_API), Trigger::Http, "/hooks"),
        (json(REST_API), Trigger::Rest, "/"),
        (old_payload, Trigger::Rest, "/hooks"),
        (json(ALB), Trigger::Alb, "/"),
        (json(ALB_OF_LISTS), Trigger::Alb, "/"),
    ] {
        let read = read(&event);
        let found = (read.trigger, read.request.method().as_str());
        assert_eq!(found, (trigger, "POST"), "{event}");
        assert_eq!(read.request.uri().path(), path, "{event}");
    }
    let mut get = json(URL);
    get["requestContext"]["http"]["method"] = json!("GET");
    assert_eq!(read(&get).request.method(), "GET");
}

#[test]
fn the_path_excludes_the_stage() {
    for (sent, stage, seen) in [
        ("/live/", json!("live"), "/"),
        ("/live/hooks", json!("live"), "/hooks"),
        ("/", json!("live"), "/"),
        ("/lively/hooks", json!("live"), "/lively/hooks"),
        ("/live/hooks", json!("$default"), "/live/hooks"),
        ("/live/hooks", json!(null), "/live/hooks"),
    ] {
        for (trigger, field) in [(HTTP_API, "rawPath"), (REST_API, "path")] {
            let mut event = json(trigger);
            event["requestContext"]["stage"] = stage.clone();
            event[field] = json!(sent);
            assert_eq!(path(&event), seen, "{sent} in stage {stage}");
        }
    }
}

#[test]
fn only_the_root_is_the_root() {
    for (sent, is_root) in [
        (json!("/"), true),
        (json!(""), true),
        (json!(null), true),
        (json!("no slash <>"), true),
        (json!("/a b<>[::"), false),
        (json!("/\u{e9}"), false),
        (json!("/\u{1}"), false),
        (json!("//"), false),
        (json!("/".to_owned() + &"x".repeat(100_000)), false),
    ] {
        let mut event = json(URL);
        event["rawPath"] = sent.clone();
        assert_eq!(path(&event) == "/", is_root, "{sent}");
    }
}

#[test]
fn every_value_of_the_signature_is_seen() {
    for (headers, all, seen) in [
        (json!({"momento-signature": "a"}), json!(null), &["a"][..]),
        (json!({"Momento-SIGNATURE": "a"}), json!({}), &["a"]),
        (
            json!({"momento\u{2d}signature": "a,b"}),
            json!(null),
            &["a,b"],
        ),
        (
            json!({"momento-signature": "b"}),
            json!({"Momento-Signature": ["a", "b"]}),
            &["a", "b"],
        ),
        (
            json!({"Momento-Signature": "a", "momento-signature": "a"}),
            json!(null),
            &["a", "a"],
        ),
        (
            json!({"momento-signature": "a"}),
            json!({"momento-signature": []}),
            &["a"],
        ),
        (
            json!(null),
            json!({"momento-signature": ["a"], "x": ["b"]}),
            &["a"],
        ),
        (json!({"momento-signature": ""}), json!(null), &[""]),
        (json!({"momento-signature": "a\n"}), json!(null), &[""]),
        (
            json!({"signature": "a", "x": 7, "\u{1}": {}}),
            json!({"x": [null]}),
            &[],
        ),
        (json!({}), json!({}), &[]),
    ] {
        for event in ALL {
            assert_eq!(signatures(event, &headers, &all), seen, "{headers} {all}");
        }
    }
    // A duplicate name, impossible in this test's maps.
    let twice = r#"{"momento-signature": "a", "momento-signature": "a"}"#;
    let event = ALB.replacen(
        "\"headers\": {",
        &format!("\"headers\": {twice}, \"more\": {{"),
        1,
    );
    let event: Event = serde_json::from_str(&event).unwrap();
    let values = event.request.headers().get_all("momento-signature");
    assert_eq!(values.iter().count(), 2);
}

#[test]
fn a_body_is_the_bytes_that_were_sent() {
    for (body, flag, bytes) in [
        (json!("\u{e9}\"\n"), json!(false), &b"\xc3\xa9\"\n"[..]),
        (json!("/wA="), json!(true), b"\xff\0"),
        (json!("/wA="), json!(false), b"/wA="),
        (json!("/wA="), json!(null), b"/wA="),
        (json!("no base64"), json!(true), b"no base64"),
        (json!("/wB="), json!(true), b"/wB="),
        (json!(""), json!(true), b""),
        (json!(null), json!(true), b""),
        (json!(null), json!(false), b""),
    ] {
        for event in ALL {
            let mut event = json(event);
            event["body"] = body.clone();
            event["isBase64Encoded"] = flag.clone();
            assert_eq!(read(&event).request.body(), bytes, "{body} {flag}");
        }
    }
    let mut event = json(URL);
    event.as_object_mut().unwrap().remove("body");
    event.as_object_mut().unwrap().remove("isBase64Encoded");
    assert_eq!(read(&event).request.body(), b"");
}

#[test]
fn other_events_are_errors_with_a_reason() {
    let trigger = "expected the event of a Function URL, API Gateway or an ALB, found something else; let one of them invoke the function";
    let method = "expected an HTTP method in the event, found something else";
    for (event, error) in [
        ("{}", trigger),
        (
            "[]",
            "invalid length 0, expected the event of a Function URL, API Gateway or an ALB at line 1 column 2",
        ),
        (r#"{"version":"2.0"}"#, trigger),
        (r#"{"httpMethod":"POST"}"#, trigger),
        (r#"{"requestContext":{"elb":{}}}"#, trigger),
        (r#"{"requestContext":{"connectionId":"1"}}"#, trigger),
        (r#"{"Records":[]}"#, trigger),
        (r#"{"requestContext":{},"httpMethod":"P O"}"#, method),
        (r#"{"requestContext":{},"httpMethod":""}"#, method),
        (
            "7",
            "invalid type: integer `7`, expected the event of a Function URL, API Gateway or an ALB at line 1 column 1",
        ),
    ] {
        let found = serde_json::from_str::<Event>(event).err();
        let found = found.map(|e| e.to_string());
        assert_eq!(found.as_deref(), Some(error), "{event}");
    }
}

#[test]
fn an_answer_has_the_shape_of_its_trigger() {
    let answer = |trigger| {
        let mut response = Response::new("{\"code\":\"\u{e9}\"}".to_owned());
        *response.status_mut() = http::StatusCode::METHOD_NOT_ALLOWED;
        for (name, value) in [
            (header::CONTENT_TYPE, "application/json"),
            (header::ALLOW, "POST"),
        ] {
            let value = HeaderValue::from_static(value);
            response.headers_mut().insert(name, value);
        }
        serde_json::to_value(Answer { trigger, response }).unwrap()
    };
    let one = json!({"content-type": "application/json", "allow": "POST"});
    let all = json!({"content-type": ["application/json"], "allow": ["POST"]});
    let body = "{\"code\":\"\u{e9}\"}";
    assert_eq!(
        answer(Trigger::Http),
        json!({"statusCode": 405, "headers": one, "body": body, "isBase64Encoded": false})
    );
    assert_eq!(
        answer(Trigger::Rest),
        json!({"statusCode": 405, "multiValueHeaders": all, "body": body, "isBase64Encoded": false})
    );
    assert_eq!(
        answer(Trigger::Alb),
        json!({
            "statusCode": 405, "statusDescription": "405 Method Not Allowed",
            "headers": one, "multiValueHeaders": all, "body": body, "isBase64Encoded": false,
        })
    );
}

/// The front end's clock limits a lagging clock; a leading clock leaves no time.
#[test]
fn the_later_clock_determines_the_time_left() {
    let now = 1_704_296_470_000;
    let deadline = 1_704_296_480_000;
    let left = |received_at, clock: i64, waited_ms| {
        let waited = Duration::from_millis(waited_ms);
        super::left(deadline, received_at, now + clock, waited).as_millis()
    };
    for (received_at, clock, waited_ms, expected) in [
        (None, 0, 0, 10_000),
        (Some(now), 0, 0, 10_000),
        (Some(now), 20, 0, 9_980),
        (Some(now), -90_000, 0, 10_000),
        (Some(now), -90_000, 1_500, 8_500),
        (Some(now), 90_000, 0, 0),
        (None, 90_000, 0, 0),
        (Some(i64::MAX), 0, 0, 0),
    ] {
        assert_eq!(left(received_at, clock, waited_ms), expected, "{clock}");
    }
}
