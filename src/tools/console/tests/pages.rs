use serde_json::{Map, Value, json};

use super::fake::{ARN, Fake, SECRET};
use super::{form, page};
use crate::tools::execution::Event;
use crate::tools::local::topics::broker;
use crate::tools::trace::model::{RouteState, What};
use axum::http::StatusCode;

const HOSTILE: &str = "<script>alert(1)</script>\"'&\u{202e}\u{7}</textarea>";

fn is_harmless(text: &str) {
    has_no_markup(text);
    for part in ["\u{202e}", "\u{7}"] {
        assert!(!text.contains(part), "{part:?} in {text}");
    }
}

/// Fields of forms have a text as it is.
fn has_no_markup(text: &str) {
    for part in ["<script>alert", "\"'&"] {
        assert!(!text.contains(part), "{part:?} in {text}");
    }
}

#[tokio::test]
async fn the_list_shows_messages_and_their_states() {
    let fake = Fake::new();
    let id = fake.publish("demo", "in", "hello");
    fake.answer(&id, "upper", "parked");
    fake.publish("demo", "elsewhere", "x");
    let got = page(&fake, "/").await;
    assert_eq!(got.status, StatusCode::OK);
    for part in [
        &format!("href=\"/runs/{id}\""),
        "hello",
        "parked",
        "no route listens",
        "data-stream=\"/events?\"",
    ] {
        assert!(got.text.contains(part), "{part}: {}", got.text);
    }
    let filtered = page(&fake, "/?topic=in&status=parked").await.text;
    assert!(filtered.contains(&id) && !filtered.contains("elsewhere#"));
    assert!(filtered.contains("/events?status=parked&amp;topic=in"));
    let none = page(&fake, "/?route=orders").await.text;
    assert!(none.contains("passes these filters"));
    let refused = page(&fake, "/?since=soon").await;
    assert_eq!(refused.status, StatusCode::BAD_REQUEST);
    assert!(refused.text.contains("expected a time"));
    // A whole id goes to its run.
    let there = page(&fake, &format!("/?q={id}")).await;
    assert_eq!(there.headers["location"], format!("/runs/{id}"));
}

#[tokio::test]
async fn hostile_texts_are_harmless_on_every_page() {
    let fake = Fake::new();
    let id = fake.publish("demo", HOSTILE, HOSTILE);
    fake.letter(HOSTILE, HOSTILE);
    let binary = fake.publish("demo", "in", broker::Value::Binary(vec![0, 159, 146, 150]));
    for address in [
        "/".to_owned(),
        format!("/runs/{id}"),
        format!("/runs/{binary}"),
        format!("/runs/{}", super::text::segment(HOSTILE)),
    ] {
        is_harmless(&page(&fake, &address).await.text);
    }
    for address in [
        // The forms of letters have their ids.
        "/letters".to_owned(),
        format!("/publish?again={id}"),
        format!(
            "/routes?{}",
            super::text::query(&[("cache", HOSTILE), ("topic", HOSTILE), ("text", HOSTILE)])
        ),
        format!(
            "/?{}",
            super::text::query(&[("q", HOSTILE), ("topic", HOSTILE)])
        ),
    ] {
        has_no_markup(&page(&fake, &address).await.text);
    }
    assert!(page(&fake, "/").await.text.contains("&lt;script&gt;alert"));
    // As it is only as text, which no browser renders.
    let raw = page(&fake, &format!("/runs/{id}/value")).await;
    assert!(raw.text == HOSTILE);
    assert_eq!(raw.headers["content-type"], "text/plain; charset=utf-8");
}

#[tokio::test]
async fn a_large_value_is_cut() {
    let fake = Fake::new();
    let id = fake.publish("demo", "in", "x".repeat(256 * 1024).as_str());
    let got = page(&fake, &format!("/runs/{id}")).await.text;
    assert!(got.len() < 20_000, "{}", got.len());
    assert!(got.contains("Show all") && got.contains(&format!("/runs/{id}/value")));
    let list = page(&fake, "/").await.text;
    assert!(list.len() < 20_000, "{}", list.len());
}

#[tokio::test]
async fn secrets_show_on_no_page() {
    let fake = Fake::new();
    let id = fake.publish("demo", "in", format!("my {SECRET}").as_str());
    fake.trace(&id, What::Replayed, RouteState::Resumed { at: 1 });
    for address in [
        "/".to_owned(),
        format!("/runs/{id}"),
        format!("/runs/{id}.json"),
        format!("/runs/{id}/value"),
    ] {
        let got = page(&fake, &address).await;
        assert!(!got.text.contains(SECRET), "{address}: {}", got.text);
        assert!(got.text.contains("(secret)"), "{address}: {}", got.text);
    }
}

