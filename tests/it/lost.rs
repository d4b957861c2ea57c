//! Ends of executions whose events were lost: the sweep finds each one and publishes its result once.

use anyhow::Result;
use aws_sdk_sfn::types::ExecutionStatus;
use serde_json::{Value, json};
use workflow_bridge::tools::local::Stack;
use workflow_bridge::tools::template::{add_routes, add_state_machine};

use crate::deployed::RUNTIME;
use crate::messages::{
    Execution, Publications, body, deliver_end_events, deploy, depth, drain, enqueue, executions,
    invoke, post, quicken, settle, until,
};

const MACHINES: [&str; 2] = ["UppercaseWorkflow", "SecondTimeStateMachine"];

/// A workflow that fails until it is redriven.
fn with_second_time(template: &mut Value) -> Result<()> {
    quicken(template)?;
    let output = "{% $states.context.Execution.RedriveCount > 0 ? 'at last' : $error('not yet') %}";
    let definition = json!({
        "QueryLanguage": "JSONata",
        "StartAt": "Tries",
        "States": {"Tries": {"Type": "Pass", "Output": output, "End": true}},
    });
    add_state_machine(template, MACHINES[1], "STANDARD", definition)?;
    let route = json!({
        "name": "second",
        "from": {"cache": "demo", "topic": "second-in"},
        "to": {"stateMachine": {"Ref": MACHINES[1]}},
        "reply": {"topics": ["second-out"], "failures": ["second-failed"]},
    });
    add_routes(template, &[route])
}

async fn send(stack: &Stack, topic: &str, number: u64, text: &str) {
    let (status, answer) = post(stack, &body(topic, number, text)).await;
    assert_eq!((status, &answer["code"]), (200, &json!("accepted")));
}

/// Waits until `count` executions have ended with this status.
async fn ended(stack: &Stack, machine: &str, count: usize, status: ExecutionStatus) {
    until("ended executions", async || {
        let all = executions(stack, machine).await;
        all.iter().filter(|one| one.status == status).count() == count
    })
    .await;
}

/// Runs the sweep and waits until its findings are published.
async fn sweep(stack: &Stack) {
    invoke(stack, "SweepFunction").await;
    settle(stack, &MACHINES).await;
}

/// EventBridge's event of an end, with the fields that the completion reads.
fn event_of(execution: &Execution, machine: &str) -> Value {
    json!({
        "version": "0", "id": "late", "source": "aws.states",
        "detail-type": "Step Functions Execution Status Change",
        "resources": [execution.arn],
        "detail": {
            "executionArn": execution.arn, "stateMachineArn": machine, "name": execution.name,
            "status": execution.status.as_str(), "startDate": 1, "stopDate": 2, "redriveCount": 0,
            "input": null, "inputDetails": {"included": false},
            "output": null, "outputDetails": {"included": false},
        },
    })
}

#[test]
fn the_sweep_publishes_each_lost_end_once() {
    let test = async {
        let faulty = deploy(with_second_time).await;
        let stack = &faulty.stack;
        let publications = Publications::of(stack);
        let uppercase = || {
            let mut texts = publications.on("uppercase-out");
            texts.sort();
            texts
        };
        sweep(stack).await;
        deliver_end_events(stack, false).await;

        for (number, text) in [(1, "a"), (2, "b"), (3, "c")] {
            send(stack, "uppercase-in", number, text).await;
        }
        ended(stack, MACHINES[0], 3, ExecutionStatus::Succeeded).await;
        settle(stack, &MACHINES).await;
        assert_eq!(publications.count(), 0, "no event arrived");
        for _ in 0..2 {
            sweep(stack).await;
            assert_eq!(uppercase(), ["A", "B", "C"]);
        }

        // The events arrive late.
        for execution in executions(stack, MACHINES[0]).await {
            let machine = stack.resource(MACHINES[0]).unwrap();
            enqueue(stack, "CompletionsQueue", &event_of(&execution, machine)).await;
        }
        settle(stack, &MACHINES).await;
        assert_eq!(uppercase(), ["A", "B", "C"]);
        // An event that arrives in time.
        deliver_end_events(stack, true).await;
        send(stack, "uppercase-in", 4, "d").await;
        publications.wait("uppercase-out", 4).await;
        sweep(stack).await;
        assert_eq!(uppercase(), ["A", "B", "C", "D"]);

        // A redriven execution ends twice, and each end is lost.
        deliver_end_events(stack, false).await;
        send(stack, "second-in", 1, "e").await;
        ended(stack, MACHINES[1], 1, ExecutionStatus::Failed).await;
        for _ in 0..2 {
            sweep(stack).await;
            let failures = publications.on("second-failed");
            let envelope: Value = serde_json::from_str(&failures[0]).unwrap();
            assert_eq!((failures.len(), &envelope["status"]), (1, &json!("FAILED")));
        }
        let sfn = aws_sdk_sfn::Client::new(stack.account().config());
        let failed = &executions(stack, MACHINES[1]).await[0];
        let redrive = sfn.redrive_execution().execution_arn(&failed.arn);
        redrive.send().await.unwrap();
        ended(stack, MACHINES[1], 1, ExecutionStatus::Succeeded).await;
        for _ in 0..2 {
            sweep(stack).await;
            assert_eq!(publications.on("second-out"), ["at last"]);
        }
        assert_eq!(publications.count(), 6);
        for queue in ["DeadLetterQueue", "CompletionsDeadLetterQueue"] {
            assert_eq!(depth(stack, queue).await, 0, "{queue}");
        }
    };
    RUNTIME.block_on(test);
}

/// A nested execution, or a manual start with a copied envelope.
#[test]
fn an_execution_with_a_copied_input_publishes_nothing() {
    let test = async {
        let faulty = deploy(with_second_time).await;
        let stack = &faulty.stack;
        let publications = Publications::of(stack);
        send(stack, "uppercase-in", 1, "a").await;
        publications.wait("uppercase-out", 1).await;
        let sfn = aws_sdk_sfn::Client::new(stack.account().config());
        let parent = &executions(stack, MACHINES[0]).await[0];
        let described = sfn.describe_execution().execution_arn(&parent.arn);
        let input = described.send().await.unwrap().input.unwrap();
        let nested = async |with_event: bool| {
            deliver_end_events(stack, with_event).await;
            let machine = stack.resource(MACHINES[1]).unwrap();
            let start = sfn.start_execution().state_machine_arn(machine);
            start.input(&input).send().await.unwrap();
        };

        nested(true).await;
        ended(stack, MACHINES[1], 1, ExecutionStatus::Failed).await;
        settle(stack, &MACHINES).await;
        sweep(stack).await;
        nested(false).await;
        ended(stack, MACHINES[1], 2, ExecutionStatus::Failed).await;
        for _ in 0..2 {
            sweep(stack).await;
        }
        let letters = drain(stack, "CompletionsDeadLetterQueue").await;
        let reasons: Vec<_> = letters.iter().map(|letter| &letter["reason"]).collect();
        assert_eq!(reasons, ["address_refused"; 2], "{letters:?}");
        assert_eq!(publications.count(), 1);
    };
    RUNTIME.block_on(test);
}
