//! The webhook's binary: deadlines, errors and logs. [`TRIGGERS`] has an event of each of Lambda's triggers.

use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use workflow_bridge::domain::inbound::signature::sign;

use crate::lambda::{Aws, AwsStub, Function, MACHINE, SECRET, routes};

pub const TRIGGERS: [(&str, &str); 5] = [
    (
        "Function URL",
        include_str!("../fixtures/events/function_url.json"),
    ),
    ("HTTP API", include_str!("../fixtures/events/http_api.json")),
    ("REST API", include_str!("../fixtures/events/rest_api.json")),
    ("ALB", include_str!("../fixtures/events/alb.json")),
    (
        "ALB with multi-value headers",
        include_str!("../fixtures/events/alb_multi_value.json"),
    ),
];

pub async fn webhook(variables: &[(&str, &str)], aws: Aws) -> Function {
    let routes = routes(json!([
        {"name": "uppercase", "from": {"cache": "chat", "topic": "in"}, "to": {"stateMachine": MACHINE}},
    ]));
    let mut all = vec![
        ("ROUTES", routes.as_str()),
        ("SIGNING_SECRET_ID", "signing"),
        ("DEAD_LETTER_QUEUE_URL", "http://127.0.0.1/queue"),
        ("PARKING_QUEUE_URL", "http://127.0.0.1/parked"),
    ];
    all.extend(variables);
    let aws = AwsStub::new(SECRET, aws);
    Function::start(
        env!("CARGO_BIN_EXE_webhook"),
        &all,
        Duration::from_secs(10),
        aws,
    )
    .await
}

/// A fresh message, with spacing and escapes that no serializer writes.
pub fn body(text: &str) -> String {
    let now = workflow_bridge::clock::now_ms();
    format!(
        "{{ \"cache\" : \"chat\",\n\"topic\":\"in\",\"event_timestamp\":{now},\"publish_timestamp\":{now},\"topic_sequence_number\":7,\"token_id\":\"\",\"text\":\"{text}\" , \"new\\u0041\": [1.0]}}"
    )
}

/// The trigger's event, for a POST with `body` and these values of the signature header.
pub fn event(trigger: &str, body: &str, signatures: &[&str], base64: bool) -> Value {
    let mut event: Value = serde_json::from_str(trigger).unwrap();
    received_at(&mut event, workflow_bridge::clock::now_ms());
    event["isBase64Encoded"] = json!(base64);
    event["body"] = json!(if base64 {
        STANDARD.encode(body)
    } else {
        body.to_owned()
    });
    let Some(last) = signatures.last() else {
        return event;
    };
    // Payload 2.0 joins values with a comma; the others have the last value, and all values separately.
    let single = if event["version"] == "2.0" {
        signatures.join(",")
    } else {
        (*last).to_owned()
    };
    if event["headers"].is_object() {
        event["headers"]["momento-signature"] = json!(single);
    }
    if event["multiValueHeaders"].is_object() {
        event["multiValueHeaders"]["momento-signature"] = json!(signatures);
    }
    event
}

/// Sets the front end's timestamp, in ms since the epoch, if the trigger's event has one.
pub fn received_at(event: &mut Value, ms: i64) {
    for name in ["timeEpoch", "requestTimeEpoch"] {
        if let Some(time) = event["requestContext"].get_mut(name) {
            *time = json!(ms);
        }
    }
}

/// A Function URL's event for a POST of `body`, signed.
pub fn signed(body: &str) -> Value {
    event(
        TRIGGERS[0].1,
        body,
        &[&sign(SECRET, body.as_bytes())],
        false,
    )
}

pub fn answer(response: &Value) -> (u64, Value) {
    assert_eq!(response["isBase64Encoded"], false, "{response}");
    let body = response["body"]
        .as_str()
        .unwrap_or_else(|| panic!("{response}"));
    (
        response["statusCode"].as_u64().unwrap(),
        serde_json::from_str(body).unwrap(),
    )
}

