//! The workers of all topics: topics are added and removed while the relay runs.
//!
//! A removed topic is unsubscribed at once. Its courier delivers the queued messages and ends, which leaves the cursor behind
//! them. Only then may the topic return, at that cursor.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::slice;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Semaphore, mpsc, watch};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{sleep, timeout};

use super::TopicName;
use super::courier::{Courier, stopped};
use super::cursors::Cursors;
use super::destination::Destination;
use super::follow::Wanted;
use super::gaps::Gaps;
use super::reader::{Entry, FIRST_WAIT, LONGEST_WAIT, Reader};
use super::status::Status;
use super::track::{Cursor, Track};
use crate::domain::fault::Fault;
use crate::service::backoff::Backoff;
use crate::service::relay::subscriptions::{Subscription, Subscriptions};

/// Queued entries per topic.
const QUEUE: usize = 256;
/// Deadline for reading the cursor of an added topic.
const LOAD_WITHIN: Duration = Duration::from_secs(10);
/// Deadline for requests under way once the relay stops. ECS kills a task after 30 s.
pub const STOP_WITHIN: Duration = Duration::from_secs(20);

/// What the workers of all topics share.
pub struct Shared {
    pub subscriptions: Arc<Subscriptions>,
    pub destination: Arc<Destination>,
    pub cursors: Arc<Cursors>,
    pub gaps: Arc<Gaps>,
    pub status: Arc<Status>,
    /// Where topics without a cursor begin, if not at the next message.
    pub from: HashMap<TopicName, Cursor>,
    /// Bounds the subscriptions opened at once.
    pub opening: Arc<Semaphore>,
    /// Bytes of queued messages.
    pub room: Arc<Semaphore>,
    /// Bounds the concurrent requests to the webhook.
    pub turns: Arc<Semaphore>,
    /// How long a subscription may be silent before it is opened again.
    pub quiet_for: Duration,
    pub now_ms: fn() -> i64,
    /// `true` once the relay stops.
    pub stop: watch::Receiver<bool>,
}

/// The workers of all topics. Dropping it ends them at once.
pub struct Workers {
    shared: Shared,
    wanted: BTreeSet<TopicName>,
    /// The topics whose courier runs, each with its reader unless it is removed.
    running: BTreeMap<TopicName, Option<RunningReader>>,
    readers: JoinSet<()>,
    /// Each returns its topic.
    couriers: JoinSet<TopicName>,
}

struct RunningReader {
    index: usize,
    task: AbortHandle,
}

impl Workers {
    pub fn new(shared: Shared) -> Self {
        Self {
            shared,
            wanted: BTreeSet::new(),
            running: BTreeMap::new(),
            readers: JoinSet::new(),
            couriers: JoinSet::new(),
        }
    }

    /// A reader from `cursor` on, or from the next message, and the queue for its courier. `index` is the topic's alone.
    pub fn reader(
        &self,
        topic: TopicName,
        index: usize,
        cursor: Option<Cursor>,
    ) -> (Reader, mpsc::Receiver<Entry>) {
        let (entries, queue) = mpsc::channel(QUEUE);
        let reader = Reader {
            topic,
            index,
            subscriptions: self.shared.subscriptions.clone(),
            opening: self.shared.opening.clone(),
            room: self.shared.room.clone(),
            cursors: self.shared.cursors.clone(),
            status: self.shared.status.clone(),
            quiet_for: self.shared.quiet_for,
            now_ms: self.shared.now_ms,
            began: cursor.is_some(),
            track: Track::new(cursor),
            entries,
        };
        (reader, queue)
    }

    /// Adds the topic of a reader, with its open subscription.
    pub fn start(
        &mut self,
        reader: Reader,
        queue: mpsc::Receiver<Entry>,
        first: Option<Subscription>,
    ) {
        let (topic, index) = (reader.topic.clone(), reader.index);
        self.wanted.insert(topic.clone());
        self.spawn(topic, index, queue, reader.run(first));
    }

