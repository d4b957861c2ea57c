use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::broadcast;

use super::*;
use crate::config::MomentoEndpoint;
use crate::domain::ports::Answer;
use crate::service::files::SecretText;
use crate::service::relay::courier::tests::{at, destination, message};
use crate::service::relay::cursors::CursorStore;
use crate::service::relay::destination::Attempt;
use crate::telemetry::metrics::Metrics;

const SECOND: Duration = Duration::from_secs(1);

fn topic(name: &str) -> TopicName {
    TopicName {
        cache: "demo".to_owned(),
        topic: name.to_owned(),
    }
}

fn topics(names: &[&str]) -> Wanted {
    Wanted {
        topics: names.iter().map(|name| topic(name)).collect(),
        is_complete: true,
    }
}

/// A store without cursors that can fail, and its reads.
#[derive(Clone, Default)]
struct Store {
    reads: Arc<Mutex<Vec<String>>>,
    is_broken: Arc<AtomicBool>,
}

impl CursorStore for Store {
    fn load<'a>(&'a self, topics: &'a [TopicName]) -> Answer<'a, HashMap<TopicName, Cursor>> {
        let names = topics.iter().map(|topic| topic.topic.clone());
        self.reads.lock().unwrap().extend(names);
        let is_broken = self.is_broken.load(Ordering::Relaxed);
        Box::pin(async move {
            match is_broken {
                true => Err(Fault::transient("Throttling", "slow down")),
                false => Ok(HashMap::new()),
            }
        })
    }

    fn save<'a>(&'a self, _: &'a BTreeMap<TopicName, Cursor>) -> Answer<'a, ()> {
        Box::pin(async { Ok(()) })
    }
}

impl Store {
    fn reads(&self) -> Vec<String> {
        self.reads.lock().unwrap().clone()
    }
}

/// Workers that deliver to a webhook in this process, one message at a time, and cannot subscribe.
struct Scene {
    workers: Workers,
    status: Arc<Status>,
    cursors: Arc<Cursors>,
    turns: Arc<Semaphore>,
    store: Store,
    attempts: broadcast::Receiver<Attempt>,
    stop: watch::Sender<bool>,
}

impl Scene {
    fn new() -> Self {
        let (destination, attempts) = destination(Arc::new(SecretText("new".to_owned())));
        let endpoint = MomentoEndpoint::Local("http://127.0.0.1:1".to_owned());
        let no_key = Arc::new(SecretText("no key".to_owned()));
        let status = Arc::new(Status::new(0, Arc::default()));
        let store = Store::default();
        let cursors = Arc::new(Cursors::new(Box::new(store.clone())));
        let turns = Arc::new(Semaphore::new(1));
        let (stop, stopping) = watch::channel(false);
        let workers = Workers::new(Shared {
            subscriptions: Arc::new(Subscriptions::new(no_key, endpoint).unwrap()),
            destination: Arc::new(destination),
            cursors: cursors.clone(),
            gaps: Arc::new(Gaps {
                status: status.clone(),
                bus: None,
                metrics: Metrics::none(),
                watch: None,
            }),
            status: status.clone(),
            from: HashMap::new(),
            opening: Arc::new(Semaphore::new(1)),
            room: Arc::new(Semaphore::new(1024)),
            turns: turns.clone(),
            quiet_for: Duration::from_secs(60),
            now_ms: || 0,
            stop: stopping,
        });
        Self {
            workers,
            status,
            cursors,
            turns,
            store,
            attempts,
            stop,
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_removed_topic_finishes_its_messages_before_it_returns_behind_them() {
    let mut scene = Scene::new();
    let turn = scene.turns.clone().acquire_owned().await.unwrap();
    let mut workers = scene.workers;
    let (reader, queue) = workers.reader(topic("in"), 0, Some(at(0)));
    for number in 0..3 {
        reader.entries.try_send(message(number)).unwrap();
    }
    workers.start(reader, queue, None);
    let (sender, wanted) = watch::channel(topics(&["in"]));
    let running = tokio::spawn(workers.run(wanted));
    sender.send_replace(topics(&["other"]));
    sleep(SECOND).await;
    assert_eq!(scene.status.topics(), 1);
    // It returns while its messages wait for a turn.
    sender.send_replace(topics(&["in", "other"]));
    sleep(SECOND).await;
    assert_eq!(scene.status.topics(), 2);
    assert!(scene.attempts.try_recv().is_err());
    assert_eq!(scene.store.reads(), ["other"]);
    drop(turn);
    sleep(SECOND).await;
    assert_eq!(scene.status.done(), (3, 0));
    assert_eq!(scene.store.reads(), ["other", "in"]);
    let cursors = scene.cursors.load(&[topic("in")]).await.unwrap();
    assert_eq!(cursors[&topic("in")], at(3));
    scene.stop.send_replace(true);
    assert!(running.await.unwrap(), "it ends in time");
}

#[tokio::test(start_paused = true)]
async fn a_stop_begins_none_of_the_queued_messages() {
    let scene = Scene::new();
    let turn = scene.turns.clone().acquire_owned().await.unwrap();
    let mut workers = scene.workers;
    let (reader, queue) = workers.reader(topic("in"), 0, Some(at(0)));
    reader.entries.try_send(message(0)).unwrap();
    workers.start(reader, queue, None);
    let (sender, wanted) = watch::channel(topics(&["in"]));
    let running = tokio::spawn(workers.run(wanted));
    // One topic is removed, and still has a message.
    sender.send_replace(topics(&[]));
    sleep(SECOND).await;
    scene.stop.send_replace(true);
    assert!(running.await.unwrap());
    drop(turn);
    assert_eq!(scene.status.done(), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn an_added_topic_takes_the_lowest_free_index() {
    let mut workers = Scene::new().workers;
    for (names, indexes) in [
        (&["a", "b", "c"][..], &[0_usize, 1, 2][..]),
        (&["a", "c", "d"][..], &[0, 2, 1][..]),
        (&["c"][..], &[2][..]),
        (&["c", "e", "f", "g"][..], &[2, 0, 1, 3][..]),
    ] {
        workers.want(topics(names));
        let found = names.iter().map(|name| {
            let reader = workers.running[&topic(name)].as_ref();
            reader.expect("a reader").index
        });
        assert_eq!(found.collect::<Vec<_>>(), indexes);
    }
}

#[tokio::test(start_paused = true)]
async fn a_cursor_is_read_until_the_store_answers() {
    let scene = Scene::new();
    let mut workers = scene.workers;
    scene.store.is_broken.store(true, Ordering::Relaxed);
    workers.want(topics(&["a", "b"]));
    sleep(SECOND * 60).await;
    let of = |name: &str| {
        let reads = scene.store.reads();
        reads.iter().filter(|read| *read == name).count()
    };
    for name in ["a", "b"] {
        assert!((6..20).contains(&of(name)), "{}", of(name));
    }
    scene.store.is_broken.store(false, Ordering::Relaxed);
    sleep(LONGEST_WAIT).await;
    let reads = scene.store.reads().len();
    sleep(SECOND * 60).await;
    assert_eq!(scene.store.reads().len(), reads);
}
