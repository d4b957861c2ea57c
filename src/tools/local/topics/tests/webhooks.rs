use axum::Router;
use axum::body::Bytes;
use axum::http::{HeaderMap, StatusCode};
use tokio::sync::{Notify, mpsc};

use super::*;
use crate::domain::inbound::signature;

type Received = mpsc::UnboundedReceiver<(HeaderMap, Bytes)>;

/// A receiver that forwards its requests and answers `status` with `answer`.
async fn receiver(status: u16, answer: String) -> (String, Received) {
    let (sender, received) = mpsc::unbounded_channel();
    let status = StatusCode::from_u16(status).unwrap();
    let app = Router::new().fallback(move |headers: HeaderMap, body: Bytes| async move {
        sender.send((headers, body)).unwrap();
        (status, [("location", "/elsewhere")], answer)
    });
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let url = format!("http://{}/hook", listener.local_addr().unwrap());
    tokio::spawn(axum::serve(listener, app).into_future());
    (url, received)
}

fn webhook(url: &str) -> Webhook {
    Webhook {
        cache: CACHE.to_owned(),
        topic: "t".to_owned(),
        url: url.to_owned(),
        secret: "whsec".to_owned(),
        host: None,
    }
}

/// The next delivery's outcome.
async fn outcome(events: &mut broadcast::Receiver<TopicsEvent>) -> DeliveryOutcome {
    loop {
        let event = events.recv().await.unwrap();
        if let TopicsEvent::WebhookDelivered { outcome, .. } = event {
            return outcome;
        }
    }
}

#[tokio::test]
async fn a_delivery_is_the_same_as_momentos() {
    let server = server().await;
    let mut events = server.events();
    let (url, mut received) = receiver(200, "ok".to_owned()).await;
    server.put_webhook("w", webhook(&url)).unwrap();
    let mo = Publisher {
        token_id: Some("mo".to_owned()),
        is_bridge: false,
    };
    let value = Value::from("Here I \"am\"!!");
    server.service.publish(CACHE, "t", value, mo).unwrap();
    server.publish(CACHE, "another topic", "x").unwrap();

    let (headers, body) = received.recv().await.unwrap();
    assert_eq!(headers["user-agent"], AGENT);
    assert_eq!(headers["content-type"], "application/json");
    let signature = &headers["momento-signature"];
    assert_eq!(signature, signature::sign("whsec", &body).as_str());
    let body = std::str::from_utf8(&body).unwrap();
    let shown: serde_json::Value = serde_json::from_str(body).unwrap();
    let (event, publish) = (&shown["event_timestamp"], &shown["publish_timestamp"]);
    assert!(event.as_u64() <= publish.as_u64() && event.as_u64() > Some(1_700_000_000_000));
    assert_eq!(
        body,
        format!(
            r#"{{"cache":"demo","topic":"t","event_timestamp":{event},"publish_timestamp":{publish},"topic_sequence_number":1,"token_id":"mo","text":"Here I \"am\"!!"}}"#
        )
    );
    let expected = DeliveryOutcome::Answered {
        status: 200,
        body: "ok".to_owned(),
    };
    assert_eq!(outcome(&mut events).await, expected);
    server.shutdown().await;
    assert!(received.try_recv().is_err());
}

const AGENT: &str = "Momento/1.0 (Webhooks; +https://docs.momentohq.com/topics/webhooks)";