fn event(id: i64, kind: &str, details: Value) -> Event {
    Event {
        id,
        previous: id - 1,
        at: 150 + id,
        kind: kind.to_owned(),
        details: match details {
            Value::Object(details) => details,
            _ => Map::new(),
        },
    }
}

#[tokio::test]
async fn a_failed_run_opens_on_its_failing_state() {
    let fake = Fake::new();
    let id = fake.publish("demo", "in", "hello");
    let definition = json!({
        "QueryLanguage": "JSONata", "StartAt": "First",
        "States": {
            "First": {"Type": "Pass", "Next": "Second"},
            "Second": {"Type": "Fail", "Error": "Broken", "Cause": "because"},
            "Never": {"Type": "Succeed"},
        },
    });
    let events = vec![
        event(1, "ExecutionStarted", json!({"input": "{}"})),
        event(
            2,
            "PassStateEntered",
            json!({"name": "First", "input": "{\"a\":1}"}),
        ),
        event(
            3,
            "PassStateExited",
            json!({"name": "First", "output": "{\"b\":2}"}),
        ),
        event(
            4,
            "FailStateEntered",
            json!({"name": "Second", "input": "{\"b\":2}"}),
        ),
        event(
            5,
            "ExecutionFailed",
            json!({"error": "Broken", "cause": HOSTILE}),
        ),
    ];
    fake.ran(&id, "FAILED", definition, events);
    let got = page(&fake, &format!("/runs/{id}")).await.text;
    is_harmless(&got);
    for part in [
        "<svg xmlns=",
        "href=\"#e0-visit-4\"",
        "id=\"e0-visit-4\" open",
        "Failed in ",
        "not reached",
        "{\n  &quot;a&quot;: 1\n}",
    ] {
        assert!(got.contains(part), "{part}: {got}");
    }
    assert!(!got.contains("id=\"e0-visit-2\" open"));
    let events = page(&fake, &format!("/executions/events?arn={ARN}&run={id}"))
        .await
        .text;
    assert!(events.contains("PassStateEntered") && events.contains("event-5"));
    let failures = page(&fake, &format!("/executions/events?arn={ARN}&only=failed"))
        .await
        .text;
    assert!(failures.contains("ExecutionFailed") && !failures.contains("PassStateEntered"));
    let input = page(
        &fake,
        &format!("/executions/payload?arn={ARN}&visit=2&part=input"),
    )
    .await;
    assert_eq!(input.text, "{\"a\":1}");
    let missing = page(
        &fake,
        &format!("/executions/payload?arn={ARN}&visit=2&part=x"),
    )
    .await;
    assert_eq!(missing.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_run_is_exported_as_json() {
    let fake = Fake::new();
    let id = fake.publish("demo", "in", "hello");
    fake.trace(&id, What::Replayed, RouteState::Resumed { at: 1 });
    let got = page(&fake, &format!("/runs/{id}.json")).await;
    assert_eq!(got.headers["content-type"], "application/json");
    let report: Value = serde_json::from_str(&got.text).unwrap();
    assert_eq!(report["messages"][0]["message"]["id"], json!(id));
    let unknown = page(&fake, "/runs/00000000000000000000000000000000").await;
    assert_eq!(unknown.status, StatusCode::NOT_FOUND);
    assert!(unknown.text.contains("no trace found"));
}

#[tokio::test]
async fn a_message_is_published_sent_again_and_delivered_again() {
    let fake = Fake::new();
    let fields = [("cache", "demo"), ("topic", "in"), ("text", "two\r\nlines")];
    let got = form(&fake, "/publish", &fields).await;
    assert_eq!(got.status, StatusCode::SEE_OTHER);
    let run = got.headers["location"].to_str().unwrap().to_owned();
    let id = run.strip_prefix("/runs/").unwrap().to_owned();
    let again = page(&fake, &format!("/publish?again={id}")).await.text;
    assert!(again.contains("Send it again") && again.contains("two\nlines"));
    let delivered = form(&fake, &format!("{run}/deliver"), &[]).await.text;
    assert!(delivered.contains("duplicate"), "{delivered}");
    assert_eq!(
        fake.calls(),
        ["publish demo/in two\nlines", "deliver \"in\"#1"]
    );
    let missing = form(&fake, "/publish", &[("cache", "demo")]).await;
    assert_eq!(missing.status, StatusCode::BAD_REQUEST);
    let samples = page(&fake, "/publish").await.text;
    assert!(
        samples.contains("{&quot;kind&quot;:&quot;order&quot;}"),
        "{samples}"
    );
}

#[tokio::test]
async fn letters_go_back_one_by_one_or_after_a_dry_run() {
    let fake = Fake::new();
    fake.letter("0000000000000000000000000000000a", "because");
    fake.letter("0000000000000000000000000000000b", "because");
    let got = page(&fake, "/letters").await.text;
    assert!(got.contains("demo/in#42") && got.contains("refused") && got.contains("because"));
    let id = ("id", "0000000000000000000000000000000a");
    let one = form(&fake, "/letters/back", &[("queue", "messages"), id])
        .await
        .text;
    assert!(one.contains("back on their path"));
    let dry = [
        ("queue", "messages"),
        ("reason", "refused"),
        ("dry", "true"),
    ];
    let dry = form(&fake, "/letters/back", &dry).await.text;
    assert!(dry.contains("would go back") && dry.contains("Put 2 back"));
    assert!(dry.contains("name=\"reason\" value=\"refused\"") && !dry.contains("name=\"dry\""));
    let all = [("queue", "messages"), ("reason", "refused")];
    form(&fake, "/letters/back", &all).await;
    assert_eq!(
        fake.calls(),
        [
            "put back 1 of messages",
            "count 2 of messages",
            "put back 2 of messages"
        ]
    );
    for fields in [
        vec![],
        vec![("queue", "others")],
        vec![("queue", "messages"), ("reason", "x")],
    ] {
        let refused = form(&fake, "/letters/back", &fields).await;
        assert_eq!(refused.status, StatusCode::BAD_REQUEST, "{fields:?}");
    }
}

#[tokio::test]
async fn executions_are_stopped_and_tasks_answered() {
    let fake = Fake::new();
    for (address, fields) in [
        ("/executions/stop", vec![("arn", ARN), ("run", "x")]),
        ("/executions/redrive", vec![("arn", ARN), ("run", "x")]),
        (
            "/tasks/answer",
            vec![("token", "t"), ("output", "{\"a\":1}"), ("run", "x")],
        ),
        (
            "/tasks/answer",
            vec![
                ("token", "t"),
                ("error", "No"),
                ("cause", "why"),
                ("run", "x"),
            ],
        ),
    ] {
        let got = form(&fake, address, &fields).await;
        assert_eq!(got.status, StatusCode::SEE_OTHER, "{address}: {}", got.text);
        assert_eq!(got.headers["location"], "/runs/x");
    }
    let calls = fake.calls();
    assert_eq!(
        calls[..2],
        [format!("stop {ARN}"), format!("redrive {ARN}")]
    );
    assert!(
        calls[2].contains("Success") && calls[3].contains("Failure"),
        "{calls:?}"
    );
    let refused = form(&fake, "/tasks/answer", &[("token", "t"), ("output", "yes")]).await;
    assert!(refused.text.contains("as JSON"), "{}", refused.text);
    let other = form(&fake, "/executions/stop", &[("arn", "arn:aws:sqs:x:1:q")]).await;
    assert_eq!(other.status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn routes_explain_which_of_them_take_a_message() {
    let fake = Fake::new();
    let got = page(&fake, "/routes").await.text;
    assert!(got.contains("orders/*") && got.contains("no message seen"));
    let text = super::text::query(&[("cache", "demo"), ("topic", "orders/1"), ("text", "{}")]);
    let why = page(&fake, &format!("/routes?{text}")).await.text;
    assert!(
        why.contains("No route takes it") && why.contains("json.kind"),
        "{why}"
    );
    let text = super::text::query(&[("cache", "demo"), ("topic", "in"), ("text", "hello")]);
    let taken = page(&fake, &format!("/routes?{text}")).await.text;
    assert!(
        !taken.contains("No route takes it") && taken.contains("upper-in-1-"),
        "{taken}"
    );
    let queues = page(&fake, "/queues").await.text;
    for part in [
        "parked",
        ">3<",
        "1 min 1 s",
        "Could not query CloudWatch: denied",
        "/runbooks/gaps",
        "sum of gap ≥ 1 in a period of 1 min",
        "demo/&lt;b&gt;in",
        "at least 4",
        "5 to 8 of page 7",
    ] {
        assert!(queues.contains(part), "{part}: {queues}");
    }
    let runbook = page(&fake, "/runbooks/gaps").await.text;
    assert!(runbook.contains("gap.until.sequence"), "{runbook}");
    let none = page(&fake, "/runbooks/none").await;
    assert_eq!(none.status, StatusCode::NOT_FOUND);
}
