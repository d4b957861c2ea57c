//! The canary in the deployed stack: its message makes the round trip, or the log and the metric name the last stage reached.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use workflow_bridge::tools::local::topics::local_api_key;
use workflow_bridge::tools::local::{Delivery, Edit, Options, Stack};

use crate::deployed::{RUNTIME, binaries, stack};
use crate::lambda::{Aws, AwsStub, Function, MACHINE};
use crate::messages::{Publications, invoke, put_secret, until};

async fn deploy(delivery: Delivery, edit: Edit) -> Stack {
    let mut options = Options::new(binaries()).unwrap();
    options.parameters = [("CanaryMinutes".to_owned(), "5".to_owned())].into();
    options.delivery = delivery;
    options.edit = edit;
    let emulator = Arc::clone(stack().await.emulator());
    Stack::start_in(emulator, options).await.unwrap()
}

/// The canary's log lines.
async fn lines(stack: &Stack) -> Vec<Value> {
    let group = stack.resource("CanaryLogGroup").unwrap();
    let logs = stack.logs().await.unwrap();
    let lines = logs
        .lines()
        .filter_map(|line| line.split_once(": ")?.1.split_once('{').map(|_| line));
    let lines = lines.filter(|line| line.starts_with(group));
    lines
        .filter_map(|line| serde_json::from_str(&line[group.len() + 2..]).ok())
        .collect()
}

/// Runs the canary once and waits for its log line and metrics.
async fn fly(stack: &Stack) -> (Value, Vec<Value>) {
    let before = lines(stack).await.len();
    invoke(stack, "CanaryFunction").await;
    let mut after = Vec::new();
    until("the canary's metrics", async || {
        after = lines(stack).await.split_off(before);
        after.iter().any(|line| line.get("canary").is_some())
    })
    .await;
    let (metrics, other): (Vec<_>, Vec<_>) = after
        .into_iter()
        .partition(|line| line.get("_aws").is_some());
    let line = other.iter().find(|line| {
        line["message"]
            .as_str()
            .is_some_and(|m| m.starts_with("the canary"))
    });
    (line.unwrap().clone(), metrics)
}

fn assert_metric(metrics: &[Value], outcome: &str) {
    let line = metrics.iter().find(|line| line.get("canary").is_some());
    let line = line.unwrap();
    assert_eq!(
        (&line["canary"], &line["outcome"]),
        (&json!(1), &json!(outcome))
    );
    let directive = &line["_aws"]["CloudWatchMetrics"][0];
    assert_eq!(directive["Namespace"], "workflow-bridge/workflow-bridge");
    assert_eq!(directive["Dimensions"], json!([[], ["outcome"]]));
}

/// The first of many invocations may be slow, so no time is compared.
#[test]
fn its_message_comes_back_and_a_wrong_key_is_reported() {
    RUNTIME.block_on(async {
        let stack = deploy(Delivery::Webhooks, Box::new(|_| Ok(()))).await;
        let publications = Publications::of(&stack);
        let (line, metrics) = fly(&stack).await;
        assert_eq!(line["message"], "the canary came back", "{line}");
        assert_eq!(line["correlation_id"].as_str().unwrap().len(), 32, "{line}");
        let execution = line["execution.arn"].as_str().unwrap();
        assert!(
            execution.contains(":canary-workflow-bridge-canary-"),
            "{line}"
        );
        assert_metric(&metrics, "succeeded");
        let took = metrics
            .iter()
            .find_map(|line| line["canary_round_trip"].as_i64());
        assert_eq!(took, line["duration_ms"].as_i64());

        // Each run sends a new message.
        let (line, _) = fly(&stack).await;
        assert_eq!(line["message"], "the canary came back", "{line}");
        let values = publications.on("workflow-bridge-canary");
        assert!(
            values.len() == 2 && values[0] != values[1] && values[0].len() == 32,
            "{values:?}"
        );

        let wrong = local_api_key();
        put_secret(&stack, "MomentoSecret", &wrong).await;
        let (line, metrics) = fly(&stack).await;
        assert_eq!(
            (&line["message"], &line["reached"], &line["error.code"]),
            (
                &json!("the canary did not come back"),
                &json!("canary"),
                &json!("AuthenticationError")
            )
        );
        assert_metric(&metrics, "failed");
        assert_eq!(publications.on("workflow-bridge-canary").len(), 2);

        let logs = stack.logs().await.unwrap();
        for hidden in [&wrong, &stack.state(0).api_key, &values[0], &values[1]] {
            assert!(!logs.contains(hidden.as_str()), "`{hidden}` in the logs");
        }
        stack.stop().await;
    });
}

