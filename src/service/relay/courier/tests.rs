use std::cell::Cell;
use std::collections::{BTreeMap, HashMap};
use std::sync::Mutex;

use super::*;
use crate::config::{Unrouted, WebhookSettings};
use crate::domain::inbound::live_routes::LiveRoutes;
use crate::domain::inbound::message::Value;
use crate::domain::inbound::routes::Routes;
use crate::domain::inbound::secrets::SecretCache;
use crate::domain::ports::{Answer, Secrets, Stage};
use crate::entrypoints::http::Webhook;
use crate::service::files::SecretText;
use crate::service::relay::cursors::CursorStore;
use crate::service::relay::destination::{Attempt, Transport};
use crate::service::relay::track::{Cursor, Gap};
use crate::telemetry::metrics::Metrics;
use crate::testing::World;
use tokio::sync::broadcast;

thread_local! {
    /// By how much the webhook's clock is ahead of the relay's, in ms.
    static AHEAD: Cell<i64> = const { Cell::new(0) };
}

/// The signing secret `old`, and from this time on `new`.
struct Rotated(Instant);

impl Secrets for Rotated {
    fn fetch(&self, stage: Stage) -> Answer<'_, Option<String>> {
        let text = if Instant::now() < self.0 {
            "old"
        } else {
            "new"
        };
        let text = (stage == Stage::Current).then(|| text.to_owned());
        Box::pin(async { Ok(text) })
    }
}

/// Keeps the last cursor only.
#[derive(Clone, Default)]
struct Last(Arc<Mutex<Option<Cursor>>>);

impl CursorStore for Last {
    fn load<'a>(&'a self, _: &'a [TopicName]) -> Answer<'a, HashMap<TopicName, Cursor>> {
        Box::pin(async { Ok(HashMap::new()) })
    }

    fn save<'a>(&'a self, changed: &'a BTreeMap<TopicName, Cursor>) -> Answer<'a, ()> {
        *self.0.lock().unwrap() = changed.values().next().copied();
        Box::pin(async { Ok(()) })
    }
}

/// A courier of one topic to the webhook of [`destination`].
struct Scene {
    courier: Courier,
    attempts: broadcast::Receiver<Attempt>,
    stop: watch::Sender<bool>,
    saved: Last,
}

