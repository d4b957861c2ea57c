use serde_json::{Value, json};

use super::*;
use crate::config::{Unrouted, WebhookSettings};
use crate::metrics::Metrics;
use crate::ports::Fault;
use crate::routes::tests::routes;
use crate::secrets::SecretCache;
use crate::signature::sign;
use crate::testing::{Behaviour, World};

const NOW: i64 = 1_704_296_470_565;

fn webhook(world: &World) -> Webhook {
    Webhook {
        routes: routes(&[json!({})]),
        targets: world.targets(),
        queues: world.queues(),
        secrets: SecretCache::new(Arc::new(world.clone())),
        settings: WebhookSettings {
            max_age: Duration::from_secs(60),
            max_skew: Duration::from_secs(30),
            answer_within: Duration::from_secs(4),
            unrouted: Unrouted::DeadLetter,
        },
        metrics: Metrics::none(),
        now_ms: || NOW,
    }
}

fn message() -> Request<Vec<u8>> {
    let body = json!({
        "cache": "chat", "topic": "room-281", "event_timestamp": NOW, "publish_timestamp": NOW,
        "topic_sequence_number": 1, "text": "Here I am!!",
    })
    .to_string()
    .into_bytes();
    let signature = sign("secret", &body);
    let request = Request::post("/").header("momento-signature", signature);
    request.body(body).unwrap()
}

fn asking(method: &str, path: &str) -> Request<Vec<u8>> {
    let request = Request::builder().method(method).uri(path);
    request.body(Vec::new()).unwrap()
}

async fn ask(
    webhook: &Webhook,
    request: &Request<Vec<u8>>,
    relay: Option<&Status>,
) -> (u16, Value) {
    let response = answer(webhook, request, Instant::now(), relay).await;
    assert_eq!(response.headers()["content-type"], "application/json");
    let body = serde_json::from_str(response.body()).unwrap();
    (response.status().as_u16(), body)
}

#[tokio::test(start_paused = true)]
async fn ready_waits_for_all_that_is_missing() {
    let world = World::default();
    let webhook = webhook(&world);
    let live = (200, json!({"status": "live"}));
    let ready = (200, json!({"status": "ready"}));
    let missing = |what: Value| (503, json!({"status": "not ready", "missing": what}));
    let topics = "subscriptions of all topics";
    let relay = Status::new(1, Default::default());
    for method in ["GET", "HEAD"] {
        assert_eq!(
            ask(&webhook, &asking(method, "/live"), Some(&relay)).await,
            live
        );
        let both = ask(&webhook, &asking(method, "/ready"), Some(&relay)).await;
        assert_eq!(both, missing(json!(["signing secret", topics])));
    }
    assert!(world.calls().is_empty());
    let until = Instant::now() + Duration::from_secs(1);
    webhook.secrets.get(until).await.unwrap();
    let one = ask(&webhook, &asking("GET", "/ready"), Some(&relay)).await;
    assert_eq!(one, missing(json!([topics])));
    let subscribed = relay.subscribed();
    for relay in [None, Some(&relay)] {
        let none = ask(&webhook, &asking("GET", "/ready?x"), relay).await;
        assert_eq!(none, ready);
    }
    drop(subscribed);
    let asking = asking("GET", "/metrics");
    let metrics = answer(&webhook, &asking, Instant::now(), Some(&relay)).await;
    let topics = "workflow_bridge_relay_topics 1";
    assert!(metrics.body().contains(topics));
}

#[tokio::test(start_paused = true)]
async fn everything_else_is_the_webhooks() {
    let webhook = webhook(&World::default());
    for (method, path, status) in [
        ("GET", "/", 200),
        ("GET", "/livelier", 405),
        ("GET", "/ready/", 405),
        ("PUT", "/live", 405),
        ("POST", "/ready", 401),
        ("POST", "/any", 401),
    ] {
        let found = ask(&webhook, &asking(method, path), None).await.0;
        assert_eq!(found, status, "{method} {path}");
    }
    assert_eq!(ask(&webhook, &message(), None).await.0, 200);
}

#[tokio::test(start_paused = true)]
async fn the_budget_begins_with_the_head() {
    let world = World::default();
    let webhook = webhook(&world);
    for port in ["start", "park"] {
        world.make(port, Behaviour::Hangs);
    }
    for waited in [0, 1500, 3999, 9000] {
        let received = Instant::now();
        tokio::time::advance(Duration::from_millis(waited)).await;
        let answered = answer(&webhook, &message(), received, None).await;
        assert_eq!(answered.status(), 503);
        let took = received.elapsed();
        assert!(took <= Duration::from_millis(4000.max(waited)), "{took:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_signing_secret_is_asked_for_until_it_is_there() {
    let world = World::default();
    let webhook = Arc::new(webhook(&world));
    let down = Fault::permanent("AccessDeniedException", "no");
    world.make("fetch", Behaviour::Fails(down));
    let began = Instant::now();
    let fetching = async {
        tokio::select! {
            never = fetch_secrets(&webhook) => match never {},
            () = async {
                while !webhook.secrets.is_filled() {
                    sleep(Duration::from_millis(100)).await;
                }
            } => began.elapsed(),
        }
    };
    let mending = async {
        sleep(Duration::from_secs(300)).await;
        let asked = world
            .calls()
            .iter()
            .filter(|call| *call == "fetch Current")
            .count();
        world.heal();
        asked
    };
    let (filled, asked) = futures_util::join!(fetching, mending);
    assert!((20..60).contains(&asked), "asked {asked} times in 300 s");
    assert!(filled <= Duration::from_secs(316), "{filled:?}");
}
