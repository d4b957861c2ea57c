//! A webhook that is down for a minute, in three ways.

use std::time::Duration;

use futures_util::future::join3;
use tokio::time::{Instant, sleep};

use super::hook::{Hook, Post, Reply};
use super::process::Relay;
use super::{Scene, most_waits, texts};
use crate::proxy::{Fault, Proxy, Span};

const TOPICS: [&str; 3] = ["in-0", "in-1", "in-2"];
/// Messages of each topic before, during and after the outage.
const BEFORE: u64 = 5;
const DOWN: u64 = 60;
const AFTER: u64 = 5;
const OUTAGE: Duration = Duration::from_secs(60);

#[tokio::test]
async fn a_minute_without_a_webhook_keeps_messages_and_order_with_few_requests() {
    let fails = async {
        let scene = Scene::new().await;
        let relay = scene.relay(&TOPICS).await;
        let tries = async || attempts(&scene.hook);
        outage(
            "answers 503",
            &scene,
            &relay,
            || scene.hook.always(Reply::Status(503)),
            || scene.hook.always(Reply::Status(200)),
            tries,
        )
        .await;
        // A failed attempt never counts as accepted.
        assert!(
            scene
                .hook
                .posts()
                .iter()
                .all(|post| [200, 503].contains(&post.status))
        );
        relay.stop().await;
    };
    let hangs = async {
        let scene = Scene::new().await;
        let relay = scene.relay(&TOPICS).await;
        let tries = async || attempts(&scene.hook);
        outage(
            "hangs",
            &scene,
            &relay,
            || scene.hook.always(Reply::Hang),
            || scene.hook.always(Reply::Status(200)),
            tries,
        )
        .await;
        relay.stop().await;
    };
    let refuses = async {
        let scene = Scene::new().await;
        let proxy = Proxy::start(scene.hook.url()).await.unwrap();
        let webhook = format!("{}/hook", proxy.endpoint());
        let relay = scene
            .command(&TOPICS)
            .but("--webhook", webhook)
            .start()
            .await;
        let tries = async || {
            // Only the relay can count attempts at the closed port.
            let (seen, retried) = (attempts(&scene.hook), relay.metric("retried_total").await);
            seen + usize::try_from(retried).unwrap()
        };
        outage(
            "refuses connections",
            &scene,
            &relay,
            || proxy.fault(Fault::Refuse, Span::Until),
            || proxy.heal().unwrap(),
            tries,
        )
        .await;
        relay.stop().await;
    };
    join3(fails, hangs, refuses).await;
}

fn attempts(hook: &Hook) -> usize {
    hook.posts().len()
}

async fn outage(
    what: &str,
    scene: &Scene,
    relay: &Relay,
    begin: impl Fn(),
    end: impl Fn(),
    tries: impl AsyncFn() -> usize,
) {
    for topic in TOPICS {
        scene.publish(topic, texts(0..BEFORE));
    }
    for topic in TOPICS {
        scene.hook.takes(topic, BEFORE as usize).await;
    }
    relay.reaches("in_flight", |n| n == 0).await;
    let before = tries().await;
    begin();
    let began = Instant::now();
    for number in BEFORE..BEFORE + DOWN {
        for topic in TOPICS {
            scene.publish(topic, [number]);
        }
        sleep(OUTAGE / u32::try_from(DOWN).unwrap()).await;
    }
    let down_for = began.elapsed();
    let requests = tries().await - before;
    assert_eq!(relay.get("/ready").await.0, 503, "{what}");
    end();
    let all = BEFORE + DOWN + AFTER;
    for topic in TOPICS {
        scene.publish(topic, texts(BEFORE + DOWN..all));
    }
    let healed = Instant::now();
    let last = (all - 1).to_string();
    let is_last = |post: &Post| post.status == 200 && post.body["text"] == last.as_str();
    for topic in TOPICS {
        let there = |posts: &[Post]| {
            posts
                .iter()
                .any(|post| post.topic() == topic && is_last(post))
        };
        scene.hook.wait("the last one", there).await;
    }
    scene.hook.idle().await;
    for topic in TOPICS {
        let mut taken = scene.hook.taken(topic);
        if what == "hangs" {
            // The hook may accept a hung request after the relay gave up on it; the relay then repeats it in order.
            taken.dedup();
        }
        assert_eq!(taken, texts(0..all), "{what}: {topic}");
    }
    let most = TOPICS.len() * most_waits(down_for);
    println!(
        "| webhook {what} for {} s | {requests} requests of {} topics (at most {most}) | all delivered {:.1} s after | ",
        down_for.as_secs(),
        TOPICS.len(),
        healed.elapsed().as_secs_f64(),
    );
    assert!(requests <= most, "{what}: {requests} requests");
    assert!(
        requests >= TOPICS.len() * 3,
        "{what}: {requests} requests are hardly any"
    );
    relay.reaches("waiting", |n| n == 0).await;
    assert_eq!(relay.get("/ready").await.0, 200, "{what}");
    assert_eq!(relay.metric("refused_total").await, 0, "{what}");
    assert_eq!(relay.metric("gaps_total").await, 0, "{what}");
}
