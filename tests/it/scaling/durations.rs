//! What invocations take in the local stack.

use serde_json::{Value, json};
use workflow_bridge::local::Stack;

use super::deployed;
use crate::addresses::Start;
use crate::deployed::RUNTIME;
use crate::messages::{body, post_signed, settle};

/// The median of the last invocations of a part: those that the emulator's REPORT lines tell, in ms, its own share included.
async fn median(stack: &Stack, part: &str, invocations: usize) -> u64 {
    let logs = stack.logs().await.unwrap();
    let reports = logs.lines().filter_map(|line| {
        let (group, report) = line.split_once(": ")?;
        let (_, rest) = report.split_once("\tDuration: ")?;
        let ours = group.to_lowercase().contains(part);
        rest.split(' ').next()?.parse::<u64>().ok().filter(|_| ours)
    });
    let all: Vec<u64> = reports.collect();
    let mut last = all[all.len() - invocations..].to_vec();
    last.sort_unstable();
    last[invocations / 2]
}

/// Invokes the completion with so many results, in SQS's place.
async fn complete(stack: &Stack, first: usize, count: usize) {
    let machine = stack.resource("UppercaseStateMachine").unwrap();
    let executions = machine.replace(":stateMachine:", ":execution:");
    let now = workflow_bridge::clock::now_ms();
    let route = json!({
        "name": "uppercase", "from": {"cache": "demo", "topic": "uppercase-in"}, "to": {"stateMachine": machine},
        "reply": {"topics": ["uppercase-out"], "failures": ["uppercase-failed"]},
    });
    let records: Vec<Value> = (first..first + count)
        .map(|number| {
            let Start { name, input } = Start::new(&route, &"x".repeat(200), number as u64);
            let event = json!({
                "id": name, "source": "aws.states", "detail-type": "Step Functions Execution Status Change",
                "detail": {
                    "executionArn": format!("{executions}:{name}"), "stateMachineArn": machine, "name": name, "status": "SUCCEEDED",
                    "startDate": now - 100, "stopDate": now, "input": input, "output": json!("X".repeat(200)).to_string(),
                    "inputDetails": {"included": true}, "outputDetails": {"included": true}, "redriveCount": 0, "error": null, "cause": null,
                },
            });
            json!({"messageId": name, "receiptHandle": name, "body": event.to_string(), "attributes": {"ApproximateReceiveCount": "1"}, "eventSource": "aws:sqs"})
        })
        .collect();
    let account = stack.account();
    let function = stack.resource("CompletionFunction").unwrap();
    let url = format!(
        "{}/2015-03-31/functions/{function}/invocations",
        account.endpoint()
    );
    let authorization = format!(
        "AWS4-HMAC-SHA256 Credential={}/20260101/us-east-1/lambda/aws4_request, SignedHeaders=host, Signature=0",
        account.id()
    );
    let request = reqwest::Client::new().post(url);
    let request = request.header("authorization", authorization);
    let response = request.body(json!({"Records": records}).to_string());
    let text = response.send().await.unwrap().text().await.unwrap();
    let answer: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(answer, json!({"batchItemFailures": []}));
}

/// Figures for docs/scaling.md: medians of a hundred warm invocations, one after the other.
#[test]
#[ignore = "a measurement, for docs/scaling.md"]
fn measure_durations() {
    const TIMES: usize = 101;
    RUNTIME.block_on(async {
        let faulty = deployed().await;
        let stack = &faulty.stack;
        let http = reqwest::Client::new();
        for number in 0..=TIMES {
            let body = body("uppercase-in", number as u64, &"x".repeat(200));
            let (status, _) = post_signed(&http, stack, stack.signing_secret(), &body).await;
            assert_eq!(status, 200);
        }
        settle(stack, &["UppercaseStateMachine"]).await;
        let webhook = median(stack, "webhook", TIMES).await;
        eprintln!("measured: webhook {webhook} ms");
        for results in [0, 1, 10] {
            for number in 0..TIMES {
                complete(stack, 1_000_000 * results + number * 10, results).await;
            }
            let completion = median(stack, "completion", TIMES).await;
            eprintln!("measured: completion of {results} results {completion} ms");
        }
    });
}