#[tokio::test]
async fn binary_is_base64_and_no_token_id_is_empty() {
    let server = server().await;
    let (url, mut received) = receiver(200, String::new()).await;
    server.put_webhook("w", webhook(&url)).unwrap();
    server
        .publish(CACHE, "t", Value::Binary(vec![0, 255]))
        .unwrap();
    let (_, body) = received.recv().await.unwrap();
    assert!(body.ends_with(br#""token_id":"","binary":"AP8="}"#));
}

#[tokio::test]
async fn there_is_one_attempt_and_no_redirect() {
    for status in [500, 301] {
        let server = server().await;
        let mut events = server.events();
        let (url, mut received) = receiver(status, "no".repeat(100_000)).await;
        server.put_webhook("w", webhook(&url)).unwrap();
        server.publish(CACHE, "t", "x").unwrap();
        let expected = DeliveryOutcome::Answered {
            status,
            body: "no".repeat(32 * 1024),
        };
        assert_eq!(outcome(&mut events).await, expected);
        server.shutdown().await;
        assert!(received.try_recv().is_ok());
        assert!(received.try_recv().is_err());
    }
}

#[tokio::test]
async fn a_late_answer_is_a_timeout() {
    let mut options = options();
    options.webhook_timeout = Duration::from_millis(50);
    let server = TopicsServer::start(options).await.unwrap();
    let mut events = server.events();
    // The system accepts connections for the listener; no answer follows.
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    server.put_webhook("w", webhook(&url)).unwrap();
    server.publish(CACHE, "t", "x").unwrap();
    assert_eq!(outcome(&mut events).await, DeliveryOutcome::TimedOut);
}

#[tokio::test]
async fn a_failed_connection_is_reported() {
    let server = server().await;
    let mut events = server.events();
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    drop(listener);
    server.put_webhook("w", webhook(&url)).unwrap();
    server.publish(CACHE, "t", "x").unwrap();
    let DeliveryOutcome::Unreachable(reason) = outcome(&mut events).await else {
        panic!("expected a failed connection");
    };
    assert!(reason.contains("refused"), "{reason}");
}

#[tokio::test]
async fn a_shutdown_waits_for_deliveries_under_way() {
    let server = server().await;
    let mut events = server.events();
    let (arrived, answer) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let gate = (arrived.clone(), answer.clone());
    let app = Router::new().fallback(move || async move {
        gate.0.notify_one();
        gate.1.notified().await;
    });
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    tokio::spawn(axum::serve(listener, app).into_future());
    server.put_webhook("w", webhook(&url)).unwrap();
    server.publish(CACHE, "t", "x").unwrap();
    arrived.notified().await;
    // The answer comes only once the shutdown has begun.
    tokio::join!(server.shutdown(), async { answer.notify_one() });
    assert!(matches!(events.try_recv(), Ok(TopicsEvent::Published(_))));
    let Ok(TopicsEvent::WebhookDelivered { outcome, .. }) = events.try_recv() else {
        panic!("expected the delivery to have ended before the shutdown");
    };
    assert!(matches!(
        outcome,
        DeliveryOutcome::Answered { status: 200, .. }
    ));
}

#[tokio::test]
async fn the_host_can_be_another_and_a_webhook_can_be_deleted() {
    let server = server().await;
    let (url, mut received) = receiver(200, String::new()).await;
    let aliased = Webhook {
        host: Some("abc.lambda-url.us-east-1.on.aws".to_owned()),
        ..webhook(&url)
    };
    server.put_webhook("w", aliased).unwrap();
    server.publish(CACHE, "t", "x").unwrap();
    let (headers, _) = received.recv().await.unwrap();
    assert_eq!(headers["host"], "abc.lambda-url.us-east-1.on.aws");
    assert!(server.delete_webhook("w"));
    assert!(!server.delete_webhook("w"));
    server.publish(CACHE, "t", "x").unwrap();
    server.shutdown().await;
    assert!(received.try_recv().is_err());
}

#[tokio::test]
async fn an_invalid_webhook_is_refused() {
    let server = server().await;
    let refused = |webhook| server.put_webhook("w", webhook).unwrap_err().to_string();
    let url = "ftp://127.0.0.1/";
    assert!(refused(webhook(url)).ends_with("found `ftp://127.0.0.1/`"));
    assert!(refused(webhook("")).ends_with("found ``"));
    let good = webhook("http://127.0.0.1:1/");
    let host = Some("a\nb".to_owned());
    assert!(
        refused(Webhook {
            host,
            ..good.clone()
        })
        .contains("`Host`")
    );
    let secret = String::new();
    assert!(refused(Webhook { secret, ..good }).contains("secret"));
}
