//! The completion's binary publishes a result only to addresses of its route; the execution's input cannot change that.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};
use workflow_bridge::domain::inbound::envelope::ExecutionInput;
use workflow_bridge::domain::inbound::execution_name::execution_name;
use workflow_bridge::domain::inbound::message::TopicMessage;
use workflow_bridge::domain::inbound::routes::Routes;
use workflow_bridge::domain::inbound::signature::{SigningSecret, sign, verify};
use workflow_bridge::tools::local::topics::{
    TopicsEvent, TopicsOptions, TopicsServer, broker, local_api_key,
};

use crate::lambda::{Aws, AwsStub, Function, MACHINE, routes};

const CHILD: &str = "arn:aws:states:us-east-1:123456789012:stateMachine:Child";

/// The execution that the bridge starts for a message of a route without `*`.
pub struct Start {
    pub name: String,
    pub input: String,
}

impl Start {
    pub fn new(route: &Value, text: &str, number: u64) -> Self {
        let body = json!({
            "cache": route["from"]["cache"], "topic": route["from"]["topic"], "event_timestamp": 1, "publish_timestamp": 2, "topic_sequence_number": number,
            "token_id": "mo", "text": text,
        })
        .to_string();
        let secrets = [SigningSecret::new("k").unwrap()];
        let signature = sign("k", body.as_bytes());
        let verified = verify(&secrets, body.as_bytes(), [signature.as_bytes()]).unwrap();
        let (message, _) = TopicMessage::parse(verified).unwrap();
        let routes = Routes::parse(&routes(json!([route]))).unwrap();
        let route = routes.iter().next().unwrap();
        let input = if route.takes_payload() {
            ExecutionInput::payload(&message)
        } else {
            ExecutionInput::envelope(&message, route, None)
        };
        Self {
            name: execution_name(&route.name, &message),
            input: input.to_json(),
        }
    }
}

/// The event of a succeeded execution of [`MACHINE`]; `fields` override its detail.
pub fn status_change(start: &Start, fields: Value) -> Value {
    let mut detail = json!({
        "stateMachineArn": MACHINE, "name": start.name, "status": "SUCCEEDED", "startDate": 1, "stopDate": 2,
        "input": start.input, "output": "\"done\"", "redriveCount": 0, "error": null, "cause": null,
    });
    for (key, value) in fields.as_object().unwrap() {
        detail[key] = value.clone();
    }
    let machine = detail["stateMachineArn"].as_str().unwrap();
    let name = detail["name"].as_str().unwrap();
    let arn = machine.replace("stateMachine", "execution") + ":" + name;
    detail["executionArn"] = json!(arn);
    json!({
        "version": "0", "id": arn, "source": "aws.states", "resources": [arn],
        "detail-type": "Step Functions Execution Status Change", "detail": detail,
    })
}

/// An SQS batch.
pub fn queued(events: &[Value]) -> Value {
    let records = events.iter().enumerate().map(|(i, event)| {
        json!({"messageId": format!("m{i}"), "receiptHandle": "r", "body": event.to_string(), "eventSource": "aws:sqs"})
    });
    json!({"Records": records.collect::<Vec<_>>()})
}

/// Completes an execution under `today`'s routes. Returns the topics published to, the dead letter's reason and detail, and
/// the log.
async fn complete(today: Value, event: Value) -> (Vec<String>, Option<(String, String)>, String) {
    let key = local_api_key();
    let options = TopicsOptions {
        keys: BTreeMap::from([(key.clone(), None)]),
        ..TopicsOptions::default()
    };
    let server = TopicsServer::start(options).await.unwrap();
    let mut events = server.events();
    let (today, endpoint) = (routes(today), server.endpoint());
    let variables = [
        ("ROUTES", today.as_str()),
        ("MOMENTO_SECRET_ID", "key"),
        ("MOMENTO_ENDPOINT", endpoint.as_str()),
        ("DEAD_LETTER_QUEUE_URL", "https://queue/dead"),
    ];
    let binary = env!("CARGO_BIN_EXE_completion");
    let aws = AwsStub::new(&key, Aws::Answers);
    let function = Function::start(binary, &variables, Duration::from_secs(30), aws).await;
    let answer = function.invoke(queued(&[event])).await;
    assert_eq!(answer, json!({"batchItemFailures": []}));
    let mut to = Vec::new();
    while let Ok(event) = events.try_recv() {
        if let TopicsEvent::Published(message) = event {
            assert!(matches!(&message.value, broker::Value::Text(text) if text == "done"));
            to.push(format!("{}/{}", message.cache, message.topic));
        }
    }
    let sent = function.aws().bodies("SendMessage");
    let letter = sent.first().map(|sent| {
        let letter: Value = serde_json::from_str(sent["MessageBody"].as_str().unwrap()).unwrap();
        let text = |key: &str| letter[key].as_str().unwrap().to_owned();
        (text("reason"), text("detail"))
    });
    let log = function.stop().await;
    server.shutdown().await;
    (to, letter, log)
}

fn envelope(name: &str, reply: Value) -> Value {
    json!({"name": name, "from": {"cache": "demo", "topic": "in"}, "to": {"stateMachine": MACHINE}, "reply": reply})
}

fn payload(name: &str) -> Value {
    let mut route = envelope(name, json!({"topics": ["out"]}));
    route["to"]["input"] = json!("payload");
    route
}