    /// Adds and removes topics by `wanted` until the relay stops. Then finishes requests under way; returns whether all ended
    /// within 20 s.
    pub async fn run(mut self, mut wanted: watch::Receiver<Wanted>) -> bool {
        let mut stop = self.shared.stop.clone();
        loop {
            tokio::select! {
                biased;
                () = stopped(&mut stop) => break,
                // An error means that the topics stay as they are.
                Ok(()) = wanted.changed() => {
                    let wanted = wanted.borrow_and_update().clone();
                    self.want(wanted);
                }
                Some(ended) = self.couriers.join_next() => {
                    if let Ok(topic) = ended {
                        self.running.remove(&topic);
                        self.add_missing();
                    }
                }
                Some(_) = self.readers.join_next() => {}
            }
        }
        let finished = timeout(STOP_WITHIN, async {
            while self.couriers.join_next().await.is_some() {}
        });
        let in_time = finished.await.is_ok();
        self.couriers.shutdown().await;
        self.readers.shutdown().await;
        in_time
    }

    fn want(&mut self, wanted: Wanted) {
        for (topic, reader) in &mut self.running {
            if !wanted.topics.contains(topic)
                && let Some(reader) = reader.take()
            {
                reader.task.abort();
                tracing::info!(
                    message.cache = topic.cache,
                    message.topic = topic.topic,
                    "unsubscribed from a topic without a route; its queued messages are still delivered"
                );
            }
        }
        let count = wanted.topics.len();
        self.wanted = wanted.topics;
        self.shared.status.want(count, wanted.is_complete);
        self.add_missing();
    }

    /// Adds the wanted topics without workers. A removed one follows once its courier has ended.
    fn add_missing(&mut self) {
        let readers = self.running.values().flatten();
        let used: BTreeSet<_> = readers.map(|reader| reader.index).collect();
        // The lowest ones, so that few connections serve all topics.
        let free = (0..).filter(|index| !used.contains(index));
        let is_missing = |topic: &&TopicName| !self.running.contains_key(*topic);
        let missing: Vec<_> = self.wanted.iter().filter(is_missing).cloned().collect();
        for (topic, index) in missing.into_iter().zip(free) {
            self.add(topic, index);
        }
    }

    fn add(&mut self, topic: TopicName, index: usize) {
        tracing::info!(
            message.cache = topic.cache,
            message.topic = topic.topic,
            "subscribing to a topic of a new route"
        );
        let (mut reader, queue) = self.reader(topic.clone(), index, None);
        let cursors = self.shared.cursors.clone();
        let from = self.shared.from.get(&topic).copied();
        let reading = async move {
            let saved = saved(&cursors, &reader.topic, &reader.opening).await;
            reader.begin_at(saved.or(from));
            reader.run(None).await;
        };
        self.spawn(topic, index, queue, reading);
    }

    fn spawn(
        &mut self,
        topic: TopicName,
        index: usize,
        queue: mpsc::Receiver<Entry>,
        reading: impl Future<Output = ()> + Send + 'static,
    ) {
        let courier = Courier {
            topic: topic.clone(),
            destination: self.shared.destination.clone(),
            turns: self.shared.turns.clone(),
            cursors: self.shared.cursors.clone(),
            gaps: self.shared.gaps.clone(),
            status: self.shared.status.clone(),
            stop: self.shared.stop.clone(),
        };
        let name = topic.clone();
        self.couriers.spawn(async move {
            courier.run(queue).await;
            name
        });
        let task = self.readers.spawn(reading);
        let reader = RunningReader { index, task };
        self.running.insert(topic, Some(reader));
    }
}

/// The saved cursor of a topic, read until the store answers.
async fn saved(cursors: &Cursors, topic: &TopicName, opening: &Semaphore) -> Option<Cursor> {
    let mut waits = Backoff::new(FIRST_WAIT, LONGEST_WAIT);
    let mut failures = 0u64;
    loop {
        let turn = opening.acquire().await;
        let load = timeout(LOAD_WITHIN, cursors.load(slice::from_ref(topic))).await;
        drop(turn);
        let fault = match load.unwrap_or_else(|_| Err(Fault::timed_out())) {
            Ok(mut loaded) => return loaded.remove(topic),
            Err(fault) => fault,
        };
        failures += 1;
        let pause = waits.pause();
        // Logs failures 1, 2, 4, 8 and so on.
        if failures.is_power_of_two() {
            tracing::warn!(
                message.cache = topic.cache,
                message.topic = topic.topic,
                error.code = fault.code,
                error.text = fault.text,
                failures,
                retry_in_ms = pause.as_millis() as u64,
                "the cursor of a topic cannot be read, so the topic waits"
            );
        }
        sleep(pause).await;
    }
}

#[cfg(test)]
mod tests;
