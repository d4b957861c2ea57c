//! What the gRPC and HTTP faces serve: keys, caches, topics and items, and the refusals both of them translate.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use tokio::sync::broadcast;

use super::broker::{Broker, BrokerError, Message, Position, Subscriber, Value};
use super::caches::{Caches, MAX_CACHES};
use super::items::Items;
use super::webhooks::Webhooks;
use super::{MAX_NAME_BYTES, MAX_VALUE_BYTES, TopicsEvent};

/// Why a request is refused. The faces turn it into their statuses.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("expected a valid API key, without `Bearer`, found none or another")]
    Unauthorized,
    #[error("Cache Not Found: expected the name of an existing cache, found `{0}`")]
    CacheNotFound(String),
    #[error("expected the name of a new cache, found the existing cache `{0}`")]
    CacheExists(String),
    #[error("expected at most {MAX_CACHES} caches; delete one first")]
    TooManyCaches,
    #[error("expected a {0} name of 1 to {MAX_NAME_BYTES} bytes; use another name")]
    BadName(&'static str),
    #[error("expected a value, text or binary, found none")]
    NoValue,
    #[error("expected a value of at most {MAX_VALUE_BYTES} bytes, found {0} or more; publish less")]
    TooLarge(usize),
    #[error("expected an item of at most {most} bytes, found {found} or more; store less")]
    ItemTooLarge { found: usize, most: usize },
    #[error("expected a time to live from 1 ms to 24 hours, found {0} ms")]
    BadTtl(u64),
    #[error(transparent)]
    Broker(#[from] BrokerError),
}

pub(super) struct Service {
    pub keys: RwLock<BTreeMap<String, Option<String>>>,
    /// A gRPC call without a key is accepted: the server listens on loopback.
    pub keyless: bool,
    pub caches: Caches,
    pub heartbeat_interval: Duration,
    pub poll_wait: Duration,
    pub broker: Arc<Broker>,
    pub items: Items,
    pub webhooks: Webhooks,
    pub events: broadcast::Sender<TopicsEvent>,
}

/// The token id of a publisher that showed a valid key.
pub(super) struct Publisher(pub Option<String>);

impl Service {
    pub fn authorize(&self, key: Option<&str>) -> Result<Publisher, Refusal> {
        let keys = self.keys.read().unwrap_or_else(PoisonError::into_inner);
        let token_id = key.and_then(|key| keys.get(key));
        let token_id = token_id.ok_or(Refusal::Unauthorized)?;
        Ok(Publisher(token_id.clone()))
    }

    /// As [`Self::authorize`]; the local mode of Momento's SDKs sends an empty key, or none.
    pub fn authorize_sdk(&self, key: Option<&str>) -> Result<Publisher, Refusal> {
        match key {
            None | Some("") if self.keyless => Ok(Publisher(None)),
            key => self.authorize(key),
        }
    }

    fn check_names(&self, cache: &str, topic: &str) -> Result<(), Refusal> {
        check_name("cache", cache.len())?;
        check_name("topic", topic.len())?;
        self.caches.check(cache)
    }

    pub fn publish(
        &self,
        cache: &str,
        topic: &str,
        value: Value,
        publisher: Publisher,
    ) -> Result<(), Refusal> {
        self.check_names(cache, topic)?;
        if value.bytes() > MAX_VALUE_BYTES {
            return Err(Refusal::TooLarge(value.bytes()));
        }
        let published = |message: &Arc<Message>| {
            // Without a listener, sending fails.
            let _ = self.events.send(TopicsEvent::Published(message.clone()));
            self.webhooks.deliver(message);
        };
        Ok(self
            .broker
            .publish(cache, topic, value, publisher.0, published)?)
    }

    pub fn subscribe(
        &self,
        cache: &str,
        topic: &str,
        position: Position,
    ) -> Result<Subscriber, Refusal> {
        self.check_names(cache, topic)?;
        Ok(self.broker.subscribe(cache, topic, position)?)
    }

    /// Why a subscription ended: its cache was deleted, or the server shuts down.
    pub fn ended(&self, cache: &str) -> Refusal {
        let closed = Refusal::Broker(BrokerError::Closed);
        self.caches.check(cache).err().unwrap_or(closed)
    }

    pub fn create_cache(&self, cache: &str) -> Result<(), Refusal> {
        check_name("cache", cache.len())?;
        self.caches.create(cache)
    }

    /// Deletes a cache with its topics and items; its subscriptions end.
    pub fn delete_cache(&self, cache: &str) -> Result<(), Refusal> {
        check_name("cache", cache.len())?;
        self.caches.delete(cache)?;
        self.broker.delete_cache(cache);
        self.items.delete_cache(cache);
        Ok(())
    }
}

pub(super) fn check_name(what: &'static str, bytes: usize) -> Result<(), Refusal> {
    match bytes {
        1..=MAX_NAME_BYTES => Ok(()),
        _ => Err(Refusal::BadName(what)),
    }
}
