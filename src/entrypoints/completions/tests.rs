use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::Semaphore;

use super::*;
use crate::domain::fault::Fault;
use crate::domain::inbound::live_routes::LiveRoutes;
use crate::domain::inbound::routes::tests::{MACHINE, routes};
use crate::domain::outbound::claims::Claims;
use crate::domain::outbound::publisher::Publisher;
use crate::domain::ports::Described;
use crate::telemetry::metrics::Metrics;
use crate::telemetry::xray::Tracer;
use crate::testing::{Behaviour, World};

mod damaged;
mod fresh_routes;
mod ledger;
mod metrics;
mod started;

fn completion(world: &World) -> Completion {
    Completion {
        complete: Complete {
            routes: LiveRoutes::fixed(routes(&[])),
            executions: Arc::new(world.clone()),
            publisher: Publisher {
                topics: Arc::new(world.clone()),
                claims: Claims {
                    items: Arc::new(world.clone()),
                    objects: None,
                    max_message_bytes: 4096,
                    max_item_bytes: 10_000,
                    ttl: Duration::from_secs(60),
                    now_ms: || 1000,
                },
                ledger: Some(Arc::new(world.clone())),
                at_once: Semaphore::new(5),
                now_ms: || 1000,
            },
            metrics: Metrics::none(),
            tracer: Tracer::default(),
            now_ms: || 1000,
        },
        dead_letters: Some(world.queues().dead_letters),
        repeats: Repeats {
            receipts: Some(Arc::new(world.clone())),
            first: Duration::from_secs(30),
            longest: Duration::from_secs(1800),
            max_receives: 3,
            now_ms: || 1000,
        },
    }
}

/// The calls of Momento, Step Functions and the dead-letter queue, without the ledger's.
fn calls(world: &World) -> Vec<String> {
    let calls = world.calls().into_iter();
    let words = ["publish", "describe", "dead_letter", "item", "postpone"];
    let ours = |call: &String| words.iter().any(|word| call.starts_with(word));
    calls.filter(ours).collect()
}

fn letter(world: &World) -> Letter {
    let calls = world.calls();
    let mut letters = calls
        .iter()
        .filter_map(|call| call.strip_prefix("dead_letter "));
    serde_json::from_str(letters.next_back().unwrap_or_else(|| panic!("{calls:?}"))).unwrap()
}

fn status_change(fields: Value) -> Value {
    let input = json!({
        "message": {"id": "9c1534bf10e3da4255f8c8b02987a327", "cache": "demo", "topic": "in", "topic_sequence_number": 1, "event_timestamp": 1, "text": "hello"},
        "bridge": {"version": 1, "route": "r", "reply": {"cache": "demo", "topics": ["out"], "failures": ["failed"], "format": "output"}},
    });
    let mut detail = json!({
        "executionArn": "arn:execution", "stateMachineArn": MACHINE, "name": "r-in-1-9c1534bf10e3da42", "status": "SUCCEEDED",
        "startDate": 1, "stopDate": 2, "input": input.to_string(), "output": "\"HELLO\"", "error": null, "cause": null,
    });
    for (key, value) in fields.as_object().unwrap() {
        detail[key] = value.clone();
    }
    json!({"version": "0", "id": "e", "source": "aws.states", "detail-type": "Step Functions Execution Status Change", "detail": detail})
}

fn topic_publish(value: Value) -> Value {
    // Each has its own id, as in EventBridge.
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let id = COUNT.fetch_add(1, Ordering::Relaxed).to_string();
    json!({"id": id, "source": "workflow-bridge", "detail-type": "Topic Publish", "detail": {"cache": "c", "topic": "t", "value": value}})
}

/// Handles a batch, and returns the ids to be received again.
async fn failures(world: &World, records: &[Value]) -> Vec<String> {
    failures_of(&completion(world), records, 1).await
}

/// The same, on the n-th receive.
async fn failures_of(completion: &Completion, records: &[Value], receives: u32) -> Vec<String> {
    let records = records.iter().enumerate().map(|(i, body)| {
        let body = body
            .as_str()
            .map_or_else(|| body.to_string(), str::to_owned);
        json!({
            "messageId": format!("m{i}"), "receiptHandle": format!("r{i}"), "body": body,
            "attributes": {"ApproximateReceiveCount": receives.to_string(), "SentTimestamp": "500"},
        })
    });
    let batch = json!({"Records": records.collect::<Vec<_>>()});
    let deadline = Instant::now() + Duration::from_secs(60);
    let response = completion
        .handle(serde_json::from_value(batch).unwrap(), deadline)
        .await
        .unwrap();
    response
        .batch_item_failures
        .into_iter()
        .map(|failure| failure.item_identifier)
        .collect()
}

