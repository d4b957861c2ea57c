//! The signing secrets: fetched once, kept, and asked for again when a signature fits none of them.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use serde::Deserialize;
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout_at};

use crate::ports::{Fault, Secrets, Stage};
use crate::retry::{Patience, retry};
use crate::signature::SigningSecret;

/// The least time between two fetches that failed signatures cause, so that forged requests cannot make the bridge
/// hammer Secrets Manager.
const REFRESH_EVERY: Duration = Duration::from_secs(30);

/// The wait after such a fetch that failed: it brought nothing, and a rotation may be why the signature failed.
const FAILED_REFRESH_EVERY: Duration = Duration::from_secs(1);

/// How long the previous version of a secret is waited for.
const PREVIOUS_WITHIN: Duration = Duration::from_secs(1);

/// The current and the previous secrets of one Secrets Manager secret.
pub struct SecretCache {
    store: Arc<dyn Secrets>,
    kept: RwLock<Option<Arc<[SigningSecret]>>>,
    /// Before this, no failed signature causes a fetch; locked while a fetch is under way.
    ///
    /// The first fetch, which no failed signature caused, does not set it: a secret may well be rotated soon after a cold
    /// start.
    refresh_from: Mutex<Option<Instant>>,
}

impl SecretCache {
    pub fn new(store: Arc<dyn Secrets>) -> Self {
        Self {
            store,
            kept: RwLock::default(),
            refresh_from: Mutex::default(),
        }
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
        let fetching = timeout_at(deadline, self.refresh_from.lock()).await;
        let _fetching = fetching.map_err(|_| Fault::timed_out())?;
        // Somebody else's fetch may have ended meanwhile.
        if let Some(kept) = self.kept() {
            return Ok(kept);
        }
        let current = self.current(deadline).await?;
        Ok(self.keep(current))
    }

    /// Newer secrets than `old`, after a signature that fits none of those; `None` when it is too early to ask again,
    /// when the store does not answer, or when nothing has changed.
    pub async fn newer_than(
        &self,
        old: &Arc<[SigningSecret]>,
        deadline: Instant,
    ) -> Option<Arc<[SigningSecret]>> {
        let locked = timeout_at(deadline, self.refresh_from.lock()).await;
        let mut refresh_from = locked.ok()?;
        if let Some(kept) = self.kept().filter(|kept| kept != old) {
            return Some(kept);
        }
        let began = Instant::now();
        if refresh_from.is_some_and(|from| began < from) {
            return None;
        }
        // Holds for a caller, too, who gives up waiting.
        *refresh_from = Some(began + FAILED_REFRESH_EVERY);
        match self.fetch(deadline).await {
            Ok((secrets, is_whole)) => {
                if is_whole {
                    *refresh_from = Some(began + REFRESH_EVERY);
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