#[test]
fn it_works_through_the_relay() {
    RUNTIME.block_on(async {
        let stack = deploy(Delivery::Relay, Box::new(|_| Ok(()))).await;
        let (line, metrics) = fly(&stack).await;
        assert_eq!(line["message"], "the canary came back", "{line}");
        assert_metric(&metrics, "succeeded");
        stack.stop().await;
    });
}

/// Waits only a second for a result that never comes.
fn impatient(template: &mut Value) {
    template["Resources"]["CanaryFunction"]["Properties"]["Environment"]["Variables"]["CANARY_WITHIN_SECONDS"] =
        json!("1");
}

#[test]
fn a_message_without_a_webhook_is_reported() {
    RUNTIME.block_on(async {
        let edit = |template: &mut Value| {
            impatient(template);
            Ok(())
        };
        let stack = deploy(Delivery::Nothing, Box::new(edit)).await;
        let (line, metrics) = fly(&stack).await;
        assert_eq!(line["reached"], "momento", "{line}");
        assert_metric(&metrics, "failed");
        assert!(
            metrics
                .iter()
                .all(|line| line.get("canary_round_trip").is_none())
        );
        stack.stop().await;
    });
}

#[test]
fn a_failed_workflow_is_reported() {
    RUNTIME.block_on(async {
        let edit = |template: &mut Value| {
            impatient(template);
            let machine = &mut template["Resources"]["CanaryWorkflow"]["Properties"];
            machine.as_object_mut().unwrap().remove("DefinitionUri");
            machine["Definition"] =
                json!({"StartAt": "No", "States": {"No": {"Type": "Fail", "Error": "Example.Broken"}}});
            Ok(())
        };
        let stack = deploy(Delivery::Webhooks, Box::new(edit)).await;
        // The first run may end before its execution begins.
        let mut last = Value::Null;
        until("a run that saw its execution", async || {
            let (line, metrics) = fly(&stack).await;
            assert_metric(&metrics, "failed");
            last = line;
            last["reached"] == "workflow"
        })
        .await;
        let execution = last["execution.arn"].as_str().unwrap();
        assert!(execution.ends_with(last["correlation_id"].as_str().unwrap()), "{last}");
        assert!(last["error.text"].as_str().unwrap().contains("FAILED") || last["error.text"].as_str().unwrap().contains("RUNNING"), "{last}");
        stack.stop().await;
    });
}

/// The real binary: neither a silent Momento nor a secret without a key fails the invocation.
#[tokio::test]
async fn a_hung_momento_or_a_bad_secret_fails_no_invocation() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    for (secret, code) in [
        (local_api_key(), "TimedOut"),
        ("no key".to_owned(), "BadApiKey"),
    ] {
        let variables = [
            ("MOMENTO_SECRET_ID", "key"),
            ("MOMENTO_ENDPOINT", endpoint.as_str()),
            ("CANARY_CACHE", "demo"),
            ("CANARY_STATE_MACHINE", MACHINE),
            ("CANARY_WITHIN_SECONDS", "2"),
        ];
        let aws = AwsStub::new(&secret, Aws::Answers);
        let binary = env!("CARGO_BIN_EXE_canary");
        let function = Function::start(binary, &variables, Duration::from_secs(90), aws).await;
        assert_eq!(function.invoke(json!({})).await, Value::Null);
        let log = function.stop().await;
        let lines = log
            .lines()
            .filter_map(|line| serde_json::from_str(line).ok());
        let lines: Vec<Value> = lines.collect();
        let line = lines
            .iter()
            .find(|line| line["reached"] == "canary")
            .unwrap();
        assert!(
            [code, "CancelledError"].contains(&line["error.code"].as_str().unwrap()),
            "{line}"
        );
        let metric = lines.iter().find(|line| line["canary"] == 1).unwrap();
        assert_eq!(metric["outcome"], "failed");
        assert!(!log.contains(&secret), "{log}");
    }
}
