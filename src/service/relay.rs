//! The relay: reads topics by subscription and delivers each message to the webhook, in the same signed POST as Momento's
//! webhooks. The rest of the system sees no difference.
//!
//! For each topic:
//!
//! 1. a [`reader`] keeps a [subscription](crate::service::relay::subscriptions) open and queues its new messages and its gaps,
//!    by its [`track`];
//! 2. a [`courier`] takes them from the queue in order, and posts each message to the [`destination`] until it answers 2xx;
//! 3. then, and only then, the topic's [cursor](cursors) moves on.
//!
//! [`gaps`] reports messages that Momento lost. All topics share connections, concurrent requests and memory.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::future::join_all;
use futures_util::stream;
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

pub mod clock;
pub mod courier;
pub mod cursors;
pub mod destination;
pub mod gaps;
pub mod health;
pub mod reader;
pub mod status;
pub mod subscriptions;
pub mod topics;
pub mod track;

use crate::domain::fault::{Fault, FaultKind};
use crate::service::relay::subscriptions::{Subscription, Subscriptions};
use courier::Courier;
use cursors::Cursors;
use destination::Destination;
use gaps::Gaps;
use reader::{FIRST_WAIT, Reader};
use status::Status;
use track::{Cursor, Track};

/// Queued entries per topic.
const QUEUE: usize = 256;
/// Bytes of queued messages, shared by all topics.
const ROOM: usize = 64 * 1024 * 1024;
/// Subscriptions opened at once.
const OPENING: usize = 32;
/// Deadline for reaching the webhook and Momento at the start.
const START_WITHIN: Duration = Duration::from_secs(15);
/// Deadline for requests under way once the relay stops. ECS kills a task after 30 s.
const STOP_WITHIN: Duration = Duration::from_secs(20);
/// Topics named in a start-up error.
const NAMED: usize = 10;

/// A topic and its cache.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TopicName {
    pub cache: String,
    pub topic: String,
}

impl fmt::Display for TopicName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.cache, self.topic)
    }
}

/// A relay before its start.
pub struct Relay {
    /// Without duplicates.
    pub topics: Vec<TopicName>,
    /// Where topics without a cursor begin, by `--from`: a number on the current page.
    pub from: HashMap<TopicName, u64>,
    pub subscriptions: Arc<Subscriptions>,
    pub destination: Arc<Destination>,
    pub cursors: Arc<Cursors>,
    pub gaps: Arc<Gaps>,
    pub status: Arc<Status>,
    /// Concurrent requests to the webhook.
    pub concurrency: usize,
    /// How long a subscription may be silent before it is opened again.
    pub quiet_for: Duration,
    /// This host's clock, in ms since the epoch.
    pub now_ms: fn() -> i64,
}

/// Why a relay does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("cannot read the signing secret: {0}")]
    Secret(Fault),
    #[error("cannot use the webhook at `{place}`: {}", .fault.text)]
    Webhook { place: String, fault: Fault },
    #[error("cannot load the cursors: {0}")]
    Cursors(Fault),
    #[error("cannot subscribe:{}", lines(.0))]
    Topics(Vec<(TopicName, Fault)>),
}

fn lines(faults: &[(TopicName, Fault)]) -> String {
    let shown = faults.iter().take(NAMED);
    let mut text: String = shown
        .map(|(topic, fault)| format!("\n- `{topic}`: {fault}{}", remedy(fault)))
        .collect();
    if faults.len() > NAMED {
        text += &format!("\n- and {} more", faults.len() - NAMED);
    }
    text
}

/// The remedy, beyond Momento's text.
fn remedy(fault: &Fault) -> &'static str {
    match fault.code.as_str() {
        "Unauthenticated" => "; give the relay an API key of version 2 of this endpoint",
        "PermissionDenied" => "; give the API key the permission to subscribe",
        "NotFound" => "; create the cache, or name another one",
        "Unavailable" | "TimedOut" => {
            "; is the endpoint right, and may this machine connect to it?"
        }
        "ResourceExhausted" => "; ask Momento for more subscriptions",
        _ => "",
    }
}

/// A running relay. Dropping it ends it at once.
pub struct Running {
    status: Arc<Status>,
    cursors: Arc<Cursors>,
    stop: watch::Sender<bool>,
    readers: JoinSet<()>,
    couriers: JoinSet<()>,
}

