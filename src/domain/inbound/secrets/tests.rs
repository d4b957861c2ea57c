use super::*;
use crate::domain::fault::FaultKind;
use crate::domain::ports::Answer;
use std::sync::Mutex as StdMutex;

/// A store with a settable answer, and a count of calls.
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

/// For a store that answers.
async fn newer(cache: &SecretCache, old: &Arc<[SigningSecret]>) -> Option<Arc<[SigningSecret]>> {
    cache.newer_than(old, soon()).await.unwrap()
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
    let both = newer(&cache, &current).await.unwrap();
    assert_eq!(both.to_vec(), list(&["new", "old"]));
    assert_eq!(cache.get(soon()).await.unwrap(), both);
    assert_eq!(store.calls(), 2);
}

#[tokio::test(start_paused = true)]
async fn an_unread_previous_version_is_fetched_again_soon() {
    let store = Store::new("new", None);
    store.0.lock().unwrap().previous = Err(Fault::transient("Throttling", "slow down"));
    let cache = SecretCache::new(store.clone());
    let current = cache.get(soon()).await.unwrap();
    assert!(newer(&cache, &current).await.is_none());
    store.0.lock().unwrap().previous = Ok(Some("old".into()));
    let both = newer(&cache, &current).await.unwrap();
    assert_eq!(both.to_vec(), list(&["new", "old"]));
}

#[tokio::test(start_paused = true)]
async fn a_rotation_is_found_at_once_after_forged_requests() {
    let store = Store::new("one", None);
    let cache = SecretCache::new(store.clone());
    let mut old = cache.get(soon()).await.unwrap();
    let began = Instant::now();
    for secret in ["two", "three"] {
        assert!(newer(&cache, &old).await.is_none(), "forged");
        store.set(Ok(Some(secret.into())));
        let new = newer(&cache, &old).await.unwrap();
        assert_eq!(new.to_vec(), list(&[secret]));
        // A request with the old secrets needs no fetch.
        let calls = store.calls();
        assert!(newer(&cache, &old).await.is_some());
        assert_eq!(store.calls(), calls);
        old = new;
    }
    // Three fetches came from the burst, the fourth waited for its token.
    assert_eq!((store.calls(), cache.take_rereads()), (5, 4));
    assert_eq!(began.elapsed(), REFILL_EVERY);
    assert_eq!(cache.take_rereads(), 0);
}

#[tokio::test(start_paused = true)]
async fn forged_requests_are_bounded_and_hide_no_rotation() {
    let store = Store::new("one", None);
    let cache = SecretCache::new(store.clone());
    let old = cache.get(soon()).await.unwrap();
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(10) {
        tokio::time::advance(Duration::from_millis(1)).await;
        assert!(newer(&cache, &old).await.is_none());
    }
    assert!(store.calls() <= 1 + BURST + 21, "{}", store.calls());
    store.set(Ok(Some("two".into())));
    assert!(newer(&cache, &old).await.is_some());
}

#[tokio::test(start_paused = true)]
async fn one_fetch_serves_all_requests_before_it() {
    struct Slow(AtomicU32);
    impl Secrets for Slow {
        fn fetch(&self, stage: Stage) -> Answer<'_, Option<String>> {
            Box::pin(async move {
                self.0.fetch_add(1, Ordering::Relaxed);
                tokio::time::sleep(Duration::from_millis(10)).await;
                Ok((stage == Stage::Current).then(|| "one".to_owned()))
            })
        }
    }
    let store = Arc::new(Slow(AtomicU32::default()));
    let cache = SecretCache::new(store.clone());
    let old = cache.get(soon()).await.unwrap();
    // The first one fetches at once; the others come meanwhile, and share the next fetch.
    let many = (0..WAITING).map(async |n| {
        tokio::time::sleep(Duration::from_millis(u64::from(n > 0))).await;
        newer(&cache, &old).await
    });
    let found = futures_util::future::join_all(many).await;
    assert!(found.iter().all(Option::is_none));
    assert_eq!(store.0.load(Ordering::Relaxed), 1 + 2 * 2);
}

#[tokio::test(start_paused = true)]
async fn a_flood_of_forged_requests_does_not_wait() {
    let store = Store::new("one", None);
    let cache = SecretCache::new(store.clone());
    let old = cache.get(soon()).await.unwrap();
    for _ in 0..BURST {
        newer(&cache, &old).await;
    }
    let waited = AtomicU32::default();
    let began = Instant::now();
    let many = (0..1000).map(async |_| {
        newer(&cache, &old).await;
        if began.elapsed() > Duration::ZERO {
            waited.fetch_add(1, Ordering::Relaxed);
        }
    });
    futures_util::future::join_all(many).await;
    assert_eq!(waited.into_inner() as usize, WAITING);
}

#[tokio::test(start_paused = true)]
async fn a_previous_secret_that_cannot_be_read_is_not_forgotten() {
    let store = Store::new("one", None);
    let cache = SecretCache::new(store.clone());
    let old = cache.get(soon()).await.unwrap();
    store.set(Ok(Some("two".into())));
    store.0.lock().unwrap().previous = Err(Fault::transient("Throttling", "slow down"));
    let both = newer(&cache, &old).await.unwrap();
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
    let newer = newer(&cache, &kept).await.unwrap();
    // By now `newest` is current and `new` is previous.
    assert!(newer.contains(&list(&["new"])[0]), "{}", newer.len());
    assert!(!newer.contains(&list(&["old"])[0]));
}

#[tokio::test(start_paused = true)]
async fn a_failed_fetch_is_repeated_by_the_next_mismatch() {
    let store = Store::new("one", None);
    let cache = SecretCache::new(store.clone());
    let old = cache.get(soon()).await.unwrap();
    store.set(Err(Fault::permanent("AccessDeniedException", "no")));
    let fault = cache.newer_than(&old, soon()).await.unwrap_err();
    assert_eq!(fault.code, "AccessDeniedException");
    store.set(Ok(Some("two".into())));
    let new = newer(&cache, &old).await.unwrap();
    assert_eq!(new.to_vec(), list(&["two"]));
}

#[tokio::test(start_paused = true)]
async fn an_unavailable_store_delays_newer_secrets_only() {
    let store = Store::new("one", None);
    let cache = SecretCache::new(store.clone());
    let old = cache.get(soon()).await.unwrap();
    store.set(Err(Fault::transient("InternalServiceError", "down")));
    let fault = cache.newer_than(&old, soon()).await.unwrap_err();
    assert_eq!(fault.code, "InternalServiceError");
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
async fn a_fetch_under_way_delays_no_request_with_secrets() {
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
    let (_, waited) = futures_util::join!(newer(&cache, &old), get);
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
