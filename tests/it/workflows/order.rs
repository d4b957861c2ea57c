//! Orders by their number: announced, paid, stopped, in every order of arrival.

use std::collections::BTreeSet;

use futures_util::{StreamExt as _, stream};
use serde_json::{Value, json};

use super::listener::Listener;
use crate::deployed::{RUNTIME, stack};
use crate::e2e::{message, post};
use crate::messages::executions;

/// Posts a message; returns its outcome and the name of its execution.
async fn send(topic: &str, number: u64, text: Value) -> (String, Option<String>) {
    let (status, answer) = post(&message(topic, number, &text.to_string())).await;
    assert_eq!(
        (status, &answer["code"]),
        (200, &json!("accepted")),
        "{answer}"
    );
    let target = &answer["targets"][0];
    let execution = target["execution"].as_str().map(str::to_owned);
    (target["outcome"].as_str().unwrap().to_owned(), execution)
}

async fn outcome(topic: &str, number: u64, text: Value) -> String {
    send(topic, number, text).await.0
}

/// Waits for the request of a payment; returns its token.
async fn due(listener: &mut Listener, order: &str) -> Value {
    let due = listener.json(|value| value["orderId"] == order).await;
    due["token"].clone()
}

#[test]
fn an_order_is_announced_once_and_paid() {
    RUNTIME.block_on(async {
        let mut status = Listener::on("order-status").await;
        let mut requests = Listener::on("order-payment-due").await;
        let mut done = Listener::on("order-done").await;
        let order = json!({"orderId": "paid-1", "amount": 12.5});
        let (first, execution) = send("orders", 710_001, order.clone()).await;
        assert_eq!(first, "started");
        let execution = execution.unwrap();
        assert!(execution.starts_with("orders-paid-1-"), "{execution}");
        // Another message with the same number.
        let again = send("orders", 710_002, order).await;
        assert_eq!(again, ("duplicate".to_owned(), Some(execution.clone())));

        let announced = status.json(|value| value["key"] == "paid-1").await;
        assert_eq!(
            (
                &announced["route"],
                &announced["status"],
                &announced["in_reply_to"]["topic_sequence_number"]
            ),
            (&json!("orders"), &json!("RUNNING"), &json!(710_001))
        );
        assert!(
            announced["execution"]
                .as_str()
                .unwrap()
                .ends_with(&execution)
        );
        let token = due(&mut requests, "paid-1").await;
        let payment = json!({"token": token, "payment": {"by": "card"}});
        assert_eq!(
            outcome("order-payments", 710_003, payment.clone()).await,
            "resumed"
        );
        let result = done.json(|value| value["orderId"] == "paid-1").await;
        assert_eq!(
            result,
            json!({"orderId": "paid-1", "status": "paid", "payment": {"by": "card"}})
        );
        // Both are late now.
        assert_eq!(outcome("order-payments", 710_004, payment).await, "closed");
        let cancel = json!({"orderId": "paid-1"});
        assert_eq!(
            outcome("order-cancellations", 710_005, cancel).await,
            "closed"
        );
    });
}

#[test]
fn a_cancellation_stops_the_order_of_its_number() {
    RUNTIME.block_on(async {
        let mut requests = Listener::on("order-payment-due").await;
        let mut failed = Listener::on("order-failed").await;
        let cancel = json!({"orderId": 4712, "reason": "Cancelled", "note": "by the customer"});
        // Before its start it has no effect, then or later.
        assert_eq!(
            outcome("order-cancellations", 720_001, cancel.clone()).await,
            "closed"
        );
        assert_eq!(
            outcome("orders", 720_002, json!({"orderId": 4712, "amount": 1})).await,
            "started"
        );
        let token = due(&mut requests, "4712").await;
        // The number as a text is the same key.
        let mut cancel = cancel;
        cancel["orderId"] = json!("4712");
        assert_eq!(
            outcome("order-cancellations", 720_003, cancel.clone()).await,
            "stopped"
        );
        let result = failed.json(|value| value["key"] == "4712").await;
        assert_eq!(
            (&result["status"], &result["error"], &result["cause"]),
            (
                &json!("ABORTED"),
                &json!("Cancelled"),
                &json!("by the customer")
            )
        );
        let payment = json!({"token": token, "payment": 1});
        assert_eq!(outcome("order-payments", 720_004, payment).await, "closed");
    });
}

#[test]
fn a_message_without_a_number_is_a_dead_letter() {
    RUNTIME.block_on(async {
        for (number, (topic, text)) in [
            ("orders", json!({"amount": 1})),
            ("orders", json!("no object")),
            ("order-cancellations", json!({"orderId": {}})),
        ]
        .into_iter()
        .enumerate()
        {
            let number = 730_000 + number as u64;
            assert_eq!(outcome(topic, number, text).await, "dead_lettered");
        }
    });
}

#[test]
fn many_messages_at_once_start_one_execution_for_each_key() {
    RUNTIME.block_on(async {
        let posts = (0..120_u64).map(async |number| {
            let order = json!({"orderId": format!("many-{}", number % 12), "amount": 0});
            outcome("orders", 740_000 + number, order).await
        });
        let outcomes: Vec<_> = stream::iter(posts).buffer_unordered(8).collect().await;
        let started = outcomes
            .iter()
            .filter(|outcome| *outcome == "started")
            .count();
        let duplicates = outcomes
            .iter()
            .filter(|outcome| *outcome == "duplicate")
            .count();
        assert_eq!((started, duplicates), (12, 108), "{outcomes:?}");
        let stack = stack().await;
        let names: BTreeSet<_> = executions(stack, "order/Workflow")
            .await
            .into_iter()
            .map(|execution| execution.name)
            .filter(|name| name.starts_with("orders-many-"))
            .collect();
        assert_eq!(names.len(), 12, "{names:?}");
    });
}
