use serde_json::{Value, json};

use super::*;
use crate::config::{Unrouted, WebhookSettings};
use crate::domain::fault::Fault;
use crate::domain::inbound::live_routes::LiveRoutes;
use crate::domain::inbound::routes::tests::routes;
use crate::domain::inbound::secrets::SecretCache;
use crate::domain::inbound::signature::sign;
use crate::telemetry::metrics::Metrics;
use crate::testing::{Behaviour, World};

const NOW: i64 = 1_704_296_470_565;

fn webhook(world: &World) -> Arc<Webhook> {
    Arc::new(Webhook {
        routes: LiveRoutes::fixed(routes(&[json!({})])),
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
    })
}

fn message() -> Request<Bytes> {
    let body = json!({
        "cache": "chat", "topic": "room-281", "event_timestamp": NOW, "publish_timestamp": NOW,
        "topic_sequence_number": 1, "text": "Here I am!!",
    })
    .to_string()
    .into_bytes();
    let signature = sign("secret", &body);
    let request = Request::post("/").header("momento-signature", signature);
    request.body(body.into()).unwrap()
}

fn asking(method: &str, path: &str) -> Request<Bytes> {
    let request = Request::builder().method(method).uri(path);
    request.body(Bytes::new()).unwrap()
}

async fn ask(served: &Served, request: Request<Bytes>) -> (u16, Value) {
    let response = served.answer(request, Instant::now()).await;
    assert_eq!(response.headers()["content-type"], "application/json");
    let body = serde_json::from_str(response.body()).unwrap();
    (response.status().as_u16(), body)
}

#[tokio::test(start_paused = true)]
async fn ready_waits_for_the_secret_and_the_relay() {
    let world = World::default();
    let webhook = webhook(&world);
    let live = (200, json!({"status": "live"}));
    let ready = (200, json!({"status": "ready"}));
    let missing = |what: Value| (503, json!({"status": "not ready", "missing": what}));
    let topics = "subscriptions of all topics";
    let relay = Arc::new(Status::new(1, Default::default()));
    let alone = Served::new(webhook.clone(), None);
    let with_relay = Served::new(webhook.clone(), Some(relay.clone()));
    for method in ["GET", "HEAD"] {
        assert_eq!(ask(&with_relay, asking(method, "/live")).await, live);
        let both = ask(&with_relay, asking(method, "/ready")).await;
        assert_eq!(both, missing(json!(["signing secret", topics])));
    }
    assert!(world.calls().is_empty());
    let until = Instant::now() + Duration::from_secs(1);
    webhook.secrets.get(until).await.unwrap();
    let one = ask(&with_relay, asking("GET", "/ready")).await;
    assert_eq!(one, missing(json!([topics])));
    let subscribed = relay.subscribed();
    for served in [&alone, &with_relay] {
        let none = ask(served, asking("GET", "/ready?x")).await;
        assert_eq!(none, ready);
    }
    drop(subscribed);
    let asking = asking("GET", "/metrics");
    let metrics = with_relay.answer(asking, Instant::now()).await;
    let topics = "workflow_bridge_relay_topics 1";
    assert!(metrics.body().contains(topics));
}

#[tokio::test(start_paused = true)]
async fn the_webhook_answers_everything_else() {
    let served = Served::new(webhook(&World::default()), None);
    for (method, path, status) in [
        ("GET", "/", 200),
        ("GET", "/livelier", 405),
        ("GET", "/ready/", 405),
        ("PUT", "/live", 405),
        ("POST", "/ready", 401),
        ("POST", "/any", 401),
    ] {
        let found = ask(&served, asking(method, path)).await.0;
        assert_eq!(found, status, "{method} {path}");
    }
    assert_eq!(ask(&served, message()).await.0, 200);
}

#[tokio::test(start_paused = true)]
async fn the_budget_begins_with_the_head() {
    let world = World::default();
    let webhook = webhook(&world);
    for port in ["start", "park", "dead_letter"] {
        world.make(port, Behaviour::Hangs);
    }
    let served = Served::new(webhook, None);
    for waited in [0, 1500, 3999, 9000] {
        let received = Instant::now();
        tokio::time::advance(Duration::from_millis(waited)).await;
        let answered = served.answer(message(), received).await;
        assert_eq!(answered.status(), 503);
        let took = received.elapsed();
        assert!(took <= Duration::from_millis(4000.max(waited)), "{took:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn storing_goes_on_after_the_answer() {
    let world = World::default();
    for port in ["start", "park", "dead_letter"] {
        world.make(
            port,
            Behaviour::Fails(Fault::transient("Unreachable", "down")),
        );
    }
    let served = Served::new(webhook(&world), None);
    let began = Instant::now();
    let (status, answer) = ask(&served, message()).await;
    let targets = json!([{"route": "r0", "outcome": "not_stored"}]);
    let expected = json!({"id": answer["id"], "code": "not_stored", "targets": targets});
    assert_eq!((status, &answer), (503, &expected));
    assert_eq!(answer["id"].as_str().unwrap().len(), 32);
    assert_eq!(began.elapsed(), Duration::from_secs(4));
    sleep(Duration::from_secs(10)).await;
    world.heal();
    // A message returns its permit once it is stored.
    let _all = served.late.acquire_many(STORED_LATE).await.unwrap();
    assert!(
        began.elapsed() < Duration::from_secs(17),
        "{:?}",
        began.elapsed()
    );
    let last = world.calls().pop().unwrap();
    assert!(
        last.starts_with("park ") || last.starts_with("dead_letter "),
        "{last}"
    );
}

#[tokio::test(start_paused = true)]
async fn messages_waiting_for_a_queue_are_bounded() {
    let world = World::default();
    for port in ["start", "park", "dead_letter"] {
        world.make(port, Behaviour::Hangs);
    }
    let served = Served::new(webhook(&world), None);
    let many = (0..STORED_LATE + 10).map(|_| ask(&served, message()));
    for (status, _) in futures_util::future::join_all(many).await {
        assert_eq!(status, 503);
    }
    assert_eq!(served.late.available_permits(), 0);
}

#[tokio::test(start_paused = true)]
async fn unverified_requests_keep_no_message_out() {
    let world = World::default();
    for port in ["fetch", "start", "park", "dead_letter"] {
        world.make(port, Behaviour::Hangs);
    }
    let served = Served::new(webhook(&world), None);
    let many = (0..STORED_LATE).map(|_| ask(&served, message()));
    for (status, answer) in futures_util::future::join_all(many).await {
        assert_eq!((status, answer), (503, json!({"code": "not_stored"})));
    }
    assert_eq!(served.unverified.available_permits(), 0);
    assert_eq!(served.late.available_permits(), STORED_LATE as usize);
}

#[tokio::test(start_paused = true)]
async fn the_signing_secret_is_fetched_until_it_is_there() {
    let world = World::default();
    let webhook = webhook(&world);
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
