//! The webhook's binary against AWS errors, dead connections and expired credentials.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use crate::lambda::{Aws, AwsStub, Function, MACHINE, SECRET, routes};
use crate::proxy::{Fault, Proxy, Span};
use crate::webhook::{answer, body, signed};

/// The function and AWS behind a proxy.
struct World {
    function: Function,
    proxy: Proxy,
    aws: Arc<AwsStub>,
}

impl World {
    /// Starts with `count` routes that match the message.
    async fn start(count: usize) -> Self {
        Self::start_amid(count, None).await
    }

    async fn start_amid(count: usize, fault: Option<Fault>) -> Self {
        let (aws, endpoint) = AwsStub::new(SECRET, Aws::Answers).start().await;
        let proxy = Proxy::start(&endpoint).await.unwrap();
        if let Some(fault) = fault {
            proxy.fault(fault, Span::Until);
        }
        let routes = routes(
            (0..count)
                .map(|n| {
                    json!({
                        "name": format!("route-{n}"), "from": {"cache": "chat", "topic": "in"},
                        "to": {"stateMachine": MACHINE},
                    })
                })
                .collect(),
        );
        let function = Function::start(
            env!("CARGO_BIN_EXE_webhook"),
            &[
                ("ROUTES", &routes),
                ("SIGNING_SECRET_ID", "signing"),
                ("DEAD_LETTER_QUEUE_URL", "http://127.0.0.1/dead"),
                ("PARKING_QUEUE_URL", "http://127.0.0.1/parked"),
                ("AWS_ENDPOINT_URL", &proxy.endpoint()),
            ],
            Duration::from_secs(10),
            AwsStub::new("", Aws::Answers),
        )
        .await;
        Self {
            function,
            proxy,
            aws,
        }
    }

    async fn deliver(&self) -> (u64, Value) {
        answer(&self.function.invoke(signed(&body("x"))).await)
    }

    /// Stops the process while `change` acts on its connections, as Lambda freezes an environment between two events.
    fn frozen(&self, change: impl FnOnce(&Proxy)) {
        let process = Pid::from_raw(self.function.pid().try_into().unwrap()).unwrap();
        kill_process(process, Signal::STOP).unwrap();
        change(&self.proxy);
        kill_process(process, Signal::CONT).unwrap();
    }
}

fn outcomes(answer: &Value) -> Vec<&str> {
    let targets = answer["targets"].as_array().expect("targets").iter();
    targets
        .map(|target| target["outcome"].as_str().unwrap())
        .collect()
}

