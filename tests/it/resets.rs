//! Broken HTTP/2 connections to Momento: each fault is transient, and no result is lost or reported as too large.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::broadcast::Receiver;
use workflow_bridge::adapters::momento::Momento;
use workflow_bridge::adapters::momento::items::MomentoItems;
use workflow_bridge::adapters::momento::topics::MomentoTopics;
use workflow_bridge::config::MomentoEndpoint;
use workflow_bridge::domain::fault::{Fault, FaultKind};
use workflow_bridge::domain::ports::{Answer, Items as _, Secrets, Stage, Topics as _};
use workflow_bridge::tools::local::topics::{
    TopicsEvent, TopicsOptions, TopicsServer, broker, local_api_key,
};

use crate::addresses::{Start, queued, status_change};
use crate::deployed::SOON;
use crate::lambda::{Aws, AwsStub, Function, routes};

/// The fault of a connection's first call.
#[derive(Clone, Copy, Debug)]
enum Break {
    /// RST_STREAM with this error.
    Reset(u8),
    /// RST_STREAM with this error after the headers of an answer.
    ResetLate(u8),
    /// GOAWAY with this error: the call was not processed.
    GoAway(u8),
    /// A plain HTTP answer without gRPC.
    Http(u16),
    /// The service's own error: the request is too large.
    TooLarge,
}

const PREFACE: usize = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".len();
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const GOAWAY: u8 = 7;
const ACK: u8 = 1;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let head = [length[1], length[2], length[3], kind, flags];
    [&head[..], &stream.to_be_bytes(), payload].concat()
}

impl Break {
    /// The frames sent for the call on `stream`.
    fn frames(self, stream: u32) -> Vec<u8> {
        let error = |code: u8| [0, 0, 0, code];
        let reset = |code| frame(RST_STREAM, 0, stream, &error(code));
        let go_away = |last: u32, code| {
            let payload = [&last.to_be_bytes()[..], &error(code)].concat();
            frame(GOAWAY, 0, 0, &payload)
        };
        match self {
            Self::Reset(code) => [reset(code), go_away(stream, 0)].concat(),
            Self::ResetLate(code) => {
                // `:status` 200 of the static table, then `content-type`.
                let headers = [b"\x88\x0f\x10\x10", &b"application/grpc"[..]].concat();
                let headers = frame(HEADERS, END_HEADERS, stream, &headers);
                [headers, reset(code), go_away(stream, 0)].concat()
            }
            Self::GoAway(code) => go_away(0, code),
            Self::TooLarge => {
                let mut headers = b"\x88\x0f\x10\x10application/grpc".to_vec();
                for (name, value) in [("grpc-status", "8"), ("err", "request_size_limit_exceeded")]
                {
                    headers.push(0);
                    for text in [name, value] {
                        headers.push(u8::try_from(text.len()).unwrap());
                        headers.extend(text.as_bytes());
                    }
                }
                let headers = frame(HEADERS, END_HEADERS | END_STREAM, stream, &headers);
                [headers, go_away(stream, 0)].concat()
            }
            Self::Http(status) => {
                let headers = [b"\x08\x03", status.to_string().as_bytes()].concat();
                let headers = frame(HEADERS, END_HEADERS | END_STREAM, stream, &headers);
                [headers, go_away(stream, 0)].concat()
            }
        }
    }

    async fn meet(self, mut client: TcpStream) -> std::io::Result<()> {
        client.read_exact(&mut [0; PREFACE]).await?;
        client.write_all(&frame(SETTINGS, 0, 0, &[])).await?;
        loop {
            let mut head = [0; 9];
            client.read_exact(&mut head).await?;
            let [.., a, b, c, d] = head;
            let mut payload = vec![0; u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize];
            client.read_exact(&mut payload).await?;
            match head[3] {
                SETTINGS if head[4] & ACK == 0 => {
                    client.write_all(&frame(SETTINGS, ACK, 0, &[])).await?;
                }
                HEADERS => {
                    let stream = u32::from_be_bytes([a, b, c, d]);
                    client.write_all(&self.frames(stream)).await?;
                    client.shutdown().await?;
                }
                _ => {}
            }
        }
    }
}

/// A server that breaks its first connections with `breaks` and passes later ones to `upstream`.
async fn breaking(upstream: &str, breaks: Vec<Break>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let upstream = upstream.trim_start_matches("http://").to_owned();
    tokio::spawn(async move {
        let mut breaks = breaks.into_iter();
        while let Ok((mut client, _)) = listener.accept().await {
            let (meets, upstream) = (breaks.next(), upstream.clone());
            tokio::spawn(async move {
                match meets {
                    // Ends when the client disconnects.
                    Some(meets) => drop(meets.meet(client).await),
                    None => {
                        let mut server = TcpStream::connect(upstream).await.unwrap();
                        let _ = copy_bidirectional(&mut client, &mut server).await;
                    }
                }
            });
        }
    });
    endpoint
}

struct Key(String);

impl Secrets for Key {
    fn fetch(&self, _: Stage) -> Answer<'_, Option<String>> {
        Box::pin(async { Ok(Some(self.0.clone())) })
    }
}

async fn topics(key: &str) -> TopicsServer {
    let options = TopicsOptions {
        keys: BTreeMap::from([(key.to_owned(), None)]),
        ..TopicsOptions::default()
    };
    TopicsServer::start(options).await.unwrap()
}

