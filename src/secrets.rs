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
        self.fetch(deadline).await
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
        let fetched = self.fetch(deadline).await;
        if fetched.is_ok() {
            *refresh_from = Some(began + REFRESH_EVERY);
        }
        match fetched {
            Ok(secrets) => Some(secrets).filter(|secrets| secrets != old),
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

    /// Fetches and keeps.
    async fn fetch(&self, deadline: Instant) -> Result<Arc<[SigningSecret]>, Fault> {
        // The previous version may well be missing, so it must not cost the answer.
        let soon = || deadline.min(Instant::now() + PREVIOUS_WITHIN);
        let fetch = |stage, until| retry(Patience::until(until), move || self.store.fetch(stage));
        let current = fetch(Stage::Current, deadline);
        let ((current, _), (previous, _)) = if self.kept().is_none() {
            futures_util::join!(current, fetch(Stage::Previous, soon()))
        } else {
            // A rotation may be under way: read in this order, the secret that it makes the previous one is not missed.
            (current.await, fetch(Stage::Previous, soon()).await)
        };
        let missing = || {
            Fault::later(
                "NoSecretValue",
                "expected a secret with a current version, found none; put one",
            )
        };
        let mut secrets = parse(&current?.ok_or_else(missing)?)?;
        match previous.map(|text| text.as_deref().map(parse)) {
            Ok(Some(Ok(older))) => secrets.extend(older),
            Ok(None) => {}
            Ok(Some(Err(fault))) | Err(fault) => {
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
        let secrets: Arc<[SigningSecret]> = secrets.into();
        let kept = self.kept.write();
        *kept.unwrap_or_else(PoisonError::into_inner) = Some(secrets.clone());
        Ok(secrets)
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
mod tests {
    use super::*;
    use crate::ports::{Answer, FaultKind};
    use std::sync::Mutex as StdMutex;

    /// A store that answers what it was last told, and counts.
    struct Store(StdMutex<Answers>);

    struct Answers {
        current: Result<Option<String>, Fault>,
        previous: Result<Option<String>, Fault>,
        calls: u32,
    }

    impl Store {
        fn new(current: &str, previous: Option<&str>) -> Arc<Self> {
            Arc::new(Self(StdMutex::new(Answers {
                current: Ok(Some(current.into())),
                previous: Ok(previous.map(Into::into)),
                calls: 0,
            })))
        }

        fn set(&self, current: Result<Option<String>, Fault>) {
            self.0.lock().unwrap().current = current;
        }

        fn calls(&self) -> u32 {
            self.0.lock().unwrap().calls
        }
    }

    impl Secrets for Store {
        fn fetch(&self, stage: Stage) -> Answer<'_, Option<String>> {
            let mut state = self.0.lock().unwrap();
            let answer = match stage {
                Stage::Current => {
                    state.calls += 1;
                    state.current.clone()
                }
                Stage::Previous => state.previous.clone(),
            };
            Box::pin(async { answer })
        }
    }

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(2)
    }

    fn list(secrets: &[&str]) -> Vec<SigningSecret> {
        secrets
            .iter()
            .filter_map(|s| SigningSecret::new(*s))
            .collect()
    }

    #[test]
    fn every_shape_of_a_secret_is_read() {
        assert_eq!(parse("plain\n").unwrap(), list(&["plain"]));
        assert_eq!(parse(r#"["a","b"]"#).unwrap(), list(&["a", "b"]));
        assert_eq!(
            parse(r#"{"momentoSecret":"m","other":1}"#).unwrap(),
            list(&["m"])
        );
        for wrong in [
            "",
            "[]",
            r#"["a",""]"#,
            "{}",
            r#"{"momentoSecret":1}"#,
            "{",
            "[1]",
        ] {
            let fault = parse(wrong).unwrap_err();
            assert_eq!(fault.code, "BadSecret", "{wrong}");
            assert_eq!(fault.kind, FaultKind::Later, "{wrong}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn secrets_are_fetched_once_with_the_previous_ones() {
        let store = Store::new("new", Some("old"));
        let cache = SecretCache::new(store.clone());
        for _ in 0..3 {
            assert_eq!(
                cache.get(soon()).await.unwrap().to_vec(),
                list(&["new", "old"])
            );
        }
        assert_eq!(store.calls(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_mismatch_refreshes_at_most_every_30_seconds() {
        let store = Store::new("one", None);
        let cache = SecretCache::new(store.clone());
        let old = cache.get(soon()).await.unwrap();
        store.set(Ok(Some("two".into())));
        // The first fetch, of a moment ago, counts for nothing.
        let new = cache.newer_than(&old, soon()).await.unwrap();
        assert_eq!(new.to_vec(), list(&["two"]));
        store.set(Ok(Some("three".into())));
        assert!(cache.newer_than(&new, soon()).await.is_none(), "too early");
        // Another request that still held the old ones needs no fetch.
        assert!(cache.newer_than(&old, soon()).await.is_some());
        assert_eq!(store.calls(), 2);
        tokio::time::advance(REFRESH_EVERY).await;
        let newest = cache.newer_than(&new, soon()).await.unwrap();
        assert_eq!(newest.to_vec(), list(&["three"]));
        assert_eq!(store.calls(), 3);
    }

    #[tokio::test(start_paused = true)]
    async fn a_previous_secret_that_cannot_be_read_is_not_forgotten() {
        let store = Store::new("one", None);
        let cache = SecretCache::new(store.clone());
        let old = cache.get(soon()).await.unwrap();
        store.set(Ok(Some("two".into())));
        store.0.lock().unwrap().previous = Err(Fault::transient("Throttling", "slow down"));
        let both = cache.newer_than(&old, soon()).await.unwrap();
        assert_eq!(both.to_vec(), list(&["two", "one"]));
    }

    /// A store whose secret is rotated while it is read.
    struct Rotating(StdMutex<Vec<&'static str>>);

    impl Secrets for Rotating {
        fn fetch(&self, stage: Stage) -> Answer<'_, Option<String>> {
            // The newest last.
            let mut versions = self.0.lock().unwrap();
            let place = versions.len() - usize::from(stage == Stage::Previous);
            let found = versions[place - 1].to_owned();
            if stage == Stage::Current && versions.len() == 3 {
                versions.push("newest");
            }
            Box::pin(async { Ok(Some(found)) })
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_secret_rotated_while_it_is_read_again_is_not_missed() {
        let store = Arc::new(Rotating(StdMutex::new(vec!["older", "old"])));
        let cache = SecretCache::new(store.clone());
        let kept = cache.get(soon()).await.unwrap();
        assert_eq!(kept.to_vec(), list(&["old", "older"]));
        store.0.lock().unwrap().push("new");
        let newer = cache.newer_than(&kept, soon()).await.unwrap();
        // By now `newest` is current and `new` is previous.
        assert!(newer.contains(&list(&["new"])[0]), "{}", newer.len());
        assert!(!newer.contains(&list(&["old"])[0]));
    }

    #[tokio::test(start_paused = true)]
    async fn a_refresh_that_failed_is_repeated_soon() {
        let store = Store::new("one", None);
        let cache = SecretCache::new(store.clone());
        let old = cache.get(soon()).await.unwrap();
        store.set(Err(Fault::permanent("AccessDeniedException", "no")));
        assert!(cache.newer_than(&old, soon()).await.is_none());
        store.set(Ok(Some("two".into())));
        assert!(cache.newer_than(&old, soon()).await.is_none(), "too early");
        assert_eq!(store.calls(), 2);
        tokio::time::advance(FAILED_REFRESH_EVERY).await;
        let new = cache.newer_than(&old, soon()).await.unwrap();
        assert_eq!(new.to_vec(), list(&["two"]));
    }

    #[tokio::test(start_paused = true)]
    async fn a_store_that_is_down_costs_nothing_but_news() {
        let store = Store::new("one", None);
        let cache = SecretCache::new(store.clone());
        let old = cache.get(soon()).await.unwrap();
        store.set(Err(Fault::transient("InternalServiceError", "down")));
        assert!(cache.newer_than(&old, soon()).await.is_none());
        assert_eq!(cache.get(soon()).await.unwrap(), old);

        let cold = SecretCache::new(store.clone());
        assert_eq!(
            cold.get(soon()).await.unwrap_err().code,
            "InternalServiceError"
        );
        store.set(Ok(Some("one".into())));
        assert!(
            cold.get(soon()).await.is_ok(),
            "a failed fetch is not remembered"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_fetch_under_way_holds_up_nobody_who_has_secrets() {
        struct Slow;
        impl Secrets for Slow {
            fn fetch(&self, _: Stage) -> Answer<'_, Option<String>> {
                Box::pin(async {
                    tokio::time::sleep(Duration::from_secs(1)).await;
                    Ok(Some("one".into()))
                })
            }
        }
        let cache = SecretCache::new(Arc::new(Slow));
        let old = cache.get(soon()).await.unwrap();
        let began = Instant::now();
        let get = async {
            cache.get(soon()).await.unwrap();
            began.elapsed()
        };
        let (_, waited) = futures_util::join!(cache.newer_than(&old, soon()), get);
        assert_eq!(waited, Duration::ZERO);
        // Two reads, one after the other.
        assert_eq!(began.elapsed(), Duration::from_secs(2));
    }

    #[tokio::test(start_paused = true)]
    async fn a_fetch_under_way_is_waited_for_until_the_deadline() {
        struct Hangs;
        impl Secrets for Hangs {
            fn fetch(&self, _: Stage) -> Answer<'_, Option<String>> {
                Box::pin(std::future::pending())
            }
        }
        let cache = SecretCache::new(Arc::new(Hangs));
        let began = Instant::now();
        let later = began + Duration::from_secs(60);
        let (_, ours) = futures_util::join!(cache.get(later), async {
            let ours = cache.get(soon()).await;
            assert_eq!(began.elapsed(), Duration::from_secs(2));
            ours
        });
        assert_eq!(ours.unwrap_err(), Fault::timed_out());
    }

    #[tokio::test(start_paused = true)]
    async fn a_secret_without_a_value_is_a_fault() {
        let store = Store::new("one", None);
        store.set(Ok(None));
        let fault = SecretCache::new(store).get(soon()).await.unwrap_err();
        assert_eq!(
            (fault.code.as_str(), fault.kind),
            ("NoSecretValue", FaultKind::Later)
        );
    }
}
