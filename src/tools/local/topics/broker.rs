//! Topics: ordered messages, a bounded history of them, and readers at positions of their own.
//!
//! A [`Subscriber`] holds no queue, only a position (page and sequence number) in the topic's history, so every subscriber
//! sees the same order and a slow one costs nothing: when its position has left the history it gets a [`Discontinuity`], as
//! it does when the topic starts a new page. Nothing here depends on HTTP, gRPC or accounts.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Serialize, Serializer};
use tokio::sync::{Semaphore, watch};

use super::limits::Limits;
use crate::clock;

mod subscriber;

use subscriber::Place;
pub use subscriber::Subscriber;

/// The first sequence number of a page.
const FIRST: u64 = 1;

/// Asks for the whole history.
const FROM_THE_FIRST: Position = Position {
    sequence: FIRST,
    page: 0,
};

/// A published value. As JSON: `{"text":"…"}`, or `{"binary":"<base64>"}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Value {
    Text(String),
    Binary(#[serde(serialize_with = "base64_text")] Vec<u8>),
}

impl Value {
    /// Size in bytes, the measure of Momento's limit.
    pub fn bytes(&self) -> usize {
        match self {
            Self::Text(text) => text.len(),
            Self::Binary(bytes) => bytes.len(),
        }
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

fn base64_text<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&STANDARD.encode(bytes))
}

/// A published message with its place in the topic.
#[derive(Debug, PartialEq, Eq)]
pub struct Message {
    pub cache: String,
    pub topic: String,
    /// One more than the message before it on the same page.
    pub sequence: u64,
    /// The page of the sequence number; never 0, and later pages are greater.
    pub page: u64,
    pub value: Value,
    /// The id in the publisher's token, if any.
    pub token_id: Option<String>,
    /// Time of publication, in milliseconds since the epoch.
    pub at_ms: u64,
}

/// A subscriber missed messages, or the topic started a new page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Discontinuity {
    /// The last sequence number before the gap; 0 for none.
    pub last: u64,
    /// The sequence number of the next message, 1 or more.
    pub next: u64,
    /// The page of the next message.
    pub page: u64,
}

/// An item for a subscriber.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Delivery {
    Message(Arc<Message>),
    Discontinuity(Discontinuity),
}

/// Where a subscription begins.
///
/// | sequence | page | begins with |
/// |---|---|---|
/// | 0 | 0 | the last [`Limits::replay`] messages, then the next ones published |
/// | 1 | 0 | the oldest message of the history, as the protocol describes it |
/// | n | 0 | message n of the current page |
/// | n | p | message n of page p |
///
/// Without message n, a [`Discontinuity`] comes first. Then the subscription begins as one without a position, unless page p
/// is over and the history has all of the current page: then all of it follows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Position {
    pub sequence: u64,
    pub page: u64,
}

/// Why the broker refuses a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BrokerError {
    #[error("expected fewer topics with subscribers at once; end some subscriptions")]
    TooManyTopics,
    #[error("expected fewer subscribers at once; end some subscriptions")]
    TooManySubscribers,
    #[error("the server is shutting down; try again when it is back")]
    Closed,
}

type Name = (String, String);

/// All topics.
pub struct Broker {
    limits: Limits,
    slots: Arc<Semaphore>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    topics: HashMap<Name, Topic>,
    /// The greatest page of a dropped topic: the topic gets a greater one when it is made anew.
    last_page: u64,
    /// Counts uses, to find the idlest topic.
    uses: u64,
    closed: bool,
}

struct Topic {
    page: u64,
    /// The sequence number of the next message.
    next: u64,
    history: VecDeque<Arc<Message>>,
    history_bytes: usize,
    changed: watch::Sender<()>,
    used: u64,
}

impl Broker {
    pub fn new(limits: Limits) -> Arc<Self> {
        Arc::new(Self {
            slots: Arc::new(Semaphore::new(limits.subscribers)),
            limits,
            state: Mutex::default(),
        })
    }

    /// Appends a message to its topic and wakes the subscribers. `published` sees every message in the order of the
    /// topic; it runs under the lock, so it must be quick.
    pub fn publish(
        &self,
        cache: &str,
        topic: &str,
        value: Value,
        token_id: Option<String>,
        published: impl FnOnce(&Arc<Message>),
    ) -> Result<Arc<Message>, BrokerError> {
        let mut state = self.lock();
        let entry = state.topic(&self.limits, cache, topic)?;
        let message = Arc::new(Message {
            cache: cache.to_owned(),
            topic: topic.to_owned(),
            sequence: entry.next,
            page: entry.page,
            value,
            token_id,
            at_ms: now_ms(),
        });
        entry.next += 1;
        entry.history_bytes += message.value.bytes();
        entry.history.push_back(message.clone());
        while entry.history.len() > self.limits.history
            || entry.history_bytes > self.limits.history_bytes
        {
            let Some(oldest) = entry.history.pop_front() else {
                break;
            };
            entry.history_bytes -= oldest.value.bytes();
        }
        entry.changed.send_replace(());
        published(&message);
        Ok(message)
    }