#[tokio::test(start_paused = true)]
async fn results_and_events_of_workflows_are_published() {
    let world = World::default();
    let records = [
        status_change(json!({})),
        topic_publish(json!({"a": 1})),
        status_change(json!({"executionArn": "arn:other", "status": "FAILED", "output": null})),
    ];
    assert!(failures(&world, &records).await.is_empty());
    let calls = calls(&world);
    assert_eq!(calls[0], "publish demo/out HELLO");
    assert_eq!(calls[1], r#"publish c/t {"a":1}"#);
    assert!(
        calls[2].starts_with(r#"publish demo/failed {"id":"9c1534bf10e3da4255f8c8b02987a327","route":"r","status":"FAILED""#),
        "{calls:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_permanent_failure_is_a_dead_letter_with_its_reason() {
    let refuses =
        |prefix: &'static str, code: &str| (prefix, Behaviour::Fails(Fault::permanent(code, "no")));
    let nothing = || ("nothing", Behaviour::Hangs);
    let described = json!({"input": null, "output": null});
    for ((prefix, behaviour), event, reason, id) in [
        (
            refuses("publish c/t", "CacheNotFoundError"),
            topic_publish(json!("x")),
            Reason::Refused,
            None,
        ),
        (
            refuses("publish demo/out", "PermissionError"),
            status_change(json!({})),
            Reason::Refused,
            Some("e"),
        ),
        (
            refuses("describe", "AccessDeniedException"),
            status_change(described),
            Reason::Refused,
            Some("e"),
        ),
        (nothing(), json!("not json"), Reason::Unreadable, Some("m0")),
        (
            nothing(),
            json!({"id": "s", "source": "aws.s3", "detail-type": "Object Created", "detail": {}}),
            Reason::Unreadable,
            Some("s"),
        ),
        (
            nothing(),
            status_change(json!({"name": "by-hand"})),
            Reason::AddressRefused,
            Some("e"),
        ),
        (
            nothing(),
            status_change(json!({"input": r#"{"message":{},"bridge":{}}"#})),
            Reason::Unreadable,
            Some("e"),
        ),
        (
            nothing(),
            topic_publish(json!("y".repeat(10_001))),
            Reason::ValueTooLarge,
            None,
        ),
    ] {
        let world = World::default();
        world.make(prefix, behaviour);
        assert!(
            failures(&world, std::slice::from_ref(&event))
                .await
                .is_empty(),
            "{event}"
        );
        let letter = letter(&world);
        assert_eq!(letter.reason, reason, "{letter:?}");
        assert_eq!((letter.first_at, letter.last_at), (500, 1000));
        let attempts = u32::from(prefix.starts_with("publish"));
        assert_eq!(letter.attempts, attempts, "{event}");
        let kept: Value = serde_json::from_str(letter.event.unwrap().get()).unwrap();
        assert_eq!(kept, event);
        assert_eq!(letter.id, id.or(event["id"].as_str()).unwrap());
    }
}

#[tokio::test(start_paused = true)]
async fn a_dead_letter_waits_for_its_queue() {
    let world = World::default();
    world.make("dead_letter", Behaviour::Hangs);
    assert_eq!(failures(&world, &[json!("not json")]).await, ["m0"]);
    let mut without = completion(&world);
    without.dead_letters = None;
    assert_eq!(
        failures_of(&without, &[json!("not json")], 9).await,
        ["m0"],
        "the queue itself ends it"
    );
}

#[tokio::test(start_paused = true)]
async fn unrouted_and_open_executions_are_ignored() {
    let world = World::default();
    let running = status_change(json!({"executionArn": "arn:running", "status": "RUNNING"}));
    let records = [status_change(json!({"input": "{}"})), running];
    assert!(failures(&world, &records).await.is_empty());
    assert!(calls(&world).is_empty());
    // The sweep finds ends missing in the ledger: it has to hold the ignored ends, and nothing else.
    let finished: Vec<_> = world
        .calls()
        .into_iter()
        .filter(|call| call.starts_with("finish"))
        .collect();
    assert_eq!(finished, ["finish arn:execution#0"]);
}

#[tokio::test(start_paused = true)]
async fn a_large_value_is_claimed_and_a_larger_one_answered_with_a_failure() {
    let world = World::default();
    let large = |bytes: usize| {
        let output = Value::from("é".repeat(bytes / 2)).to_string();
        status_change(json!({"executionArn": format!("arn:{bytes}"), "output": output}))
    };
    let records = [large(4096), large(4098), large(10_002)];
    assert!(failures(&world, &records).await.is_empty());
    let calls = calls(&world);
    let [value, item, claim, failure] = calls.try_into().unwrap();
    assert!(value.starts_with("publish demo/out éé"));
    assert!(
        item.starts_with("item demo/workflow-bridge/") && item.contains(" 4098 "),
        "{item}"
    );
    assert!(
        claim.starts_with(r#"publish demo/out {"claim":{"cache":"demo","key":"workflow-bridge/"#)
    );
    let failure: Value =
        serde_json::from_str(failure.strip_prefix("publish demo/failed ").unwrap()).unwrap();
    assert_eq!(
        (&failure["status"], &failure["error"], &failure["output"]),
        (&json!("SUCCEEDED"), &json!(result::TOO_LARGE), &Value::Null)
    );
    assert!(
        failure["cause"]
            .as_str()
            .unwrap()
            .contains("at most 10000 bytes, found 10002")
    );
}

#[tokio::test(start_paused = true)]
async fn details_missing_in_the_event_are_fetched() {
    let world = World::default();
    let full = status_change(json!({}));
    let described = Described {
        status: "SUCCEEDED".into(),
        redrive_count: 0,
        input: Some(full["detail"]["input"].as_str().unwrap().into()),
        output: Some("\"from describe\"".into()),
        ..Described::default()
    };
    let out = json!({"input": null, "inputDetails": {"included": false}, "output": null, "outputDetails": {"included": false}});
    // A description may be older than the event: a missing value may still come.
    for stale in [
        Described {
            status: "RUNNING".into(),
            output: None,
            ..described.clone()
        },
        Described {
            output: None,
            ..described.clone()
        },
        Described {
            input: None,
            ..described.clone()
        },
    ] {
        world.describes(stale);
        assert_eq!(
            failures(&world, &[status_change(out.clone())]).await,
            ["m0"]
        );
        assert!(!world.calls().iter().any(|call| call.starts_with("publish")));
    }
    world.describes(described);
    assert!(failures(&world, &[status_change(out)]).await.is_empty());
    assert_eq!(
        calls(&world).last().unwrap(),
        "publish demo/out from describe"
    );
}

#[tokio::test(start_paused = true)]
async fn of_a_newer_run_only_the_input_is_taken() {
    let world = World::default();
    world.describes(Described {
        status: "SUCCEEDED".into(),
        redrive_count: 1,
        input: Some(
            status_change(json!({}))["detail"]["input"]
                .as_str()
                .unwrap()
                .into(),
        ),
        output: Some("\"of the redrive\"".into()),
        ..Described::default()
    });
    let failed = status_change(json!({"status": "FAILED", "input": null, "output": null}));
    assert!(failures(&world, &[failed]).await.is_empty());
    let calls = calls(&world);
    let published = calls.last().unwrap();
    assert!(published.starts_with("publish demo/failed "), "{published}");
    assert!(published.contains(r#""status":"FAILED""#) && published.contains(r#""output":null"#));
}

#[tokio::test(start_paused = true)]
async fn a_failed_publication_is_retried_then_returned_then_a_dead_letter() {
    let world = World::default();
    world.make(
        "publish",
        Behaviour::FailsOnce(Fault::transient("ServerUnavailable", "later")),
    );
    assert!(
        failures(&world, &[status_change(json!({}))])
            .await
            .is_empty()
    );
    assert_eq!(calls(&world).len(), 2);

    let world = World::default();
    world.make("publish", Behaviour::Hangs);
    let began = Instant::now();
    let records = [status_change(json!({})), topic_publish(json!(1))];
    assert_eq!(failures(&world, &records).await, ["m0", "m1"]);
    assert!(
        began.elapsed() <= Duration::from_secs(25),
        "{:?}",
        began.elapsed()
    );
    let calls = calls(&world);
    assert!(
        calls.iter().any(|call| call.starts_with("postpone r0 ")),
        "{calls:?}"
    );

    assert!(
        failures_of(&completion(&world), &records[..1], 3)
            .await
            .is_empty()
    );
    let letter = letter(&world);
    assert_eq!((letter.reason, letter.attempts > 1), (Reason::GaveUp, true));
}

#[tokio::test(start_paused = true)]
async fn a_failed_record_without_an_id_returns_the_whole_batch() {
    let world = World::default();
    world.make("publish", Behaviour::Hangs);
    let batch = json!({"Records": [{"body": topic_publish(json!(1)).to_string()}]});
    let deadline = Instant::now() + Duration::from_secs(60);
    let result = completion(&world)
        .handle(serde_json::from_value(batch).unwrap(), deadline)
        .await;
    assert!(result.is_err());
}
