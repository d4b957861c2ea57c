//! The documented answers, over HTTP/1.1 and HTTP/2.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::*;
use crate::webhook::body;

/// A message published `seconds` ago.
fn aged(seconds: i64) -> String {
    let at = workflow_bridge::clock::now_ms() - seconds * 1000;
    json!({
        "cache": "chat", "topic": "in", "event_timestamp": at, "publish_timestamp": at,
        "topic_sequence_number": 1, "text": "x",
    })
    .to_string()
}

fn refused(status: u16, code: &str) -> (u16, Value) {
    (status, json!({"code": code}))
}

#[tokio::test]
async fn a_verified_message_is_answered_with_its_id_and_targets() {
    let server = Server::start(&[("ANSWER_WITHIN_MS", "1500")]).await;
    for http in clients() {
        for (behaviour, status, code, outcome) in [
            (Aws::Answers, 200, "accepted", "started"),
            (
                Aws::Refuses(
                    "StartExecution",
                    r#"{"__type":"ExecutionAlreadyExists","message":"m"}"#,
                ),
                200,
                "accepted",
                "duplicate",
            ),
            (
                Aws::Refuses("StartExecution", r#"{"__type":"StateMachineDoesNotExist"}"#),
                200,
                "accepted",
                "dead_lettered",
            ),
            (Aws::Breaks("StartExecution"), 200, "accepted", "parked"),
            (Aws::Hangs("StartExecution"), 200, "accepted", "parked"),
            (
                Aws::Hangs("StartExecution SendMessage"),
                503,
                "not_stored",
                "not_stored",
            ),
        ] {
            server.aws.behave(behaviour);
            let answer = send(&http, signed(&server, &body("x"))).await;
            assert_eq!(answer.headers()["content-type"], "application/json");
            let (found, reply) = read(answer).await;
            assert_eq!(reply["id"].as_str().unwrap().len(), 32);
            let targets = json!([{"route": "uppercase", "outcome": outcome}]);
            let expected = json!({"id": reply["id"], "code": code, "targets": targets});
            assert_eq!((found, &reply), (status, &expected), "{behaviour:?}");
        }
        server.aws.behave(Aws::Answers);
        let (status, reply) = ask(
            &http,
            signed(&server, &body("x").replace("\"in\"", "\"nobody\"")),
        )
        .await;
        assert_eq!(
            (status, &reply["code"], &reply["targets"]),
            (200, &json!("unrouted"), &json!([]))
        );
        for (age, code) in [(100, "stale"), (-100, "from_the_future")] {
            let (status, reply) = ask(&http, signed(&server, &aged(age))).await;
            assert_eq!((status, &reply["code"]), (403, &json!(code)));
        }
    }
    server.stop().await;
}

#[tokio::test]
async fn only_a_valid_signature_is_accepted() {
    let server = Server::start(&[]).await;
    let body = body("x");
    let good = sign(SECRET, body.as_bytes());
    let encoded = STANDARD.encode(&body);
    let of_encoded = sign(SECRET, encoded.as_bytes());
    let not_json = sign(SECRET, b"not json");
    for http in clients() {
        for (case, signatures, sent, expected) in [
            ("no signature", &[][..], &body, refused(401, "unsigned")),
            ("another", &["00"], &body, refused(401, "bad_signature")),
            (
                "two equal ones",
                &[&good, &good],
                &body,
                refused(401, "bad_signature"),
            ),
            (
                "a good and a bad one",
                &[&good, "00"],
                &body,
                refused(401, "bad_signature"),
            ),
            (
                "base64 of the signed body",
                &[&good],
                &encoded,
                refused(401, "bad_signature"),
            ),
            (
                "signed base64, which is not decoded",
                &[&of_encoded],
                &encoded,
                refused(400, "malformed"),
            ),
            (
                "signed, but no message",
                &[&not_json],
                &"not json".to_owned(),
                refused(400, "malformed"),
            ),
        ] {
            let answer = ask(&http, post(&server, signatures, sent.clone())).await;
            assert_eq!(answer, expected, "{case}");
        }
        let upper = post(&server, &[&good.to_uppercase()], body.clone());
        assert_eq!(ask(&http, upper).await.0, 200);
    }
    assert_eq!(server.aws.bodies("StartExecution").len(), 2);
    server.stop().await;
}

#[tokio::test]
async fn method_and_size_are_checked_first() {
    let server = Server::start(&[]).await;
    let large = Bytes::from(vec![b'x'; 1024 * 1024 + 1]);
    for http in clients() {
        for method in ["PUT", "DELETE", "PATCH", "OPTIONS", "GET"] {
            let request = Request::builder()
                .method(method)
                .uri(server.url("/elsewhere"));
            let request = request.body(Full::new(large.clone())).unwrap();
            let answer = send(&http, request).await;
            assert_eq!(answer.headers()["allow"], "POST");
            assert_eq!(read(answer).await, refused(405, "method_not_allowed"));
        }
        let answer = ask(&http, post(&server, &["00"], large.clone())).await;
        assert_eq!(answer, refused(413, "too_large"));
        let largest = post(&server, &["00"], large.slice(1..));
        assert_eq!(ask(&http, largest).await, refused(401, "bad_signature"));
    }
    let about = json!({"name": "workflow-bridge", "version": workflow_bridge::VERSION});
    assert_eq!(get(&server.address, "/").await, (200, about));
    let live = json!({"status": "live"});
    assert_eq!(get(&server.address, "/live").await, (200, live));
    server
        .logged(|line| line["code"] == "too_large" && line["http.status"] == 413)
        .await;
    server.stop().await;
}

#[tokio::test]
async fn a_head_of_the_root_is_a_get_without_its_body() {
    let server = Server::start(&[]).await;
    for http in clients() {
        let ask = async |method: &str| {
            let request = Request::builder().method(method).uri(server.url("/"));
            send(&http, request.body(Full::default()).unwrap()).await
        };
        let (get, head) = (ask("GET").await, ask("HEAD").await);
        assert_eq!(
            (get.status(), head.status()),
            (200.try_into().unwrap(), get.status())
        );
        for header in ["content-type", "content-length"] {
            assert_eq!(head.headers().get(header), get.headers().get(header));
        }
        let body = head.into_body().collect().await.unwrap().to_bytes();
        assert!(body.is_empty());
    }
    server.stop().await;
}
