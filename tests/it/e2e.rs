//! The deployed system, through the real Momento SDK and the Function URL.

mod deliveries;

use std::time::Duration;

use futures_util::StreamExt;
use momento::topics::ValueKind;
use serde_json::{Value, json};
use workflow_bridge::domain::inbound::signature::sign;
use workflow_bridge::tools::local::Stack;

use crate::deployed::{RUNTIME, SOON, stack};

/// Publishes `value` to `inbound` and returns the next text on `outbound`.
pub async fn round_trip(inbound: &str, value: &str, outbound: &str) -> String {
    let stack = stack().await;
    let client = stack.momento_client().unwrap();
    let mut subscription = client.subscribe("demo", outbound).await.unwrap();
    client.publish("demo", inbound, value).await.unwrap();
    let item = tokio::time::timeout(SOON, subscription.next()).await;
    match item {
        Ok(Some(item)) => match item.kind {
            ValueKind::Text(text) => text,
            ValueKind::Binary(_) => panic!("binary on {outbound}"),
        },
        _ => panic!(
            "nothing on {outbound}; the functions' log:\n{}",
            stack.logs().await.unwrap()
        ),
    }
}

fn sqs(stack: &Stack) -> aws_sdk_sqs::Client {
    aws_sdk_sqs::Client::new(stack.account().config())
}

/// The next message of a queue that `wanted` accepts; the others return to the queue.
pub async fn received(queue: &str, wanted: impl Fn(&Value) -> bool) -> Value {
    let (stack, queue) = (stack().await, queue.to_owned());
    let receive = async {
        loop {
            let call = sqs(stack)
                .receive_message()
                .queue_url(&queue)
                .wait_time_seconds(1)
                .visibility_timeout(0);
            let output = call.max_number_of_messages(10).send().await.unwrap();
            let bodies = output
                .messages()
                .iter()
                .filter_map(|message| serde_json::from_str(message.body()?).ok());
            if let Some(found) = bodies.into_iter().find(|body| wanted(body)) {
                return found;
            }
        }
    };
    tokio::time::timeout(SOON, receive)
        .await
        .expect("the message is in the queue")
}

#[test]
fn uppercase_comes_back() {
    RUNTIME.block_on(async {
        assert_eq!(
            round_trip("uppercase-in", "hällo ß", "uppercase-out").await,
            "HÄLLO SS"
        );
    });
}

#[test]
fn an_event_reaches_its_rule() {
    RUNTIME.block_on(async {
        let stack = stack().await;
        stack
            .momento_client()
            .unwrap()
            .publish("demo", "bus-in", "for the bus")
            .await
            .unwrap();
        let event = received(stack.resource("EventsQueue").unwrap(), |event| {
            event["detail"]["topic"] == "bus-in"
        })
        .await;
        assert_eq!(
            (&event["source"], &event["detail-type"]),
            (&json!("Momento"), &json!("demo#bus-in"))
        );
        assert_eq!(
            (&event["detail"]["text"], &event["detail"]["token_id"]),
            (&json!("for the bus"), &json!(""))
        );
    });
}

#[test]
fn a_failed_workflow_publishes_to_the_failures_topic() {
    RUNTIME.block_on(async {
        let envelope: Value =
            serde_json::from_str(&round_trip("fails-in", "x", "fails-failed").await).unwrap();
        assert_eq!(
            (
                &envelope["status"],
                &envelope["route"],
                &envelope["error"],
                &envelope["cause"],
                &envelope["output"]
            ),
            (
                &json!("FAILED"),
                &json!("fails"),
                &json!("Example.Broken"),
                &json!("it was asked to"),
                &json!(null)
            )
        );
        assert_eq!(envelope["in_reply_to"]["topic"], "fails-in");
        assert!(envelope["stopped_at"].as_i64() >= envelope["started_at"].as_i64());
    });
}

#[test]
fn an_input_too_long_for_the_event_is_fetched() {
    RUNTIME.block_on(async {
        let stack = stack().await;
        let client = stack.momento_client().unwrap();
        let mut subscription = client.subscribe("demo", "long-out").await.unwrap();
        // Escaping doubles it in the input and quadruples it in the event, which omits an input over 248 KB.
        let (status, answer) = post(&message("long-in", 9, &"\"".repeat(120_000))).await;
        assert_eq!((status, &answer["code"]), (200, &json!("accepted")));
        let item = tokio::time::timeout(SOON, subscription.next()).await;
        let ValueKind::Text(text) = item.expect("a result").expect("a subscription").kind else {
            panic!("binary")
        };
        let envelope: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(
            (&envelope["id"], &envelope["route"]),
            (&answer["id"], &json!("long"))
        );
    });
}

