//! The sweep's binary against the emulator, without events, and against replayed AWS errors.

use std::collections::BTreeSet;
use std::time::Duration;

use aws_sdk_dynamodb::types::{
    AttributeDefinition, BillingMode, KeySchemaElement, KeyType, ScalarAttributeType,
};
use aws_sdk_sfn::types::ExecutionStatus;
use serde_json::{Value, json};
use workflow_bridge::adapters::aws::dynamodb::DynamoLedger;
use workflow_bridge::clock;
use workflow_bridge::domain::outbound::ledger::end_id;
use workflow_bridge::domain::ports::Ledger;

use crate::deployed::{RUNTIME, SOON, stack};
use crate::lambda::{Aws, AwsStub, Function, MACHINE, routes};

const TIMEOUT: Duration = Duration::from_secs(30);

fn route(machine: &str) -> String {
    routes(json!([{
        "name": "swept",
        "from": {"cache": "demo", "topic": "swept-in"},
        "to": {"stateMachine": machine, "input": "payload"},
    }]))
}

/// Creates a state machine that no rule matches.
async fn state_machine(name: &str) -> String {
    let sfn = aws_sdk_sfn::Client::new(stack().await.account().config());
    let definition = json!({"StartAt": "Ends", "States": {"Ends": {"Type": "Pass", "End": true}}});
    let call = sfn
        .create_state_machine()
        .name(name)
        .definition(definition.to_string())
        .role_arn("arn:aws:iam::123456789012:role/none");
    call.send().await.unwrap().state_machine_arn
}

