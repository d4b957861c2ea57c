//! Each message goes to a queue; a FIFO queue keeps the order.

use anyhow::Result;
use aws_sdk_sqs::types::{Message, MessageSystemAttributeName as Name};
use serde_json::{Value, json};
use workflow_bridge::tools::template::add_resource;

use super::listener::Listener;
use super::running::{
    add_variant, answer, ask_instead, message, retries, retry_every_second, run, start,
};
use crate::deployed::{RUNTIME, resource, stack};
use crate::e2e::round_trip;
use crate::messages::until;

pub fn extend(template: &mut Value) -> Result<()> {
    // The shipped state machine, each with a queue of its own.
    for (id, queue) in [
        ("EnqueueOrder", json!({"FifoQueue": true})),
        ("EnqueueAgain", json!({"FifoQueue": true})),
        ("EnqueueStandard", json!({})),
    ] {
        let queue = json!({"Type": "AWS::SQS::Queue", "Properties": queue});
        add_resource(template, &format!("{id}Queue"), queue)?;
        add_variant(template, &format!("{id}StateMachine"), |_| ())?;
        template["Resources"][format!("{id}StateMachine")]["Properties"]["DefinitionSubstitutions"] =
            json!({"QueueUrl": {"Ref": format!("{id}Queue")}});
    }
    add_variant(template, "EnqueueThrottledStateMachine", |definition| {
        ask_instead(definition, "Send", "enqueue-throttled");
    })?;
    add_variant(template, "EnqueueNowhereStateMachine", |definition| {
        retry_every_second(definition, "Send");
    })?;
    template["Resources"]["EnqueueNowhereStateMachine"]["Properties"]["DefinitionSubstitutions"] =
        json!({"QueueUrl": "https://sqs.us-east-1.amazonaws.com/123456789012/no-such.fifo"});
    Ok(())
}

fn sqs(stack: &workflow_bridge::tools::local::Stack) -> aws_sdk_sqs::Client {
    aws_sdk_sqs::Client::new(stack.account().config())
}

/// Receives the next message, which then stays hidden.
async fn receive(queue: &str) -> Option<Message> {
    let stack = stack().await;
    let call = sqs(stack)
        .receive_message()
        .queue_url(resource(stack, queue))
        .visibility_timeout(600)
        .message_system_attribute_names(Name::All);
    call.send().await.unwrap().messages?.pop()
}

async fn delete(queue: &str, message: &Message) {
    let stack = stack().await;
    let call = sqs(stack)
        .delete_message()
        .queue_url(resource(stack, queue))
        .receipt_handle(message.receipt_handle().unwrap());
    call.send().await.unwrap();
}

fn body(message: &Message) -> Value {
    serde_json::from_str(message.body().unwrap()).unwrap()
}

fn attribute(message: &Message, name: Name) -> Option<String> {
    message.attributes()?.get(&name).cloned()
}