#[test]
fn a_payload_route_passes_the_text_and_addresses_the_reply() {
    RUNTIME.block_on(async {
        let wrapped = round_trip("payload-in", r#"{"n": 9007199254740993}"#, "payload-out").await;
        let wrapped: Value = serde_json::from_str(&wrapped).unwrap();
        assert!(wrapped["got"]["n"].is_number(), "{wrapped}");
    });
}

#[test]
fn two_routes_match_one_message() {
    RUNTIME.block_on(async {
        let stack = stack().await;
        let first = {
            let client = stack.momento_client().unwrap();
            let mut events = stack.topics().events();
            client.publish("demo", "both-in", "for both").await.unwrap();
            next_publication(&mut events, "both-out-").await
        };
        let envelope: Value = serde_json::from_str(&first).unwrap();
        assert_eq!(
            (&envelope["status"], &envelope["output"]),
            (&json!("SUCCEEDED"), &json!("FOR BOTH"))
        );
        let event = received(stack.resource("EventsQueue").unwrap(), |event| {
            event["detail"]["topic"] == "both-in"
        })
        .await;
        assert_eq!(event["detail"]["id"], envelope["id"], "one message, one id");
    });
}

/// The text of the next message on a topic whose name begins with `prefix`.
async fn next_publication(
    events: &mut tokio::sync::broadcast::Receiver<
        workflow_bridge::tools::local::topics::TopicsEvent,
    >,
    prefix: &str,
) -> String {
    use workflow_bridge::tools::local::topics::{TopicsEvent, broker::Value as Published};
    let next = async {
        loop {
            match events.recv().await.expect("the server runs") {
                TopicsEvent::Published(message) if message.topic.starts_with(prefix) => {
                    match &message.value {
                        Published::Text(text) => return text.clone(),
                        Published::Binary(_) => panic!("binary on {}", message.topic),
                    }
                }
                _ => {}
            }
        }
    };
    tokio::time::timeout(SOON, next)
        .await
        .expect("a publication")
}

#[test]
fn a_workflow_publishes_while_it_runs() {
    RUNTIME.block_on(async {
        let stack = stack().await;
        let client = stack.momento_client().unwrap();
        let mut halfway = client.subscribe("demo", "told").await.unwrap();
        assert_eq!(round_trip("tells-in", "one", "tells-out").await, "one");
        // An EXPRESS workflow emits no end event and can answer only this way.
        client.publish("demo", "express-in", "two").await.unwrap();
        let mut texts = Vec::new();
        while texts.len() < 2 {
            let item = tokio::time::timeout(SOON, halfway.next())
                .await
                .expect("a publication")
                .expect("a subscription");
            let ValueKind::Text(text) = item.kind else {
                panic!("binary")
            };
            texts.push(text);
        }
        assert_eq!(texts, ["halfway with one", "halfway with two"]);
    });
}

#[test]
fn a_workflow_asks_and_resumes_with_the_answer() {
    RUNTIME.block_on(async {
        let stack = stack().await;
        let client = stack.momento_client().unwrap();
        let mut asked = client.subscribe("demo", "asked").await.unwrap();
        let mut ask = async |text: &str| {
            client.publish("demo", "asks-in", text).await.unwrap();
            let item = tokio::time::timeout(SOON, asked.next()).await;
            match item.expect("a question").expect("a subscription").kind {
                ValueKind::Text(text) => serde_json::from_str::<Value>(&text).unwrap(),
                ValueKind::Binary(_) => panic!("binary"),
            }
        };
        let question = ask(r#"{"reply_to":"asks-out-mo"}"#).await;
        assert_eq!(question["question"], r#"{"reply_to":"asks-out-mo"}"#);
        let yes = json!({"token": question["token"], "answer": {"yes": true}}).to_string();
        let back = round_trip("answers", &yes, "asks-out-mo").await;
        let back: Value = serde_json::from_str(&back).unwrap();
        assert_eq!(back, json!({"yes": true}));
        let outcome = async |text: &str, number| {
            let (status, answer) = post(&message("answers", number, text)).await;
            assert_eq!((status, &answer["code"]), (200, &json!("accepted")));
            answer["targets"][0]["outcome"].clone()
        };
        // The same answer again: the task has ended.
        assert_eq!(outcome(&yes, 701).await, "closed");
        assert_eq!(outcome("yes, but to whom?", 702).await, "dead_lettered");

        // A refusal; the route does not allow the requested address.
        let question = ask(r#"{"reply_to":"anywhere"}"#).await;
        let no =
            json!({"token": question["token"], "error": {"error": "Denied", "cause": "too dear"}});
        let back = round_trip("answers", &no.to_string(), "asks-failed").await;
        let back: Value = serde_json::from_str(&back).unwrap();
        assert_eq!(
            (&back["error"], &back["cause"]),
            (&json!("Denied"), &json!("too dear"))
        );
    });
}

/// Posts a signed message to the Function URL and returns status and answer.
pub async fn post(body: &str) -> (u16, Value) {
    let stack = stack().await;
    let request = reqwest::Client::new().post(stack.webhook_url());
    let request = request.header(
        "momento-signature",
        sign(stack.signing_secret(), body.as_bytes()),
    );
    let response = request.body(body.to_owned()).send().await.unwrap();
    let status = response.status().as_u16();
    (
        status,
        serde_json::from_str(&response.text().await.unwrap()).unwrap(),
    )
}

pub fn message(topic: &str, number: u64, text: &str) -> String {
    let now = workflow_bridge::clock::now_ms();
    json!({
        "cache": "demo", "topic": topic, "event_timestamp": now, "publish_timestamp": now,
        "topic_sequence_number": number, "token_id": "mo", "text": text,
    })
    .to_string()
}
