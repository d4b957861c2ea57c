//! Messages dropped by the Topics server and new pages: reported as gaps of the right size, without losing available messages.

use std::time::Duration;

use serde_json::{Value, json};
use workflow_bridge::clock::now_ms;
use workflow_bridge::tools::local::topics::{TopicsOptions, TopicsServer};

use super::hook::Reply;
use super::process::Relay;
use super::{CACHE, Scene, texts};
use crate::proxy::{Fault, Proxy, Span};

const LOST: &str = "Momento has lost messages";

/// A scene with a history of ten messages a topic, a proxy before the server, and a relay that has delivered 0, 1 and 2.
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

/// `missed`, `exact`, and the numbers `from` and `until` of a gap.
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
async fn messages_dropped_during_an_outage_are_an_exact_gap() {
    let (scene, proxy, relay, page) = began().await;
    proxy.fault(Fault::Refuse, Span::Until);
    scene.publish("in", texts(3..20));
    proxy.heal().unwrap();
    let gaps = relay.logged(LOST, 1).await;
    // The relay's position is older than the history: the server resumes with the last message.
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
async fn a_new_page_during_a_subscription_loses_no_message() {
    let (scene, _proxy, relay, _) = began().await;
    for number in 3..6 {
        scene.server.reset(CACHE, "in");
        scene.publish("in", [number]);
        scene.hook.takes("in", number as usize + 1).await;
    }
    assert_eq!(scene.hook.taken("in"), texts(0..6));
    // Without a heartbeat in between, the relay cannot exclude a loss.
    let lines = relay.stop().await;
    for gap in gaps(&lines) {
        assert_eq!(
            (&gap["gap.missed"], &gap["gap.exact"]),
            (&0.into(), &false.into())
        );
    }
}

#[tokio::test]
async fn a_new_page_on_an_idle_topic_is_not_a_gap() {
    let scene = Scene::with(|options| options.heartbeat_interval = Duration::from_millis(20)).await;
    let relay = scene.relay(&["in"]).await;
    scene.publish("in", texts(0..1));
    scene.hook.takes("in", 1).await;
    // Arrival of a heartbeat is not observable; dozens arrive in this time.
    tokio::time::sleep(Duration::from_secs(1)).await;
    scene.server.reset(CACHE, "in");
    scene.publish("in", texts(1..2));
    scene.hook.takes("in", 2).await;
    let lines = relay.stop().await;
    assert!(gaps(&lines).is_empty(), "{lines:#?}");
}

#[tokio::test]
async fn a_new_page_during_an_outage_is_a_gap_of_unknown_size() {
    let (scene, proxy, relay, page) = began().await;
    proxy.fault(Fault::Refuse, Span::Until);
    scene.publish("in", ["gone"]);
    scene.server.reset(CACHE, "in");
    scene.publish("in", texts(3..6));
    proxy.heal().unwrap();
    let gaps = relay.logged(LOST, 1).await;
    assert_eq!(size(&gaps[0]), json!([0, false, 4, 1]));
    assert_eq!(gaps[0]["gap.from.page"], page);
    assert!(gaps[0]["gap.until.page"].as_u64() > Some(page));
    assert_eq!(scene.hook.takes("in", 6).await, texts(0..6));

    // The new page has lost messages as well: 1 to 12, all but the last one.
    proxy.fault(Fault::Refuse, Span::Until);
    scene.server.reset(CACHE, "in");
    scene.publish("in", texts(3..16));
    proxy.heal().unwrap();
    let gaps = relay.logged(LOST, 2).await;
    assert_eq!(size(&gaps[1]), json!([12, false, 4, 13]));
    let expected = [texts(0..6), texts(15..16)].concat();
    assert_eq!(scene.hook.takes("in", 7).await, expected);
    relay.stop().await;
}

#[tokio::test]
async fn the_relay_reconnects_to_a_restarted_server() {
    let (mut scene, proxy, relay, page) = began().await;
    let address = scene.server.endpoint();
    let options = TopicsOptions {
        listen: address.trim_start_matches("http://").parse().unwrap(),
        keys: [(scene.key.clone(), None)].into(),
        ..TopicsOptions::default()
    };
    // Pages are seconds: a new page needs a new second.
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
    relay.logged("a subscription ended", 2).await;
    scene.server = TopicsServer::start(options).await.unwrap();
    scene.publish("in", texts(3..6));
    let gaps = relay.logged(LOST, 1).await;
    assert_eq!(size(&gaps[0]), json!([0, false, 4, 1]));
    assert_eq!(scene.hook.takes("in", 6).await, texts(0..6));
    assert!(calls() - before <= 10, "{} calls", calls() - before);
    relay.stop().await;
}

#[tokio::test]
async fn a_lapped_relay_reports_its_missed_messages() {
    let (scene, relay, _) = held_back().await;
    scene.publish("in", ["the last one"]);
    scene.hook.always(Reply::Status(200));
    let posts = until_last(&scene).await;
    let gaps = relay.lines_with(LOST);
    assert!(!gaps.is_empty(), "messages are lost, and reported");
    assert!(gaps.iter().all(|gap| gap["gap.exact"] == true), "{gaps:#?}");
    let missed = relay.metric("missed_total").await;
    assert_eq!(posts as u64 + missed, MANY + 1);
    relay.stop().await;
}

#[tokio::test]
async fn a_new_page_while_the_relay_lags_is_a_gap() {
    let (scene, relay, page) = held_back().await;
    scene.server.reset(CACHE, "in");
    scene.publish("in", ["the last one"]);
    scene.hook.always(Reply::Status(200));
    let posts = until_last(&scene).await;
    assert!((posts as u64) < MANY, "nothing is lost");
    let lines = relay.stop().await;
    let gaps = gaps(&lines);
    let last = gaps.last().expect("messages are lost, and reported");
    assert_eq!(last["gap.exact"], false, "{gaps:#?}");
    assert_eq!(last["gap.from.page"], page);
}

fn gaps(lines: &[Value]) -> Vec<&Value> {
    let is_gap = |line: &&Value| {
        line["message"]
            .as_str()
            .is_some_and(|text| text.starts_with(LOST))
    };
    lines.iter().filter(is_gap).collect()
}

/// More messages than fit into the relay's queue and the connection.
const MANY: u64 = 1500;

/// A relay that lags behind the published messages, and the page. No proxy, since it would buffer much.
async fn held_back() -> (Scene, Relay, u64) {
    let scene = Scene::remembering(10).await;
    let relay = scene.relay(&["in"]).await;
    scene.hook.always(Reply::Hang);
    for number in 0..MANY {
        scene.publish("in", [format!("{number:2000}")]);
        // Lets the connection take messages before the server drops them.
        tokio::task::yield_now().await;
    }
    let posts = scene
        .hook
        .wait("a message", |posts| !posts.is_empty())
        .await;
    let page = posts[0].body["sequence_page"].as_u64().unwrap();
    (scene, relay, page)
}

/// Waits for the last message; returns the number of posts.
async fn until_last(scene: &Scene) -> usize {
    let last =
        |posts: &[super::hook::Post]| posts.iter().any(|post| post.body["text"] == "the last one");
    let posts = scene.hook.wait("the last one", last).await;
    posts.len()
}
