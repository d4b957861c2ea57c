//! Deliveries of the webhook: repeated, unrouted, forged, and what the logs hold of them.

use super::*;

async fn executions_named(machine: &str, part: &str) -> usize {
    let stack = stack().await;
    let client = aws_sdk_sfn::Client::new(stack.account().config());
    let call = client
        .list_executions()
        .state_machine_arn(stack.resource(machine).unwrap());
    let output = call.max_results(1000).send().await.unwrap();
    output
        .executions()
        .iter()
        .filter(|execution| execution.name().contains(part))
        .count()
}

#[test]
fn a_message_delivered_many_times_starts_one_execution() {
    RUNTIME.block_on(async {
        for (number, outcomes) in [(770_001, 1), (770_002, 20)] {
            let body = message("uppercase-in", number, "again");
            let answers = futures_util::future::join_all((0..outcomes).map(|_| post(&body))).await;
            let again = post(&body).await;
            for (status, answer) in answers.iter().chain([&again]) {
                assert_eq!(
                    (*status, &answer["code"]),
                    (200, &json!("accepted")),
                    "{answer}"
                );
                assert_eq!(answer["id"], again.1["id"]);
            }
            assert_eq!(
                executions_named("UppercaseWorkflow", &format!("-{number}-")).await,
                1
            );
        }
    });
}

#[test]
fn an_unrouted_message_is_kept_as_a_dead_letter() {
    RUNTIME.block_on(async {
        let stack = stack().await;
        let (status, answer) = post(&message("orders-in", 5, "{\"kind\":\"complaint\"}")).await;
        assert_eq!(
            (status, &answer["code"], &answer["targets"]),
            (200, &json!("unrouted"), &json!([]))
        );
        let queue = stack.outputs()["DeadLetterQueueUrl"].clone();
        let letter = received(&queue, |letter| letter["id"] == answer["id"]).await;
        assert_eq!(
            (&letter["reason"], &letter["message"]["topic"]),
            (&json!("unrouted"), &json!("orders-in"))
        );
        assert_eq!(
            round_trip("orders-in", "{\"kind\":\"order\"}", "orders-out").await,
            "{\"KIND\":\"ORDER\"}"
        );
    });
}

#[test]
fn forged_and_stale_requests_start_nothing() {
    RUNTIME.block_on(async {
        let stack = stack().await;
        let body = message("uppercase-in", 880_001, "forged");
        let request = reqwest::Client::new()
            .post(stack.webhook_url())
            .header("momento-signature", sign("guessed", body.as_bytes()));
        let response = request.body(body).send().await.unwrap();
        assert_eq!(response.status(), 401);
        let mut stale: Value =
            serde_json::from_str(&message("uppercase-in", 880_001, "stale")).unwrap();
        stale["publish_timestamp"] = json!(stale["publish_timestamp"].as_i64().unwrap() - 61_000);
        let (status, answer) = post(&stale.to_string()).await;
        assert_eq!((status, &answer["code"]), (403, &json!("stale")));
        assert_eq!(executions_named("UppercaseWorkflow", "-880001-").await, 0);
    });
}

#[test]
fn no_log_holds_a_payload_a_secret_or_a_signature() {
    RUNTIME.block_on(async {
        let stack = stack().await;
        let text = "a text to look for in logs";
        let body = message("fails-in", 990_001, text);
        assert_eq!(post(&body).await.0, 200);
        assert_eq!(
            round_trip("logged-in", text, "logged-out").await,
            text.to_uppercase()
        );
        // The line about the end of this execution is the last one that could contain them.
        let logs = async {
            loop {
                let logs = stack.logs().await.unwrap();
                if logs.contains("fails-fails-in-990001-") {
                    return logs;
                }
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        };
        let logs = tokio::time::timeout(SOON, logs)
            .await
            .expect("the completion logs the end");
        assert!(logs.contains("accepted a message"), "{logs}");
        let signature = sign(stack.signing_secret(), body.as_bytes());
        let api_key = stack.functions_key();
        for hidden in [
            text,
            &text.to_uppercase(),
            stack.signing_secret(),
            &signature,
            api_key,
        ] {
            assert!(!logs.contains(hidden), "`{hidden}` in the logs:\n{logs}");
        }
    });
}