/// Every way in which a call ends without an answer of the service.
fn breaks() -> Vec<Break> {
    // HTTP_1_1_REQUIRED is the last defined error.
    let errors = 0..=13;
    let resets = errors.flat_map(|code| {
        [
            Break::Reset(code),
            Break::ResetLate(code),
            Break::GoAway(code),
        ]
    });
    let statuses = [301, 400, 401, 403, 404, 413, 429, 500, 502, 503, 504];
    resets.chain(statuses.map(Break::Http)).collect()
}

#[tokio::test]
async fn every_broken_call_is_a_transient_fault() {
    let key = local_api_key();
    let server = topics(&key).await;
    for meets in breaks() {
        let momento = async || {
            let endpoint = breaking(&server.endpoint(), vec![meets]).await;
            let secret = Arc::new(Key(key.clone()));
            Arc::new(Momento::new(secret, MomentoEndpoint::Local(endpoint)))
        };
        let check = |result: Result<(), Fault>| {
            let fault = result.unwrap_err();
            assert_eq!(fault.kind, FaultKind::Transient, "{meets:?}: {fault}");
            assert!(!fault.text.contains("size limit"), "{meets:?}: {fault}");
        };
        let topics = MomentoTopics(momento().await);
        check(topics.publish("demo", "out", "value").await);
        assert_eq!(
            topics.publish("demo", "out", "value").await,
            Ok(()),
            "{meets:?}"
        );
        let items = MomentoItems(momento().await);
        let ttl = Duration::from_secs(60);
        check(items.store("demo", "key", "value", ttl).await);
        assert_eq!(
            items.store("demo", "key", "value", ttl).await,
            Ok(()),
            "{meets:?}"
        );
    }
    server.shutdown().await;
}

#[tokio::test]
async fn a_value_that_fits_a_message_is_never_too_large() {
    let key = local_api_key();
    let endpoint = breaking("http://127.0.0.1:1", vec![Break::TooLarge; 3]).await;
    let secret = Arc::new(Key(key));
    let momento = Arc::new(Momento::new(secret, MomentoEndpoint::Local(endpoint)));
    let topics = MomentoTopics(momento.clone());
    let publish = async |bytes: usize| {
        let value = "x".repeat(bytes);
        let fault = topics.publish("demo", "out", &value).await.unwrap_err();
        (fault.kind, fault.code)
    };
    let limit = "LimitExceededError".to_owned();
    assert_eq!(publish(4096).await, (FaultKind::Transient, limit));
    let too_large = (FaultKind::Permanent, Fault::TOO_LARGE.to_owned());
    assert_eq!(publish(4097).await, too_large);
    let items = MomentoItems(momento);
    let ttl = Duration::from_secs(60);
    let fault = items.store("demo", "key", "value", ttl).await.unwrap_err();
    assert_eq!((fault.kind, fault.code), too_large);
}

async fn next(events: &mut Receiver<TopicsEvent>) -> (String, String) {
    loop {
        let event = tokio::time::timeout(SOON, events.recv()).await;
        if let TopicsEvent::Published(message) =
            event.expect("a publication").expect("the server runs")
        {
            let broker::Value::Text(text) = &message.value else {
                panic!("binary")
            };
            return (message.topic.clone(), text.clone());
        }
    }
}

#[tokio::test]
async fn a_broken_call_loses_no_result() {
    let key = local_api_key();
    let server = topics(&key).await;
    let route = json!({
        "name": "r", "from": {"cache": "demo", "topic": "in"}, "to": {"stateMachine": crate::lambda::MACHINE},
        "reply": {"topics": ["out"], "failures": ["failed"]},
    });
    let document = routes(json!([route]));
    for meets in [
        Break::Reset(0),
        Break::Reset(1),
        Break::Reset(2),
        Break::GoAway(0),
        Break::GoAway(2),
    ] {
        let endpoint = breaking(&server.endpoint(), vec![meets]).await;
        let variables = [
            ("ROUTES", document.as_str()),
            ("MOMENTO_SECRET_ID", "key"),
            ("MOMENTO_ENDPOINT", endpoint.as_str()),
            ("DEAD_LETTER_QUEUE_URL", "https://queue/dead"),
        ];
        for (output, is_claim) in [("done".to_owned(), false), ("x".repeat(5000), true)] {
            let mut events = server.events();
            let aws = AwsStub::new(&key, Aws::Answers);
            let binary = env!("CARGO_BIN_EXE_completion");
            let function = Function::start(binary, &variables, Duration::from_secs(30), aws).await;
            let start = Start::new(&route, "hello", 1);
            let output = Value::from(output);
            let event = status_change(&start, json!({"output": output.to_string()}));
            let answer = function.invoke(queued(&[event])).await;
            assert_eq!(answer, json!({"batchItemFailures": []}), "{meets:?}");
            assert!(function.aws().bodies("SendMessage").is_empty(), "{meets:?}");
            let (topic, text) = next(&mut events).await;
            assert_eq!(topic, "out", "{meets:?}: {text}");
            assert_eq!(text.contains("\"claim\""), is_claim, "{meets:?}: {text}");
        }
    }
    server.shutdown().await;
}
