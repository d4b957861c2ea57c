//! Items of caches: the part of Momento Cache that claims need, set and get.
//!
//! Beyond the documents: a time to live of more than 24 hours is refused.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::body::Bytes;
use tokio::time::Instant;

use super::limits::Limits;
use super::refusal::Refusal;

/// The items of all caches, in memory.
pub(super) struct Items {
    pub item_bytes: usize,
    items_bytes: usize,
    kept: Mutex<HashMap<Name, Item>>,
}

#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) struct Name {
    pub cache: String,
    pub key: Vec<u8>,
}

struct Item {
    value: Bytes,
    ends_at: Instant,
}

impl Items {
    pub(super) fn new(limits: &Limits) -> Self {
        Self {
            item_bytes: limits.item_bytes,
            items_bytes: limits.items_bytes,
            kept: Mutex::default(),
        }
    }

    pub(super) fn set(&self, name: Name, value: Bytes, ttl: Duration) -> Result<(), Refusal> {
        let (found, most) = (value.len(), self.item_bytes);
        if found > most {
            return Err(Refusal::ItemTooLarge { found, most });
        }
        let mut kept = self.kept();
        let now = Instant::now();
        kept.retain(|_, item| item.ends_at > now);
        let ends_at = now + ttl;
        kept.insert(name, Item { value, ends_at });
        let mut bytes: usize = kept.values().map(|item| item.value.len()).sum();
        while bytes > self.items_bytes {
            let soonest = kept.iter().min_by_key(|(_, item)| item.ends_at);
            let Some(name) = soonest.map(|(name, _)| name.clone()) else {
                return Ok(());
            };
            bytes -= kept.remove(&name).map_or(0, |item| item.value.len());
        }
        Ok(())
    }

    pub(super) fn get(&self, name: &Name) -> Option<Bytes> {
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
    async fn an_item_lives_for_its_time_to_live() {
        let items = Items::new(&Limits::default());
        let second = Duration::from_secs(1);
        items.set(name("a"), "one".into(), second).unwrap();
        tokio::time::advance(second - Duration::from_millis(1)).await;
        assert_eq!(items.get(&name("a")).unwrap(), "one");
        // Storing it again restarts its time to live.
        items.set(name("a"), "two".into(), second).unwrap();
        tokio::time::advance(Duration::from_millis(1)).await;
        assert_eq!(items.get(&name("a")).unwrap(), "two");
        tokio::time::advance(second).await;
        assert_eq!(items.get(&name("a")), None);
        items.set(name("b"), "three".into(), second).unwrap();
        assert_eq!(items.kept().len(), 1, "an expired item takes no space");
    }

    #[tokio::test(start_paused = true)]
    async fn the_item_that_ends_soonest_makes_room() {
        let items = Items::new(&Limits {
            items_bytes: 10,
            ..Limits::default()
        });
        items
            .set(name("long"), "12345".into(), Duration::from_secs(9))
            .unwrap();
        items
            .set(name("short"), "12345".into(), Duration::from_secs(1))
            .unwrap();
        items
            .set(name("new"), "1".into(), Duration::from_secs(5))
            .unwrap();
        assert_eq!(items.get(&name("short")), None);
        assert!(items.get(&name("long")).is_some() && items.get(&name("new")).is_some());
    }
}
