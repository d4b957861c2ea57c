//! `bridge explain`.

use std::io::Write;
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};
use workflow_bridge::domain::inbound::signature::sign;

use crate::lambda::{Aws, MACHINE, SECRET, routes};
use crate::webhook::{TRIGGERS, body as signed_body, event, webhook};

const ROUTES: &str = r#"{"routes": [
    {"name": "orders", "from": {"cache": "demo", "topic": "orders/*"}, "where": {"$or": [{"json": {"kind": ["order"]}}, {"token_id": [{"prefix": "shop-"}]}]},
     "to": {"stateMachine": "arn:aws:states:us-east-1:123456789012:stateMachine:Orders"},
     "reply": {"topics": ["done"], "failures": ["failed"], "from": "json.reply_to", "allow": ["replies/*"]}},
    {"name": "audit", "from": {"cache": "Demo", "topic": "*"}, "to": {"eventBus": "audit"}},
    {"name": "off", "enabled": false, "from": {"cache": "demo", "topic": "orders/1"}, "to": {"eventBus": "audit"}},
    {"name": "answers", "from": {"cache": "demo", "topic": "orders/*"}, "to": {"resume": {"token": "json.token"}}}
]}"#;

fn body(text: &str) -> Value {
    json!({
        "cache": "demo", "topic": "orders/1", "event_timestamp": 1704296470564_i64, "publish_timestamp": 1704296470565_i64,
        "topic_sequence_number": 7, "token_id": "", "text": text,
    })
}

/// The output for `event` on standard input, with [`ROUTES`] in the variable.
fn explain(event: &str, arguments: &[&str]) -> Output {
    explain_with(ROUTES, event, arguments)
}

fn explain_with(routes: &str, event: &str, arguments: &[&str]) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_bridge"))
        .args(["explain", "--event", "-"])
        .args(arguments)
        .env("ROUTES", routes)
        // No network access.
        .env("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(event.as_bytes()).unwrap();
    drop(stdin);
    child.wait_with_output().unwrap()
}

fn explained(event: &str, arguments: &[&str]) -> String {
    let output = explain(event, arguments);
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{error}");
    String::from_utf8(output.stdout).unwrap()
}

#[track_caller]
fn has(text: &str, lines: &[&str]) {
    for line in lines {
        assert!(text.contains(line), "{line}\n{text}");
    }
}

