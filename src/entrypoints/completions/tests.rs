use std::time::Duration;

use serde_json::{Value, json};

use super::*;
use crate::ports::Described;
use crate::routes::tests::{MACHINE, routes};
use crate::testing::{Behaviour, World};

fn completion(world: &World) -> Completion {
    Completion {
        routes: routes(&[]),
        executions: Arc::new(world.clone()),
        topics: Arc::new(world.clone()),
        max_message_bytes: 4096,
    }
}

fn status_change(fields: Value) -> Value {
    let input = json!({
        "message": {"id": "i", "cache": "demo", "topic": "in", "topic_sequence_number": 1},
        "bridge": {"version": 1, "route": "r", "reply": {"cache": "demo", "topics": ["out"], "failures": ["failed"], "format": "output"}},
    });
    let mut detail = json!({
        "executionArn": "arn:execution", "stateMachineArn": MACHINE, "name": "r-in-1-x", "status": "SUCCEEDED",
        "startDate": 1, "stopDate": 2, "input": input.to_string(), "output": "\"HELLO\"", "error": null, "cause": null,
    });
    for (key, value) in fields.as_object().unwrap() {
        detail[key] = value.clone();
    }
    json!({"version": "0", "id": "e", "source": "aws.states", "detail-type": "Step Functions Execution Status Change", "detail": detail})
}

fn topic_publish(value: Value) -> Value {
    json!({"source": "workflow-bridge", "detail-type": "Topic Publish", "detail": {"cache": "c", "topic": "t", "value": value}})
}

/// Handles a batch, and returns the ids that have to come again.
async fn failures(world: &World, records: &[Value]) -> Vec<String> {
    let records = records.iter().enumerate().map(|(i, body)| {
        let body = body
            .as_str()
            .map_or_else(|| body.to_string(), str::to_owned);
        json!({"messageId": format!("m{i}"), "body": body})
    });
    let batch = json!({"Records": records.collect::<Vec<_>>()});
    let deadline = Instant::now() + Duration::from_secs(60);
    let response = completion(world)
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
        status_change(json!({"status": "FAILED", "output": null})),
    ];
    assert!(failures(&world, &records).await.is_empty());
    let calls = world.calls();
    assert_eq!(calls[0], "publish demo/out HELLO");
    assert_eq!(calls[1], r#"publish c/t {"a":1}"#);
    assert!(
        calls[2].starts_with(r#"publish demo/failed {"id":"i","route":"r","status":"FAILED""#),
        "{calls:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn only_the_records_that_failed_come_again() {
    let world = World::default();
    world.make(
        "publish c/t",
        Behaviour::Fails(Fault::permanent("CacheNotFoundError", "no such cache")),
    );
    let records = [
        status_change(json!({})),
        topic_publish(json!("x")),
        json!("not json"),
        json!({"source": "aws.s3", "detail-type": "Object Created", "detail": {}}),
        topic_publish(json!("y".repeat(4097))),
        status_change(json!({"input": "{}"})),
    ];
    assert_eq!(failures(&world, &records).await, ["m1", "m2", "m3", "m4"]);
    assert_eq!(world.calls(), ["publish demo/out HELLO", "publish c/t x"]);
}

#[tokio::test(start_paused = true)]
async fn a_value_of_exactly_the_limit_is_published() {
    let world = World::default();
    assert!(
        failures(&world, &[topic_publish(json!("é".repeat(2048)))])
            .await
            .is_empty()
    );
    assert_eq!(
        failures(&world, &[topic_publish(json!("é".repeat(2048) + "x"))]).await,
        ["m0"]
    );
}

#[tokio::test(start_paused = true)]
async fn what_the_event_left_out_is_described() {
    let world = World::default();
    let full = status_change(json!({}));
    world.describes(Described {
        input: Some(full["detail"]["input"].as_str().unwrap().into()),
        output: Some("\"from describe\"".into()),
        ..Described::default()
    });
    let out = json!({"input": null, "inputDetails": {"included": false}, "output": null, "outputDetails": {"included": false}});
    assert!(
        failures(&world, &[status_change(out.clone())])
            .await
            .is_empty()
    );
    assert_eq!(
        world.calls(),
        ["describe arn:execution", "publish demo/out from describe"]
    );

    world.make(
        "describe",
        Behaviour::Fails(Fault::permanent("AccessDeniedException", "no")),
    );
    assert_eq!(failures(&world, &[status_change(out)]).await, ["m0"]);
}

#[tokio::test(start_paused = true)]
async fn momento_is_asked_again_and_given_up_in_time() {
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
    assert_eq!(world.calls().len(), 2);

    world.make("publish", Behaviour::Hangs);
    let began = Instant::now();
    assert_eq!(
        failures(&world, &[status_change(json!({})), topic_publish(json!(1))]).await,
        ["m0", "m1"]
    );
    assert!(began.elapsed() <= RECORD_WITHIN, "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_failed_record_without_an_id_brings_the_whole_batch_again() {
    let batch = json!({"Records": [{"body": "not json"}]});
    let deadline = Instant::now() + Duration::from_secs(60);
    let result = completion(&World::default())
        .handle(serde_json::from_value(batch).unwrap(), deadline)
        .await;
    assert!(result.is_err());
}
