//! Functions killed between an action and its acknowledgement: the repetition has no second effect.

use std::time::Duration;

use serde_json::{Value, json};
use workflow_bridge::tools::local::Stack;

use crate::deployed::RUNTIME;
use crate::faulty::Dependency;
use crate::messages::{
    Publications, body, deploy, depth, enqueue, executions, post, quicken, settle, until,
};
use crate::proxy::{Fault, Span};

const MACHINE: &str = "UppercaseWorkflow";
const PUBLISH: &str = "/cache_client.pubsub.Pubsub/Publish";
/// Longer than any caller waits, which leaves time to kill the caller.
const SLOW: Fault = Fault::Delay(Duration::from_secs(3));

async fn uppercase(stack: &Stack, number: u64, text: &str) -> (u16, Value) {
    post(stack, &body("uppercase-in", number, text)).await
}

#[test]
fn a_webhook_killed_before_its_answer_started_one_execution() {
    let test = async {
        let faulty = deploy(quicken).await;
        let stack = &faulty.stack;
        let publications = Publications::of(stack);
        let proxy = faulty.proxy(Dependency::StepFunctions);
        let message = body("uppercase-in", 1, "once");
        proxy.fault_of("StartExecution", SLOW, Span::Until);
        let kill = async {
            proxy
                .wait_for(|counters| counters.of("StartExecution").seen >= 1)
                .await;
            assert!(stack.kill_functions("WebhookFunction").unwrap() >= 1);
        };
        let ((status, _), ()) = tokio::join!(post(stack, &message), kill);
        assert!(status >= 500, "{status}");
        proxy.heal().unwrap();
        proxy
            .wait_for(|counters| counters.of("StartExecution").reached >= 1)
            .await;

        // The sender retries.
        let (status, answer) = post(stack, &message).await;
        // While the execution runs, Step Functions answers the same request with success: `started`.
        let outcome = answer["targets"][0]["outcome"].as_str();
        assert_eq!(status, 200);
        assert!(
            [Some("duplicate"), Some("started")].contains(&outcome),
            "{answer}"
        );
        publications.wait("uppercase-out", 1).await;
        settle(stack, &[MACHINE]).await;
        assert_eq!(executions(stack, MACHINE).await.len(), 1);
        assert_eq!(publications.on("uppercase-out"), ["ONCE"]);
    };
    RUNTIME.block_on(test);
}

#[test]
fn a_redrive_killed_after_a_start_started_one_execution() {
    let test = async {
        let faulty = deploy(quicken).await;
        let stack = &faulty.stack;
        let publications = Publications::of(stack);
        let proxy = faulty.proxy(Dependency::StepFunctions);
        proxy.fault_of("StartExecution", Fault::Status(503), Span::Until);
        let (status, answer) = uppercase(stack, 1, "parked").await;
        assert_eq!(
            (status, &answer["targets"][0]["outcome"]),
            (200, &json!("parked"))
        );
        proxy.heal().unwrap();
        proxy.fault_of("StartExecution", SLOW, Span::Until);
        let before = proxy.counters().of("StartExecution").reached;
        // The redrive may be waiting between attempts.
        let seen = proxy.counters().of("StartExecution").seen;
        proxy
            .wait_for(|counters| counters.of("StartExecution").seen > seen)
            .await;
        assert!(stack.kill_functions("RedriveFunction").unwrap() >= 1);
        proxy.heal().unwrap();
        proxy
            .wait_for(|counters| counters.of("StartExecution").reached > before)
            .await;
        publications.wait("uppercase-out", 1).await;
        settle(stack, &[MACHINE]).await;
        assert_eq!(executions(stack, MACHINE).await.len(), 1);
        assert_eq!(publications.on("uppercase-out"), ["PARKED"]);
        // The queue still had the message, so the redrive retried it.
        assert!(proxy.counters().of("StartExecution").reached > before + 1);
        assert_eq!(depth(stack, "DeadLetterQueue").await, 0);
    };
    RUNTIME.block_on(test);
}

#[test]
fn a_completion_killed_before_its_ledger_write_publishes_twice() {
    let test = async {
        let faulty = deploy(quicken).await;
        let stack = &faulty.stack;
        let publications = Publications::of(stack);
        let ledger = faulty.proxy(Dependency::DynamoDb);
        let momento = faulty.proxy(Dependency::Momento);
        // The ledger stops answering during the slow publication: the second update records it.
        momento.fault_of(
            PUBLISH,
            Fault::Delay(Duration::from_millis(500)),
            Span::Once,
        );
        let (status, _) = uppercase(stack, 1, "again").await;
        assert_eq!(status, 200);
        momento
            .wait_for(|counters| counters.of(PUBLISH).seen >= 1)
            .await;
        ledger.fault_of("UpdateItem", Fault::Hang, Span::Until);
        ledger
            .wait_for(|counters| counters.of("UpdateItem").seen >= 2)
            .await;
        assert!(stack.kill_functions("CompletionFunction").unwrap() >= 1);
        ledger.heal().unwrap();
        assert_eq!(publications.on("uppercase-out"), ["AGAIN"]);

        // The queue still has the event, and the lease expires.
        settle(stack, &[MACHINE]).await;
        assert_eq!(publications.on("uppercase-out"), ["AGAIN", "AGAIN"]);
        // Now the ledger has the publication.
        let execution = &executions(stack, MACHINE).await[0];
        let event = json!({
            "version": "0", "id": "again", "source": "aws.states",
            "detail-type": "Step Functions Execution Status Change",
            "detail": {
                "executionArn": execution.arn, "stateMachineArn": stack.resource(MACHINE).unwrap(),
                "name": execution.name, "status": "SUCCEEDED", "startDate": 1, "stopDate": 2,
                "input": null, "inputDetails": {"included": false},
                "output": null, "outputDetails": {"included": false},
            },
        });
        let updates = ledger.counters().of("UpdateItem").reached;
        enqueue(stack, "CompletionsQueue", &event).await;
        until("a call to the ledger", async || {
            ledger.counters().of("UpdateItem").reached > updates
        })
        .await;
        settle(stack, &[MACHINE]).await;
        assert_eq!(publications.count(), 2);
        assert_eq!(executions(stack, MACHINE).await.len(), 1);
        assert_eq!(depth(stack, "CompletionsDeadLetterQueue").await, 0);
    };
    RUNTIME.block_on(test);
}
