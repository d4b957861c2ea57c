//! Each message counts once.
//!
//! ```text
//! cargo test --all-features --test it count
//! COUNT_MESSAGES=2000 cargo test --all-features --test it count -- --nocapture
//! ```
//!
//! `COUNT_MESSAGES` defaults to 200.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use anyhow::Result;
use aws_sdk_dynamodb::types::AttributeValue;
use aws_sdk_sfn::types::ExecutionStatus;
use futures_util::{StreamExt as _, stream};
use serde_json::{Value, json};
use workflow_bridge::clock::now_ms;
use workflow_bridge::tools::template::add_resource;

use super::listener::Listener;
use super::running::{
    add_variant, answer, ask_instead, item, message, publish_result, retries, run, start,
};
use crate::chaos::setting;
use crate::deployed::{RUNTIME, stack};
use crate::e2e::round_trip;
use crate::messages::post_signed;

/// Concurrent requests to the webhook.
const AT_ONCE: usize = 8;

pub fn extend(template: &mut Value) -> Result<()> {
    add_variant(template, "CountAskedStateMachine", |definition| {
        ask_instead(definition, "Count", "count-asked");
        definition["States"]["Again"]["Seconds"] = json!(1);
    })?;
    add_variant(template, "CountHotStateMachine", |definition| {
        ask_instead(definition, "Count", "count-hot");
        definition["States"]["Again"]["Seconds"] = json!(1);
        definition["TimeoutSeconds"] = json!(3);
    })?;
    add_variant(template, "CountTwiceStateMachine", |definition| {
        let states = &mut definition["States"];
        states["Once"] = states["Count"].clone();
        states["Once"]["Next"] = json!("Count");
        definition["StartAt"] = json!("Once");
    })?;
    add_variant(template, "CountUnreadStateMachine", |definition| {
        ask_instead(definition, "Totals", "count-unread");
    })?;
    let route = json!({
        "name": "tally", "from": {"cache": "demo", "topic": "tally-*"},
        "to": {"stateMachine": {"Ref": "Workflow"}}, "reply": {"topics": ["tallied"]},
    });
    let name = json!({"Fn::Sub": "/workflow-bridge/${Bridge}/routes/tally"});
    let properties = json!({"Name": name, "Type": "String", "Value": {"Fn::ToJsonString": route}});
    let parameter = json!({"Type": "AWS::SSM::Parameter", "Properties": properties});
    add_resource(template, "TallyRoute", parameter)
}

/// The value of a counter; `None` before the first count.
async fn total(counter: &str) -> Option<u64> {
    match item("CountTable", counter).await?.get("events") {
        Some(AttributeValue::N(number)) => number.parse().ok(),
        other => panic!("expected a number in `{counter}`, found {other:?}"),
    }
}

#[test]
fn a_message_counts_for_its_topic_and_for_its_token() {
    RUNTIME.block_on(async {
        // The publisher's key has no token ID.
        for expected in [1, 2] {
            let reply = round_trip("count-in", "x", "count-out").await;
            let reply: Value = serde_json::from_str(&reply).unwrap();
            assert_eq!(
                (&reply["topic"], &reply["token"], &reply["repeat"]),
                (
                    &json!({"name": "count-in", "events": expected}),
                    &json!(null),
                    &json!(false)
                )
            );
        }
        // The messages of the other tests share one token ID.
        let mut first = message("count-first", "count-topic", 1, "x");
        first["token_id"] = json!("count-token");
        let reply = run("count/Workflow", &first, "count-first").await;
        let topic = json!({"name": "count-topic", "events": 1});
        let token = json!({"id": "count-token", "events": 1});
        assert_eq!(
            reply,
            json!({"id": "count-first", "topic": topic, "token": token, "repeat": false})
        );
    });
}

#[test]
fn totals_are_exact_despite_repeated_deliveries() {
    let count = setting("COUNT_MESSAGES").unwrap_or(200);
    RUNTIME.block_on(tally(count));
}

