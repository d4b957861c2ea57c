//! Each fault from the view of raw clients of both protocols ([`raw`]) and of the SDKs ([`sdks`]).

use std::io::ErrorKind;

use axum::Router;
use axum::body::to_bytes;
use axum::extract::Request as Received;
use axum::http::Request;
use futures_util::StreamExt as _;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tonic::Code;

use super::*;

mod raw;
mod sdks;

use raw::{BODY, End, Raw, end_of};

const START: &str = "StartExecution";

/// Starts a server of HTTP/1.1 and HTTP/2 that answers 201, header `x-seen` and 1,000 bytes; returns its endpoint.
async fn upstream() -> String {
    let answer = |request: Received| async {
        let (head, body) = request.into_parts();
        let body = to_bytes(body, usize::MAX).await.unwrap();
        let header = |name: &str| {
            head.headers
                .get(name)
                .map_or("none", |v| v.to_str().unwrap())
        };
        let seen = format!(
            "{:?} {} {} {} connection={} {}",
            head.version,
            head.method,
            head.uri.path_and_query().unwrap(),
            header("x-amz-target"),
            header("connection"),
            str::from_utf8(&body).unwrap()
        );
        (
            axum::http::StatusCode::CREATED,
            [("x-seen", seen)],
            "0123456789".repeat(100),
        )
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, Router::new().fallback(answer)).await });
    format!("http://{address}")
}

async fn proxy() -> Proxy {
    Proxy::start(&upstream().await).await.unwrap()
}

fn tally(seen: usize, faulted: usize, reached: usize) -> Tally {
    Tally {
        seen,
        faulted,
        reached,
    }
}

#[tokio::test]
async fn calls_pass_unchanged() {
    let proxy = proxy().await;
    for (raw, version) in [(Raw::Http1, "HTTP/1.1"), (Raw::Http2, "HTTP/2.0")] {
        let seen = raw.call(&proxy, START).await;
        assert_eq!((seen.status, seen.end), (201, End::Complete));
        assert_eq!(seen.body, "0123456789".repeat(100));
        assert_eq!(
            seen.headers["x-seen"],
            format!("{version} POST /path?query=1 AWSStepFunctions.{START} connection=none {BODY}")
        );
    }
    assert_eq!(proxy.counters().of(START), tally(2, 0, 2));
    assert_eq!(proxy.counters().all(), tally(2, 0, 2));
}

