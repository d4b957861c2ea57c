//! Many topics in one process.

use std::time::Duration;

use super::hook::Reply;
use super::{Scene, texts};

const TOPICS: usize = 300;
const EACH: u64 = 5;

#[tokio::test]
async fn hundreds_of_topics_keep_their_order_within_the_concurrency() {
    let scene = Scene::new().await;
    let names: Vec<_> = (0..TOPICS).map(|n| format!("in/{n}")).collect();
    let topics: Vec<_> = names.iter().map(String::as_str).collect();
    let relay = scene
        .command(&topics)
        .option("--concurrency", 4)
        .start()
        .await;
    relay.reaches("subscribed", |n| n == TOPICS as u64).await;
    assert_eq!(relay.get("/ready").await.0, 200);
    // Hanging until all messages are received leaves room for more than four requests in flight.
    scene.hook.always(Reply::Hang);
    for text in texts(0..EACH) {
        for topic in &topics {
            scene.publish(topic, [&text]);
        }
    }
    let all = TOPICS * EACH as usize;
    relay.reaches("received_total", |n| n == all as u64).await;
    assert_eq!(scene.hook.posts().len(), 4);
    scene.hook.always(Reply::Status(200));
    scene
        .hook
        .wait("all of them", |posts| posts.len() >= all)
        .await;
    scene.hook.idle().await;
    for topic in &topics {
        assert_eq!(scene.hook.taken(topic), texts(0..EACH), "{topic}");
    }
    assert_eq!(scene.hook.posts().len(), all);
    assert_eq!(scene.hook.most_at_once(), 4);
    assert_eq!(relay.metric("topics").await, TOPICS as u64);
    let lines = relay.stop().await;
    assert!(
        lines.iter().all(|line| line["level"] == "INFO"),
        "{lines:#?}"
    );
}

#[tokio::test]
async fn a_waiting_topic_does_not_delay_others() {
    let scene = Scene::new().await;
    let relay = scene
        .command(&["slow", "quick"])
        .option("--concurrency", 1)
        .start()
        .await;
    scene.hook.first([Reply::Status(503)]);
    scene.publish("slow", texts(0..1));
    scene
        .hook
        .wait("an attempt", |posts| posts.len() == 1)
        .await;
    scene.publish("quick", texts(0..20));
    assert_eq!(scene.hook.takes("quick", 20).await, texts(0..20));
    scene.hook.takes("slow", 1).await;
    tokio::time::timeout(Duration::from_secs(30), relay.stop())
        .await
        .unwrap();
}
