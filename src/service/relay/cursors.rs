//! Each topic's position, saved across restarts.
//!
//! A cursor is saved after its messages are done, never before: a crash in between repeats messages, which the webhook
//! answers `duplicate`. A topic's first cursor is saved before its first delivery: without one, a restart would skip messages.

use std::collections::{BTreeMap, HashMap};
use std::iter;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream;
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;
use tokio::time::timeout;

use super::TopicName;
use super::track::Cursor;
use crate::domain::fault::Fault;
use crate::domain::ports::{Answer, Register};
use crate::service::backoff::Backoff;

mod file;

pub use file::FileStore;

/// The least time between two saves.
const EVERY: Duration = Duration::from_millis(200);
/// The longest wait for the first save of a topic.
const BEGIN_WITHIN: Duration = Duration::from_secs(5);
/// Concurrent calls of one save or one load.
const CONCURRENT: usize = 32;

/// Storage for cursors.
pub trait CursorStore: Send + Sync {
    /// Returns the saved cursors of these topics.
    fn load<'a>(&'a self, topics: &'a [TopicName]) -> Answer<'a, HashMap<TopicName, Cursor>>;

    /// Saves the changed cursors and keeps those of other topics.
    fn save<'a>(&'a self, changed: &'a BTreeMap<TopicName, Cursor>) -> Answer<'a, ()>;
}

/// Cursors as items of a table, such as the stack's ledger. Relays that share a table overwrite each other's cursors. That is
/// safe: all messages before each of them are done.
pub struct TableStore(pub Arc<dyn Register>);

/// The key of a topic's item: `relay#<cache>#<topic>`. The cache's own `#` and `%` are percent-encoded, so each topic's key is
/// unique.
fn key(topic: &TopicName) -> String {
    let cache = topic.cache.replace('%', "%25").replace('#', "%23");
    format!("relay#{cache}#{}", topic.topic)
}

/// The key of earlier versions, where it differs.
fn old_key(topic: &TopicName) -> Option<String> {
    let old = format!("relay#{}#{}", topic.cache, topic.topic);
    Some(old).filter(|old| *old != key(topic))
}

/// An item's text. Items of earlier versions have no names.
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
            // An old key may hold another topic's cursor.
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

/// Runs all calls, up to `CONCURRENT` at once.
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
    /// Held during a save, so that the topics of a start share one.
    saving: tokio::sync::Mutex<()>,
}

impl Cursors {
    pub fn new(store: Box<dyn CursorStore>) -> Self {
        Self {
            store,
            changed: Mutex::default(),
            notify: Notify::new(),
            saving: tokio::sync::Mutex::default(),
        }
    }

    /// The latest cursors of these topics, saved or not. They must not advance meanwhile.
    ///
    /// # Errors
    ///
    /// When the store fails, or holds an invalid cursor.
    pub async fn load(&self, topics: &[TopicName]) -> Result<HashMap<TopicName, Cursor>, Fault> {
        // Before the store's: a save under way must not hide them.
        let unsaved: Vec<_> = {
            let changed = self.changed();
            let unsaved = topics
                .iter()
                .filter_map(|topic| Some((topic.clone(), *changed.get(topic)?)));
            unsaved.collect()
        };
        let mut latest = self.store.load(topics).await?;
        latest.extend(unsaved);
        Ok(latest)
    }

    /// Records that everything before `cursor` is done; [`Cursors::keep`] saves it.
    pub fn advance(&self, topic: &TopicName, cursor: Cursor) {
        self.changed().insert(topic.clone(), cursor);
        self.notify.notify_one();
    }

    /// Saves where a topic begins: everything before `cursor` is skipped. After a failed save, or 5 s, deliveries begin
    /// nevertheless, and [`Cursors::keep`] repeats it.
    pub async fn begin(&self, topic: &TopicName, cursor: Cursor) {
        self.advance(topic, cursor);
        let _ = timeout(BEGIN_WITHIN, self.flush()).await;
    }

    /// Saves changed cursors for as long as it is polled, and repeats failed saves. Deliveries go on meanwhile: only a restart
    /// would repeat messages.
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

    /// Saves the changed cursors.
    ///
    /// # Errors
    ///
    /// When the store fails; the next save repeats the changes.
    pub async fn flush(&self) -> Result<(), Fault> {
        let _turn = self.saving.lock().await;
        // Changes stay until they are saved: a save dropped half-way must not lose them.
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
