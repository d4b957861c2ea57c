//! Momento's faults, injected by a proxy before the Topics server: the relay's recovery time and its number of calls.
//!
//! `cargo test --all-features --test it relay::faults -- --nocapture` prints the figures as a table.

use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::{Instant, sleep};
use tonic::Code;

use super::process::Relay;
use super::{Scene, most_waits, texts};
use crate::proxy::{Fault, Proxy, Span};

const SUBSCRIBE: &str = "/cache_client.pubsub.Pubsub/Subscribe";
const TOPICS: [&str; 2] = ["in-0", "in-1"];
/// The time between two messages.
const EVERY: Duration = Duration::from_millis(50);

/// A fault.
#[derive(Clone, Copy, Debug)]
enum Kind {
    /// The connection is reset this many times.
    Resets(u32),
    /// The port is closed.
    Refuses,
    /// After a reset, Subscribe answers this code.
    Answers(Code),
    /// After a reset, Subscribe is not answered.
    Hangs,
    /// The open connection goes silent.
    Silence,
}

struct Case {
    name: &'static str,
    kind: Kind,
    lasts: Duration,
}

fn case(name: &'static str, kind: Kind, seconds: u64) -> Case {
    let lasts = Duration::from_secs(seconds);
    Case { name, kind, lasts }
}

#[tokio::test]
async fn after_each_fault_all_messages_arrive_in_order_with_few_calls() {
    let cases = [
        case("connections reset, ten times", Kind::Resets(10), 5),
        case("connections refused", Kind::Refuses, 5),
        case(
            "Subscribe answers RESOURCE_EXHAUSTED",
            Kind::Answers(Code::ResourceExhausted),
            5,
        ),
        case(
            "Subscribe answers INTERNAL",
            Kind::Answers(Code::Internal),
            5,
        ),
        case(
            "Subscribe answers UNAVAILABLE",
            Kind::Answers(Code::Unavailable),
            5,
        ),
        case("Subscribe hangs", Kind::Hangs, 12),
        case("a connection goes silent", Kind::Silence, 0),
    ];
    println!(
        "| fault | lasts | Subscribe calls of {} topics | at most | delivered again after |",
        TOPICS.len()
    );
    println!("|---|---|---|---|---|");
    join_all(cases.iter().map(play)).await;
}

async fn play(case: &Case) {
    // Without heartbeats: only the end or the silence of a subscription reveals a fault.
    let scene = Scene::with(|options| options.heartbeat_interval = Duration::from_secs(3600)).await;
    let proxy = Proxy::start(&scene.server.endpoint()).await.unwrap();
    let quiet = if matches!(case.kind, Kind::Silence) {
        1
    } else {
        60
    };
    let command = scene
        .command(&TOPICS)
        .but("--momento-endpoint", proxy.endpoint())
        .option("--quiet-seconds", quiet);
    let relay = command.start().await;
    let mut published = publish(&scene, 0, Duration::from_millis(200)).await;
    for topic in TOPICS {
        scene.hook.takes(topic, published).await;
    }

    let calls = || proxy.counters().of(SUBSCRIBE).seen;
    let (before, began) = (calls(), Instant::now());
    match case.kind {
        Kind::Resets(times) => {
            for _ in 0..times {
                published = publish(&scene, published, case.lasts / times).await;
                proxy.cut();
            }
        }
        Kind::Refuses => proxy.fault(Fault::Refuse, Span::Until),
        Kind::Answers(code) => {
            proxy.fault_of(SUBSCRIBE, Fault::Grpc(code), Span::Until);
            proxy.cut();
        }
        Kind::Hangs => {
            proxy.fault_of(SUBSCRIBE, Fault::Hang, Span::Until);
            proxy.cut();
        }
        Kind::Silence => proxy.freeze(),
    }
    published = publish(
        &scene,
        published,
        case.lasts.saturating_sub(began.elapsed()),
    )
    .await;
    proxy.heal().unwrap();
    let healed = Instant::now();
    for topic in TOPICS {
        scene.publish(topic, [published]);
    }
    for topic in TOPICS {
        assert_eq!(
            scene.hook.takes(topic, published + 1).await,
            texts(0..published as u64 + 1),
            "{}",
            case.name
        );
    }
    let (recovered, calls) = (healed.elapsed(), calls() - before);
    // Messages between two resets restart the back-off.
    let most = TOPICS.len()
        * match case.kind {
            Kind::Resets(times) => 2 * times as usize,
            _ => most_waits(began.elapsed()) + 1,
        };
    println!(
        "| {} | {:.1} s | {calls} | {most} | {:.1} s |",
        case.name,
        healed.duration_since(began).as_secs_f64(),
        recovered.as_secs_f64()
    );
    assert!(calls <= most, "{}: {calls} calls", case.name);
    assert!(calls >= TOPICS.len(), "{}: {calls} calls", case.name);
    unharmed(&relay).await;
    relay.stop().await;
}

/// Publishes on all topics for `time`, from this number on; returns the next number.
async fn publish(scene: &Scene, mut number: usize, time: Duration) -> usize {
    let began = Instant::now();
    while began.elapsed() < time {
        for topic in TOPICS {
            scene.publish(topic, [number]);
        }
        number += 1;
        sleep(EVERY).await;
    }
    number
}

async fn unharmed(relay: &Relay) {
    for name in ["gaps_total", "missed_total", "refused_total"] {
        assert_eq!(relay.metric(name).await, 0, "{name}: {:#?}", relay.lines());
    }
}