/// A message on one of three topics, with one of two token IDs or none.
fn tallied(number: u64) -> (String, Option<&'static str>, String) {
    let topic = format!("tally-{}", number % 3);
    let token = [Some("tally-ana"), Some("tally-bo"), None][(number / 3 % 3) as usize];
    let now = now_ms();
    let body = json!({
        "cache": "demo", "topic": topic, "event_timestamp": now, "publish_timestamp": now,
        "topic_sequence_number": number, "token_id": token, "text": "x",
    });
    (topic, token, body.to_string())
}

async fn tally(count: u64) {
    let began = Instant::now();
    let (stack, http) = (stack().await, reqwest::Client::new());
    let mut replies = Listener::on("tallied").await;
    let post = async |body: String| {
        let (status, answer) = post_signed(&http, stack, stack.signing_secret(), &body).await;
        assert_eq!((status, &answer["code"]), (200, &json!("accepted")));
    };
    let sending = stream::iter(1..=count).map(async |number| {
        let (topic, token, body) = tallied(number);
        if number % 10 == 0 {
            tokio::join!(post(body.clone()), post(body));
        } else {
            post(body).await;
        }
        (topic, token)
    });
    let sending = sending.buffer_unordered(AT_ONCE).collect::<Vec<_>>();
    let receiving = async {
        let mut received = Vec::new();
        for _ in 0..count {
            received.push(replies.next_json().await);
        }
        received
    };
    let (sent, received) = tokio::join!(sending, receiving);

    let mut expected: BTreeMap<String, u64> = BTreeMap::new();
    for (topic, token) in sent {
        *expected.entry(format!("topic demo/{topic}")).or_default() += 1;
        if let Some(token) = token {
            *expected.entry(format!("token demo/{token}")).or_default() += 1;
        }
    }
    let mut found: BTreeMap<String, u64> = BTreeMap::new();
    let mut ids = BTreeSet::new();
    for reply in &received {
        assert_eq!(reply["repeat"], false, "{reply}");
        assert!(ids.insert(reply["id"].as_str().unwrap()), "twice: {reply}");
        for (kind, name) in [("topic", "name"), ("token", "id")] {
            if let Some(name) = reply[kind][name].as_str() {
                let most = found.entry(format!("{kind} demo/{name}")).or_default();
                *most = (*most).max(reply[kind]["events"].as_u64().unwrap());
            }
        }
    }
    // The last reply of each counter has its total.
    assert_eq!(found, expected);

    // An execution with another name does not count a counted message again.
    for reply in received.iter().take(10) {
        let (id, topic) = (&reply["id"], &reply["topic"]["name"]);
        let mut again = message(id.as_str().unwrap(), topic.as_str().unwrap(), 0, "x");
        again["token_id"] = reply["token"]["id"].clone();
        let reply = run("count/Workflow", &again, "tallied-again").await;
        assert_eq!(reply["repeat"], true, "{reply}");
    }
    for (counter, expected) in expected {
        assert_eq!(total(&counter).await, Some(expected), "{counter}");
    }
    eprintln!("count: {count} messages in {:.1?}", began.elapsed());
}

#[test]
fn a_repeated_task_counts_once() {
    RUNTIME.block_on(async {
        let twice = message("count-twice", "count-twice", 1, "x");
        let reply = run("CountTwiceStateMachine", &twice, "count-twice-out").await;
        assert_eq!(
            (&reply["topic"]["events"], &reply["repeat"]),
            (&json!(1), &json!(false))
        );
    });
}