/// One error response of AWS, a front end or a proxy in between, and the outcome of the message.
#[tokio::test]
async fn one_error_response_loses_no_message() {
    let named = |code: &str| json!({"__type": code, "message": "m"}).to_string();
    let html = "<html><body>Forbidden</body></html>".to_owned();
    let mut cases: Vec<(u16, String, &str)> = [
        "IncompleteSignature",
        "InvalidClientTokenId",
        "InvalidSignatureException",
        "KmsInvalidStateException",
        "KmsThrottlingException",
        "LimitExceededException",
        "RequestExpired",
        "RequestTimeTooSkewed",
        "SignatureDoesNotMatch",
        "ThrottlingException",
        "UnrecognizedClientException",
    ]
    .map(|code| (400, named(code), "started"))
    .into();
    cases.extend([
        (
            400,
            json!({"code": "ThrottlingException"}).to_string(),
            "started",
        ),
        (
            400,
            json!({"__type": "ThrottlingException", "message": "a", "Message": "b"}).to_string(),
            "started",
        ),
        (
            400,
            "<ErrorResponse><Error><Code>Throttling</Code></Error></ErrorResponse>".to_owned(),
            "started",
        ),
        (
            400,
            format!("\u{feff}{}", named("ThrottlingException")),
            "started",
        ),
        (200, html.clone(), "started"),
        (200, "{}".to_owned(), "started"),
        (200, String::new(), "started"),
        (302, html.clone(), "started"),
        (403, html.clone(), "started"),
        (407, html.clone(), "started"),
        (408, html.clone(), "started"),
        (425, html.clone(), "started"),
        (429, html.clone(), "started"),
        (400, named("AccessDeniedException"), "parked"),
        (403, named("AccessDenied"), "parked"),
        (400, named("KmsAccessDeniedException"), "parked"),
        (400, named("StateMachineDoesNotExist"), "dead_lettered"),
        (413, html, "dead_lettered"),
    ]);
    let world = World::start(1).await;
    for (status, refusal, expected) in cases {
        let fault = Fault::Refusal {
            status,
            body: refusal.clone(),
        };
        world.proxy.fault_of("StartExecution", fault, Span::Once);
        let (code, reply) = world.deliver().await;
        assert_eq!(code, 200, "{status} {refusal}: {reply}");
        assert_eq!(outcomes(&reply), [expected], "{status} {refusal}");
    }
    let letters = world.aws.bodies("SendMessage");
    let letters: Vec<&str> = letters
        .iter()
        .filter_map(|l| l["MessageBody"].as_str())
        .collect();
    let has = |part: &str| letters.iter().any(|letter| letter.contains(part));
    let request = "request 00000000-0000-4000-8000-000000000000";
    assert!(has(&format!("(HTTP 413, {request})")), "{letters:?}");
    assert!(has("AccessDeniedException: m (HTTP 400"), "{letters:?}");
    let log = world.function.stop().await;
    assert!(log.contains(&format!("(HTTP 413, {request})")), "{log}");
    assert!(log.contains("\"denied\""), "{log}");
}

/// A `SendMessage` response without a message ID does not prove storage.
#[tokio::test]
async fn a_send_without_a_message_id_counts_as_not_stored() {
    let world = World::start(1).await;
    world
        .proxy
        .fault_of("StartExecution", Fault::Status(503), Span::Until);
    let fault = Fault::Refusal {
        status: 200,
        body: "{}".to_owned(),
    };
    world.proxy.fault_of("SendMessage", fault, Span::Until);
    let (code, reply) = world.deliver().await;
    assert_eq!((code, outcomes(&reply)), (503, vec!["not_stored"]));
}