/// Runs an execution to its end and returns its ARN.
async fn execution(machine: &str, name: &str) -> String {
    let sfn = aws_sdk_sfn::Client::new(stack().await.account().config());
    let start = sfn.start_execution().state_machine_arn(machine).name(name);
    let arn = start.send().await.unwrap().execution_arn;
    let ended = async {
        loop {
            let described = sfn.describe_execution().execution_arn(&arn).send().await;
            if described.unwrap().status == ExecutionStatus::Succeeded {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(SOON, ended).await.expect("it ends");
    arn
}

/// Creates a table as the template has it.
async fn create_table(name: &str) {
    let dynamo = aws_sdk_dynamodb::Client::new(stack().await.account().config());
    let id = AttributeDefinition::builder().attribute_name("id");
    let key = KeySchemaElement::builder().attribute_name("id");
    let call = dynamo
        .create_table()
        .table_name(name)
        .attribute_definitions(id.attribute_type(ScalarAttributeType::S).build().unwrap())
        .key_schema(key.key_type(KeyType::Hash).build().unwrap())
        .billing_mode(BillingMode::PayPerRequest);
    call.send().await.unwrap();
}

/// Removes and returns all messages of a queue.
async fn drain(queue: &str) -> Vec<Value> {
    let sqs = aws_sdk_sqs::Client::new(stack().await.account().config());
    let mut all = Vec::new();
    loop {
        let call = sqs.receive_message().queue_url(queue);
        let output = call.max_number_of_messages(10).send().await.unwrap();
        if output.messages().is_empty() {
            return all;
        }
        let bodies = output
            .messages()
            .iter()
            .filter_map(|message| message.body());
        all.extend(bodies.map(|body| serde_json::from_str::<Value>(body).unwrap()));
    }
}

#[test]
fn ends_without_an_event_are_queued_once() {
    RUNTIME.block_on(async {
        let stack = stack().await;
        let machine = state_machine("Swept").await;
        let sqs = aws_sdk_sqs::Client::new(stack.account().config());
        let queue = sqs.create_queue().queue_name("swept").send().await.unwrap();
        let queue = queue.queue_url.unwrap();
        // Of its own, since the sweep of the stack saves the progress of another queue in its table.
        let table = "swept";
        create_table(table).await;
        let routes = route(&format!("{machine}:live"));
        let variables = [
            ("AWS_ENDPOINT_URL", stack.account().endpoint()),
            ("AWS_ACCESS_KEY_ID", stack.account().id()),
            ("ROUTES", routes.as_str()),
            ("LEDGER_TABLE", table),
            ("COMPLETIONS_QUEUE_URL", queue.as_str()),
            ("SWEEP_GRACE_SECONDS", "0"),
        ];
        let stub = AwsStub::new("", Aws::Answers);
        let sweep = Function::start(env!("CARGO_BIN_EXE_sweep"), &variables, TIMEOUT, stub).await;

        execution(&machine, "before").await;
        // The sweep would find an end in the millisecond of its first run.
        let ended = clock::now_ms();
        while clock::now_ms() == ended {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        assert_eq!(sweep.invoke(json!({})).await, Value::Null);
        let ledger = DynamoLedger::new(stack.account().config(), table.to_owned(), clock::now_ms);
        let begun = end_id(&execution(&machine, "begun").await, 0);
        ledger.begin(&begun, "one", i64::MAX).await.unwrap();
        let lost = [
            execution(&machine, "lost-1").await,
            execution(&machine, "lost-2").await,
        ];
        // The waiting message may be the event of a lost end.
        let waits = sqs.send_message().queue_url(&queue).message_body("{}");
        waits.send().await.unwrap();
        assert_eq!(sweep.invoke(json!({})).await, Value::Null);
        assert_eq!(drain(&queue).await, [json!({})]);
        let mut queued = Vec::new();
        for _ in 0..2 {
            let event = json!({"source": "aws.events"});
            assert_eq!(sweep.invoke(event).await, Value::Null);
            queued.extend(drain(&queue).await);
        }

        let arns: BTreeSet<&str> = queued
            .iter()
            .filter_map(|event| event["detail"]["executionArn"].as_str())
            .collect();
        assert_eq!(
            (queued.len(), arns),
            (2, lost.iter().map(String::as_str).collect())
        );
        for event in &queued {
            let detail = &event["detail"];
            assert_eq!(
                (&detail["status"], &detail["stateMachineArn"]),
                (&json!("SUCCEEDED"), &json!(machine))
            );
            assert!(
                detail["stopDate"].as_i64() >= detail["startDate"].as_i64(),
                "{detail}"
            );
            assert!(
                detail["startDate"].as_i64() > Some(1_700_000_000_000),
                "{detail}"
            );
        }
        let log = sweep.stop().await;
        let lines: Vec<Value> = log
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        let found: Vec<&Value> = lines.iter().filter_map(|line| line.get("found")).collect();
        assert_eq!(found, [0, 0, 2, 0], "{log}");
        let backlog: Vec<&Value> = lines
            .iter()
            .filter_map(|line| line.get("backlog"))
            .collect();
        assert_eq!(backlog, [0, 1, 0, 0], "{log}");
        assert_eq!(
            lines.iter().filter(|line| line["level"] == "WARN").count(),
            2
        );
        assert!(
            lines
                .iter()
                .all(|line| line.get("found").is_none() || line["lag_ms"].is_i64()),
            "{log}"
        );
    });
}

#[test]
fn the_deployed_sweep_lists_every_routed_state_machine() {
    RUNTIME.block_on(async {
        let stack = stack().await;
        let (account, function) = (stack.account(), stack.resource("SweepFunction").unwrap());
        let url = format!("{}/2015-03-31/functions/{function}/invocations", account.endpoint());
        let authorization = format!(
            "AWS4-HMAC-SHA256 Credential={}/20260101/us-east-1/lambda/aws4_request, SignedHeaders=host, Signature=0",
            account.id()
        );
        let call = reqwest::Client::new().post(url).header("authorization", authorization);
        let answer = call.body("{}").send().await.unwrap();
        assert!(!answer.headers().contains_key("x-amz-function-error"), "{answer:?}");
        assert_eq!(answer.text().await.unwrap(), "null");
    });
}

async fn refused(answer: &'static str) -> (Value, String) {
    let routes = route(MACHINE);
    let variables = [
        ("ROUTES", routes.as_str()),
        ("LEDGER_TABLE", "ledger"),
        ("COMPLETIONS_QUEUE_URL", "http://127.0.0.1/queue"),
    ];
    let stub = AwsStub::new("", Aws::Refuses("ListExecutions", answer));
    let sweep = Function::start(env!("CARGO_BIN_EXE_sweep"), &variables, TIMEOUT, stub).await;
    let answer = sweep.invoke(json!({})).await;
    (answer, sweep.stop().await)
}

#[tokio::test]
async fn a_missing_state_machine_fails_the_invocation() {
    let (answer, log) = refused(
        r#"{"__type":"StateMachineDoesNotExist","message":"State Machine Does Not Exist: 'arn'"}"#,
    )
    .await;
    assert!(
        answer["errorMessage"]
            .as_str()
            .unwrap()
            .contains("sweep of 1 state machines, found 1;"),
        "{answer}"
    );
    assert!(log.contains("check that the state machine exists"), "{log}");
}

#[tokio::test]
async fn an_express_state_machine_is_skipped() {
    let (answer, log) = refused(r#"{"__type":"StateMachineTypeNotSupported","message":"This operation is not supported by this type of state machine"}"#).await;
    assert_eq!(answer, Value::Null);
    assert!(!log.contains("ERROR") && !log.contains("WARN"), "{log}");
}

#[tokio::test]
async fn the_next_page_is_requested_with_its_token() {
    let routes = route(MACHINE);
    let variables = [
        ("ROUTES", routes.as_str()),
        ("LEDGER_TABLE", "ledger"),
        ("COMPLETIONS_QUEUE_URL", "http://127.0.0.1/queue"),
    ];
    // Every page has a next one, so only the invocation's deadline stops the sweep.
    let page = r#"{"nextToken":"more","executions":[{"executionArn":"arn:e","stateMachineArn":"arn:m","name":"e","status":"RUNNING","startDate":4102444800.5}]}"#;
    let stub = AwsStub::new("", Aws::Replays("ListExecutions", page));
    let timeout = Duration::from_secs(7);
    let sweep = Function::start(env!("CARGO_BIN_EXE_sweep"), &variables, timeout, stub).await;
    assert_eq!(sweep.invoke(json!({})).await, Value::Null);
    let lists = sweep.aws().bodies("ListExecutions");
    let first = json!({"stateMachineArn": MACHINE, "statusFilter": "RUNNING", "maxResults": 1000});
    let mut second = first.clone();
    second["nextToken"] = json!("more");
    assert_eq!(lists[..2], [first, second]);
    assert!(sweep.stop().await.contains(r#""postponed":1"#));
}