#[test]
fn a_message_is_in_the_queue_and_the_reply_has_its_id() {
    RUNTIME.block_on(async {
        let reply = round_trip("enqueue-in", r#"{"order": 7}"#, "enqueue-out").await;
        let reply: Value = serde_json::from_str(&reply).unwrap();
        let mut found = None;
        until("the message in the queue", async || {
            found = receive("EnqueueQueue").await;
            found.is_some()
        })
        .await;
        let found = found.unwrap();
        let body = body(&found);
        assert_eq!(reply["message_id"], found.message_id().unwrap());
        assert_eq!(
            reply["sequence_number"],
            attribute(&found, Name::SequenceNumber).unwrap()
        );
        assert_eq!(reply["id"], body["id"]);
        assert_eq!(
            (&body["topic"], &body["text"], &body["json"]),
            (
                &json!("enqueue-in"),
                &json!(r#"{"order": 7}"#),
                &json!({"order": 7})
            )
        );
        assert_eq!(
            (
                attribute(&found, Name::MessageGroupId).as_deref(),
                attribute(&found, Name::MessageDeduplicationId).as_deref()
            ),
            (Some("demo/enqueue-in"), body["id"].as_str())
        );
    });
}

#[test]
fn a_fifo_queue_keeps_order_per_topic_without_blocking_others() {
    RUNTIME.block_on(async {
        let mut sent = Vec::new();
        for number in 0..12 {
            let topic = ["orders", "other orders"][number as usize % 2];
            let one = message(&format!("enqueue-order-{number}"), topic, number, "x");
            let reply = run("EnqueueOrderStateMachine", &one, "enqueue-order").await;
            sent.push((topic, reply["message_id"].clone()));
        }
        let mut received = Vec::new();
        let mut groups = Vec::new();
        while received.len() < sent.len() {
            // One message of each topic; the next ones only after these are deleted.
            let first = receive("EnqueueOrderQueue").await.unwrap();
            let second = receive("EnqueueOrderQueue").await.unwrap();
            assert!(receive("EnqueueOrderQueue").await.is_none());
            for one in [&first, &second] {
                received.push(one.message_id().unwrap().to_owned());
                groups.push(attribute(one, Name::MessageGroupId).unwrap());
                delete("EnqueueOrderQueue", one).await;
            }
        }
        for topic in ["orders", "other orders"] {
            let of_topic = sent.iter().filter(|(on, _)| *on == topic);
            let of_topic: Vec<_> = of_topic.map(|(_, id)| id.as_str().unwrap()).collect();
            let order = received.iter().filter(|id| of_topic.contains(&id.as_str()));
            assert_eq!(order.collect::<Vec<_>>(), of_topic);
        }
        groups.sort();
        groups.dedup();
        // A group's name cannot contain a space.
        assert_eq!(groups.len(), 2);
        assert_eq!((groups[0].len(), groups[1].as_str()), (64, "demo/orders"));
    });
}

#[test]
fn a_repeated_message_is_in_a_fifo_queue_once() {
    RUNTIME.block_on(async {
        let mut replies = Listener::on("enqueue-again").await;
        let one = message("enqueue-again", "t", 1, "x");
        for _ in 0..10 {
            start("EnqueueAgainStateMachine", &one, "enqueue-again").await;
        }
        let first = replies.next_json().await;
        for _ in 1..10 {
            assert_eq!(replies.next_json().await, first);
        }
        let found = receive("EnqueueAgainQueue").await.unwrap();
        assert_eq!(first["message_id"], found.message_id().unwrap());
        // Otherwise its group stays blocked.
        delete("EnqueueAgainQueue", &found).await;
        assert!(receive("EnqueueAgainQueue").await.is_none());
    });
}

#[test]
fn a_standard_queue_gets_no_group() {
    RUNTIME.block_on(async {
        let mut one = message("enqueue-standard", "t", 1, "");
        one["text"] = json!(null);
        one["binary"] = json!("AAEC");
        let reply = run("EnqueueStandardStateMachine", &one, "enqueue-standard").await;
        let found = receive("EnqueueStandardQueue").await.unwrap();
        assert_eq!(
            reply,
            json!({"id": "enqueue-standard", "message_id": found.message_id(), "sequence_number": null})
        );
        assert_eq!(body(&found), one);
        assert_eq!(attribute(&found, Name::MessageGroupId), None);
        assert_eq!(attribute(&found, Name::MessageDeduplicationId), None);
    });
}

#[test]
fn a_throttled_send_is_retried_then_fails_the_execution() {
    RUNTIME.block_on(async {
        let throttled = (
            "SQS.AmazonSQSException",
            "Request is throttled. (Service: AmazonSQS; Status Code: 403)",
        );
        let mut asked = Listener::on("enqueue-throttled").await;
        let mut replies = Listener::on("enqueue-throttled-out").await;
        let (machine, topic) = ("EnqueueThrottledStateMachine", "enqueue-throttled-out");
        start(machine, &message("enqueue-gives-way", "t", 1, "x"), topic).await;
        for _ in 0..retries("enqueue", "Send") {
            answer(&asked.next().await, Err(throttled)).await;
        }
        let sent = json!({"MessageId": "m-1", "SequenceNumber": "18849496460467696128"});
        answer(&asked.next().await, Ok(sent)).await;
        assert_eq!(
            replies.next_json().await,
            json!({"id": "enqueue-gives-way", "message_id": "m-1", "sequence_number": "18849496460467696128"})
        );

        start(machine, &message("enqueue-fails", "t", 2, "x"), topic).await;
        for _ in 0..=retries("enqueue", "Send") {
            answer(&asked.next().await, Err(throttled)).await;
        }
        let failure = replies.next_json().await;
        assert_eq!(
            (&failure["status"], &failure["error"], &failure["cause"]),
            (&json!("FAILED"), &json!(throttled.0), &json!(throttled.1))
        );
    });
}

#[test]
fn a_missing_queue_fails_the_execution() {
    RUNTIME.block_on(async {
        let lost = message("enqueue-nowhere", "t", 1, "x");
        let failure = run("EnqueueNowhereStateMachine", &lost, "enqueue-nowhere").await;
        let error = failure["error"].as_str().unwrap_or_default();
        // AWS and the emulator name this error differently.
        assert!(error.starts_with("SQS."), "{failure}");
    });
}