impl Relay {
    /// Checks the webhook and Momento, and begins.
    ///
    /// # Errors
    ///
    /// When the configuration is wrong, or when the webhook or Momento are not reached within 15 s.
    pub async fn start(self) -> Result<Running, StartError> {
        let signing = async || self.destination.signing().await;
        with_retries("the signing secret", signing)
            .await
            .map_err(StartError::Secret)?;
        let probe = async || self.destination.probe().await;
        with_retries("the webhook", probe)
            .await
            .map_err(|fault| StartError::Webhook {
                place: self.destination.place(),
                fault,
            })?;
        let mut kept = self
            .cursors
            .load(&self.topics)
            .await
            .map_err(StartError::Cursors)?;
        for (topic, &next) in &self.from {
            kept.entry(topic.clone())
                .or_insert(Cursor { page: 0, next });
        }
        let (stop, stopping) = watch::channel(false);
        let opening = Arc::new(Semaphore::new(OPENING));
        let room = Arc::new(Semaphore::new(ROOM));
        let turns = Arc::new(Semaphore::new(self.concurrency));
        let mut readers = Vec::new();
        let mut couriers = JoinSet::new();
        for (index, topic) in self.topics.iter().enumerate() {
            let (entries, queue) = mpsc::channel(QUEUE);
            readers.push(Reader {
                topic: topic.clone(),
                index,
                subscriptions: self.subscriptions.clone(),
                opening: opening.clone(),
                room: room.clone(),
                status: self.status.clone(),
                quiet_for: self.quiet_for,
                now_ms: self.now_ms,
                began: kept.contains_key(topic),
                track: Track::new(kept.get(topic).copied()),
                entries,
            });
            let courier = Courier {
                topic: topic.clone(),
                destination: self.destination.clone(),
                turns: turns.clone(),
                cursors: self.cursors.clone(),
                gaps: self.gaps.clone(),
                status: self.status.clone(),
                stop: stopping.clone(),
            };
            couriers.spawn(courier.run(queue));
        }
        let opened = open_all(&readers).await?;
        let mut reading = JoinSet::new();
        for (reader, first) in begin_all(readers, opened).await {
            reading.spawn(reader.run(first));
        }
        let cursors = self.cursors.clone();
        reading.spawn(async move { cursors.keep().await });
        let destination = self.destination.clone();
        reading.spawn(async move { destination.watch_clock().await });
        Ok(Running {
            status: self.status,
            cursors: self.cursors,
            stop,
            readers: reading,
            couriers,
        })
    }
}

/// Opens every topic's subscription. A transient failure is left to the topic's reader, as long as another topic was opened.
async fn open_all(readers: &[Reader]) -> Result<Vec<Option<Subscription>>, StartError> {
    let deadline = Instant::now() + START_WITHIN;
    let mut logged = false;
    loop {
        let opens = readers.iter().map(Reader::open);
        let opened: Vec<_> = stream::iter(opens).buffered(OPENING).collect().await;
        let none = opened.iter().all(Result::is_err);
        let faults = || {
            let faults = readers.iter().zip(&opened).filter_map(|(reader, opened)| {
                Some((reader.topic.clone(), opened.as_ref().err()?.clone()))
            });
            faults.collect::<Vec<_>>()
        };
        let lasting: Vec<_> = faults()
            .into_iter()
            .filter(|(_, fault)| fault.kind != FaultKind::Transient)
            .collect();
        if !lasting.is_empty() {
            return Err(StartError::Topics(lasting));
        }
        if !none || readers.is_empty() {
            return Ok(opened.into_iter().map(Result::ok).collect());
        }
        if Instant::now() >= deadline {
            return Err(StartError::Topics(faults()));
        }
        if let (false, Some((_, fault))) = (logged, faults().first()) {
            waiting_for("Momento", fault);
            logged = true;
        }
        sleep(FIRST_WAIT * 5).await;
    }
}

/// Finds where topics without a cursor begin. A subscription that ends meanwhile is left to its reader.
async fn begin_all(
    readers: Vec<Reader>,
    opened: Vec<Option<Subscription>>,
) -> Vec<(Reader, Option<Subscription>)> {
    let begin = |(mut reader, mut opened): (Reader, Option<Subscription>)| async {
        if !reader.began
            && let Some(subscription) = &mut opened
            && reader.begin(subscription).await.is_err()
        {
            opened = None;
        }
        (reader, opened)
    };
    join_all(readers.into_iter().zip(opened).map(begin)).await
}

/// Repeats a check while its fault is transient, until the start's deadline.
async fn with_retries(
    what: &str,
    mut ask: impl AsyncFnMut() -> Result<(), Fault>,
) -> Result<(), Fault> {
    let deadline = Instant::now() + START_WITHIN;
    let mut logged = false;
    loop {
        match ask().await {
            Err(fault) if fault.kind == FaultKind::Transient && Instant::now() < deadline => {
                if !std::mem::replace(&mut logged, true) {
                    waiting_for(what, &fault);
                }
                sleep(FIRST_WAIT * 5).await;
            }
            settled => return settled,
        }
    }
}

fn waiting_for(what: &str, fault: &Fault) {
    tracing::warn!(
        error.code = fault.code,
        error.text = fault.text,
        "waiting for {what}, for {} s at most",
        START_WITHIN.as_secs()
    );
}

impl Running {
    /// Waits for `stop`, then finishes requests under way within 20 s, and saves the cursors.
    ///
    /// # Errors
    ///
    /// When the cursors cannot be saved: the next start relays some messages again.
    pub async fn until(mut self, stop: impl Future<Output = ()>) -> Result<(), Fault> {
        tokio::select! {
            () = stop => {}
            () = self.report_progress() => {}
        }
        self.stop.send_replace(true);
        let finished = timeout(STOP_WITHIN, async {
            while self.couriers.join_next().await.is_some() {}
        });
        let in_time = finished.await.is_ok();
        self.couriers.shutdown().await;
        self.readers.shutdown().await;
        let flushed = timeout(STOP_WITHIN / 4, self.cursors.flush()).await;
        flushed.unwrap_or_else(|_| Err(Fault::timed_out()))?;
        let (delivered, refused) = self.status.done();
        tracing::info!(
            delivered,
            refused,
            in_time,
            "stopped; the next start goes on here"
        );
        Ok(())
    }

    /// Logs progress once a minute, if there is any.
    async fn report_progress(&self) {
        let mut logged = (0, 0);
        loop {
            sleep(Duration::from_secs(60)).await;
            let done = self.status.done();
            if done != logged {
                tracing::info!(delivered = done.0, refused = done.1, "relaying");
                logged = done;
            }
        }
    }
}