/// A webhook in this process, which has no routes and the secret `new`, and the attempts at its messages.
pub(in crate::service::relay) fn destination(
    secrets: Arc<dyn Secrets>,
) -> (Destination, broadcast::Receiver<Attempt>) {
    let world = World::default();
    let webhook = Webhook {
        routes: LiveRoutes::fixed(Routes::parse(r#"{"routes": []}"#).unwrap()),
        targets: world.targets(),
        queues: world.queues(),
        secrets: SecretCache::new(Arc::new(SecretText("new".to_owned()))),
        settings: WebhookSettings {
            max_age: Duration::from_secs(60),
            max_skew: Duration::from_secs(30),
            answer_within: Duration::from_secs(4),
            unrouted: Unrouted::Ignore,
        },
        metrics: Metrics::none(),
        now_ms: || AHEAD.get(),
    };
    let (watch, attempts) = broadcast::channel(1024);
    let destination = Destination {
        transport: Transport::InProcess(Arc::new(webhook)),
        secrets: SecretCache::new(secrets),
        watch: Some(watch),
        clock: Arc::default(),
        now_ms: || 0,
    };
    (destination, attempts)
}

impl Scene {
    fn new(secrets: Arc<dyn Secrets>) -> Self {
        let (destination, attempts) = destination(secrets);
        let (stop, stopping) = watch::channel(false);
        let status = Arc::new(Status::new(1, Arc::default()));
        let saved = Last::default();
        let courier = Courier {
            topic: TopicName {
                cache: "demo".to_owned(),
                topic: "in".to_owned(),
            },
            destination: Arc::new(destination),
            turns: Arc::new(Semaphore::new(1)),
            cursors: Arc::new(Cursors::new(Box::new(saved.clone()))),
            gaps: Arc::new(Gaps {
                status: status.clone(),
                bus: None,
                metrics: Metrics::none(),
                watch: None,
            }),
            status,
            stop: stopping,
        };
        Self {
            courier,
            attempts,
            stop,
            saved,
        }
    }

    /// Delivers `entries`; returns the numbers of delivered and refused messages, the statuses and the cursor.
    async fn run(mut self, entries: Vec<Entry>) -> ((u64, u64), Vec<u16>, Option<Cursor>) {
        let (sender, queue) = mpsc::channel(16);
        for entry in entries {
            sender.try_send(entry).unwrap();
        }
        drop(sender);
        let (status, cursors) = (self.courier.status.clone(), self.courier.cursors.clone());
        self.courier.run(queue).await;
        cursors.flush().await.unwrap();
        let mut statuses = Vec::new();
        while let Ok(attempt) = self.attempts.try_recv() {
            statuses.push(attempt.answer.unwrap().0);
        }
        drop(self.stop);
        let saved = *self.saved.0.lock().unwrap();
        (status.done(), statuses, saved)
    }
}

pub(in crate::service::relay) fn at(next: u64) -> Cursor {
    Cursor { page: 7, next }
}

pub(in crate::service::relay) fn message(number: u64) -> Entry {
    Entry::Message {
        message: Message {
            page: 7,
            number,
            token_id: String::new(),
            value: Value::Text("hello".to_owned()),
        },
        received_ms: 0,
        after: Some(at(number + 1)),
        _room: None,
    }
}

#[tokio::test(start_paused = true)]
async fn a_rotation_within_half_a_minute_skips_no_message() {
    // The waits are random: all of them must pass.
    for seconds in [0, 1, 5, 20, 29].repeat(20) {
        let rotated = Rotated(Instant::now() + Duration::from_secs(seconds));
        let entries = vec![message(0), message(1)];
        let (done, statuses, saved) = Scene::new(Arc::new(rotated)).run(entries).await;
        assert_eq!(done, (2, 0), "{seconds} s: {statuses:?}");
        assert_eq!(saved, Some(at(2)));
    }
}

#[tokio::test(start_paused = true)]
async fn a_wrong_secret_skips_each_message_after_40_seconds() {
    let began = Instant::now();
    let wrong = Arc::new(SecretText("other".to_owned()));
    let (done, statuses, saved) = Scene::new(wrong).run(vec![message(0)]).await;
    assert_eq!(done, (0, 1));
    assert!(statuses.iter().all(|&status| status == 401), "{statuses:?}");
    assert!((7..=12).contains(&statuses.len()), "{statuses:?}");
    let took = began.elapsed();
    assert!(
        ROTATION <= took && took <= ROTATION + LONGEST_WAIT,
        "{took:?}"
    );
    assert_eq!(saved, Some(at(1)), "the cursor passes it");
}

#[tokio::test(start_paused = true)]
async fn attempts_try_one_secret_after_another() {
    let several = Arc::new(SecretText(r#"["older", "old", "new"]"#.to_owned()));
    let (done, statuses, _) = Scene::new(several).run(vec![message(0)]).await;
    assert_eq!((done, statuses), ((1, 0), vec![401, 401, 200]));
}

#[tokio::test(start_paused = true)]
async fn a_gap_moves_the_cursor_in_its_order() {
    let gap = Gap {
        from: at(5),
        until: at(9),
        missed: 4,
        exact: true,
    };
    let scene = Scene::new(Arc::new(SecretText("new".to_owned())));
    let status = scene.courier.status.clone();
    let (done, _, saved) = scene.run(vec![message(4), Entry::Gap(gap)]).await;
    assert_eq!((done, saved), ((1, 0), Some(at(9))));
    assert!(status.metrics().contains("relay_missed_total 4\n"));
}

#[tokio::test(start_paused = true)]
async fn a_stop_begins_nothing_and_moves_no_cursor() {
    let scene = Scene::new(Arc::new(SecretText("new".to_owned())));
    scene.stop.send_replace(true);
    let (done, statuses, saved) = scene.run(vec![message(0)]).await;
    assert_eq!((done, statuses, saved), ((0, 0), vec![], None));

    // During a wait.
    let scene = Scene::new(Arc::new(SecretText("other".to_owned())));
    let (stop, began) = (scene.stop.clone(), Instant::now());
    let stopping = async {
        tokio::time::sleep(Duration::from_secs(20)).await;
        stop.send_replace(true);
    };
    let ((done, _, saved), ()) = tokio::join!(scene.run(vec![message(0)]), stopping);
    assert_eq!((done, saved), ((0, 0), None));
    assert_eq!(began.elapsed(), Duration::from_secs(20));
}

#[tokio::test(start_paused = true)]
async fn a_wrong_clock_skips_no_message_even_after_hours() {
    for ahead in [90_000, -45_000] {
        AHEAD.set(ahead);
        let scene = Scene::new(Arc::new(SecretText("new".to_owned())));
        let status = scene.courier.status.clone();
        let clock = scene.courier.destination.clock.clone();
        let began = Instant::now();
        let mending = async {
            tokio::time::sleep(Duration::from_secs(7200)).await;
            assert!(!clock.agrees());
            assert_eq!(status.done(), (0, 0));
            AHEAD.set(0);
        };
        let running = scene.run(vec![message(0), message(1)]);
        let ((done, statuses, saved), ()) = tokio::join!(running, mending);
        assert_eq!((done, saved), ((2, 0), Some(at(2))));
        let (wrong, right) = statuses.split_at(statuses.len() - 2);
        assert!(wrong.iter().all(|&status| status == 403), "{wrong:?}");
        assert_eq!(right, [200, 200]);
        assert!(wrong.len() < 1000 && clock.agrees());
        assert!(began.elapsed() <= Duration::from_secs(7200) + LONGEST_WAIT);
    }
}
