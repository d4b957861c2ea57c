//! Each message is stored as an item, once.

use anyhow::Result;
use aws_sdk_dynamodb::types::AttributeValue;
use serde_json::{Value, json};

use super::listener::Listener;
use super::running::{add_variant, answer, ask_instead, item, message, retries, run, start};
use crate::deployed::RUNTIME;
use crate::e2e::round_trip;

const THROTTLED: (&str, &str) = (
    "DynamoDB.ProvisionedThroughputExceededException",
    "The level of configured provisioned throughput for the table was exceeded.",
);

pub fn extend(template: &mut Value) -> Result<()> {
    add_variant(template, "StoreThrottledStateMachine", |definition| {
        ask_instead(definition, "Store", "store-throttled");
    })?;
    add_variant(template, "StoreNowhereStateMachine", |definition| {
        definition["States"]["Store"]["Arguments"]["TableName"] = json!("no-such-table");
    })
}

/// The item with this ID, as JSON.
async fn stored(id: &str) -> Value {
    let item = item("StoreTable", id).await.unwrap_or_default();
    let plain = item.into_iter().map(|(name, value)| match value {
        AttributeValue::S(text) => (name, json!(text)),
        AttributeValue::N(number) => (name, json!(number.parse::<u64>().unwrap())),
        other => panic!("{name}: {other:?}"),
    });
    Value::Object(plain.collect())
}

#[test]
fn a_message_becomes_an_item_and_the_reply_contains_it() {
    RUNTIME.block_on(async {
        let reply = round_trip("store-in", r#"{"order": 7}"#, "store-out").await;
        let reply: Value = serde_json::from_str(&reply).unwrap();
        assert_eq!(reply["repeat"], false);
        let item = &reply["stored"];
        assert_eq!(
            (&item["cache"], &item["topic"], &item["text"]),
            (
                &json!("demo"),
                &json!("store-in"),
                &json!(r#"{"order": 7}"#)
            )
        );
        assert_eq!(&stored(item["id"].as_str().unwrap()).await, item);
    });
}

#[test]
fn a_message_with_few_fields_is_stored_unchanged() {
    RUNTIME.block_on(async {
        let mut binary = message("store-binary", "t", 0, "");
        binary["text"] = json!(null);
        binary["binary"] = json!("AAEC");
        binary["token_id"] = json!(null);
        let reply = run("store/Workflow", &binary, "store-binary-out").await;
        let expected = json!({
            "id": "store-binary", "cache": "demo", "topic": "t", "topic_sequence_number": 0,
            "event_timestamp": 1_704_296_470_564_u64, "binary": "AAEC",
        });
        assert_eq!(reply, json!({"stored": expected, "repeat": false}));
        assert_eq!(stored("store-binary").await, expected);
    });
}

#[test]
fn a_repeated_message_succeeds_and_changes_nothing() {
    RUNTIME.block_on(async {
        let mut replies = Listener::on("store-again").await;
        let first = message("store-again", "t", 3, "first");
        for _ in 0..20 {
            start("store/Workflow", &first, "store-again").await;
        }
        let mut repeats = 0;
        for _ in 0..20 {
            let reply = replies.next_json().await;
            assert_eq!(reply["stored"]["text"], "first", "{reply}");
            repeats += u32::from(reply["repeat"] == true);
        }
        assert_eq!(repeats, 19);
        let other = message("store-again", "t", 3, "other");
        let reply = run("store/Workflow", &other, "store-again-other").await;
        assert_eq!(reply["repeat"], true);
        assert_eq!(stored("store-again").await["text"], "first");
    });
}

#[test]
fn a_throttled_write_is_retried_then_fails_the_execution() {
    RUNTIME.block_on(async {
        let mut asked = Listener::on("store-throttled").await;
        let mut replies = Listener::on("store-throttled-out").await;
        let (machine, topic) = ("StoreThrottledStateMachine", "store-throttled-out");

        start(machine, &message("store-gives-way", "t", 1, "x"), topic).await;
        for _ in 0..retries("store", "Store") {
            answer(&asked.next().await, Err(THROTTLED)).await;
        }
        answer(&asked.next().await, Ok(json!({}))).await;
        let reply = replies.next_json().await;
        let found = (&reply["stored"]["id"], &reply["repeat"]);
        assert_eq!(found, (&json!("store-gives-way"), &json!(false)));

        start(machine, &message("store-fails", "t", 2, "x"), topic).await;
        for _ in 0..=retries("store", "Store") {
            answer(&asked.next().await, Err(THROTTLED)).await;
        }
        let failure = replies.next_json().await;
        assert_eq!(
            (&failure["status"], &failure["error"], &failure["cause"]),
            (&json!("FAILED"), &json!(THROTTLED.0), &json!(THROTTLED.1))
        );
        assert_eq!(failure["in_reply_to"]["topic_sequence_number"], 2);
    });
}

#[test]
fn a_missing_table_fails_at_once() {
    RUNTIME.block_on(async {
        let lost = message("store-nowhere", "t", 1, "x");
        let failure = run("StoreNowhereStateMachine", &lost, "store-nowhere").await;
        assert_eq!(failure["error"], "DynamoDB.ResourceNotFoundException");
    });
}
