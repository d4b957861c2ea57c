//! Results around and far over the limit of a topic message, from a workflow's output to the resolved claim.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Result;
use momento::CacheClient;
use momento::CredentialProvider;
use momento::cache::configurations::Laptop;
use serde_json::{Value, json};
use workflow_bridge::clock::now_ms;
use workflow_bridge::tools::local::aws::Account;
use workflow_bridge::tools::local::claim::{Claim, Resolver};
use workflow_bridge::tools::local::topics::{
    TopicsEvent, TopicsOptions, TopicsServer, broker, local_api_key,
};
use workflow_bridge::tools::template::{add_routes, add_state_machine};

use crate::deployed::{RUNTIME, SOON, stack};
use crate::lambda::{Aws, AwsStub, Function, MACHINE, routes};
use crate::messages::{Publications, body, deploy, post, quicken};

/// A value of `bytes` bytes that ends with `end`.
fn value(bytes: usize, end: &str) -> String {
    let value = "x".repeat(bytes - end.len()) + end;
    assert_eq!(value.len(), bytes);
    value
}

fn resolver(key: &str, endpoint: &str) -> Resolver {
    let credentials = CredentialProvider::from_api_key_v2(key, "local").unwrap();
    let client = CacheClient::builder()
        .default_ttl(Duration::from_secs(60))
        .configuration(Laptop::latest())
        .credential_provider(credentials.insecure_endpoint_override(endpoint))
        .build()
        .unwrap();
    Resolver::new(client, now_ms).unwrap()
}

fn with_echo(template: &mut Value) -> Result<()> {
    quicken(template)?;
    let output = "{% $states.input.message.text %}";
    let definition = json!({
        "QueryLanguage": "JSONata",
        "StartAt": "Echoes",
        "States": {"Echoes": {"Type": "Pass", "Output": output, "End": true}},
    });
    add_state_machine(template, "EchoStateMachine", "STANDARD", definition)?;
    let route = json!({
        "name": "echo",
        "from": {"cache": "demo", "topic": "echo-in"},
        "to": {"stateMachine": {"Ref": "EchoStateMachine"}},
        "reply": {"topics": ["echo-out-{sequence}"]},
    });
    add_routes(template, &[route])
}

#[test]
fn results_arrive_whole_up_to_the_limit_of_a_workflow() {
    let test = async {
        let faulty = deploy(with_echo).await;
        let stack = &faulty.stack;
        let publications = Publications::of(stack);
        let resolver = resolver(&stack.state(0).api_key, &stack.topics().endpoint());
        let sent = [
            (value(4095, "é"), false),
            (value(4096, "é"), false),
            (value(4096, "😀"), false),
            // The limit splits the last character.
            (value(4097, "é"), true),
            (value(4097, "😀"), true),
            // Fewer characters than the limit has bytes.
            ("é".repeat(2049), true),
            (value(200_000, "😀"), true),
        ];
        for (number, (value, _)) in sent.iter().enumerate() {
            let (status, answer) = post(stack, &body("echo-in", number as u64, value)).await;
            assert_eq!((status, &answer["code"]), (200, &json!("accepted")));
        }
        for (number, (value, is_claimed)) in sent.iter().enumerate() {
            let texts = publications.wait(&format!("echo-out-{number}"), 1).await;
            let claim = Claim::of(&texts[0]);
            assert_eq!(claim.is_some(), *is_claimed, "{number}");
            let found = match &claim {
                Some(claim) => resolver.resolve(claim).await.unwrap(),
                None => texts[0].clone(),
            };
            assert!(found == *value, "{number}: {} bytes", found.len());
        }
        assert_eq!(publications.count(), sent.len());
    };
    RUNTIME.block_on(test);
}