#[tokio::test]
async fn the_deadline_is_kept_unless_nothing_stored_the_message() {
    for (operations, kept) in [
        ("StartExecution", true),
        ("StartExecution SendMessage", false),
        ("GetSecretValue", false),
    ] {
        for misbehaving in [Aws::Hangs(operations), Aws::Breaks(operations)] {
            let function = webhook(&[("ANSWER_WITHIN_MS", "1200")], misbehaving).await;
            let body = body("x");
            let event = signed(&body);
            let began = Instant::now();
            let (status, reply) = answer(&function.invoke(event.clone()).await);
            let took = began.elapsed();
            // Generous bounds that only prove a deadline. An unstored message is retried until shortly before the timeout
            // of 10 s.
            let bounds = if kept { 0..4000 } else { 7000..10_000 };
            assert!(
                bounds.contains(&took.as_millis()),
                "{misbehaving:?}: {took:?}"
            );
            let expected = if kept {
                (200, json!("accepted"), json!("parked"))
            } else if operations == "GetSecretValue" {
                (503, json!("not_stored"), Value::Null)
            } else {
                (503, json!("not_stored"), json!("not_stored"))
            };
            let outcome = reply["targets"][0]["outcome"].clone();
            assert_eq!(
                (status, reply["code"].clone(), outcome),
                expected,
                "{misbehaving:?}: {reply}"
            );
            function.aws().behave(Aws::Answers);
            assert_eq!(
                answer(&function.invoke(event).await).0,
                200,
                "{misbehaving:?}: healed"
            );
        }
    }
}

#[tokio::test]
async fn a_silent_endpoint_does_not_exceed_the_deadline() {
    // With a full backlog, connections are neither accepted nor refused.
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = socket.local_addr().unwrap();
    let _listener = socket.listen(1).unwrap();
    let mut held = Vec::new();
    for _ in 0..4 {
        let connecting = tokio::net::TcpStream::connect(address);
        held.extend(
            tokio::time::timeout(Duration::from_millis(200), connecting)
                .await
                .ok(),
        );
    }
    let black_hole = format!("http://{address}");
    let function = webhook(
        &[
            ("ANSWER_WITHIN_MS", "1200"),
            ("AWS_ENDPOINT_URL_SFN", &black_hole),
        ],
        Aws::Answers,
    )
    .await;
    let body = body("x");
    let event = signed(&body);
    let began = Instant::now();
    let (status, refused) = answer(&function.invoke(event).await);
    assert!(
        began.elapsed() < Duration::from_secs(4),
        "{:?}",
        began.elapsed()
    );
    assert_eq!(
        (status, &refused["targets"][0]["outcome"]),
        (200, &json!("parked"))
    );
}