    /// Opens a subscription at `position`; dropping it ends it.
    pub fn subscribe(
        self: &Arc<Self>,
        cache: &str,
        topic: &str,
        position: Position,
    ) -> Result<Subscriber, BrokerError> {
        let slot = self.slots.clone().try_acquire_owned();
        let slot = slot.map_err(|_| BrokerError::TooManySubscribers)?;
        let mut state = self.lock();
        let entry = state.topic(&self.limits, cache, topic)?;
        Ok(Subscriber {
            broker: self.clone(),
            name: (cache.to_owned(), topic.to_owned()),
            place: entry.place(position, self.limits.replay),
            changed: entry.changed.subscribe(),
            _slot: slot,
        })
    }

    /// Open subscriptions, long polls included.
    pub fn subscribers(&self) -> usize {
        self.limits.subscribers - self.slots.available_permits()
    }

    /// Starts a new page, as Momento does when a topic was idle or moved: earlier messages are gone and the sequence
    /// numbers begin again. A missing topic is not made.
    pub fn reset(&self, cache: &str, topic: &str) {
        let mut state = self.lock();
        if let Some(entry) = state.topics.get_mut(&(cache.to_owned(), topic.to_owned())) {
            entry.page = new_page(entry.page);
            entry.next = FIRST;
            entry.history.clear();
            entry.history_bytes = 0;
            entry.changed.send_replace(());
        }
    }

    /// Drops the topics of a cache and ends their subscriptions.
    pub fn delete_cache(&self, cache: &str) {
        let mut state = self.lock();
        let State {
            topics, last_page, ..
        } = &mut *state;
        for (_, topic) in topics.extract_if(|(of, _), _| of == cache) {
            *last_page = topic.page.max(*last_page);
        }
    }

    /// Ends every subscription, and refuses further calls.
    pub fn close(&self) {
        let mut state = self.lock();
        state.closed = true;
        for topic in state.topics.values() {
            topic.changed.send_replace(());
        }
    }

    /// Takes a poisoned lock, too: a panic elsewhere leaves no half-made state.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Topic {
    /// The oldest sequence number of the history; the next one if it is empty.
    fn oldest(&self) -> u64 {
        self.next - self.history.len() as u64
    }

    /// Whether a reader can begin there: at a message of the history, or at the next one.
    fn has(&self, sequence: u64) -> bool {
        (self.oldest()..=self.next).contains(&sequence)
    }

    /// Where a subscription with this position begins.
    fn place(&self, position: Position, replay: u64) -> Place {
        let at = |sequence| Discontinuity {
            last: 0,
            next: sequence,
            page: self.page,
        };
        let latest = self.next.saturating_sub(replay).max(self.oldest());
        if position == Position::default() {
            return Place::new(at(latest), Some(at(self.next)), None);
        }
        let other_page = ![0, self.page].contains(&position.page);
        let wanted = position.sequence.max(FIRST);
        if !other_page && self.has(wanted) {
            let beginning = (position.page == 0).then(|| at(wanted));
            return Place::new(at(wanted), beginning, None);
        }
        let all = match other_page {
            true => self.oldest() == FIRST,
            false => position == FROM_THE_FIRST,
        };
        let begin = Discontinuity {
            last: wanted - 1,
            ..at(if all { self.oldest() } else { latest })
        };
        Place::new(begin, None, Some(begin))
    }
}

impl State {
    /// The topic, made on first use.
    fn topic(
        &mut self,
        limits: &Limits,
        cache: &str,
        topic: &str,
    ) -> Result<&mut Topic, BrokerError> {
        if self.closed {
            return Err(BrokerError::Closed);
        }
        let name = (cache.to_owned(), topic.to_owned());
        if !self.topics.contains_key(&name) && self.topics.len() >= limits.topics {
            self.forget_the_idlest()?;
        }
        self.uses += 1;
        let last_page = self.last_page;
        let topic = self.topics.entry(name).or_insert_with(|| Topic {
            page: new_page(last_page),
            next: FIRST,
            history: VecDeque::new(),
            history_bytes: 0,
            changed: watch::Sender::new(()),
            used: 0,
        });
        topic.used = self.uses;
        Ok(topic)
    }

    fn forget_the_idlest(&mut self) -> Result<(), BrokerError> {
        let idle = self.topics.iter();
        let idle = idle.filter(|(_, topic)| topic.changed.receiver_count() == 0);
        let (name, _) = idle
            .min_by_key(|(_, topic)| topic.used)
            .ok_or(BrokerError::TooManyTopics)?;
        let name = name.clone();
        if let Some(topic) = self.topics.remove(&name) {
            self.last_page = self.last_page.max(topic.page);
        }
        Ok(())
    }
}

/// Seconds since the epoch, or one more than `before` where that is greater: never 0, and another after a restart.
fn new_page(before: u64) -> u64 {
    (now_ms() / 1_000).max(before + 1)
}

/// Milliseconds since the epoch.
pub fn now_ms() -> u64 {
    clock::now_ms().unsigned_abs()
}

#[cfg(test)]
mod tests;
