//! The relay's health endpoints.

use super::hook::Reply;
use super::{Scene, texts};
use crate::proxy::{Fault, Proxy, Span};

#[tokio::test]
async fn it_is_ready_while_all_works_and_always_live() {
    let scene = Scene::new().await;
    let proxy = Proxy::start(&scene.server.endpoint()).await.unwrap();
    let command = scene
        .command(&["in"])
        .but("--momento-endpoint", proxy.endpoint());
    let relay = command.start().await;
    let is = async |ready: u16| {
        let answer = relay.get("/ready").await;
        assert_eq!(relay.get("/live").await.0, 200);
        assert_eq!(answer.0, ready, "{}", answer.1);
        serde_json::from_str::<serde_json::Value>(&answer.1).expect("it is JSON")
    };
    relay.reaches("subscribed", |n| n == 1).await;
    is(200).await;

    scene.hook.always(Reply::Status(503));
    scene.publish("in", texts(0..1));
    relay.reaches("waiting", |n| n == 1).await;
    let why = is(503).await;
    assert!(why.to_string().contains("webhook"), "{why}");
    // The webhook still counts as failing during the next attempt.
    scene.hook.always(Reply::Hang);
    relay.reaches("in_flight", |n| n == 1).await;
    is(503).await;
    scene.hook.always(Reply::Status(200));
    relay.reaches("delivered_total", |n| n == 1).await;
    is(200).await;

    proxy.fault(Fault::Refuse, Span::Until);
    relay.reaches("subscribed", |n| n == 0).await;
    let why = is(503).await;
    assert!(why.to_string().contains("subscriptions"), "{why}");
    proxy.heal().unwrap();
    relay.reaches("subscribed", |n| n == 1).await;
    is(200).await;

    let (status, metrics) = relay.get("/metrics").await;
    assert_eq!(status, 200);
    for (name, value) in [
        ("topics", 1),
        ("received_total", 1),
        ("delivered_total", 1),
        ("subscriptions_total", 2),
        ("refused_total", 0),
    ] {
        let line = format!("\nworkflow_bridge_relay_{name} {value}\n");
        assert!(metrics.contains(&line), "`{line}` is not in {metrics}");
    }
    assert_eq!(relay.get("/").await.0, 404);
    relay.stop().await;
}

#[tokio::test]
async fn during_startup_it_is_live_but_not_ready() {
    let scene = Scene::new().await;
    let proxy = Proxy::start(scene.hook.url()).await.unwrap();
    proxy.fault(Fault::Hang, Span::Until);
    // The relay logs its port only once it relays, so the test chooses a free one.
    let free = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let command = scene
        .command(&["in"])
        .but("--webhook", proxy.endpoint())
        .but("--health", free);
    let relay = command.spawn();
    proxy.wait_for(|counters| counters.all().seen > 0).await;
    let status = async |path: &str| {
        let answer = reqwest::get(format!("http://{free}{path}")).await.unwrap();
        answer.status().as_u16()
    };
    assert_eq!((status("/live").await, status("/ready").await), (200, 503));
    // A signal also stops it during startup.
    relay.stop().await;
}
