//! Clients that hang, that send too much or invalid HTTP.

use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use super::*;
use crate::webhook::body;

async fn raw(server: &Server, bytes: &[u8]) -> TcpStream {
    let mut connection = TcpStream::connect(&server.address).await.unwrap();
    connection.write_all(bytes).await.unwrap();
    connection
}

/// Reads until the connection ends.
async fn rest(mut connection: TcpStream) -> String {
    let mut rest = Vec::new();
    let reading = connection.read_to_end(&mut rest);
    // A reset, sent if the server had not read everything, is an end as well.
    let _ = tokio::time::timeout(TIMEOUT, reading)
        .await
        .expect("the connection ends");
    String::from_utf8_lossy(&rest).into_owned()
}

#[tokio::test]
async fn two_hundred_hung_connections_delay_no_request() {
    // The limit is lower than the number of hung connections: they must not count.
    let server = Server::start(&[("MAX_IN_FLIGHT", "20")]).await;
    let (mut heads, mut bodies) = (Vec::new(), Vec::new());
    for _ in 0..100 {
        heads.push(raw(&server, b"POST / HTTP/1.1\r\nhost: h\r\nmomento-sig").await);
        let body = b"POST / HTTP/1.1\r\nhost: h\r\ncontent-length: 1000\r\n\r\n{\"cache\":";
        bodies.push(raw(&server, body).await);
    }
    for http in clients() {
        let posts = (0..10).map(|_| async {
            let (status, reply) = ask(&http, signed(&server, &body("x"))).await;
            assert_eq!((status, &reply["code"]), (200, &json!("accepted")));
        });
        futures_util::future::join_all(posts).await;
    }
    assert_eq!(get(&server.address, "/ready").await.0, 200);
    for hanging in &heads {
        let nothing = hanging.try_read(&mut [0]).unwrap_err();
        assert_eq!(nothing.kind(), std::io::ErrorKind::WouldBlock, "it hangs");
    }
    for hanging in bodies {
        let answer = rest(hanging).await;
        assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
        assert!(answer.ends_with(r#"{"code":"too_slow"}"#), "{answer}");
    }
    drop(heads);
    server.stop().await;
}

#[tokio::test]
async fn a_too_large_body_is_refused_before_its_end() {
    let server = Server::start(&[]).await;
    let chunk = format!("8000\r\n{}\r\n", "x".repeat(0x8000));
    let head = "POST / HTTP/1.1\r\nhost: h\r\nmomento-signature: 00\r\nconnection: close\r\n";
    for request in [
        format!("{head}content-length: 1048577\r\n\r\n"),
        format!("{head}content-length: 5000000000\r\n\r\nhello"),
        format!(
            "{head}transfer-encoding: chunked\r\n\r\n{}",
            chunk.repeat(33)
        ),
        format!(
            "{head}transfer-encoding: chunked\r\n\r\n{}0\r\n\r\n",
            chunk.repeat(100)
        ),
    ] {
        let answer = rest(raw(&server, request.as_bytes()).await).await;
        assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
        assert!(answer.ends_with(r#"{"code":"too_large"}"#), "{answer}");
    }
    server.stop().await;
}

#[tokio::test]
async fn over_the_limit_messages_get_503_and_health_checks_200() {
    let server = Server::start(&[("MAX_IN_FLIGHT", "3"), ("ANSWER_WITHIN_MS", "3000")]).await;
    for http in clients() {
        server.aws.behave(Aws::Hangs("StartExecution"));
        let before = server.aws.bodies("StartExecution").len();
        let three = (0..3).map(|_| ask(&http, signed(&server, &body("x"))));
        let fourth = async {
            server.asked("StartExecution", before + 3).await;
            let fourth = send(&http, signed(&server, &body("y"))).await;
            assert_eq!(fourth.headers()["retry-after"], "1");
            let not_stored = (503, json!({"code": "not_stored"}));
            assert_eq!(read(fourth).await, not_stored);
            for path in ["/live", "/ready", "/"] {
                assert_eq!(get(&server.address, path).await.0, 200, "{path}");
            }
        };
        let (three, ()) = futures_util::join!(futures_util::future::join_all(three), fourth);
        for (status, reply) in three {
            let outcome = &reply["targets"][0]["outcome"];
            assert_eq!((status, outcome), (200, &json!("parked")));
        }
        server.aws.behave(Aws::Answers);
        assert_eq!(ask(&http, signed(&server, &body("x"))).await.0, 200);
    }
    server.stop().await;
}

#[tokio::test]
async fn invalid_http_does_not_affect_other_requests() {
    let server = Server::start(&[]).await;
    let mut seed = 1_u64;
    let mut random = || {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (seed >> 56) as u8
    };
    let noise: Vec<u8> = (0..2000).map(|_| random()).collect();
    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    let chunks = b"POST / HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\n\r\n";
    for garbage in [
        noise.clone(),
        [preface, &noise[..]].concat(),
        [chunks, &noise[..]].concat(),
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".to_vec(),
        b"POST http://[::1 HTTP/1.1\r\n\r\n".to_vec(),
        b"POST / HTTP/1.1\r\nhost: h\r\ncontent-length: -1\r\n\r\n".to_vec(),
    ] {
        let mut connection = raw(&server, &garbage).await;
        connection.shutdown().await.unwrap();
        let answer = rest(connection).await;
        assert!(!answer.contains(" 200 "), "{answer}");
    }
    for http in clients() {
        assert_eq!(ask(&http, signed(&server, &body("x"))).await.0, 200);
    }
    // `stop` also checks that standard error is empty: no panic.
    server.stop().await;
}

#[tokio::test]
async fn unreadable_requests_get_the_documented_answers() {
    let server = Server::start(&[]).await;
    let chunked = "POST / HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\n\r\n";
    let large = |size| format!("POST / HTTP/1.1\r\nx: {}\r\n\r\n", "y".repeat(size));
    for (request, status, code) in [
        (format!("{chunked}zz\r\nhello\r\n"), 400, "malformed"),
        ("hello\r\n\r\n".to_owned(), 400, "malformed"),
        (
            "POST / HTTP/1.1\r\ncontent-length: -1\r\n\r\n".to_owned(),
            400,
            "malformed",
        ),
        (large(20_000), 431, "head_too_large"),
        (large(70_000), 431, "head_too_large"),
    ] {
        let mut connection = raw(&server, request.as_bytes()).await;
        connection.shutdown().await.unwrap();
        let answer = rest(connection).await;
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{head}");
        assert!(head.contains("content-type: application/json"), "{head}");
        assert_eq!(body, format!(r#"{{"code":"{code}"}}"#));
        server.logged(|line| line["code"] == code).await;
    }
    server.stop().await;
}

/// Raises this process's limit of open files to that of a server.
fn raise_open_files() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    setrlimit(Resource::Nofile, limit).unwrap();
}

async fn is_taken(http: &Http, server: &Server) {
    let (status, reply) = ask(http, signed(server, &body("x"))).await;
    assert_eq!((status, &reply["code"]), (200, &json!("accepted")));
}

#[tokio::test]
async fn a_thousand_idle_connections_block_no_request() {
    raise_open_files();
    let server = Server::start(&[]).await;
    let mut idle = Vec::new();
    for number in 0..1030 {
        let request: &[u8] = match number % 2 {
            0 => b"GET / HTTP/1.1\r\nhost: h\r\n\r\n",
            _ => b"POST / HTTP/1.1\r\nhost: h\r\ncontent-length: 0\r\n\r\n",
        };
        let mut connection = raw(&server, request).await;
        if number < 1000 {
            connection.read_exact(&mut [0; 12]).await.unwrap();
        }
        idle.push(connection);
    }
    let began = std::time::Instant::now();
    for _ in 0..10 {
        for http in clients() {
            is_taken(&http, &server).await;
        }
    }
    assert!(
        began.elapsed() < Duration::from_secs(30),
        "{:?}",
        began.elapsed()
    );
    drop(idle);
    server.stop().await;
}

#[tokio::test]
async fn a_dozen_connections_full_of_bodies_block_no_request() {
    use futures_util::{StreamExt as _, stream};
    use http_body_util::StreamBody;
    use hyper::body::Frame;
    use hyper::client::conn::http2::handshake;
    use hyper_util::rt::TokioIo;

    let server = Server::start(&[]).await;
    let mut sending = tokio::task::JoinSet::new();
    for _ in 0..12 {
        let stream = TcpStream::connect(&server.address).await.unwrap();
        let handshake = handshake(TokioExecutor::new(), TokioIo::new(stream)).await;
        let (client, connection) = handshake.unwrap();
        sending.spawn(async move { drop(connection.await) });
        for _ in 0..100 {
            let url = server.url("/");
            let mut client = client.clone();
            sending.spawn(async move {
                loop {
                    let piece = async { Ok::<_, std::io::Error>(Frame::data(Bytes::from("{"))) };
                    let pieces = stream::once(piece).chain(stream::pending());
                    let body = StreamBody::new(Box::pin(pieces));
                    let request = Request::post(&url).header(HEADER, "00").body(body);
                    if client.ready().await.is_err() {
                        return;
                    }
                    let _ = client.send_request(request.unwrap()).await;
                }
            });
        }
    }
    // Longer than one round of these bodies.
    let began = std::time::Instant::now();
    while began.elapsed() < Duration::from_secs(5) {
        for http in clients() {
            is_taken(&http, &server).await;
        }
    }
    sending.shutdown().await;
    server.stop().await;
}
