//! Items of caches: as much of Momento Cache as a claim of a large result needs, which is to set and to get.
//!
//! Where the documents say nothing: a time to live of more than 24 hours is refused.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::routing::{get, post};
use tokio::time::Instant;

use super::limits::Limits;
use super::service::{Refusal, Service, check_name};
use crate::claims::MAX_ITEM_TTL;

mod grpc;
mod http;

/// The items of all caches, in memory.
pub(super) struct Items {
    item_bytes: usize,
    items_bytes: usize,
    kept: Mutex<HashMap<Name, Item>>,
}

#[derive(Clone, PartialEq, Eq, Hash)]
struct Name {
    cache: String,
    key: Vec<u8>,
}

struct Item {
    value: Bytes,
    ends_at: Instant,
}

pub(super) fn router(service: Arc<Service>) -> Router {
    Router::new()
        .route("/cache/{cache}", get(http::get).put(http::put))
        .with_state(service)
}

pub(super) fn grpc_router(service: Arc<Service>) -> Router {
    Router::new()
        .route("/cache_client.Scs/{method}", post(grpc::call))
        .with_state(service)
}

impl Items {
    pub(super) fn new(limits: &Limits) -> Self {
        Self {
            item_bytes: limits.item_bytes,
            items_bytes: limits.items_bytes,
            kept: Mutex::default(),
        }
    }

    fn set(&self, name: Name, value: Bytes, ttl: Duration) {
        let mut kept = self.kept();
        let now = Instant::now();
        kept.retain(|_, item| item.ends_at > now);
        let ends_at = now + ttl;
        kept.insert(name, Item { value, ends_at });
        let mut bytes: usize = kept.values().map(|item| item.value.len()).sum();
        while bytes > self.items_bytes {
            let soonest = kept.iter().min_by_key(|(_, item)| item.ends_at);
            let Some(name) = soonest.map(|(name, _)| name.clone()) else {
                return;
            };
            bytes -= kept.remove(&name).map_or(0, |item| item.value.len());
        }
    }

    fn get(&self, name: &Name) -> Option<Bytes> {
        let kept = self.kept();
        let item = kept.get(name)?;
        (item.ends_at > Instant::now()).then(|| item.value.clone())
    }

    /// Removes the items of a cache.
    pub(super) fn delete_cache(&self, cache: &str) {
        self.kept().retain(|name, _| name.cache != cache);
    }

    fn kept(&self) -> MutexGuard<'_, HashMap<Name, Item>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Service {
    fn set_item(
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
        let (found, most) = (value.len(), self.items.item_bytes);
        if found > most {
            return Err(Refusal::ItemTooLarge { found, most });
        }
        self.items.set(name, value, ttl);
        Ok(())
    }

    fn get_item(&self, cache: &str, key: Vec<u8>) -> Result<Option<Bytes>, Refusal> {
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

#[cfg(test)]
mod tests {
    use super::*;

    fn name(key: &str) -> Name {
        Name {
            cache: "c".into(),
            key: key.into(),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_item_lives_as_long_as_it_was_told() {
        let items = Items::new(&Limits::default());
        let second = Duration::from_secs(1);
        items.set(name("a"), "one".into(), second);
        tokio::time::advance(second - Duration::from_millis(1)).await;
        assert_eq!(items.get(&name("a")).unwrap(), "one");
        // Storing it again begins a new life.
        items.set(name("a"), "two".into(), second);
        tokio::time::advance(Duration::from_millis(1)).await;
        assert_eq!(items.get(&name("a")).unwrap(), "two");
        tokio::time::advance(second).await;
        assert_eq!(items.get(&name("a")), None);
        items.set(name("b"), "three".into(), second);
        assert_eq!(items.kept().len(), 1, "what ended takes no space");
    }

    #[tokio::test(start_paused = true)]
    async fn what_ends_soonest_makes_room() {
        let items = Items::new(&Limits {
            items_bytes: 10,
            ..Limits::default()
        });
        items.set(name("long"), "12345".into(), Duration::from_secs(9));
        items.set(name("short"), "12345".into(), Duration::from_secs(1));
        items.set(name("new"), "1".into(), Duration::from_secs(5));
        assert_eq!(items.get(&name("short")), None);
        assert!(items.get(&name("long")).is_some() && items.get(&name("new")).is_some());
    }
}
