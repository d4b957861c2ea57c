//! `express-enrich`: the workflow itself publishes the enriched message.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use futures_util::StreamExt;
use momento::topics::ValueKind;
use serde_json::{Value, json};
use workflow_bridge::tools::local::Stack;
use workflow_bridge::tools::local::workspace::Workspace;

use crate::deployed::{RUNTIME, SOON, example, stack};
use crate::e2e::{message, post};

/// Posts a signed message `times` times and returns the answers on `enrich-out`.
async fn enriched(stack: &Stack, body: &str, times: usize) -> Vec<Value> {
    let client = stack.momento_client().unwrap();
    let mut subscription = client.subscribe("demo", "enrich-out").await.unwrap();
    let mut answers = Vec::new();
    for _ in 0..times {
        let (status, answer) = post(body).await;
        assert_eq!(
            (status, &answer["targets"]),
            (200, &json!([{"route": "enrich", "outcome": "started"}]))
        );
        let item = tokio::time::timeout(SOON, subscription.next()).await;
        let item = item.expect("an answer").expect("a subscription");
        let ValueKind::Text(text) = item.kind else {
            panic!("binary")
        };
        let found: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(found["id"], answer["id"]);
        answers.push(found);
    }
    answers
}

#[test]
fn the_answer_describes_the_message() {
    RUNTIME.block_on(async {
        let stack = stack().await;
        let description = async |body: &str| {
            let mut answer = enriched(stack, body, 1).await.remove(0);
            let fields = answer.as_object_mut().unwrap();
            let sent: Value = serde_json::from_str(body).unwrap();
            // Times with milliseconds, in UTC.
            let published = fields.remove("published_at").unwrap();
            let enriched = fields.remove("enriched_at").unwrap();
            let (published, enriched) = (published.as_str().unwrap(), enriched.as_str().unwrap());
            assert!(published.len() == 24 && published.ends_with('Z') && published <= enriched);
            let millis = sent["event_timestamp"].as_i64().unwrap() % 1000;
            assert!(published.ends_with(&format!(".{millis:03}Z")));
            fields.remove("id");
            answer
        };

        let order = json!({"kind": "order", "lines": [{"n": 1}], "note": null});
        assert_eq!(
            description(&message("enrich-in", 1, &order.to_string())).await,
            json!({
                "topic": "enrich-in", "sequence": 1, "from": "mo", "kind": "object",
                "length": order.to_string().len(), "fields": ["kind", "lines", "note"], "value": order,
            })
        );
        // One field is a list of one.
        let answer = description(&message("enrich-in", 2, r#"{"a":[1]}"#)).await;
        assert_eq!(
            (&answer["fields"], &answer["value"]),
            (&json!(["a"]), &json!({"a": [1]}))
        );
        for (number, text, kind, length, value) in [
            (3, "Grüße 🦀", "text", 7, json!("Grüße 🦀")),
            (4, "", "text", 0, json!("")),
            (5, "[1]", "array", 3, json!([1])),
            (6, "-1.5", "number", 4, json!(-1.5)),
            (7, "null", "text", 4, json!("null")),
            (8, "false", "boolean", 5, json!(false)),
        ] {
            let answer = description(&message("enrich-in", number, text)).await;
            assert_eq!(
                (
                    &answer["kind"],
                    &answer["length"],
                    &answer["fields"],
                    &answer["value"]
                ),
                (&json!(kind), &json!(length), &json!([]), &value),
                "{text}"
            );
        }
        // A binary message without a token ID.
        let mut binary: Value = serde_json::from_str(&message("enrich-in", 9, "")).unwrap();
        binary["text"] = Value::Null;
        binary["token_id"] = Value::Null;
        binary["binary"] = json!(STANDARD.encode([0, 255, 1]));
        let answer = description(&binary.to_string()).await;
        assert_eq!(
            (&answer["kind"], &answer["from"], &answer["value"]),
            (&json!("binary"), &Value::Null, &json!("AP8B"))
        );

        // Names do not deduplicate EXPRESS executions: a second delivery runs again, and both answers have the same ID.
        let twice = enriched(stack, &message("enrich-in", 10, "again"), 2).await;
        assert_eq!(twice[0]["id"], twice[1]["id"]);
    });
}

#[test]
fn an_answer_refused_by_the_bus_fails_with_a_clear_error() {
    RUNTIME.block_on(async {
        let stack = stack().await;
        let file = Workspace::find()
            .unwrap()
            .root()
            .join("statemachines/express-enrich.asl.json");
        let mut definition: Value =
            serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap();
        // Over EventBridge's limit, which it reports inside an answer 200; with a single retry.
        let publish = &mut definition["States"]["Publish"];
        publish["Arguments"]["Entries"][0]["DetailType"] = json!("x".repeat(129));
        publish["Retry"][0]["MaxAttempts"] = json!(1);
        let client = aws_sdk_sfn::Client::new(stack.account().config());
        let machine = client
            .create_state_machine()
            .name("enrich-refused")
            .role_arn(format!("arn:aws:iam::{}:role/any", stack.account().id()))
            .definition(definition.to_string());
        let machine = machine.send().await.unwrap();
        let input = json!({"message": {
            "id": "1", "cache": "demo", "topic": "enrich-in", "topic_sequence_number": 1,
            "event_timestamp": 0, "token_id": null, "text": "x", "json": null,
        }});
        let started = client
            .start_execution()
            .state_machine_arn(machine.state_machine_arn())
            .input(input.to_string());
        let started = started.send().await.unwrap();
        let ended = async {
            loop {
                let ask = client.describe_execution();
                let execution = ask.execution_arn(started.execution_arn());
                let execution = execution.send().await.unwrap();
                if execution.status().as_str() != "RUNNING" {
                    return execution;
                }
                tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            }
        };
        let ended = tokio::time::timeout(SOON, ended).await.expect("an end");
        assert_eq!(
            (ended.status().as_str(), ended.error()),
            ("FAILED", Some("EnrichNotPublished"))
        );
        let cause = ended.cause().unwrap();
        assert!(
            cause.starts_with(
                "expected the event bus to take the answer, found EventBridge.FailedEntry: "
            ) && cause.contains("128 characters"),
            "{cause}"
        );
    });
}

#[test]
fn bridge_local_refuses_a_reply_of_an_express_workflow() {
    let root = Workspace::find().unwrap().root().to_owned();
    let shipped = std::fs::read_to_string(example("express-enrich").join("template.yaml")).unwrap();
    let target = "          to: {stateMachine: !Ref Workflow}\n";
    let reply = format!("{target}          reply: {{topics: [enrich-out]}}\n");
    let changed = shipped.replacen(target, &reply, 1);
    assert_ne!(changed, shipped);
    let changed = changed.replace("../..", &root.display().to_string());
    let directory = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("express-reply");
    std::fs::create_dir_all(&directory).unwrap();
    std::fs::write(directory.join("template.yaml"), changed).unwrap();
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_bridge"))
        .args(["local", "--once", "--with"])
        .arg(&directory)
        .output()
        .unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{error}");
    assert!(
        error.contains("express-reply/template.yaml")
            && error.contains("route `enrich`: expected no `reply`"),
        "{error}"
    );
    assert!(
        !error.contains("emulator"),
        "expected the error before anything starts: {error}"
    );
}