#[test]
fn a_redriven_execution_counts_once() {
    RUNTIME.block_on(async {
        let mut asked = Listener::on("count-unread").await;
        let mut replies = Listener::on("count-unread-out").await;
        let unread = message("count-unread", "count-unread", 1, "x");
        let arn = start("CountUnreadStateMachine", &unread, "count-unread-out").await;
        let gone = (
            "DynamoDb.ResourceNotFoundException",
            "Requested resource not found",
        );
        answer(&asked.next().await, Err(gone)).await;
        assert_eq!(replies.next_json().await["error"], gone.0);

        let sfn = aws_sdk_sfn::Client::new(stack().await.account().config());
        let call = sfn.redrive_execution().execution_arn(&arn);
        call.send().await.unwrap();
        let counter = json!({"Item": {"events": {"N": "1"}}});
        let read = json!({"Responses": [counter, counter]});
        answer(&asked.next().await, Ok(read)).await;
        publish_result(&arn, &unread, "count-unread-out").await;
        assert_eq!(replies.next_json().await["topic"]["events"], 1);
        assert_eq!(total("topic demo/count-unread").await, Some(1));
    });
}

/// The error of a cancelled transaction, with a reason for each part.
fn cancelled(reasons: &str) -> String {
    format!(
        "Transaction cancelled, please refer cancellation reasons for specific reasons [{reasons}] (Service: DynamoDb, Status Code: 400, Request ID: X)"
    )
}

const CANCELLED: &str = "DynamoDb.TransactionCanceledException";

#[test]
fn a_cancelled_transaction_is_retried_then_fails_the_execution() {
    RUNTIME.block_on(async {
        let counted = message("count-counted", "count-asked", 1, "x");
        run("count/Workflow", &counted, "count-counted").await;

        let mut asked = Listener::on("count-asked").await;
        let mut replies = Listener::on("count-asked-out").await;
        let (machine, topic) = ("CountAskedStateMachine", "count-asked-out");
        start(
            machine,
            &message("count-meets", "count-asked", 2, "x"),
            topic,
        )
        .await;
        for reasons in [
            "None, TransactionConflict, None",
            "None, None, ThrottlingError",
            "ConditionalCheckFailed, TransactionConflict, None",
        ] {
            answer(&asked.next().await, Err((CANCELLED, &cancelled(reasons)))).await;
        }
        let reply = replies.next_json().await;
        assert_eq!(
            (&reply["id"], &reply["repeat"], &reply["topic"]["events"]),
            (&json!("count-meets"), &json!(true), &json!(1))
        );

        start(machine, &message("count-odd", "count-asked", 3, "x"), topic).await;
        let odd = cancelled("None, ValidationError, None");
        answer(&asked.next().await, Err((CANCELLED, &odd))).await;
        let failure = replies.next_json().await;
        assert_eq!(failure["error"], "CountUncountable");
        assert!(failure["cause"].as_str().unwrap().ends_with(&odd));

        start(
            machine,
            &message("count-fails", "count-asked", 4, "x"),
            topic,
        )
        .await;
        let throttled = (
            "DynamoDb.ProvisionedThroughputExceededException",
            "too much (Service: DynamoDb, Status Code: 400)",
        );
        for _ in 0..=retries("count", "Count") {
            answer(&asked.next().await, Err(throttled)).await;
        }
        let failure = replies.next_json().await;
        assert_eq!(
            (&failure["status"], &failure["error"], &failure["cause"]),
            (&json!("FAILED"), &json!(throttled.0), &json!(throttled.1))
        );
    });
}

#[test]
fn a_lasting_conflict_ends_with_the_executions_timeout() {
    RUNTIME.block_on(async {
        let mut asked = Listener::on("count-hot").await;
        let mut replies = Listener::on("count-hot-out").await;
        let hot = message("count-hot", "count-hot", 1, "x");
        let arn = start("CountHotStateMachine", &hot, "count-hot-out").await;
        let conflict = cancelled("None, TransactionConflict, None");
        let failure = loop {
            tokio::select! {
                token = asked.next() => answer(&token, Err((CANCELLED, &conflict))).await,
                failure = replies.next_json() => break failure,
            }
        };
        assert_eq!(failure["status"], "TIMED_OUT");
        let sfn = aws_sdk_sfn::Client::new(stack().await.account().config());
        let execution = sfn.describe_execution().execution_arn(arn).send().await;
        assert_eq!(execution.unwrap().status, ExecutionStatus::TimedOut);
    });
}
