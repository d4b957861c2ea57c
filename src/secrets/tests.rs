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
async fn a_secret_is_fetched_once_and_its_previous_version_when_it_is_needed() {
    let store = Store::new("new", Some("old"));
    let cache = SecretCache::new(store.clone());
    for _ in 0..3 {
        assert_eq!(cache.get(soon()).await.unwrap().to_vec(), list(&["new"]));
    }
    assert_eq!(store.calls(), 1);
    let current = cache.get(soon()).await.unwrap();
    let both = cache.newer_than(&current, soon()).await.unwrap();
    assert_eq!(both.to_vec(), list(&["new", "old"]));
    assert_eq!(cache.get(soon()).await.unwrap(), both);
    assert_eq!(store.calls(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_previous_version_that_could_not_be_read_is_asked_for_soon() {
    let store = Store::new("new", None);
    store.0.lock().unwrap().previous = Err(Fault::transient("Throttling", "slow down"));
    let cache = SecretCache::new(store.clone());
    let current = cache.get(soon()).await.unwrap();
    assert!(cache.newer_than(&current, soon()).await.is_none());
    store.0.lock().unwrap().previous = Ok(Some("old".into()));
    tokio::time::advance(FAILED_REFRESH_EVERY).await;
    let both = cache.newer_than(&current, soon()).await.unwrap();
    assert_eq!(both.to_vec(), list(&["new", "old"]));
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
    assert_eq!(kept.to_vec(), list(&["old"]));
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
