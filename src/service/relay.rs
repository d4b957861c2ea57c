//! The relay: reads topics by subscription and delivers each message to the webhook, in the same signed POST as Momento's
//! webhooks. The rest of the system sees no difference.
//!
//! For each topic:
//!
//! 1. a [`reader`] keeps a [subscription](crate::service::relay::subscriptions) open and queues its new messages and its gaps,
//!    by its [`track`];
//! 2. a [`courier`] takes them in order, and posts each message to the [`destination`] until a 2xx or a permanent refusal;
//! 3. then, and only then, the topic's [cursor](cursors) moves on.
//!
//! [`gaps`] reports messages that Momento lost. All topics share connections, concurrent requests and memory.
//!
//! The topics may [`follow`] routes: [`workers`] adds and removes them while the relay runs.

use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::future::join_all;
use futures_util::stream;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

pub mod clock;
pub mod courier;
pub mod cursors;
pub mod destination;
pub mod follow;
pub mod gaps;
pub mod health;
pub mod reader;
pub mod status;
pub mod subscriptions;
pub mod topics;
pub mod track;
pub mod workers;

use crate::domain::fault::{Fault, FaultKind};
use crate::service::relay::subscriptions::{Subscription, Subscriptions};
use cursors::Cursors;
use destination::Destination;
use follow::{Follow, Follower, Wanted};
use gaps::Gaps;
use reader::{FIRST_WAIT, Reader};
use status::Status;
use track::Cursor;
use workers::{STOP_WITHIN, Shared, Workers};

/// Bytes of queued messages, shared by all topics.
const ROOM: usize = 64 * 1024 * 1024;
/// Subscriptions opened at once.
const OPENING: usize = 32;
/// Deadline for reaching the webhook and Momento at the start.
const START_WITHIN: Duration = Duration::from_secs(15);
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
    /// The topics; with `follow`, those without which the relay does not start.
    pub topics: BTreeSet<TopicName>,
    /// Routes whose topics come and go.
    pub follow: Option<Follow>,
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
    /// Returns whether all requests ended in time.
    workers: JoinSet<bool>,
    background: JoinSet<()>,
}

impl Relay {
    /// Checks the webhook and Momento, and begins.
    ///
    /// # Errors
    ///
    /// When the configuration is wrong, or when the webhook or Momento are not reached within 15 s.
    pub async fn start(self) -> Result<Running, StartError> {
        self.status.want(self.topics.len(), self.follow.is_none());
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
        let mut follower = self.follow.map(Follower::new);
        let wanted = match &mut follower {
            Some(follower) => follower.begin().await,
            None => Wanted {
                topics: self.topics.clone(),
                is_complete: true,
            },
        };
        let is_unknown = |topic: &&TopicName| !wanted.topics.contains(*topic);
        for topic in self.from.keys().filter(is_unknown) {
            tracing::warn!(
                message.cache = topic.cache,
                message.topic = topic.topic,
                "no route has this topic of `--from` yet"
            );
        }
        let topics: Vec<_> = wanted.topics.iter().cloned().collect();
        self.status.want(topics.len(), wanted.is_complete);
        let kept = self.cursors.load(&topics).await;
        let kept = kept.map_err(StartError::Cursors)?;
        let at = |(topic, next)| (topic, Cursor { page: 0, next });
        let from: HashMap<_, _> = self.from.into_iter().map(at).collect();
        let (stop, stopping) = watch::channel(false);
        let mut workers = Workers::new(Shared {
            subscriptions: self.subscriptions,
            destination: self.destination.clone(),
            cursors: self.cursors.clone(),
            gaps: self.gaps,
            status: self.status.clone(),
            from: from.clone(),
            opening: Arc::new(Semaphore::new(OPENING)),
            room: Arc::new(Semaphore::new(ROOM)),
            turns: Arc::new(Semaphore::new(self.concurrency)),
            quiet_for: self.quiet_for,
            now_ms: self.now_ms,
            stop: stopping,
        });
        let prepared = topics.into_iter().enumerate().map(|(index, topic)| {
            let cursor = kept.get(&topic).or_else(|| from.get(&topic)).copied();
            workers.reader(topic, index, cursor)
        });
        let (readers, queues): (Vec<_>, Vec<_>) = prepared.unzip();
        let opened = open_all(&readers, &self.topics).await?;
        let begun = begin_all(readers, opened).await;
        for ((reader, first), queue) in begun.into_iter().zip(queues) {
            workers.start(reader, queue, first);
        }
        let mut background = JoinSet::new();
        let (sender, wanted) = watch::channel(wanted);
        if let Some(follower) = follower {
            background.spawn(follower.run(sender));
        }
        let cursors = self.cursors.clone();
        background.spawn(async move { cursors.keep().await });
        let destination = self.destination;
        background.spawn(async move { destination.watch_clock().await });
        let mut running = JoinSet::new();
        running.spawn(workers.run(wanted));
        Ok(Running {
            status: self.status,
            cursors: self.cursors,
            stop,
            workers: running,
            background,
        })
    }
}

/// Opens every topic's subscription. A transient failure is left to the topic's reader, as long as another topic was opened;
/// so is any failure of a topic that is not `required`, unless the API key is wrong.
async fn open_all(
    readers: &[Reader],
    required: &BTreeSet<TopicName>,
) -> Result<Vec<Option<Subscription>>, StartError> {
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
        let (transient, lasting): (Vec<_>, Vec<_>) = faults()
            .into_iter()
            .partition(|(_, fault)| fault.kind == FaultKind::Transient);
        let ends =
            |(topic, fault): &(TopicName, Fault)| required.contains(topic) || is_of_key(fault);
        let fatal: Vec<_> = lasting.into_iter().filter(ends).collect();
        if !fatal.is_empty() {
            return Err(StartError::Topics(fatal));
        }
        if !none || transient.is_empty() {
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

/// Whether a fault concerns all topics.
fn is_of_key(fault: &Fault) -> bool {
    matches!(fault.code.as_str(), "BadApiKey" | "Unauthenticated")
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
    /// The number of topics at present.
    pub fn topics(&self) -> u64 {
        self.status.topics()
    }

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
        let in_time = matches!(self.workers.join_next().await, Some(Ok(true)));
        self.background.shutdown().await;
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
