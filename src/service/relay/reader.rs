//! Reads one topic until it is removed, and queues its messages and gaps in order for the courier.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout, timeout_at};

use super::TopicName;
use super::cursors::Cursors;
use super::status::Status;
use super::track::{Cursor, Gap, Seen, Track};
use crate::domain::fault::Fault;
use crate::service::backoff::Backoff;
use crate::service::relay::subscriptions::{Message, Received, Subscription, Subscriptions};

/// Bytes of one queued message beyond its value: its place in the queue and its names.
const OVERHEAD: usize = 256;

/// The waits before an ended subscription is opened again.
pub const FIRST_WAIT: Duration = Duration::from_millis(200);
pub const LONGEST_WAIT: Duration = Duration::from_secs(15);

/// How long the first message of a new subscription counts as old: Momento may repeat the last message published before, and
/// does so at once.
const SETTLED_AFTER: Duration = Duration::from_secs(1);

/// An entry of the courier's queue, in the topic's order.
#[derive(Debug)]
pub enum Entry {
    /// A message to deliver; then everything before `after` is done.
    Message {
        message: Message,
        received_ms: i64,
        after: Option<Cursor>,
        /// Its part of the memory for queued messages.
        _room: Option<OwnedSemaphorePermit>,
    },
    /// A gap to report; then everything before its end is done.
    Gap(Gap),
}

/// Reads one topic.
pub struct Reader {
    pub topic: TopicName,
    /// The topic's own number, which selects the connection.
    pub index: usize,
    pub subscriptions: Arc<Subscriptions>,
    pub opening: Arc<Semaphore>,
    /// Bytes of queued messages, shared by all topics.
    pub room: Arc<Semaphore>,
    pub cursors: Arc<Cursors>,
    pub status: Arc<Status>,
    /// How long a subscription may be silent before it is given up.
    pub quiet_for: Duration,
    pub now_ms: fn() -> i64,
    /// Whether the topic's beginning is known: from a cursor or an earlier subscription.
    pub began: bool,
    pub track: Track,
    pub entries: mpsc::Sender<Entry>,
}

/// Why reading ends.
enum End {
    /// The courier is gone: the relay stops.
    Stop,
    Fault(Fault),
}

impl Reader {
    /// Begins at a cursor of an earlier run, or at the next message.
    pub fn begin_at(&mut self, cursor: Option<Cursor>) {
        self.began = cursor.is_some();
        self.track = Track::new(cursor);
    }

    /// Opens the topic's subscription at the track's position.
    pub async fn open(&self) -> Result<Subscription, Fault> {
        let _turn = self.opening.acquire().await;
        let next = self.track.next();
        self.subscriptions.open(self.index, &self.topic, next).await
    }

    /// Finds the beginning of a topic without a cursor: after the messages published before the subscription, which are
    /// skipped. Reads the subscription for a second, or until its first message.
    ///
    /// # Errors
    ///
    /// When the subscription ends.
    pub async fn begin(&mut self, subscription: &mut Subscription) -> Result<(), Fault> {
        let settled = self.settle(subscription).await;
        if let Some(cursor) = self.track.next() {
            self.began = true;
            self.cursors.begin(&self.topic, cursor).await;
        }
        settled
    }

    async fn settle(&mut self, subscription: &mut Subscription) -> Result<(), Fault> {
        let until = Instant::now() + SETTLED_AFTER;
        while let Ok(received) = timeout_at(until, subscription.next()).await {
            match received? {
                Received::Heartbeat => {}
                Received::Discontinuity { page, last } => self.track.discontinuity(page, last),
                Received::Message(Message { page, number, .. }) => {
                    self.status.older();
                    tracing::info!(
                        message.cache = self.topic.cache,
                        message.topic = self.topic.topic,
                        message.page = page,
                        message.sequence = number,
                        "skipped a message published before the subscription to its topic"
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

    /// Reads until the courier is gone. `first` is an open subscription.
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
            // Logs failures 1, 2, 4, 8 and so on: a deleted topic must not fill the log.
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
            let received = tokio::select! {
                () = self.entries.closed() => return End::Stop,
                received = next => received,
            };
            let received = match received {
                Ok(Ok(received)) => received,
                Ok(Err(fault)) => return End::Fault(fault),
                Err(_) => {
                    let text = format!("no sign of life for {} s", self.quiet_for.as_secs_f64());
                    return End::Fault(Fault::transient("Quiet", text));
                }
            };
            let queued = match received {
                Received::Heartbeat => match self.track.heartbeat() {
                    Some(gap) => self.queue(Entry::Gap(gap)).await,
                    None => Ok(()),
                },
                Received::Discontinuity { page, last } => {
                    self.discontinuity(page, last).await;
                    Ok(())
                }
                Received::Message(message) => {
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
            if queued.is_err() {
                return End::Stop;
            }
        }
    }

    async fn discontinuity(&mut self, page: u64, last: u64) {
        let fresh = self.track.next().is_none_or(|next| next.page == 0);
        self.track.discontinuity(page, last);
        if let Some(cursor) = self.track.next().filter(|_| fresh) {
            self.cursors.begin(&self.topic, cursor).await;
        }
    }

    async fn message(&mut self, message: Message) -> Result<(), Stopped> {
        if self.track.next().is_none() {
            let (page, next) = (message.page, message.number);
            self.cursors.begin(&self.topic, Cursor { page, next }).await;
        }
        let (gap, seen) = self.track.message(message.page, message.number);
        if let Some(gap) = gap {
            self.queue(Entry::Gap(gap)).await?;
        }
        if seen == Seen::Repeated {
            self.status.repeated();
            return Ok(());
        }
        self.status.received();
        let room = self.room_for(&message).await?;
        self.queue(Entry::Message {
            received_ms: (self.now_ms)(),
            after: self.track.next(),
            message,
            _room: room,
        })
        .await
    }

    /// Reserves a part of the shared memory. A topic with an empty queue needs no reservation, so others cannot starve it.
    async fn room_for(&self, message: &Message) -> Result<Option<OwnedSemaphorePermit>, Stopped> {
        use crate::domain::inbound::message::Value::{Binary, Text};
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
                // The courier may have emptied the queue meanwhile.
                () = tokio::time::sleep(Duration::from_millis(100)) => {}
            }
        }
    }

    async fn queue(&self, entry: Entry) -> Result<(), Stopped> {
        self.entries.send(entry).await.map_err(|_| Stopped)
    }
}

/// The courier is gone.
struct Stopped;
