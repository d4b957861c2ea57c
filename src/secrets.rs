//! The signing secrets: fetched once, kept, and asked for again when a signature fits none of them.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use serde::Deserialize;
use tokio::sync::{Mutex, Semaphore};
use tokio::time::{Instant, sleep_until, timeout_at};

use crate::ports::{Fault, Secrets, Stage};
use crate::retry::{Patience, retry};
use crate::signature::SigningSecret;

/// Fetches that failed signatures may cause at once, and the time after which one more is allowed: enough for a rotation amid
/// forged requests, too few to strain Secrets Manager (10,000 calls a second).
const BURST: u32 = 3;
const REFILL_EVERY: Duration = Duration::from_millis(500);

/// Requests that may wait for a fetch at once. Forged ones must not take all the places of a server.
const WAITING: usize = 16;

/// How long the previous version of a secret is waited for.
const PREVIOUS_WITHIN: Duration = Duration::from_secs(1);

/// The current and the previous secrets of one Secrets Manager secret.
pub struct SecretCache {
    store: Arc<dyn Secrets>,
    kept: RwLock<Option<Arc<[SigningSecret]>>>,
    /// Locked while a fetch is under way.
    looks: Mutex<Looks>,
    waiting: Semaphore,
    /// Fetches that failed signatures caused and that were not counted yet.
    uncounted: AtomicU32,
}

/// The token bucket of the fetches that failed signatures cause.
struct Looks {
    tokens: u32,
    refilled_at: Instant,
    /// When the last fetch began that read both versions.
    looked_at: Option<Instant>,
}

impl Looks {
    /// Takes a token; without one, returns when there is the next.
    fn take(&mut self, now: Instant) -> Result<(), Instant> {
        let refills = now.duration_since(self.refilled_at).as_millis() / REFILL_EVERY.as_millis();
        let refills = u32::try_from(refills).unwrap_or(BURST);
        if self.tokens.saturating_add(refills) >= BURST {
            (self.tokens, self.refilled_at) = (BURST, now);
        } else {
            self.tokens += refills;
            self.refilled_at += REFILL_EVERY * refills;
        }
        match self.tokens.checked_sub(1) {
            Some(left) => {
                self.tokens = left;
                Ok(())
            }
            None => Err(self.refilled_at + REFILL_EVERY),
        }
    }
}

impl SecretCache {
    pub fn new(store: Arc<dyn Secrets>) -> Self {
        Self {
            store,
            kept: RwLock::default(),
            looks: Mutex::new(Looks {
                tokens: BURST,
                refilled_at: Instant::now(),
                looked_at: None,
            }),
            waiting: Semaphore::new(WAITING),
            uncounted: AtomicU32::default(),
        }
    }

    /// How many fetches failed signatures caused since this was asked last.
    pub fn take_looks(&self) -> u32 {
        self.uncounted.swap(0, Ordering::Relaxed)
    }

    /// Whether there are secrets, so that [`SecretCache::get`] fetches none.
    pub fn is_filled(&self) -> bool {
        self.kept().is_some()
    }

    /// The secrets, fetched now if none are kept. Whoever finds some waits for no fetch.
    ///
    /// The first fetch is that of the current version alone: the previous one is read when a signature first fits none, which
    /// is seldom, and then within [`SecretCache::newer_than`]. So a start waits for one call on one connection.
    ///
    /// # Errors
    ///
    /// When there are none and the store gives none before `deadline`.
    pub async fn get(&self, deadline: Instant) -> Result<Arc<[SigningSecret]>, Fault> {
        if let Some(kept) = self.kept() {
            return Ok(kept);
        }
        let fetching = timeout_at(deadline, self.looks.lock()).await;
        let _fetching = fetching.map_err(|_| Fault::timed_out())?;
        // Somebody else's fetch may have ended meanwhile.
        if let Some(kept) = self.kept() {
            return Ok(kept);
        }
        let current = self.current(deadline).await?;
        Ok(self.keep(current))
    }

