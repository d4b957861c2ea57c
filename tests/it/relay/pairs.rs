//! Cursors in the stack's table, and two relays at once, with the deployed stack.

use std::collections::BTreeSet;

use aws_sdk_dynamodb::types::AttributeValue;
use workflow_bridge::domain::inbound::execution_name::sequence_in_name;
use workflow_bridge::tools::local::Stack;

use super::deployed::{MACHINE, REMEMBERED, command, relayed};
use super::texts;
use crate::deployed::RUNTIME;
use crate::messages::{executions, until};

/// The executed messages of a topic, counted from 0, one entry for each execution.
async fn executed(stack: &Stack, topic: &str) -> Vec<u64> {
    let executions = executions(stack, MACHINE).await;
    let numbers = executions
        .iter()
        .filter_map(|one| sequence_in_name(&one.name, topic))
        .map(|number| number - 1);
    let mut numbers: Vec<_> = numbers.collect();
    numbers.sort_unstable();
    numbers
}

fn publish(stack: &Stack, topic: &str, numbers: std::ops::Range<u64>) {
    for text in texts(numbers) {
        stack
            .topics()
            .publish("demo", topic, text.as_str())
            .unwrap();
    }
}

/// The number of messages before a topic's cursor in the table.
async fn saved(stack: &Stack, topic: &str) -> Option<u64> {
    let client = aws_sdk_dynamodb::Client::new(stack.account().config());
    let id = AttributeValue::S(format!("relay#demo#{topic}"));
    let call = client
        .get_item()
        .table_name(stack.resource("LedgerTable").unwrap())
        .key("id", id);
    let item = call.send().await.unwrap().item?;
    let text = item
        .values()
        .filter_map(|value| value.as_s().ok())
        .find(|text| text.starts_with('{'))?;
    let cursor: serde_json::Value = serde_json::from_str(text).unwrap();
    cursor["next"].as_u64().map(|next| next - 1)
}

#[test]
fn cursors_in_the_table_serve_another_host() {
    RUNTIME.block_on(async {
        let stack = relayed().await;
        let table = stack.resource("LedgerTable").unwrap();
        let command = command(stack)
            .option("--topic", "demo/moved")
            .option("--state", format!("dynamodb:{table}"));
        let relay = command.start().await;
        publish(stack, "moved", 0..3);
        until("a saved cursor", async || {
            saved(stack, "moved").await == Some(3)
        })
        .await;
        relay.kill().await;
        publish(stack, "moved", 3..6);
        let relay = command.start().await;
        until("a saved cursor", async || {
            saved(stack, "moved").await == Some(6)
        })
        .await;
        // After a kill and a stop, the relay resumes at the table's cursor.
        relay.stop().await;
        publish(stack, "moved", 6..6 + REMEMBERED as u64 + 2);
        let relay = command.start().await;
        let all = 6 + REMEMBERED as u64 + 2;
        until("a saved cursor", async || {
            saved(stack, "moved").await == Some(all)
        })
        .await;
        let lines = relay.stop().await;
        let gap = lines
            .iter()
            .find(|line| line["gap.missed"].is_u64())
            .unwrap();
        assert_eq!(
            (&gap["gap.missed"], &gap["gap.from.sequence"]),
            (&(REMEMBERED as u64 + 1).into(), &7.into())
        );
        let expected: Vec<_> = (0..6).chain([all - 1]).collect();
        assert_eq!(executed(stack, "moved").await, expected);
    });
}

#[test]
fn of_two_relays_each_message_starts_one_execution() {
    RUNTIME.block_on(async {
        let stack = relayed().await;
        let table = stack.resource("LedgerTable").unwrap();
        let command = command(stack)
            .option("--topic", "demo/paired")
            .option("--state", format!("dynamodb:{table}"));
        let one = command.start().await;
        let two = command.start().await;
        let pace = std::time::Duration::from_millis(100);
        const ALL: u64 = 60;
        for number in 0..ALL / 2 {
            publish(stack, "paired", number..number + 1);
            tokio::time::sleep(pace).await;
        }
        until("both have all", async || {
            one.metric("delivered_total").await == ALL / 2
                && two.metric("delivered_total").await == ALL / 2
        })
        .await;
        // One relay continues alone.
        one.kill().await;
        for number in ALL / 2..ALL {
            publish(stack, "paired", number..number + 1);
            tokio::time::sleep(pace).await;
        }
        two.reaches("delivered_total", |n| n == ALL).await;
        for name in ["refused_total", "gaps_total"] {
            assert_eq!(two.metric(name).await, 0, "{name}");
        }
        two.stop().await;
        let numbers = executed(stack, "paired").await;
        let once: BTreeSet<_> = numbers.iter().copied().collect();
        assert_eq!((numbers.len(), once), (ALL as usize, (0..ALL).collect()));
    });
}
