//! Reading one topic, for ever: what comes is queued for its courier, in order, with the gaps in between.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout, timeout_at};

use super::TopicName;
use super::status::Status;
use super::track::{Cursor, Gap, Seen, Track};
use crate::adapters::subscriptions::{Message, Said, Subscription, Subscriptions};
use crate::backoff::Backoff;
use crate::ports::Fault;

/// What one buffered message counts beyond its value: its place in the queue and its names.
const OVERHEAD: usize = 256;

/// The waits before a subscription that ended is opened again.
pub const FIRST_WAIT: Duration = Duration::from_millis(200);
pub const LONGEST_WAIT: Duration = Duration::from_secs(15);

/// How long the first message of a new subscription counts as an old one: Momento may repeat the last message that was
/// published before, and does so at once.
const SETTLED_AFTER: Duration = Duration::from_secs(1);

/// Something for a topic's courier, in the topic's order.
#[derive(Debug)]
pub enum Entry {
    /// To be delivered; then everything before `after` is done.
    Message {
        message: Message,
        received_ms: i64,
        after: Option<Cursor>,
        /// Its part of the memory for what waits.
        _room: Option<OwnedSemaphorePermit>,
    },
    /// To be told; then everything before its end is done.
    Gap(Gap),
    /// The relay begins here: nothing before was ever wanted.
    Begin(Cursor),
}

/// Reads one topic.
pub struct Reader {
    pub topic: TopicName,
    /// Of the topic among all topics, which decides its connection.
    pub index: usize,
    pub subscriptions: Arc<Subscriptions>,
    pub opening: Arc<Semaphore>,
    /// Bytes of messages that may wait, of all topics together.
    pub room: Arc<Semaphore>,
    pub status: Arc<Status>,
    /// A subscription without a sign of life for so long is given up.
    pub quiet_for: Duration,
    pub now_ms: fn() -> i64,
    /// Whether the topic's beginning is known: from a cursor, or because it was subscribed to before.
    pub began: bool,
    pub track: Track,
    pub entries: mpsc::Sender<Entry>,
}

/// Why reading goes no further.
enum End {
    /// Nobody takes what is read: the relay stops.
    Stop,
    Fault(Fault),
}

impl Reader {
    /// Opens the topic's subscription where the track is.
    pub async fn open(&self) -> Result<Subscription, Fault> {
        let _turn = self.opening.acquire().await;
        let next = self.track.next();
        self.subscriptions.open(self.index, &self.topic, next).await
    }

    /// Finds out where a topic without a cursor begins: behind what was published before it was subscribed to, which starts
    /// nothing. Reads the subscription for a second, or until its first message.
    ///
    /// # Errors
    ///
    /// When the subscription ends.
    pub async fn begin(&mut self, subscription: &mut Subscription) -> Result<(), Fault> {
        let settled = self.settle(subscription).await;
        if let Some(cursor) = self.track.next() {
            self.began = true;
            // Without a courier the relay stops, which reading notices.
            let _ = self.tell(Entry::Begin(cursor)).await;
        }
        settled
    }

    async fn settle(&mut self, subscription: &mut Subscription) -> Result<(), Fault> {
        let until = Instant::now() + SETTLED_AFTER;
        while let Ok(said) = timeout_at(until, subscription.next()).await {
            match said? {
                Said::Heartbeat => {}
                Said::Discontinuity { page, last } => self.track.discontinuity(page, last),
                Said::Message(Message { page, number, .. }) => {
                    self.status.older();
                    tracing::info!(
                        message.cache = self.topic.cache,
                        message.topic = self.topic.topic,
                        message.page = page,
                        message.sequence = number,
                        "skipped a message that was published before its topic was subscribed to"
                    );
                    let next = number.saturating_add(1);
                    self.track.begin(Cursor { page, next });
                    break;
                }
            }
        }
        self.began = true;
        Ok(())
    }