#[test]
fn a_message_is_made_up_from_topic_and_text() {
    let explain = |arguments: &[&str]| {
        Command::new(env!("CARGO_BIN_EXE_bridge"))
            .arg("explain")
            .args(arguments)
            .env("ROUTES", ROUTES)
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .output()
            .unwrap()
    };
    let message = ["--topic", "orders/1", "--text", r#"{"kind":"order"}"#];
    let output = explain(&message);
    let text = String::from_utf8(output.stdout).unwrap();
    has(
        &text,
        &["cache `demo`, topic `orders/1`, number 1", "✓ orders\n"],
    );
    let output = explain(&[&message[..], &["--cache", "Demo"]].concat());
    let text = String::from_utf8(output.stdout).unwrap();
    has(&text, &["cache `Demo`", "✓ audit\n"]);
    for arguments in [
        &message[..2],
        &[][..],
        &["--event", "-", "--topic", "t", "--text", "x"],
    ] {
        assert_eq!(explain(arguments).status.code(), Some(2), "{arguments:?}");
    }
}

#[test]
fn the_text_lists_matching_routes_and_why_others_do_not_match() {
    let text = explained(
        &body(r#"{"kind":"order","n":9007199254740993,"reply_to":"elsewhere"}"#).to_string(),
        &[],
    );
    has(
        &text,
        &[
            "cache `demo`, topic `orders/1`, number 7, no token id",
            "403 `stale`",
            "routes    the variable ROUTES",
            "✓ orders\n",
            "starts    arn:aws:states:us-east-1:123456789012:stateMachine:Orders",
            "execution orders-orders_1-7-",
            "\"n\": 9007199254740993",
            "reply     to `done` in cache `demo`, as `output`",
            "failures  to `failed`",
            "names \"elsewhere\" at `json.reply_to`, refused: the route allows `replies/*`",
            "✗ audit: cache: expected `Demo`, found `demo` (case and spaces count)",
            "✗ off: it is switched off",
            "! answers\n    refused   NoToken: expected a task token",
            "so        goes to orders; a dead letter for answers",
        ],
    );
}

#[test]
fn a_failed_pattern_names_its_key() {
    let text = explained(&body("no JSON").to_string(), &[]);
    has(
        &text,
        &[
            "✗ orders: where `json`: expected an object, found no JSON in the text\n",
            "or where `token_id`: expected one of `[{\"prefix\":\"shop-\"}]`, found `null`",
        ],
    );
    let text = explained(&body(r#"{"kind":"invoice"}"#).to_string(), &[]);
    has(
        &text,
        &["where `json.kind`: expected one of `[\"order\"]`, found `\"invoice\"`"],
    );
}

#[test]
fn the_json_has_the_exact_bytes_of_the_input() {
    let event = body(r#"{"kind": "order", "n": 1.10}"#).to_string();
    let all: Value = serde_json::from_str(&explained(&event, &["--json"])).unwrap();
    assert_eq!(all["fate"], "accepted");
    let input = all["routes"][0]["does"]["input"].as_str().unwrap();
    assert!(
        input.contains(r#""json":{"kind": "order", "n": 1.10}},"bridge""#),
        "{input}"
    );
    assert_eq!(all["routes"][1]["why_not"][0]["key"], "from.cache");
}

#[test]
fn a_message_without_a_route_is_explained_without_failure() {
    let event = body("x").to_string().replace("orders/1", "elsewhere");
    let text = explained(&event, &[]);
    has(&text, &["no route takes it: it becomes a dead letter"]);
}

#[test]
fn routes_come_from_a_template_or_a_file() {
    let event = body("hello")
        .to_string()
        .replace("orders/1", "uppercase-in");
    let text = explained(&event, &["--template", "template.yaml"]);
    has(
        &text,
        &[
            "`template.yaml`, with made-up ARNs",
            "✓ uppercase\n",
            "stateMachine:workflow-bridge_uppercase",
        ],
    );
    let workflow = "examples/approve/template.yaml";
    let question = event.replace("uppercase-in", "approve-in");
    let text = explained(&question, &["--template", workflow]);
    has(
        &text,
        &[
            "`examples/approve/template.yaml`, with made-up ARNs",
            "✓ approve\n",
            "stateMachine:workflow-bridge_approve",
            "✗ approve-answers: topic: expected `approve-answers`",
        ],
    );
    let text = explained(&event, &["--routes", "tests/fixtures/routes.json"]);
    has(
        &text,
        &[
            "routes    `tests/fixtures/routes.json`",
            "✗ uppercase: where `json`",
        ],
    );
}

#[test]
fn a_letter_shows_its_reason() {
    let letter = json!({"id": "x", "route": "audit", "reason": "unavailable", "detail": "Throttling: slow\ndown", "attempts": 3,
        "first_at": 1704296470565_i64, "last_at": 1704296480565_i64, "bridge": "0.1.0", "message": body("x")});
    let records = json!({"Messages": [{"Body": letter.to_string()}]}).to_string();
    let text = explained(&records, &[]);
    has(
        &text,
        &[
            "letter    for route `audit`: unavailable since 2024-01-03T15:41:10.565Z, 3 attempts",
            r"Throttling: slow\ndown",
            "✓ audit: the letter is for it, though it does not match now: cache: expected `Demo`",
            "✗ answers: matches, but the letter is not for it",
            "so        by the redrive: goes to audit, and to no other route",
        ],
    );
}

#[test]
fn an_error_names_its_remedy() {
    for (event, arguments, expected) in [
        (
            "hello",
            &[][..],
            "in standard input: expected a message in JSON",
        ),
        (
            "{}",
            &["--routes", "template.yaml"][..],
            "a template goes to `--template`",
        ),
        (
            "{}",
            &["--template", "tests/fixtures/routes.json"][..],
            "a routes document by itself goes to `--routes`",
        ),
        (
            "{}",
            &["--template", "nope.yaml"][..],
            "found no such file: pass `--routes FILE`",
        ),
    ] {
        let output = explain(event, arguments);
        let error = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{error}");
        assert!(error.contains(expected), "{expected}\n{error}");
    }
}

#[tokio::test]
async fn it_shows_the_calls_that_the_webhook_makes() {
    let routes = routes(json!([
        {"name": "envelope", "from": {"cache": "chat", "topic": "in"}, "to": {"stateMachine": MACHINE},
         "reply": {"topics": ["{topic}-out"], "from": "json.to", "allow": ["mine"]}},
        {"name": "payload", "from": {"cache": "*", "topic": "in"}, "to": {"stateMachine": MACHINE, "input": "payload"}},
        {"name": "bus", "from": {"cache": "chat", "topic": "in"}, "to": {"eventBus": "audit", "source": "chat"}},
        {"name": "task", "from": {"cache": "chat", "topic": "in"}, "to": {"resume": {"token": "json.token", "output": "json.n"}}},
        {"name": "other", "from": {"cache": "chat", "topic": "in"}, "where": {"text": ["no"]}, "to": {"stateMachine": MACHINE}},
    ]));
    let function = webhook(&[("ROUTES", &routes)], Aws::Answers).await;
    let body = signed_body(r#"{\"n\": 9007199254740993.10, \"to\": \"mine\", \"token\": \"t\"}"#);
    let event = event(
        TRIGGERS[0].1,
        &body,
        &[&sign(SECRET, body.as_bytes())],
        true,
    );
    let answer = function.invoke(event.clone()).await;
    assert_eq!(answer["statusCode"], 200, "{answer}");

    let output = explain_with(&routes, &event.to_string(), &["--json"]);
    let explained: Value = serde_json::from_slice(&output.stdout).unwrap();
    let does = |n: usize| &explained["routes"][n]["does"];
    let mut started = function.aws().bodies("StartExecution");
    started.sort_by_key(|call| call["name"].to_string());
    assert_eq!(started.len(), 2);
    for (n, call) in started.iter().enumerate() {
        assert_eq!(call["stateMachineArn"], does(n)["state_machine"]);
        assert_eq!(call["name"], does(n)["name"]);
        assert_eq!(call["input"], does(n)["input"]);
    }
    let put = &function.aws().bodies("PutEvents")[0]["Entries"][0];
    for (sent, shown) in [
        ("EventBusName", "bus"),
        ("Source", "source"),
        ("DetailType", "detail_type"),
        ("Detail", "detail"),
    ] {
        assert_eq!(put[sent], does(2)[shown], "{sent}");
    }
    let resumed = &function.aws().bodies("SendTaskSuccess")[0];
    assert_eq!(resumed["taskToken"], does(3)["token"]);
    assert_eq!(resumed["output"], does(3)["output"]);
    assert_eq!(does(4), &Value::Null);
}