/// The topic and text that the completion publishes for an execution with this output, given more variables.
async fn published(
    server: &TopicsServer,
    key: &str,
    output: &str,
    variables: &[(&str, &str)],
) -> (String, String) {
    let mut events = server.events();
    let routes = routes(json!([{
        "name": "large",
        "from": {"cache": "demo", "topic": "large-in"},
        "to": {"stateMachine": MACHINE, "input": "payload"},
        "reply": {"cache": "demo", "topics": ["large-out"], "failures": ["large-failed"]},
    }]));
    let endpoint = server.endpoint();
    let mut all = vec![
        ("ROUTES", routes.as_str()),
        ("MOMENTO_SECRET_ID", "key"),
        ("MOMENTO_ENDPOINT", endpoint.as_str()),
    ];
    all.extend(variables);
    let execution =
        MACHINE.replace("stateMachine", "execution") + ":large-large-in-1-0123456789abcdef";
    let described = json!({
        "executionArn": execution, "stateMachineArn": MACHINE, "status": "SUCCEEDED", "startDate": 1.0,
        "stopDate": 2.0, "input": "{}", "output": json!(output).to_string(),
    });
    let replayed: &'static str = described.to_string().leak();
    let stub = AwsStub::new(key, Aws::Replays("DescribeExecution", replayed));
    let binary = env!("CARGO_BIN_EXE_completion");
    let function = Function::start(binary, &all, Duration::from_secs(30), stub).await;
    let event = json!({
        "version": "0", "id": "e", "source": "aws.states",
        "detail-type": "Step Functions Execution Status Change",
        "detail": {
            "executionArn": execution, "stateMachineArn": MACHINE, "name": "large-large-in-1-0123456789abcdef",
            "status": "SUCCEEDED", "startDate": 1000, "stopDate": 2000,
            "input": null, "inputDetails": {"included": false},
            "output": null, "outputDetails": {"included": false},
        },
    });
    let record = json!({"messageId": "m", "receiptHandle": "r", "body": event.to_string(), "eventSource": "aws:sqs"});
    let answer = function.invoke(json!({"Records": [record]})).await;
    if answer != json!({"batchItemFailures": []}) {
        panic!("it was not published: {}", function.stop().await);
    }
    let event = tokio::time::timeout(SOON, events.recv()).await;
    let Ok(Ok(TopicsEvent::Published(message))) = event else {
        panic!("nothing was published: {}", function.stop().await);
    };
    let broker::Value::Text(text) = &message.value else {
        panic!("binary")
    };
    (message.topic.clone(), text.clone())
}

#[test]
fn two_megabytes_become_an_item_an_object_or_a_failure() {
    let test = async {
        let key = local_api_key();
        let server = TopicsServer::start(TopicsOptions {
            keys: BTreeMap::from([(key.clone(), None)]),
            ..TopicsOptions::default()
        })
        .await
        .unwrap();
        let resolver = resolver(&key, &server.endpoint());
        let large = value(2_000_000, "😀");

        let (topic, text) = published(&server, &key, &large, &[]).await;
        let claim = Claim::of(&text).expect("a claim");
        assert_eq!(topic, "large-out");
        assert!(text.contains("\"key\":"), "{text}");
        assert!(resolver.resolve(&claim).await.unwrap() == large);

        let emulator = stack().await.emulator();
        let account = Account::new(emulator.endpoint(), &Account::fresh_id());
        let bucket = format!("claims-{}", account.id());
        account.create_bucket(&bucket).await.unwrap();
        let small = ("MAX_ITEM_BYTES", "1000000");
        let s3 = [
            small,
            ("CLAIMS_BUCKET", bucket.as_str()),
            ("AWS_ENDPOINT_URL_S3", emulator.endpoint()),
            ("AWS_ACCESS_KEY_ID", account.id()),
        ];
        let (topic, text) = published(&server, &key, &large, &s3).await;
        let claim = Claim::of(&text).expect("a claim");
        assert_eq!(topic, "large-out");
        assert!(text.contains("\"url\":"), "{text}");
        assert!(resolver.resolve(&claim).await.unwrap() == large);

        let (topic, text) = published(&server, &key, &large, &[small]).await;
        let envelope: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(topic, "large-failed");
        assert_eq!(envelope["output"], json!(null));
        let cause = envelope["cause"].as_str().unwrap_or_default();
        assert!(
            cause.contains("at most 1000000 bytes, found 2000000"),
            "{text}"
        );
        server.shutdown().await;
    };
    RUNTIME.block_on(test);
}