    /// Newer secrets than `old`, after a signature that fits none of those; `None` when nothing has changed, when the store does
    /// not answer in time, or when too many others wait.
    ///
    /// A fetch is bounded by a token bucket; without a token, the next one is waited for, so that forged requests do not hide
    /// a rotation. A fetch that began after this call serves it, too.
    pub async fn newer_than(
        &self,
        old: &Arc<[SigningSecret]>,
        deadline: Instant,
    ) -> Option<Arc<[SigningSecret]>> {
        let began = Instant::now();
        let _place = self.waiting.try_acquire().ok()?;
        let mut looks = timeout_at(deadline, self.looks.lock()).await.ok()?;
        if let Some(kept) = self.kept().filter(|kept| kept != old) {
            return Some(kept);
        }
        if looks.looked_at.is_some_and(|at| at > began) {
            return None;
        }
        while let Err(next) = looks.take(Instant::now()) {
            if next >= deadline {
                return None;
            }
            sleep_until(next).await;
        }
        self.uncounted.fetch_add(1, Ordering::Relaxed);
        let looked_at = Instant::now();
        match self.fetch(deadline).await {
            Ok((secrets, is_whole)) => {
                if is_whole {
                    looks.looked_at = Some(looked_at);
                }
                Some(secrets).filter(|secrets| secrets != old)
            }
            Err(fault) => {
                tracing::warn!(
                    error.code = fault.code,
                    error.text = fault.text,
                    "kept the signing secrets: no newer ones could be fetched"
                );
                None
            }
        }
    }

    fn kept(&self) -> Option<Arc<[SigningSecret]>> {
        let kept = self.kept.read();
        kept.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Fetches both versions and keeps them. Tells whether the previous one, if there is one, is among them.
    async fn fetch(&self, deadline: Instant) -> Result<(Arc<[SigningSecret]>, bool), Fault> {
        // A rotation may be under way: read in this order, the secret that it makes the previous one is not missed.
        let mut secrets = self.current(deadline).await?;
        // The previous version may well be missing, so it must not cost the answer.
        let soon = deadline.min(Instant::now() + PREVIOUS_WITHIN);
        let fetch = || self.store.fetch(Stage::Previous);
        let (previous, _) = retry(Patience::until(soon), fetch).await;
        let mut is_whole = true;
        match previous.map(|text| text.as_deref().map(parse)) {
            Ok(Some(Ok(older))) => secrets.extend(older),
            Ok(None) => {}
            Ok(Some(Err(fault))) | Err(fault) => {
                is_whole = false;
                // Better an older one that may have ended than refusing what it signed.
                let kept = self.kept().unwrap_or_default();
                let older = kept.iter().filter(|secret| !secrets.contains(secret));
                let older: Vec<_> = older.cloned().collect();
                secrets.extend(older);
                tracing::warn!(
                    error.code = fault.code,
                    error.text = fault.text,
                    "the previous signing secret could not be read; those known before go on"
                );
            }
        }
        Ok((self.keep(secrets), is_whole))
    }

    async fn current(&self, deadline: Instant) -> Result<Vec<SigningSecret>, Fault> {
        let fetch = || self.store.fetch(Stage::Current);
        let (current, _) = retry(Patience::until(deadline), fetch).await;
        let missing = || {
            Fault::later(
                "NoSecretValue",
                "expected a secret with a current version, found none; put one",
            )
        };
        parse(&current?.ok_or_else(missing)?)
    }

    fn keep(&self, secrets: Vec<SigningSecret>) -> Arc<[SigningSecret]> {
        let secrets: Arc<[SigningSecret]> = secrets.into();
        let kept = self.kept.write();
        *kept.unwrap_or_else(PoisonError::into_inner) = Some(secrets.clone());
        secrets
    }
}

/// Reads a secret: a plain string, a JSON list of strings, or `{"momentoSecret": "…"}`.
fn parse(text: &str) -> Result<Vec<SigningSecret>, Fault> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Shape {
        List(Vec<String>),
        Named {
            #[serde(rename = "momentoSecret")]
            secret: String,
        },
    }
    let text = text.trim_end_matches(['\r', '\n']);
    let list = match serde_json::from_str(text) {
        Ok(Shape::List(list)) => list,
        Ok(Shape::Named { secret }) => vec![secret],
        Err(_) if text.starts_with(['{', '[']) => Vec::new(),
        Err(_) => vec![text.to_owned()],
    };
    let count = list.len();
    let secrets: Vec<SigningSecret> = list.into_iter().filter_map(SigningSecret::new).collect();
    if secrets.is_empty() || secrets.len() < count {
        return Err(Fault::later(
            "BadSecret",
            "expected the signing secret as a plain string, a JSON list of strings or {\"momentoSecret\": \"…\"}, none of them empty, found something else",
        ));
    }
    Ok(secrets)
}

#[cfg(test)]
mod tests;
