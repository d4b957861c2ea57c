//! What a Topics server no longer has, or begins anew: told as gaps of the right size, with nothing lost that it still had.

use std::time::Duration;

use serde_json::{Value, json};
use workflow_bridge::clock::now_ms;
use workflow_bridge::local::topics::{TopicsOptions, TopicsServer};

use super::hook::Reply;
use super::process::Relay;
use super::{CACHE, Scene, texts};
use crate::proxy::{Fault, Proxy, Span};

const LOST: &str = "Momento has lost messages";

/// A scene whose server remembers ten messages of a topic, the proxy before it, and a relay that has delivered 0, 1 and 2.
async fn began() -> (Scene, Proxy, Relay, u64) {
    let scene = Scene::remembering(10).await;
    let proxy = Proxy::start(&scene.server.endpoint()).await.unwrap();
    let command = scene
        .command(&["in"])
        .but("--momento-endpoint", proxy.endpoint());
    let relay = command.start().await;
    scene.publish("in", texts(0..3));
    scene.hook.takes("in", 3).await;
    let page = scene.cursors_of(&relay, "in", 3).await;
    (scene, proxy, relay, page)
}

/// `missed`, `exact`, and where the gap begins and ends.
fn size(gap: &Value) -> Value {
    let number = |end: &str| &gap[&format!("gap.{end}.sequence")];
    json!([
        gap["gap.missed"],
        gap["gap.exact"],
        number("from"),
        number("until")
    ])
}

#[tokio::test]
async fn what_was_forgotten_meanwhile_is_an_exact_gap() {
    let (scene, proxy, relay, page) = began().await;
    proxy.fault(Fault::Refuse, Span::Until);
    scene.publish("in", texts(3..20));
    proxy.heal().unwrap();
    let gaps = relay.says(LOST, 1).await;
    assert_eq!(size(&gaps[0]), json!([7, true, 3, 10]));
    assert_eq!(
        (&gaps[0]["gap.from.page"], &gaps[0]["gap.until.page"]),
        (&page.into(), &page.into())
    );
    assert_eq!(
        scene.hook.takes("in", 13).await,
        [texts(0..3), texts(10..20)].concat()
    );
    assert_eq!(
        (
            relay.metric("gaps_total").await,
            relay.metric("missed_total").await
        ),
        (1, 7)
    );
    let lines = relay.stop().await;
    let metric = lines.iter().find(|line| line["_aws"].is_object());
    assert_eq!(metric.unwrap()["gap"], 7);
}

#[tokio::test]
async fn a_page_that_turns_under_a_subscription_is_no_gap() {
    let (scene, _proxy, relay, _) = began().await;
    for number in 3..6 {
        scene.server.reset(CACHE, "in");
        scene.publish("in", [number]);
        scene.hook.takes("in", number as usize + 1).await;
    }
    assert_eq!(scene.hook.taken("in"), texts(0..6));
    assert_eq!(relay.metric("gaps_total").await, 0);
    relay.stop().await;
}

#[tokio::test]
async fn a_page_that_turned_meanwhile_is_a_gap_of_unknown_size() {
    let (scene, proxy, relay, page) = began().await;
    proxy.fault(Fault::Refuse, Span::Until);
    scene.publish("in", ["gone"]);
    scene.server.reset(CACHE, "in");
    scene.publish("in", texts(3..6));
    proxy.heal().unwrap();
    let gaps = relay.says(LOST, 1).await;
    assert_eq!(size(&gaps[0]), json!([0, false, 3, 0]));
    assert_eq!(gaps[0]["gap.from.page"], page);
    assert!(gaps[0]["gap.until.page"].as_u64() > Some(page));
    assert_eq!(scene.hook.takes("in", 6).await, texts(0..6));

    // And of the new one some messages are gone as well: 0, 1 and 2, of which 0 may never have been.
    proxy.fault(Fault::Refuse, Span::Until);
    scene.server.reset(CACHE, "in");
    scene.publish("in", texts(3..16));
    proxy.heal().unwrap();
    let gaps = relay.says(LOST, 2).await;
    assert_eq!(size(&gaps[1]), json!([2, false, 3, 3]));
    assert_eq!(scene.hook.takes("in", 16).await, texts(0..16));
    relay.stop().await;
}

#[tokio::test]
async fn a_server_that_begins_anew_is_found_again() {
    let (mut scene, proxy, relay, page) = began().await;
    let address = scene.server.endpoint();
    let options = TopicsOptions {
        listen: address.trim_start_matches("http://").parse().unwrap(),
        keys: [(scene.key.clone(), None)].into(),
        ..TopicsOptions::default()
    };
    // Pages are seconds: one of its own takes a new second.
    while now_ms().unsigned_abs() / 1000 <= page {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let calls = || {
        proxy
            .counters()
            .of("/cache_client.pubsub.Pubsub/Subscribe")
            .seen
    };
    let before = calls();
    scene.server.shutdown().await;
    relay.says("a subscription ended", 2).await;
    scene.server = TopicsServer::start(options).await.unwrap();
    scene.publish("in", texts(3..6));
    let gaps = relay.says(LOST, 1).await;
    assert_eq!(size(&gaps[0]), json!([0, false, 3, 0]));
    assert_eq!(scene.hook.takes("in", 6).await, texts(0..6));
    assert!(calls() - before <= 10, "{} calls", calls() - before);
    relay.stop().await;
}

#[tokio::test]
async fn a_relay_that_is_lapped_tells_what_it_missed() {
    let (scene, _proxy, relay, _) = began().await;
    scene.hook.always(Reply::Hang);
    // More than the relay's queue and the connection take.
    let all = 3 + 4000;
    publish_slowly(&scene, 3..all).await;
    scene.hook.always(Reply::Status(200));
    let gaps = relay.says(LOST, 1).await;
    assert_eq!(gaps[0]["gap.exact"], true);
    let taken = scene
        .hook
        .wait("the last one", |posts| {
            posts
                .iter()
                .any(|post| post.body["text"] == (all - 1).to_string())
        })
        .await;
    let missed: u64 = relay.metric("missed_total").await;
    assert_eq!(taken.len() as u64 + missed, all);
    assert!(missed > 0);
    relay.stop().await;
}

#[tokio::test]
async fn a_page_that_turns_while_the_webhook_is_down_is_a_gap() {
    let (scene, _proxy, relay, page) = began().await;
    scene.hook.always(Reply::Hang);
    publish_slowly(&scene, 3..4000).await;
    scene.server.reset(CACHE, "in");
    scene.publish("in", ["new"]);
    scene.hook.always(Reply::Status(200));
    scene
        .hook
        .wait("the new page", |posts| {
            posts.iter().any(|post| post.body["text"] == "new")
        })
        .await;
    let gaps = relay.lines_with(LOST);
    let last = gaps.last().expect("messages are lost, and told");
    assert_eq!(last["gap.exact"], false, "{gaps:#?}");
    assert_eq!(last["gap.from.page"], page);
    relay.stop().await;
}

/// So that the connection takes what it can before the server forgets it.
async fn publish_slowly(scene: &Scene, numbers: std::ops::Range<u64>) {
    for number in numbers {
        scene.publish("in", [number]);
        tokio::task::yield_now().await;
    }
}