#[tokio::test]
async fn a_publisher_cannot_choose_the_address_of_its_result() {
    let admin = envelope("r", json!({"cache": "admin", "topics": ["commands"]}));
    let text = Start::new(&admin, "x", 1).input;
    let start = Start::new(&payload("r"), &text, 1);
    let ended = status_change(&start, json!({}));
    // The route switched to envelopes while the execution ran.
    let now = envelope("r", json!({"topics": ["out"]}));
    let (to, letter, log) = complete(json!([now]), ended.clone()).await;
    assert_eq!((to, letter), (vec!["demo/out".to_owned()], None));
    assert!(
        log.contains("refused the address") && log.contains("\"address_refused\":1"),
        "{log}"
    );
    // Route renamed; route removed; a workflow that passed the message's JSON to another workflow.
    let renamed = json!([envelope("s", json!({"topics": ["out"]}))]);
    let handed = json!({"name": "0c2f6a35-7d6c-4f0d-9f0a-27d9cbb2a9f1"});
    for (today, event) in [
        (renamed.clone(), ended.clone()),
        (json!([]), ended),
        (
            renamed,
            status_change(
                &Start {
                    name: String::new(),
                    input: text,
                },
                handed,
            ),
        ),
    ] {
        let (to, letter, log) = complete(today, event).await;
        let (reason, detail) = letter.expect("a dead letter");
        assert_eq!((to, reason.as_str()), (vec![], "address_refused"));
        assert!(
            detail.starts_with("expected an execution name derived"),
            "{detail}"
        );
        assert!(log.contains("\"address_refused\":1"), "{log}");
        assert!(!log.contains("commands"), "{log}");
    }
}

#[tokio::test]
async fn a_nested_execution_publishes_no_result() {
    let parent = envelope("parent", json!({"topics": ["out"], "failures": ["failed"]}));
    let child = json!({
        "name": "child", "from": {"cache": "demo", "topic": "child"}, "to": {"stateMachine": CHILD}, "reply": {"topics": ["of-child"]},
    });
    let today = json!([parent, child]);
    let start = Start::new(&parent, "x", 1);
    for status in ["SUCCEEDED", "FAILED"] {
        let nested = json!({"stateMachineArn": CHILD, "name": "0c2f6a35", "status": status});
        let (to, letter, _) = complete(today.clone(), status_change(&start, nested)).await;
        assert_eq!(
            (to, letter.unwrap().0.as_str()),
            (vec![], "address_refused")
        );
    }
    // An input that names the parent requests no reply.
    let mut input: Value = serde_json::from_str(&start.input).unwrap();
    input["AWS_STEP_FUNCTIONS_STARTED_BY_EXECUTION_ID"] =
        json!("arn:aws:states:us-east-1:123456789012:execution:Uppercase:parent");
    let nested = json!({"stateMachineArn": CHILD, "name": "0c2f6a35", "input": input.to_string()});
    let (to, letter, log) = complete(today.clone(), status_change(&start, nested)).await;
    assert_eq!((to, letter), (vec![], None));
    assert!(log.contains("\"ignored\":1"), "{log}");
    let (to, letter, _) = complete(today, status_change(&start, json!({}))).await;
    assert_eq!((to, letter), (vec!["demo/out".to_owned()], None));
}

#[tokio::test]
async fn results_survive_a_change_of_their_route() {
    let route = envelope("r", json!({"topics": ["out-{token_id}"]}));
    let ended = status_change(&Start::new(&route, "x", 1), json!({}));
    for (today, to) in [
        (json!([]), "demo/out-mo"),
        (
            json!([envelope("s", json!({"topics": ["other"]}))]),
            "demo/out-mo",
        ),
        (
            json!([envelope("r", json!({"topics": ["new-{token_id}"]}))]),
            "demo/new-mo",
        ),
        (json!([payload("r")]), "demo/out"),
    ] {
        let (found, letter, _) = complete(today, ended.clone()).await;
        assert_eq!((found, letter), (vec![to.to_owned()], None));
    }
    let silent = json!([{"name": "r", "from": {"cache": "demo", "topic": "in"}, "to": {"stateMachine": MACHINE}}]);
    let (to, letter, _) = complete(silent, ended).await;
    assert_eq!(
        (to, letter.unwrap().0.as_str()),
        (vec![], "address_refused")
    );
}

#[tokio::test]
async fn an_unreadable_envelope_is_a_dead_letter() {
    let route = envelope("r", json!({"topics": ["out"]}));
    let Start { name, input } = Start::new(&route, "x", 1);
    for (from, to, found) in [
        (r#""version":1"#, r#""version":2"#, "version 2"),
        (
            r#""format":"output""#,
            r#""format":"xml""#,
            "a bad `bridge`",
        ),
        (r#""route":"r""#, r#""rout":"r""#, "a bad `bridge`"),
        (r#""version":1,"#, "", "no `bridge.version`"),
        (r#""text":"x""#, r#""text":null"#, "a bad `message`"),
    ] {
        assert!(input.contains(from), "{input}");
        let input = input.replace(from, to);
        for today in [json!([route]), json!([])] {
            let event = status_change(
                &Start {
                    name: name.clone(),
                    input: input.clone(),
                },
                json!({}),
            );
            let (to, letter, _) = complete(today, event).await;
            let (reason, detail) = letter.expect("a dead letter");
            assert_eq!((to, reason.as_str()), (vec![], "unreadable"));
            assert!(detail.contains(found), "{detail}");
        }
    }
}