    /// Reads until nobody takes it any more. `first` is a subscription that is open already.
    pub async fn run(mut self, first: Option<Subscription>) {
        let mut waits = Backoff::new(FIRST_WAIT, LONGEST_WAIT);
        let mut open = first;
        let mut failures = 0u64;
        loop {
            let opened = match open.take() {
                Some(subscription) => Ok(subscription),
                None => self.open().await,
            };
            let fault = match opened {
                Err(fault) => fault,
                Ok(subscription) => {
                    let began = Instant::now();
                    let end = self.read(subscription, &mut waits, &mut failures).await;
                    waits.worked_for(began.elapsed());
                    match end {
                        End::Stop => return,
                        End::Fault(fault) => fault,
                    }
                }
            };
            self.track.lost();
            failures += 1;
            let pause = waits.pause();
            // The first time, and then ever more rarely: a topic that is gone for good must not fill the log.
            if failures.is_power_of_two() {
                tracing::warn!(
                    message.cache = self.topic.cache,
                    message.topic = self.topic.topic,
                    error.code = fault.code,
                    error.text = fault.text,
                    failures,
                    retry_in_ms = pause.as_millis() as u64,
                    "a subscription ended, and is opened again"
                );
            }
            tokio::select! {
                () = self.entries.closed() => return,
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    async fn read(
        &mut self,
        mut subscription: Subscription,
        waits: &mut Backoff,
        failures: &mut u64,
    ) -> End {
        if !self.began
            && let Err(fault) = self.begin(&mut subscription).await
        {
            return End::Fault(fault);
        }
        let status = self.status.clone();
        let _subscribed = status.subscribed();
        loop {
            let next = timeout(self.quiet_for, subscription.next());
            let said = tokio::select! {
                () = self.entries.closed() => return End::Stop,
                said = next => said,
            };
            let said = match said {
                Ok(Ok(said)) => said,
                Ok(Err(fault)) => return End::Fault(fault),
                Err(_) => {
                    let text = format!("no sign of life for {} s", self.quiet_for.as_secs_f64());
                    return End::Fault(Fault::transient("Quiet", text));
                }
            };
            let told = match said {
                Said::Heartbeat => match self.track.idle() {
                    Some(gap) => self.tell(Entry::Gap(gap)).await,
                    None => Ok(()),
                },
                Said::Discontinuity { page, last } => self.discontinuity(page, last).await,
                Said::Message(message) => {
                    if *failures > 0 {
                        tracing::info!(
                            message.cache = self.topic.cache,
                            message.topic = self.topic.topic,
                            failures = *failures,
                            "a subscription works again"
                        );
                    }
                    *failures = 0;
                    waits.reset();
                    self.message(message).await
                }
            };
            if told.is_err() {
                return End::Stop;
            }
        }
    }

    async fn discontinuity(&mut self, page: u64, last: u64) -> Result<(), Stopped> {
        let fresh = self.track.next().is_none_or(|next| next.page == 0);
        self.track.discontinuity(page, last);
        match self.track.next().filter(|_| fresh) {
            Some(cursor) => self.tell(Entry::Begin(cursor)).await,
            None => Ok(()),
        }
    }

    async fn message(&mut self, message: Message) -> Result<(), Stopped> {
        let (gap, seen) = self.track.message(message.page, message.number);
        if let Some(gap) = gap {
            self.tell(Entry::Gap(gap)).await?;
        }
        if seen == Seen::Repeated {
            self.status.repeated();
            return Ok(());
        }
        self.status.received();
        let room = self.room_for(&message).await?;
        self.tell(Entry::Message {
            received_ms: (self.now_ms)(),
            after: self.track.next(),
            message,
            _room: room,
        })
        .await
    }

    /// A part of the common memory. A topic of which nothing waits needs none, so that none can be starved by others.
    async fn room_for(&self, message: &Message) -> Result<Option<OwnedSemaphorePermit>, Stopped> {
        use crate::message::Value::{Binary, Text};
        let (Text(value) | Binary(value)) = &message.value;
        let bytes = u32::try_from(value.len() + OVERHEAD).unwrap_or(u32::MAX);
        loop {
            if self.entries.capacity() == self.entries.max_capacity() {
                return Ok(None);
            }
            let waiting = self.room.clone().acquire_many_owned(bytes);
            tokio::select! {
                () = self.entries.closed() => return Err(Stopped),
                room = waiting => return Ok(room.ok()),
                // The courier may have taken the last one meanwhile.
                () = tokio::time::sleep(Duration::from_millis(100)) => {}
            }
        }
    }

    async fn tell(&self, entry: Entry) -> Result<(), Stopped> {
        self.entries.send(entry).await.map_err(|_| Stopped)
    }
}

/// Nobody takes what is read.
struct Stopped;
