//! How far each topic is done, kept where a restart finds it.
//!
//! A cursor is saved after what it stands for, never before: a crash in between brings messages again, which the webhook
//! answers `duplicate`.

use std::collections::{BTreeMap, HashMap};
use std::iter;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream;
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;

use super::TopicName;
use super::track::Cursor;
use crate::backoff::Backoff;
use crate::ports::{Answer, Fault, Register};

mod file;

pub use file::FileStore;

/// The least time between two saves.
const EVERY: Duration = Duration::from_millis(200);
/// Calls of one save, or one load, that are under way at once.
const CONCURRENT: usize = 32;

/// Where cursors are kept.
pub trait CursorStore: Send + Sync {
    /// The cursors of these topics, where there are any.
    fn load<'a>(&'a self, topics: &'a [TopicName]) -> Answer<'a, HashMap<TopicName, Cursor>>;

    /// Keeps these, besides those of other topics.
    fn save<'a>(&'a self, changed: &'a BTreeMap<TopicName, Cursor>) -> Answer<'a, ()>;
}

/// Cursors as items of a table, such as the stack's ledger. Relays that share one overwrite each other's cursors, which all
/// say the truth: up to there the webhook has answered 2xx.
pub struct TableStore(pub Arc<dyn Register>);

/// The key of a topic's item: `relay#<cache>#<topic>`, where the cache's own `#` and `%` are written as in URLs, so that no two
/// topics have the same.
fn key(topic: &TopicName) -> String {
    let cache = topic.cache.replace('%', "%25").replace('#', "%23");
    format!("relay#{cache}#{}", topic.topic)
}

/// The key of earlier versions, where it is another one.
fn old_key(topic: &TopicName) -> Option<String> {
    let old = format!("relay#{}#{}", topic.cache, topic.topic);
    Some(old).filter(|old| *old != key(topic))
}

/// An item's text. Earlier versions wrote no names.
#[derive(Deserialize, Serialize)]
struct Item {
    #[serde(flatten)]
    cursor: Cursor,
    #[serde(skip_serializing_if = "Option::is_none")]
    cache: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    topic: Option<String>,
}

impl TableStore {
    async fn load_one(&self, topic: TopicName) -> Result<Option<(TopicName, Cursor)>, Fault> {
        for key in iter::once(key(&topic)).chain(old_key(&topic)) {
            let Some(text) = self.0.load(&key).await? else {
                continue;
            };
            let item = read(&text)?;
            // Under an old key another topic's cursor may be kept.
            let is = |found: Option<String>, name: &str| found.is_none_or(|found| found == name);
            if is(item.cache, &topic.cache) && is(item.topic, &topic.topic) {
                return Ok(Some((topic, item.cursor)));
            }
        }
        Ok(None)
    }

    async fn save_one(&self, topic: TopicName, cursor: Cursor) -> Result<(), Fault> {
        let key = key(&topic);
        let item = Item {
            cursor,
            cache: Some(topic.cache),
            topic: Some(topic.topic),
        };
        let text = serde_json::to_string(&item).expect("numbers and strings always serialize");
        self.0.save(&key, &text).await
    }
}

/// Runs all of them, some at once.
async fn all<T>(calls: Vec<impl Future<Output = Result<T, Fault>>>) -> Result<Vec<T>, Fault> {
    let results = stream::iter(calls).buffer_unordered(CONCURRENT);
    let results: Vec<_> = results.collect().await;
    results.into_iter().collect()
}

impl CursorStore for TableStore {
    fn load<'a>(&'a self, topics: &'a [TopicName]) -> Answer<'a, HashMap<TopicName, Cursor>> {
        let loads = topics.iter().map(|topic| self.load_one(topic.clone()));
        let loads = all(loads.collect());
        Box::pin(async move { Ok(loads.await?.into_iter().flatten().collect()) })
    }

    fn save<'a>(&'a self, changed: &'a BTreeMap<TopicName, Cursor>) -> Answer<'a, ()> {
        let saves = changed.iter();
        let saves = saves.map(|(topic, &cursor)| self.save_one(topic.clone(), cursor));
        let saves = all(saves.collect());
        Box::pin(async move { saves.await.map(|_| ()) })
    }
}

fn read(text: &str) -> Result<Item, Fault> {
    serde_json::from_str(text).map_err(|_| {
        Fault::permanent(
            "BadCursor",
            "expected a cursor {\"page\": …, \"next\": …} in the table, found something else; delete the item, and messages from now on are relayed",
        )
    })
}

/// The cursors of all topics, saved soon after they change.
pub struct Cursors {
    store: Box<dyn CursorStore>,
    changed: Mutex<BTreeMap<TopicName, Cursor>>,
    notify: Notify,
}

impl Cursors {
    pub fn new(store: Box<dyn CursorStore>) -> Self {
        Self {
            store,
            changed: Mutex::default(),
            notify: Notify::new(),
        }
    }

    /// # Errors
    ///
    /// When the store does not answer, or holds something else.
    pub async fn load(&self, topics: &[TopicName]) -> Result<HashMap<TopicName, Cursor>, Fault> {
        self.store.load(topics).await
    }

    /// Everything before `cursor` is done. Saved soon.
    pub fn advance(&self, topic: &TopicName, cursor: Cursor) {
        self.changed().insert(topic.clone(), cursor);
        self.notify.notify_one();
    }

    /// Saves what changes, for as long as it is polled. What cannot be saved is tried again: messages go on meanwhile, since
    /// only a restart would bring them again.
    pub async fn keep(&self) {
        let mut waits = Backoff::new(Duration::from_secs(1), Duration::from_secs(30));
        loop {
            self.notify.notified().await;
            match self.flush().await {
                Ok(()) => {
                    waits.reset();
                    tokio::time::sleep(EVERY).await;
                }
                Err(fault) => {
                    tracing::error!(
                        error.code = fault.code,
                        error.text = fault.text,
                        "cursors cannot be saved: a restart would relay messages again"
                    );
                    tokio::time::sleep(waits.pause()).await;
                    self.notify.notify_one();
                }
            }
        }
    }

    /// Saves what has changed.
    ///
    /// # Errors
    ///
    /// When the store does not take it; it is kept then for the next time.
    pub async fn flush(&self) -> Result<(), Fault> {
        // Those that are being saved stay: a save that is dropped half-way must not lose them.
        let changed = self.changed().clone();
        if changed.is_empty() {
            return Ok(());
        }
        self.store.save(&changed).await?;
        self.changed()
            .retain(|topic, cursor| changed.get(topic) != Some(cursor));
        Ok(())
    }

    fn changed(&self) -> MutexGuard<'_, BTreeMap<TopicName, Cursor>> {
        self.changed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
