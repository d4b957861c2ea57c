//! The existing caches.

use std::collections::BTreeSet;
use std::sync::{PoisonError, RwLock, RwLockReadGuard};

use super::MAX_CACHES;
use super::refusal::Refusal;

/// The names of the caches; `None` makes every name a cache.
pub(super) struct Caches(Option<RwLock<BTreeSet<String>>>);

impl Caches {
    pub fn new(names: Option<BTreeSet<String>>) -> Self {
        Self(names.map(RwLock::new))
    }

    pub fn check(&self, cache: &str) -> Result<(), Refusal> {
        match &self.0 {
            Some(names) if !read(names).contains(cache) => {
                Err(Refusal::CacheNotFound(cache.to_owned()))
            }
            _ => Ok(()),
        }
    }

    pub fn create(&self, cache: &str) -> Result<(), Refusal> {
        let Some(names) = &self.0 else {
            return Err(Refusal::CacheExists(cache.to_owned()));
        };
        let mut names = names.write().unwrap_or_else(PoisonError::into_inner);
        if names.contains(cache) {
            return Err(Refusal::CacheExists(cache.to_owned()));
        }
        if names.len() >= MAX_CACHES {
            return Err(Refusal::TooManyCaches);
        }
        names.insert(cache.to_owned());
        Ok(())
    }

    pub fn delete(&self, cache: &str) -> Result<(), Refusal> {
        let Some(names) = &self.0 else {
            return Ok(());
        };
        let mut names = names.write().unwrap_or_else(PoisonError::into_inner);
        match names.remove(cache) {
            true => Ok(()),
            false => Err(Refusal::CacheNotFound(cache.to_owned())),
        }
    }

    /// In alphabetical order; empty if every name is a cache.
    pub fn list(&self) -> Vec<String> {
        let names = self.0.iter();
        names.flat_map(|names| read(names).clone()).collect()
    }
}

fn read(names: &RwLock<BTreeSet<String>>) -> RwLockReadGuard<'_, BTreeSet<String>> {
    names.read().unwrap_or_else(PoisonError::into_inner)
}
