//! `bridge relay`, the real binary, between the local Topics server and either a stub webhook or the deployed one.

mod beginnings;
mod bodies;
mod clock;
mod cursors;
mod deployed;
mod faults;
mod health;
mod hook;
mod kills;
mod many;
mod options;
mod outages;
mod pages;
mod pairs;
mod process;
mod rotation;
mod routes;
mod startup;

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::Value;
use workflow_bridge::tools::local::topics::{TopicsOptions, TopicsServer, local_api_key};

use hook::Hook;
use process::{Folder, Relay, RelayCommand};

const CACHE: &str = "demo";
const SECRET: &str = "whsec-of-the-relay-tests";

/// The timeout for a condition, so that no test hangs.
const TIMEOUT: Duration = Duration::from_secs(120);

/// A Topics server, a webhook, and a folder for the relay's state.
struct Scene {
    server: TopicsServer,
    hook: Hook,
    key: String,
    folder: Folder,
}

impl Scene {
    async fn new() -> Self {
        Self::with(|_| {}).await
    }

    async fn with(change: impl FnOnce(&mut TopicsOptions)) -> Self {
        let key = local_api_key();
        let mut options = TopicsOptions {
            keys: [(key.clone(), Some("mo".to_owned()))].into(),
            caches: Some(BTreeSet::from([CACHE.to_owned()])),
            ..TopicsOptions::default()
        };
        change(&mut options);
        Self {
            server: TopicsServer::start(options).await.unwrap(),
            hook: Hook::start(SECRET).await,
            key,
            folder: Folder::new(),
        }
    }

    /// A server with a history of this many messages a topic.
    async fn remembering(history: usize) -> Self {
        Self::with(|options| options.limits.history = history).await
    }

    /// A relay of these topics to the webhook.
    fn command(&self, topics: &[&str]) -> RelayCommand {
        let mut command = RelayCommand::new()
            .option("--webhook", self.hook.url())
            .option("--momento-endpoint", self.server.endpoint())
            .option("--state", self.folder.file("cursors").display())
            .option("--health", "127.0.0.1:0")
            .option("--secret-env", "SIGNING_SECRET")
            .variable("SIGNING_SECRET", SECRET)
            .variable("MOMENTO_API_KEY", &self.key);
        for topic in topics {
            command = command.option("--topic", format!("{CACHE}/{topic}"));
        }
        command
    }

    async fn relay(&self, topics: &[&str]) -> Relay {
        self.command(topics).start().await
    }

    /// Publishes texts in order.
    fn publish(&self, topic: &str, texts: impl IntoIterator<Item = impl ToString>) {
        for text in texts {
            let text = text.to_string();
            self.server.publish(CACHE, topic, text.as_str()).unwrap();
        }
    }

    /// Waits until a topic's cursor is saved behind `messages` of its page; returns the page.
    async fn cursors_of(&self, relay: &Relay, topic: &str, messages: u64) -> u64 {
        // Numbers start at 1.
        let next = messages + 1;
        let waiting = async {
            loop {
                let cursors = self.cursors();
                let of_topic = |cursor: &&Value| cursor["topic"] == topic;
                let cursor = cursors["cursors"]
                    .as_array()
                    .into_iter()
                    .flatten()
                    .find(of_topic);
                if let Some(cursor) = cursor.filter(|cursor| cursor["next"] == next) {
                    return cursor["page"].as_u64().unwrap();
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        match tokio::time::timeout(TIMEOUT, waiting).await {
            Ok(page) => page,
            Err(_) => panic!(
                "expected {next}, found {}: {:#?}",
                self.cursors(),
                relay.lines()
            ),
        }
    }

    fn cursors(&self) -> Value {
        let file = std::fs::read(self.folder.file("cursors"));
        file.map_or(Value::Null, |bytes| serde_json::from_slice(&bytes).unwrap())
    }
}

/// The numbers as texts.
fn texts(numbers: std::ops::Range<u64>) -> Vec<String> {
    numbers.map(|number| number.to_string()).collect()
}

/// The largest number of waits of a back-off from 0.2 s to 15 s, each shortened by at most half, that begin within `time`.
fn most_waits(time: Duration) -> usize {
    let shortest =
        |n: u32| Duration::from_millis(200 * 2u64.pow(n.min(7))).min(Duration::from_secs(15)) / 2;
    let mut spent = Duration::ZERO;
    (0..)
        .take_while(|&n| {
            let begins = spent <= time;
            spent += shortest(n);
            begins
        })
        .count()
}

#[test]
fn a_minute_has_few_waits() {
    // 0.1 + 0.2 + … + 6.4 s, then 7.5 s each.
    assert_eq!(most_waits(Duration::from_millis(50)), 1);
    assert_eq!(most_waits(Duration::from_millis(100)), 2);
    assert_eq!(most_waits(Duration::from_secs(60)), 14);
}
