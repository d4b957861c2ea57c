//! A subscriber, and executions of undeployed state machines.

use futures_util::StreamExt;
use momento::topics::{Subscription, ValueKind};
use serde_json::Value;

use crate::deployed::{SOON, stack};

/// A subscription that skips messages of other tests.
pub struct Listener(Subscription);

impl Listener {
    pub async fn on(topic: &str) -> Self {
        let client = stack().await.momento_client().unwrap();
        Self(client.subscribe("demo", topic).await.unwrap())
    }

    pub async fn text(&mut self, wanted: impl Fn(&str) -> bool) -> String {
        let receive = async {
            loop {
                let item = self.0.next().await.expect("a subscription");
                let ValueKind::Text(text) = item.kind else {
                    panic!("binary")
                };
                if wanted(&text) {
                    return text;
                }
            }
        };
        let received = tokio::time::timeout(SOON, receive).await;
        received.expect("a message")
    }

    pub async fn json(&mut self, wanted: impl Fn(&Value) -> bool) -> Value {
        let read = |text: &str| serde_json::from_str(text).expect("JSON");
        read(&self.text(|text| wanted(&read(text))).await)
    }

    /// The next message, on a topic of this test alone.
    pub async fn next(&mut self) -> String {
        self.text(|_| true).await
    }

    pub async fn next_json(&mut self) -> Value {
        self.json(|_| true).await
    }

    /// The next value with this ID.
    pub async fn of(&mut self, id: &Value) -> Value {
        self.json(|value| value["id"] == *id).await
    }
}

pub async fn publish(topic: &str, text: &str) {
    let client = stack().await.momento_client().unwrap();
    client.publish("demo", topic, text).await.unwrap();
}

/// Runs an undeployed state machine; returns its status and its output or error.
pub async fn run(definition: &str, input: Value) -> (String, Value) {
    let client = aws_sdk_sfn::Client::new(stack().await.account().config());
    let machine = client
        .create_state_machine()
        .name(format!("variant-{:016x}", rand::random::<u64>()))
        .role_arn("arn:aws:iam::123456789012:role/unused")
        .definition(definition);
    let machine = machine.send().await.unwrap();
    let start = client
        .start_execution()
        .state_machine_arn(machine.state_machine_arn())
        .input(input.to_string());
    let started = start.send().await.unwrap();
    let ended = async {
        loop {
            let call = client
                .describe_execution()
                .execution_arn(started.execution_arn());
            let execution = call.send().await.unwrap();
            if execution.status().as_str() != "RUNNING" {
                return execution;
            }
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    };
    let execution = tokio::time::timeout(SOON, ended).await.expect("an end");
    let outcome = match execution.output() {
        Some(output) => serde_json::from_str(output).unwrap(),
        None => Value::from(execution.error()),
    };
    (execution.status().as_str().to_owned(), outcome)
}
