//! The signing secrets: fetched once, cached, and fetched again when a signature matches none of them.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use serde::Deserialize;
use tokio::sync::{Mutex, Semaphore};
use tokio::time::{Instant, sleep_until, timeout_at};

use crate::domain::fault::Fault;
use crate::domain::inbound::signature::SigningSecret;
use crate::domain::ports::{Secrets, Stage};
use crate::domain::retry::{RetryPolicy, retry};

/// Fetches after failed signatures: burst, and interval of further ones. Enough for a rotation amid forged requests, too few
/// to strain Secrets Manager (10,000 calls a second).
const BURST: u32 = 3;
const REFILL_EVERY: Duration = Duration::from_millis(500);

/// Requests that may wait for a fetch at once. Forged ones must not occupy a whole server.
const WAITING: usize = 16;

/// Time limit for fetching a secret's previous version.
const PREVIOUS_WITHIN: Duration = Duration::from_secs(1);

/// The current and the previous secrets of one Secrets Manager secret.
pub struct SecretCache {
    store: Arc<dyn Secrets>,
    kept: RwLock<Option<Arc<[SigningSecret]>>>,
    /// Locked during a fetch.
    bucket: Mutex<Bucket>,
    waiting: Semaphore,
    /// Fetches after failed signatures, not counted yet.
    uncounted: AtomicU32,
}

/// The token bucket of fetches after failed signatures.
struct Bucket {
    tokens: u32,
    refilled_at: Instant,
    /// When the last fetch of both versions began.
    fetched_at: Option<Instant>,
}

impl Bucket {
    /// Takes a token, or returns the time of the next one.
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
            bucket: Mutex::new(Bucket {
                tokens: BURST,
                refilled_at: Instant::now(),
                fetched_at: None,
            }),
            waiting: Semaphore::new(WAITING),
            uncounted: AtomicU32::default(),
        }
    }

    /// Number of fetches after failed signatures since the last call.
    pub fn take_rereads(&self) -> u32 {
        self.uncounted.swap(0, Ordering::Relaxed)
    }

    /// Whether secrets are cached, so that [`SecretCache::get`] fetches none.
    pub fn is_filled(&self) -> bool {
        self.kept().is_some()
    }

    /// The cached secrets, without a wait, or else those fetched now.
    ///
    /// The first fetch reads the current version only. [`SecretCache::newer_than`] reads the previous one when a signature
    /// first matches none, which is rare. So a start waits for one call on one connection.
    ///
    /// # Errors
    ///
    /// When none are cached, and the store returns none before `deadline`.
    pub async fn get(&self, deadline: Instant) -> Result<Arc<[SigningSecret]>, Fault> {
        if let Some(kept) = self.kept() {
            return Ok(kept);
        }
        let fetching = timeout_at(deadline, self.bucket.lock()).await;
        let _fetching = fetching.map_err(|_| Fault::timed_out())?;
        // A concurrent fetch may have ended meanwhile.
        if let Some(kept) = self.kept() {
            return Ok(kept);
        }
        let current = self.current(deadline).await?;
        Ok(self.keep(current))
    }

    /// Newer secrets than `old`, after a signature that matches none of those; `None` if nothing changed, or too many
    /// requests wait.
    ///
    /// A token bucket bounds the fetches. Without a token, the call waits for the next one, so that forged requests do not
    /// hide a rotation. A fetch begun after this call serves it, too.
    ///
    /// # Errors
    ///
    /// When the fetch fails: the signature's validity is then unknown.
    pub async fn newer_than(
        &self,
        old: &Arc<[SigningSecret]>,
        deadline: Instant,
    ) -> Result<Option<Arc<[SigningSecret]>>, Fault> {
        let began = Instant::now();
        let Ok(_place) = self.waiting.try_acquire() else {
            return Ok(None);
        };
        let Ok(mut bucket) = timeout_at(deadline, self.bucket.lock()).await else {
            return Ok(None);
        };
        if let Some(kept) = self.kept().filter(|kept| kept != old) {
            return Ok(Some(kept));
        }
        if bucket.fetched_at.is_some_and(|at| at > began) {
            return Ok(None);
        }
        while let Err(next) = bucket.take(Instant::now()) {
            if next >= deadline {
                return Ok(None);
            }
            sleep_until(next).await;
        }
        self.uncounted.fetch_add(1, Ordering::Relaxed);
        let fetched_at = Instant::now();
        let (secrets, is_whole) = self.fetch(deadline).await?;
        if is_whole {
            bucket.fetched_at = Some(fetched_at);
        }
        Ok(Some(secrets).filter(|secrets| secrets != old))
    }

    fn kept(&self) -> Option<Arc<[SigningSecret]>> {
        let kept = self.kept.read();
        kept.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Fetches both versions and caches them. Returns whether the previous one, if it exists, is among them.
    async fn fetch(&self, deadline: Instant) -> Result<(Arc<[SigningSecret]>, bool), Fault> {
        // Read in this order, a rotation under way cannot hide the secret that becomes the previous one.
        let mut secrets = self.current(deadline).await?;
        // The previous version may be missing, and must not cost the answer.
        let soon = deadline.min(Instant::now() + PREVIOUS_WITHIN);
        let fetch = || self.store.fetch(Stage::Previous);
        let (previous, _) = retry(RetryPolicy::until(soon), fetch).await;
        let mut is_whole = true;
        match previous.map(|text| text.as_deref().map(parse)) {
            Ok(Some(Ok(older))) => secrets.extend(older),
            Ok(None) => {}
            Ok(Some(Err(fault))) | Err(fault) => {
                is_whole = false;
                // An older secret that may have ended is better than refusing its signatures.
                let kept = self.kept().unwrap_or_default();
                let older = kept.iter().filter(|secret| !secrets.contains(secret));
                let older: Vec<_> = older.cloned().collect();
                secrets.extend(older);
                tracing::warn!(
                    error.code = fault.code,
                    error.text = fault.text,
                    "the previous signing secret could not be read; the known ones stay in use"
                );
            }
        }
        Ok((self.keep(secrets), is_whole))
    }

    async fn current(&self, deadline: Instant) -> Result<Vec<SigningSecret>, Fault> {
        let fetch = || self.store.fetch(Stage::Current);
        let (current, _) = retry(RetryPolicy::until(deadline), fetch).await;
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
pub(crate) fn parse(text: &str) -> Result<Vec<SigningSecret>, Fault> {
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
