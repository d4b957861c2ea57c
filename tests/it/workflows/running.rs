//! Executions of shipped workflows, and of variants in which the test replaces a service.
//!
//! The emulator's workflow engine calls its own services directly, so no proxy can inject faults. A variant keeps the shipped
//! definition with retries and catches, except that one task asks the test on a topic and waits for its answer.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};
use aws_config::SdkConfig;
use aws_sdk_dynamodb::types::AttributeValue;
use aws_sdk_eventbridge::types::PutEventsRequestEntry;
use aws_sdk_sfn::types::ExecutionStatus;
use serde_json::{Value, json};
use workflow_bridge::tools::local::workspace::Workspace;
use workflow_bridge::tools::template::add_state_machine;

use super::listener::Listener;
use crate::deployed::{resource, stack};

/// Adds the state machine of an example's template with a changed definition.
pub fn add_variant(template: &mut Value, id: &str, change: impl FnOnce(&mut Value)) -> Result<()> {
    let shipped = template["Resources"]["Workflow"]["Properties"].clone();
    let mut definition = shipped["Definition"].clone();
    change(&mut definition);
    add_state_machine(template, id, "STANDARD", definition)?;
    let substitutions = shipped.get("DefinitionSubstitutions").cloned();
    template["Resources"][id]["Properties"]["DefinitionSubstitutions"] =
        substitutions.context("expected substitutions in the shipped state machine, found none")?;
    Ok(())
}

/// Replaces a task by a question on `topic`, retried every second.
pub fn ask_instead(definition: &mut Value, state: &str, topic: &str) {
    let task = &mut definition["States"][state];
    task["Resource"] = json!("arn:aws:states:::events:putEvents.waitForTaskToken");
    task["Arguments"] = json!({"Entries": [{
        "Source": "workflow-bridge",
        "DetailType": "Topic Publish",
        "Detail": {"cache": "demo", "topic": topic, "value": "{% $states.context.Task.Token %}"},
    }]});
    task["TimeoutSeconds"] = json!(600);
    retry_every_second(definition, state);
}

pub fn retry_every_second(definition: &mut Value, state: &str) {
    let retriers = definition["States"][state]["Retry"].as_array_mut();
    for retrier in retriers.into_iter().flatten() {
        retrier["BackoffRate"] = json!(1);
    }
}

/// The number of retries of a task after an error that no retrier names.
pub fn retries(workflow: &str, state: &str) -> u64 {
    let root = Workspace::find().unwrap().root().to_owned();
    let text = std::fs::read_to_string(root.join(format!("statemachines/{workflow}.asl.json")));
    let definition: Value = serde_json::from_str(&text.unwrap()).unwrap();
    let retriers = definition["States"][state]["Retry"].as_array().unwrap();
    let retries = retriers.last().unwrap()["MaxAttempts"].as_u64().unwrap();
    assert!(retries > 2, "expected a task with retries, found {retries}");
    retries
}

/// A message in the form that workflows receive.
pub fn message(id: &str, topic: &str, number: u64, text: &str) -> Value {
    json!({
        "id": id, "cache": "demo", "topic": topic, "topic_sequence_number": number,
        "event_timestamp": 1_704_296_470_564_u64, "token_id": "mo", "text": text, "json": null,
    })
}

/// Starts an execution without the bridge, under a name of its own; returns its ARN.
///
/// The bridge publishes no result of such an execution, so the test publishes it to `topic`, like a route.
pub async fn start(machine: &str, message: &Value, topic: &str) -> String {
    static STARTED: AtomicU64 = AtomicU64::new(0);
    let stack = stack().await;
    let bridge = json!({"version": 1, "route": "by-hand", "reply": null});
    let call = aws_sdk_sfn::Client::new(stack.account().config())
        .start_execution()
        .state_machine_arn(resource(stack, machine))
        .name(format!(
            "by-hand-{}",
            STARTED.fetch_add(1, Ordering::Relaxed)
        ))
        .input(json!({"message": message, "bridge": bridge}).to_string());
    let execution = call.send().await.unwrap().execution_arn;
    publish_result(&execution, message, topic).await;
    execution
}

/// Publishes the output or failure of an execution after its end, in the background.
pub async fn publish_result(execution: &str, message: &Value, topic: &str) {
    let config = stack().await.account().config().clone();
    let (execution, message, topic) = (execution.to_owned(), message.clone(), topic.to_owned());
    tokio::spawn(publish_when_ended(config, execution, message, topic));
}

async fn publish_when_ended(config: SdkConfig, execution: String, message: Value, topic: String) {
    let sfn = aws_sdk_sfn::Client::new(&config);
    let ended = loop {
        let call = sfn.describe_execution().execution_arn(&execution);
        let described = call.send().await.unwrap();
        if described.status != ExecutionStatus::Running {
            break described;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    let value: Value = match ended.output {
        Some(output) => serde_json::from_str(&output).unwrap(),
        None => json!({
            "route": "by-hand", "status": ended.status.as_str(), "execution": execution, "output": null,
            "error": ended.error, "cause": ended.cause, "in_reply_to": message,
        }),
    };
    let detail = json!({"cache": "demo", "topic": topic, "value": value});
    let entry = PutEventsRequestEntry::builder()
        .source("workflow-bridge")
        .detail_type("Topic Publish")
        .detail(detail.to_string());
    let events = aws_sdk_eventbridge::Client::new(&config);
    let put = events.put_events().entries(entry.build()).send().await;
    assert_eq!(put.unwrap().failed_entry_count, 0);
}

/// Runs an execution to its end; returns its reply or its failure.
pub async fn run(machine: &str, message: &Value, topic: &str) -> Value {
    let mut replies = Listener::on(topic).await;
    start(machine, message, topic).await;
    replies.next_json().await
}

/// Answers a task's question with a result or with an error and a cause.
pub async fn answer(token: &str, with: Result<Value, (&str, &str)>) {
    let sfn = aws_sdk_sfn::Client::new(stack().await.account().config());
    match with {
        Ok(output) => {
            let call = sfn.send_task_success().task_token(token);
            call.output(output.to_string()).send().await.unwrap();
        }
        Err((error, cause)) => {
            let call = sfn.send_task_failure().task_token(token);
            call.error(error).cause(cause).send().await.unwrap();
        }
    }
}

/// An item of a table of the template, by its key `id`.
pub async fn item(table: &str, id: &str) -> Option<BTreeMap<String, AttributeValue>> {
    let stack = stack().await;
    let call = aws_sdk_dynamodb::Client::new(stack.account().config())
        .get_item()
        .table_name(resource(stack, table))
        .key("id", AttributeValue::S(id.to_owned()))
        .consistent_read(true);
    let found = call.send().await.unwrap().item?;
    Some(found.into_iter().collect())
}
