//! The service behind the gRPC and HTTP interfaces: keys, caches, topics and items.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use axum::body::Bytes;
use tokio::sync::broadcast;

use super::broker::{Broker, BrokerError, Message, Position, Subscriber, Value};
use super::caches::Caches;
use super::items::{Items, Name};
use super::refusal::{Refusal, check_name};
use super::webhooks::Webhooks;
use super::{MAX_VALUE_BYTES, TopicsEvent};
use crate::domain::outbound::claims::MAX_ITEM_TTL;

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

/// The token id of a publisher with a valid key.
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
    ) -> Result<Arc<Message>, Refusal> {
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

    pub fn set_item(
        &self,
        cache: &str,
        key: Vec<u8>,
        value: Bytes,
        ttl_ms: u64,
    ) -> Result<(), Refusal> {
        let name = self.name(cache, key)?;
        let ttl = Duration::from_millis(ttl_ms);
        if ttl.is_zero() || ttl > MAX_ITEM_TTL {
            return Err(Refusal::BadTtl(ttl_ms));
        }
        self.items.set(name, value, ttl)
    }

    pub fn get_item(&self, cache: &str, key: Vec<u8>) -> Result<Option<Bytes>, Refusal> {
        Ok(self.items.get(&self.name(cache, key)?))
    }

    fn name(&self, cache: &str, key: Vec<u8>) -> Result<Name, Refusal> {
        check_name("cache", cache.len())?;
        check_name("key", key.len())?;
        self.caches.check(cache)?;
        Ok(Name {
            cache: cache.to_owned(),
            key,
        })
    }
}
