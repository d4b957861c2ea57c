//! `on-the-bus`: a message becomes an event, and a rule passes it to a queue.

use aws_sdk_sqs::types::QueueAttributeName;
use serde_json::{Value, json};
use workflow_bridge::tools::local::Stack;

use crate::deployed::{RUNTIME, SOON, resource, stack};
use crate::e2e::{message, post};

/// Removes and returns the next event of the queue.
async fn taken(stack: &Stack) -> Value {
    let client = aws_sdk_sqs::Client::new(stack.account().config());
    let queue = &resource(stack, "OnTheBusQueue");
    let receive = async {
        loop {
            let call = client.receive_message().queue_url(queue);
            let output = call.wait_time_seconds(1).send().await.unwrap();
            if let [message] = output.messages() {
                let handle = message.receipt_handle().unwrap();
                let delete = client.delete_message().queue_url(queue);
                delete.receipt_handle(handle).send().await.unwrap();
                return serde_json::from_str(message.body().unwrap()).unwrap();
            }
        }
    };
    tokio::time::timeout(SOON, receive).await.expect("an event")
}

#[test]
fn a_message_becomes_an_event_like_that_of_momentos_handler() {
    RUNTIME.block_on(async {
        let stack = stack().await;
        // An event of another topic on the same bus, which the rule does not match.
        let (_, answer) = post(&message("bus-other", 1, "not for this queue")).await;
        assert_eq!(answer["targets"][0]["outcome"], "event_put");

        let body = message("on-the-bus-in", 2, r#"{"order": 7}"#);
        let (status, answer) = post(&body).await;
        assert_eq!(
            (status, &answer["targets"]),
            (
                200,
                &json!([{"route": "on-the-bus", "outcome": "event_put"}])
            )
        );
        let event = taken(stack).await;
        assert_eq!(
            (&event["source"], &event["detail-type"], &event["account"]),
            (
                &json!("Momento"),
                &json!("demo#on-the-bus-in"),
                &json!(stack.account().id())
            )
        );
        // The body as Momento sent it, with the ID added; the text stays a string.
        let mut detail: Value = serde_json::from_str(&body).unwrap();
        detail["id"] = answer["id"].clone();
        assert_eq!(event["detail"], detail);

        let client = stack.momento_client().unwrap();
        client
            .publish("demo", "on-the-bus-in", "from a topic")
            .await
            .unwrap();
        assert_eq!(taken(stack).await["detail"]["text"], "from a topic");
    });
}

#[test]
fn undeliverable_events_go_to_a_dead_letter_queue() {
    RUNTIME.block_on(async {
        let stack = stack().await;
        let client = aws_sdk_sqs::Client::new(stack.account().config());
        let attribute = async |queue: &str, name: QueueAttributeName| {
            let call = client.get_queue_attributes().attribute_names(name.clone());
            let output = call.queue_url(resource(stack, queue)).send().await.unwrap();
            output.attributes().unwrap()[&name].clone()
        };
        let dead = attribute("OnTheBusDeadLetterQueue", QueueAttributeName::QueueArn).await;
        let policy = attribute("OnTheBusQueue", QueueAttributeName::RedrivePolicy).await;
        assert!(policy.contains(&dead), "{policy}");
        let client = aws_sdk_eventbridge::Client::new(stack.account().config());
        let rule = resource(stack, "OnTheBusRule");
        let name = rule.rsplit('/').next().unwrap();
        let targets = client
            .list_targets_by_rule()
            .rule(name)
            .send()
            .await
            .unwrap();
        let [target] = targets.targets() else {
            panic!("{targets:?}")
        };
        assert_eq!(
            target.dead_letter_config().unwrap().arn(),
            Some(dead.as_str())
        );
        // Only this rule of EventBridge may write to both.
        for queue in ["OnTheBusQueue", "OnTheBusDeadLetterQueue"] {
            let policy = attribute(queue, QueueAttributeName::Policy).await;
            let policy: Value = serde_json::from_str(&policy).unwrap();
            let source = &policy["Statement"][0]["Condition"]["ArnEquals"]["aws:SourceArn"];
            let own = format!(":rule/{name}");
            assert!(source.as_str().unwrap().ends_with(&own), "{policy}");
        }
    });
}