#[tokio::test]
async fn connections_lost_during_a_freeze_cost_no_message() {
    type Death = (&'static str, fn(&Proxy));
    let deaths: [Death; 3] = [
        ("FIN", Proxy::close),
        ("RST", Proxy::cut),
        ("silence", Proxy::freeze),
    ];
    for count in [1, 8] {
        for (death, kill) in deaths {
            let world = World::start(count).await;
            let (_, reply) = world.deliver().await;
            assert_eq!(outcomes(&reply), vec!["started"; count]);
            world.frozen(kill);
            let began = Instant::now();
            let (code, reply) = world.deliver().await;
            assert_eq!(code, 200, "{death}, {count} connections: {reply}");
            assert_eq!(outcomes(&reply), vec!["started"; count], "{death}");
            assert!(began.elapsed() < Duration::from_secs(4), "{death}");
            let (_, reply) = world.deliver().await;
            assert_eq!(outcomes(&reply), vec!["started"; count], "{death}");
        }
    }
}

/// Lambda provides credentials only at start: the function answers truthfully, then exits, so that Lambda restarts it.
#[tokio::test]
async fn a_function_with_expired_credentials_answers_then_exits() {
    for (operation, status, outcome) in [
        (Some("StartExecution"), 200, "parked"),
        (None, 503, "not_stored"),
    ] {
        let mut world = World::start(1).await;
        assert_eq!(world.deliver().await.0, 200);
        let fault = Fault::Refusal {
            status: 400,
            body: json!({"__type": "ExpiredTokenException", "message": "m"}).to_string(),
        };
        match operation {
            Some(operation) => world.proxy.fault_of(operation, fault, Span::Until),
            None => world.proxy.fault(fault, Span::Until),
        }
        let (code, reply) = world.deliver().await;
        assert_eq!((code, outcomes(&reply)), (status, vec![outcome]));
        let ended = tokio::time::timeout(Duration::from_secs(60), world.function.ended());
        let (code, log) = ended.await.expect("the function ends");
        assert_eq!(code, Some(1), "{log}");
        assert!(
            log.contains("credentials of this environment expired"),
            "{log}"
        );
    }
}

/// AWS is unavailable for longer than Momento waits, for a warm and for a cold function.
#[tokio::test]
async fn a_message_is_retried_until_the_functions_deadline() {
    for fault in [Fault::Status(503), Fault::Refuse, Fault::Hang] {
        for is_cold in [false, true] {
            let world = World::start_amid(1, is_cold.then(|| fault.clone())).await;
            if !is_cold {
                assert_eq!(world.deliver().await.0, 200);
                world.proxy.fault(fault.clone(), Span::Until);
            }
            let healing = async {
                tokio::time::sleep(Duration::from_millis(5500)).await;
                world.proxy.heal().unwrap();
            };
            let ((code, reply), ()) = tokio::join!(world.deliver(), healing);
            assert_eq!(code, 200, "{fault:?}, cold: {is_cold}: {reply}");
            let expected = if is_cold { "started" } else { "parked" };
            assert_eq!(outcomes(&reply), [expected], "{fault:?}");
            let log = world.function.stop().await;
            assert_eq!(
                log.contains("\"stored_late\""),
                !is_cold,
                "{fault:?}: {log}"
            );
        }
    }
}

#[tokio::test]
async fn a_letter_refused_by_one_queue_goes_to_the_other() {
    let world = World::start(1).await;
    world
        .proxy
        .fault_of("StartExecution", Fault::Status(503), Span::Until);
    for code in ["AccessDeniedException", "QueueDoesNotExist", "KmsDisabled"] {
        let body = json!({"__type": code, "message": "m"}).to_string();
        let fault = Fault::Refusal { status: 400, body };
        world.proxy.fault_of("SendMessage", fault, Span::Once);
        let (status, reply) = world.deliver().await;
        assert_eq!((status, outcomes(&reply)), (200, vec!["dead_lettered"]));
        let letter = world.aws.bodies("SendMessage").pop().unwrap();
        assert!(letter["QueueUrl"].as_str().unwrap().ends_with("/dead"));
        let letter: Value = serde_json::from_str(letter["MessageBody"].as_str().unwrap()).unwrap();
        let detail = letter["detail"].as_str().unwrap();
        let why = format!("the parking queue did not take it: {code}");
        assert!(detail.contains(&why), "{detail}");
        assert_eq!(letter["reason"], "unavailable");
    }
}

/// The function's clock can be off for a moment after a freeze; the front end's timestamp proves the message fresh.
#[tokio::test]
async fn a_front_end_timestamp_makes_up_for_a_wrong_clock() {
    let world = World::start(1).await;
    for skew in [-400_000, -90_000, 90_000, 360_000] {
        let then = workflow_bridge::clock::now_ms() + skew;
        let body = json!({
            "cache": "chat", "topic": "in", "event_timestamp": then, "publish_timestamp": then,
            "topic_sequence_number": 7, "text": skew.to_string(),
        })
        .to_string();
        let signature = workflow_bridge::domain::inbound::signature::sign(SECRET, body.as_bytes());
        for (name, trigger) in crate::webhook::TRIGGERS {
            let mut event = crate::webhook::event(trigger, &body, &[&signature], false);
            crate::webhook::received_at(&mut event, then + 20);
            let (code, reply) = answer(&world.function.invoke(event).await);
            // An ALB sends no timestamp.
            let expected = if name.starts_with("ALB") { 403 } else { 200 };
            assert_eq!(code, expected, "{name}, {skew} ms: {reply}");
        }
    }
}