#[tokio::test]
async fn a_failed_entry_is_stored_although_put_events_answers_200() {
    let routes = routes(json!([
        {"name": "bus", "from": {"cache": "chat", "topic": "in"}, "to": {"eventBus": "b"}},
    ]));
    let variables = [("ROUTES", routes.as_str()), ("ANSWER_WITHIN_MS", "1000")];
    let function = webhook(&variables, Aws::Answers).await;
    // The error, and whether it is transient: only then is the entry retried.
    for (answer, again) in [
        (
            r#"{"FailedEntryCount":1,"Entries":[{"ErrorCode":"ThrottlingException","ErrorMessage":"m"}]}"#,
            true,
        ),
        (
            r#"{"FailedEntryCount":1,"Entries":[{"ErrorCode":"InternalFailure","ErrorMessage":"m"}]}"#,
            true,
        ),
        (
            r#"{"FailedEntryCount":1,"Entries":[{"ErrorCode":"MalformedDetail","ErrorMessage":"m"}]}"#,
            false,
        ),
        (
            r#"{"FailedEntryCount":1,"Entries":[{"ErrorCode":"NotAuthorizedForSourceException"}]}"#,
            false,
        ),
        (r#"{"FailedEntryCount":1,"Entries":[{}]}"#, true),
        (r#"{"FailedEntryCount":0,"Entries":[]}"#, true),
        ("{}", true),
    ] {
        let before = function.aws().bodies("PutEvents").len();
        function.aws().behave(Aws::Replays("PutEvents", answer));
        let body = body(answer.split('"').nth(7).unwrap_or("x"));
        let event = signed(&body);
        let (status, reply) = self::answer(&function.invoke(event).await);
        let kept = if again { "parked" } else { "dead_lettered" };
        assert_eq!(
            (status, &reply["targets"][0]["outcome"]),
            (200, &json!(kept)),
            "{answer}"
        );
        let attempts = function.aws().bodies("PutEvents").len() - before;
        assert_eq!(attempts > 1, again, "{answer}: {attempts} attempts");
    }
}

#[tokio::test]
async fn routes_may_come_from_a_parameter() {
    // The stub answers GetParameter and GetSecretValue with the same text, so the routes document is the secret here.
    let document = routes(
        json!([{"name": "r", "from": {"cache": "chat", "topic": "in"}, "to": {"eventBus": "b"}}]),
    );
    let function = Function::start(
        env!("CARGO_BIN_EXE_webhook"),
        &[
            ("ROUTES", "ssm:/bridge/routes"),
            ("SIGNING_SECRET_ID", "signing"),
            ("PARKING_QUEUE_URL", "http://127.0.0.1/parked"),
            ("DEAD_LETTER_QUEUE_URL", "http://127.0.0.1/queue"),
        ],
        Duration::from_secs(10),
        AwsStub::new(&document, Aws::Answers),
    );
    let function = function.await;
    let body = body("x");
    // A JSON object without `momentoSecret` is not a signing secret, so the answer is 503; but the routes were read.
    let response = function
        .invoke(event(
            TRIGGERS[0].1,
            &body,
            &[&sign(SECRET, body.as_bytes())],
            false,
        ))
        .await;
    assert_eq!(answer(&response).0, 503);
    assert_eq!(
        function.aws().bodies("GetParameter")[0]["Name"],
        "/bridge/routes"
    );
}

#[tokio::test]
async fn an_execution_belongs_to_its_messages_trace_not_to_lambdas() {
    for (rate, sampled) in [("1", 1), ("0", 0)] {
        let function = webhook(&[("TRACE_SAMPLE_RATE", rate)], Aws::Answers).await;
        let body = body("x");
        let signature = sign(SECRET, body.as_bytes());
        let invoked = function.invoke(event(TRIGGERS[0].1, &body, &[&signature], false));
        let (_, answer) = answer(&invoked.await);
        let id = answer["id"].as_str().unwrap();
        let body: Value = serde_json::from_str(&body).unwrap();
        let seconds = body["event_timestamp"].as_i64().unwrap() / 1000;
        let trace = format!(
            "Root=1-{seconds:08x}-{};Parent={};Sampled={sampled}",
            &id[..24],
            &id[16..]
        );
        assert_eq!(function.aws().traces("StartExecution"), [trace]);
        let secrets = function.aws().traces("GetSecretValue");
        assert!(secrets.iter().all(|trace| !trace.contains(&id[..24])));
    }
}

#[tokio::test]
async fn the_log_has_every_outcome_without_the_message() {
    let function = webhook(&[("AWS_LAMBDA_LOG_LEVEL", "TRACE")], Aws::Answers).await;
    let body = body("the payload");
    let signature = sign(SECRET, body.as_bytes());
    for signatures in [&[signature.as_str()][..], &["ff"], &[]] {
        function
            .invoke(event(TRIGGERS[0].1, &body, signatures, false))
            .await;
    }
    // Bodies that a parser's error would quote, and a target whose error quotes the input.
    let malformed = body.replace(
        "\"topic_sequence_number\":7",
        "\"topic_sequence_number\":\"the payload\"",
    );
    for body in [
        &malformed,
        "\"the payload\"",
        "{\"the payload\": the payload",
    ] {
        let signature = sign(SECRET, body.as_bytes());
        let refused = function
            .invoke(event(TRIGGERS[0].1, body, &[&signature], false))
            .await;
        assert_eq!(answer(&refused).0, 400, "{body}");
    }
    function.aws().behave(Aws::Refuses(
        "StartExecution",
        r#"{"__type":"InvalidExecutionInput","message":"Invalid Input: 'the payload'"}"#,
    ));
    let refused = function
        .invoke(event(TRIGGERS[0].1, &body, &[&signature], false))
        .await;
    assert_eq!(answer(&refused).0, 200);
    function
        .aws()
        .behave(Aws::Hangs("StartExecution SendMessage"));
    let lost = function
        .invoke(event(TRIGGERS[0].1, &body, &[&signature], false))
        .await;
    assert_eq!(answer(&lost).0, 503);
    let log = function.stop().await;
    let lines: Vec<Value> = log
        .lines()
        .map(|line| serde_json::from_str(line).expect(line))
        .collect();
    let accepted = lines
        .iter()
        .find(|line| line["code"] == "accepted")
        .expect("a line for the message");
    assert_eq!(
        (&accepted["message.topic"], &accepted["targets"]),
        (&json!("in"), &json!("uppercase=started"))
    );
    for code in ["bad_signature", "unsigned", "malformed", "not_stored"] {
        assert!(
            lines.iter().any(|line| line["code"] == code),
            "{code}: {log}"
        );
    }
    for hidden in ["the payload", SECRET, &signature] {
        assert!(!log.contains(hidden), "`{hidden}` in {log}");
    }
}
