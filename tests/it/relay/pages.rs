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
    // Its position is older than the history: the server goes on with the last message.
    assert_eq!(size(&gaps[0]), json!([16, true, 4, 20]));
    assert_eq!(
        (&gaps[0]["gap.from.page"], &gaps[0]["gap.until.page"]),
        (&page.into(), &page.into())
    );
    assert_eq!(
        scene.hook.takes("in", 4).await,
        [texts(0..3), texts(19..20)].concat()
    );
    assert_eq!(
        (
            relay.metric("gaps_total").await,
            relay.metric("missed_total").await
        ),
        (1, 16)
    );
    let lines = relay.stop().await;
    let metric = lines.iter().find(|line| line["_aws"].is_object());
    assert_eq!(metric.unwrap()["gap"], 16);
}

#[tokio::test]
async fn a_page_that_turns_under_a_subscription_costs_nothing() {
    let (scene, _proxy, relay, _) = began().await;
    for number in 3..6 {
        scene.server.reset(CACHE, "in");
        scene.publish("in", [number]);
        scene.hook.takes("in", number as usize + 1).await;
    }
    assert_eq!(scene.hook.taken("in"), texts(0..6));
    // No heartbeat came in between: that nothing else was under way, the relay cannot know.
    let lines = relay.stop().await;
    for gap in gaps(&lines) {
        assert_eq!(
            (&gap["gap.missed"], &gap["gap.exact"]),
            (&0.into(), &false.into())
        );
    }
}

#[tokio::test]
async fn a_page_that_turns_while_nothing_happens_is_no_gap() {
    let scene = Scene::with(|options| options.heartbeat_interval = Duration::from_millis(20)).await;
    let relay = scene.relay(&["in"]).await;
    scene.publish("in", texts(0..1));
    scene.hook.takes("in", 1).await;
    // Nobody says when a heartbeat has arrived; there are dozens of them in this time.
    tokio::time::sleep(Duration::from_secs(1)).await;
    scene.server.reset(CACHE, "in");
    scene.publish("in", texts(1..2));
    scene.hook.takes("in", 2).await;
    let lines = relay.stop().await;
    assert!(gaps(&lines).is_empty(), "{lines:#?}");
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
    assert_eq!(size(&gaps[0]), json!([0, false, 4, 1]));
    assert_eq!(gaps[0]["gap.from.page"], page);
    assert!(gaps[0]["gap.until.page"].as_u64() > Some(page));
    assert_eq!(scene.hook.takes("in", 6).await, texts(0..6));

    // And of the new one some messages are gone as well: 1 to 12, but for the last one.
    proxy.fault(Fault::Refuse, Span::Until);
    scene.server.reset(CACHE, "in");
    scene.publish("in", texts(3..16));
    proxy.heal().unwrap();
    let gaps = relay.says(LOST, 2).await;
    assert_eq!(size(&gaps[1]), json!([12, false, 4, 13]));
    let expected = [texts(0..6), texts(15..16)].concat();
    assert_eq!(scene.hook.takes("in", 7).await, expected);
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
    assert_eq!(size(&gaps[0]), json!([0, false, 4, 1]));
    assert_eq!(scene.hook.takes("in", 6).await, texts(0..6));
    assert!(calls() - before <= 10, "{} calls", calls() - before);
    relay.stop().await;
}

#[tokio::test]
async fn a_relay_that_is_lapped_tells_what_it_missed() {
    let (scene, relay, _) = held_back().await;
    scene.publish("in", ["the last one"]);
    scene.hook.always(Reply::Status(200));
    let posts = until_last(&scene).await;
    let gaps = relay.lines_with(LOST);
    assert!(!gaps.is_empty(), "messages are lost, and told");
    assert!(gaps.iter().all(|gap| gap["gap.exact"] == true), "{gaps:#?}");
    let missed = relay.metric("missed_total").await;
    assert_eq!(posts as u64 + missed, MANY + 1);
    relay.stop().await;
}

#[tokio::test]
async fn a_page_that_turns_while_the_relay_is_behind_is_a_gap() {
    let (scene, relay, page) = held_back().await;
    scene.server.reset(CACHE, "in");
    scene.publish("in", ["the last one"]);
    scene.hook.always(Reply::Status(200));
    let posts = until_last(&scene).await;
    assert!((posts as u64) < MANY, "nothing is lost");
    let lines = relay.stop().await;
    let gaps = gaps(&lines);
    let last = gaps.last().expect("messages are lost, and told");
    assert_eq!(last["gap.exact"], false, "{gaps:#?}");
    assert_eq!(last["gap.from.page"], page);
}

fn gaps(lines: &[Value]) -> Vec<&Value> {
    let told = |line: &&Value| {
        line["message"]
            .as_str()
            .is_some_and(|text| text.starts_with(LOST))
    };
    lines.iter().filter(told).collect()
}

/// More than the relay's queue and the connection hold.
const MANY: u64 = 1500;

/// A relay without a proxy, which would hold much, that cannot take all that was published; and the page.
async fn held_back() -> (Scene, Relay, u64) {
    let scene = Scene::remembering(10).await;
    let relay = scene.relay(&["in"]).await;
    scene.hook.always(Reply::Hang);
    for number in 0..MANY {
        scene.publish("in", [format!("{number:2000}")]);
        // The connection takes what it can before the server forgets it.
        tokio::task::yield_now().await;
    }
    let posts = scene
        .hook
        .wait("a message", |posts| !posts.is_empty())
        .await;
    let page = posts[0].body["sequence_page"].as_u64().unwrap();
    (scene, relay, page)
}

/// Waits for the last message, and returns how many there were.
async fn until_last(scene: &Scene) -> usize {
    let last =
        |posts: &[super::hook::Post]| posts.iter().any(|post| post.body["text"] == "the last one");
    let posts = scene.hook.wait("the last one", last).await;
    posts.len()
}