/// A fault, the client's view of it (status, part of the body, end), and whether the call is executed.
type Expected = (Fault, (u16, &'static str, End), usize);

fn faults() -> Vec<Expected> {
    let refusal = Fault::Refusal {
        status: 400,
        body: "{\"__type\":\"StateMachineDoesNotExist\"}".to_owned(),
    };
    let short = Duration::from_millis(1);
    vec![
        (Fault::Refuse, (0, "", End::Reset), 0),
        (
            Fault::Status(429),
            (429, "\"ThrottlingException\"", End::Complete),
            0,
        ),
        (
            Fault::Status(500),
            (500, "\"InternalFailure\"", End::Complete),
            0,
        ),
        (
            Fault::Status(503),
            (503, "\"ServiceUnavailable\"", End::Complete),
            0,
        ),
        (
            refusal,
            (400, "\"StateMachineDoesNotExist\"", End::Complete),
            0,
        ),
        (Fault::LoseReply, (0, "", End::Reset), 1),
        (Fault::Delay(short), (201, "0123456789", End::Complete), 1),
        (Fault::ResetMidBody, (201, "0123456789", End::Reset), 1),
    ]
}

#[tokio::test]
async fn each_fault_has_its_documented_effect_once() {
    for raw in [Raw::Http1, Raw::Http2] {
        for (fault, (status, body, end), reached) in faults() {
            let proxy = proxy().await;
            proxy.fault(fault.clone(), Span::Once);
            let seen = raw.call(&proxy, START).await;
            assert_eq!((seen.status, seen.end), (status, end), "{raw:?} {fault:?}");
            assert!(seen.body.contains(body), "{raw:?} {fault:?}: {seen:?}");
            if matches!(fault, Fault::ResetMidBody) {
                assert_eq!(seen.body, "0123456789".repeat(50), "{raw:?}");
            }
            let counted = proxy.counters().of(START);
            assert_eq!(counted, tally(1, 1, reached), "{raw:?} {fault:?}");
            // The fault has ended by itself.
            let seen = raw.call(&proxy, START).await;
            assert_eq!((seen.status, seen.end), (201, End::Complete));
            let counted = proxy.counters().of(START);
            assert_eq!(counted, tally(2, 1, reached + 1), "{raw:?} {fault:?}");
        }
    }
}

#[tokio::test]
async fn a_grpc_error_has_its_code_in_the_header() {
    for (fault, code, err) in [
        (
            Fault::Status(429),
            "8",
            Some("operations_rate_limit_exceeded"),
        ),
        (Fault::Status(500), "13", None),
        (Fault::Status(503), "14", None),
        (Fault::Grpc(Code::PermissionDenied), "7", None),
    ] {
        let proxy = proxy().await;
        proxy.fault(fault, Span::Once);
        let seen = Raw::Grpc.call(&proxy, START).await;
        assert_eq!((seen.status, seen.end), (200, End::Complete));
        assert_eq!(seen.headers["grpc-status"], code);
        let found = seen.headers.get("err").map(|err| err.to_str().unwrap());
        assert_eq!(found, err);
        assert_eq!(proxy.counters().all(), tally(1, 1, 0));
    }
}

#[tokio::test]
async fn a_fault_lasts_until_healing() {
    for raw in [Raw::Http1, Raw::Http2] {
        for (fault, (status, _, end), _) in faults() {
            if matches!(fault, Fault::Refuse) {
                continue; // It closes the port: the next test.
            }
            let proxy = proxy().await;
            proxy.fault(fault.clone(), Span::Until);
            for _ in 0..3 {
                let seen = raw.call(&proxy, START).await;
                assert_eq!((seen.status, seen.end), (status, end), "{raw:?} {fault:?}");
            }
            proxy.heal().unwrap();
            assert_eq!(raw.call(&proxy, START).await.status, 201);
            assert_eq!(proxy.counters().all().faulted, 3);
        }
    }
}

#[tokio::test]
async fn a_closed_port_refuses_and_opens_again() {
    let proxy = proxy().await;
    for _ in 0..20 {
        assert_eq!(Raw::Http1.call(&proxy, START).await.status, 201);
        let open = TcpStream::connect(proxy.shared.address).await.unwrap();
        proxy.fault(Fault::Refuse, Span::Until);
        assert_eq!(end_of(open).await, ErrorKind::ConnectionReset);
        for _ in 0..3 {
            let refused = TcpStream::connect(proxy.shared.address).await.unwrap_err();
            assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
        }
        proxy.heal().unwrap();
    }
    assert_eq!(Raw::Http2.call(&proxy, START).await.status, 201);
}

#[tokio::test]
async fn a_closed_idle_port_opens_again() {
    let proxy = proxy().await;
    for _ in 0..3 {
        assert_eq!(Raw::Http1.call(&proxy, START).await.status, 201);
        // With one thread, the accept loop is waiting now.
        for _ in 0..10 {
            tokio::task::yield_now().await;
        }
        proxy.fault(Fault::Refuse, Span::Until);
        proxy.heal().unwrap();
    }
    let call = Raw::Http1.call(&proxy, START);
    let seen = tokio::time::timeout(Duration::from_secs(10), call).await;
    assert_eq!(seen.expect("an answer").status, 201);
}

#[tokio::test]
async fn a_call_in_flight_is_reset_with_the_port() {
    for raw in [Raw::Http1, Raw::Http2] {
        let proxy = proxy().await;
        proxy.fault(Fault::Hang, Span::Once);
        let refuse = async {
            proxy
                .wait_for(|counters| counters.of(START).seen == 1)
                .await;
            proxy.fault(Fault::Refuse, Span::Until);
        };
        let (seen, ()) = tokio::join!(raw.call(&proxy, START), refuse);
        assert_eq!((seen.status, seen.end), (0, End::Reset), "{raw:?}");
    }
}

#[tokio::test]
async fn a_hung_call_ends_with_healing() {
    for raw in [Raw::Http1, Raw::Http2] {
        let proxy = proxy().await;
        proxy.fault(Fault::Hang, Span::Once);
        let hung = raw.call(&proxy, START);
        tokio::pin!(hung);
        let others = async {
            proxy
                .wait_for(|counters| counters.of(START).seen == 1)
                .await;
            // Other calls are answered meanwhile.
            assert_eq!(raw.call(&proxy, START).await.status, 201);
        };
        tokio::select! {
            seen = &mut hung => panic!("{seen:?}"),
            () = others => {}
        }
        proxy.heal().unwrap();
        let seen = hung.await;
        // FIN, or RST if the client was still sending.
        assert_eq!(seen.status, 0, "{raw:?}");
        assert_ne!(seen.end, End::Complete, "{raw:?}");
        assert_eq!(proxy.counters().all(), tally(2, 1, 1));
    }
}

#[tokio::test]
async fn a_delayed_call_is_executed_without_its_client() {
    for raw in [Raw::Http1, Raw::Http2] {
        let proxy = proxy().await;
        let delay = Duration::from_millis(300);
        proxy.fault(Fault::Delay(delay), Span::Once);
        let begin = std::time::Instant::now();
        tokio::select! {
            seen = raw.call(&proxy, START) => panic!("{seen:?}"),
            () = proxy.wait_for(|counters| counters.all().seen == 1) => {}
        }
        assert_eq!(proxy.counters().all(), tally(1, 1, 0), "{raw:?}");
        proxy.wait_for(|counters| counters.all().reached == 1).await;
        assert!(begin.elapsed() >= delay, "{raw:?}");
    }
}

#[tokio::test]
async fn a_fault_meets_only_its_operation() {
    let proxy = proxy().await;
    proxy.fault_of("SendMessage", Fault::Status(503), Span::Until);
    proxy.fault_of("/path", Fault::Status(500), Span::Until);
    proxy.fault_of("PutEvents", Fault::Refuse, Span::Until);
    proxy.fault(Fault::PartialFailure, Span::Until);
    proxy.fault(Fault::Grpc(Code::Aborted), Span::Until);
    for raw in [Raw::Http1, Raw::Http2] {
        assert_eq!(raw.call(&proxy, START).await.status, 201);
        assert_eq!(raw.call(&proxy, "SendMessage").await.status, 503);
        assert_eq!(raw.call(&proxy, "PutEvents").await.end, End::Reset);
    }
    let url = format!("{}/path", proxy.endpoint());
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    assert_eq!(client.get(url).send().await.unwrap().status(), 500);
    assert_eq!(proxy.counters().of(START), tally(2, 0, 2));
    assert_eq!(proxy.counters().of("SendMessage"), tally(2, 2, 0));
    assert_eq!(proxy.counters().of("PutEvents"), tally(2, 2, 0));
    assert_eq!(proxy.counters().of("/path"), tally(1, 1, 0));
    assert_eq!(proxy.counters().all(), tally(7, 5, 2));
}

#[tokio::test]
async fn faults_are_met_in_the_order_they_were_added() {
    let proxy = proxy().await;
    for status in [500, 429] {
        proxy.fault(Fault::Status(status), Span::Once);
    }
    for status in [500, 429, 201] {
        assert_eq!(Raw::Http1.call(&proxy, START).await.status, status);
    }
}

#[tokio::test]
async fn a_dropped_proxy_leaves_no_connection_and_no_port() {
    let proxy = proxy().await;
    let address = proxy.shared.address;
    let mut open = TcpStream::connect(address).await.unwrap();
    proxy.fault(Fault::Hang, Span::Until);
    let request = "GET / HTTP/1.1\r\nhost: here\r\n\r\n";
    open.write_all(request.as_bytes()).await.unwrap();
    proxy.wait_for(|counters| counters.all().seen == 1).await;
    drop(proxy);
    assert_eq!(end_of(open).await, ErrorKind::ConnectionReset);
    let refused = TcpStream::connect(address).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
}

#[tokio::test]
async fn a_missing_upstream_resets_the_connection() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let gone = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let proxy = Proxy::start(&gone).await.unwrap();
    for raw in [Raw::Http1, Raw::Http2] {
        let seen = raw.call(&proxy, START).await;
        assert_eq!((seen.status, seen.end), (0, End::Reset), "{raw:?}");
    }
    assert_eq!(proxy.counters().all(), tally(2, 0, 0));
}
