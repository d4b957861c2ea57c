//! Delivers one topic's messages in order, with attempts without a limit.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Semaphore, mpsc, watch};
use tokio::time::Instant;

use super::TopicName;
use super::cursors::Cursors;
use super::destination::{Answered, Destination, Refusal};
use super::gaps::Gaps;
use super::reader::Entry;
use super::status::Status;
use crate::domain::inbound::message::MessageId;
use crate::service::backoff::Backoff;
use crate::service::relay::subscriptions::Message;

/// The waits between attempts at one message.
const FIRST_WAIT: Duration = Duration::from_millis(200);
const LONGEST_WAIT: Duration = Duration::from_secs(15);
/// How long a 401 may be due to a rotation; then the message is skipped.
const ROTATION: Duration = Duration::from_secs(40);

/// Delivers one topic.
pub struct Courier {
    pub topic: TopicName,
    pub destination: Arc<Destination>,
    /// Bounds the concurrent requests of all topics.
    pub turns: Arc<Semaphore>,
    pub cursors: Arc<Cursors>,
    pub gaps: Arc<Gaps>,
    pub status: Arc<Status>,
    /// `true` once the relay stops.
    pub stop: watch::Receiver<bool>,
}

/// Logs a line about a message of the topic.
macro_rules! line {
    ($level:ident, $self:ident, $message:ident, $text:literal, $($field:tt)+) => {
        tracing::$level!(
            correlation_id = $self.id($message).as_str(),
            message.cache = $self.topic.cache,
            message.topic = $self.topic.topic,
            message.sequence = $message.number,
            message.page = $message.page,
            $($field)+,
            $text
        )
    };
}

impl Courier {
    /// Delivers the entries until their channel closes or the relay stops. A stop lets the request under way finish and begins
    /// no other.
    pub async fn run(mut self, mut entries: mpsc::Receiver<Entry>) {
        loop {
            let entry = tokio::select! {
                biased;
                () = stopped(&mut self.stop) => return,
                entry = entries.recv() => entry,
            };
            let done = match entry {
                None => return,
                Some(Entry::Gap(gap)) => {
                    self.gaps.report(&self.topic, &gap).await;
                    Some(gap.until)
                }
                Some(Entry::Message {
                    message,
                    received_ms,
                    after,
                    _room,
                }) => match self.deliver(&message, received_ms).await {
                    ControlFlow::Continue(()) => after,
                    ControlFlow::Break(()) => return,
                },
            };
            if let Some(cursor) = done {
                self.cursors.advance(&self.topic, cursor);
            }
        }
    }

    /// Breaks when the relay stops before the message is done.
    async fn deliver(&mut self, message: &Message, received_ms: i64) -> ControlFlow<()> {
        let mut waits = Backoff::new(FIRST_WAIT, LONGEST_WAIT);
        let mut unauthorized_since = None;
        let mut attempts = 0;
        let status = self.status.clone();
        // Counted from the first failed attempt until the message is done.
        let mut waiting = None;
        loop {
            let (answered, newer) = self.attempt(message, received_ms, attempts).await?;
            attempts += 1;
            let reason = match answered {
                Answered::Taken => {
                    self.status.delivered();
                    self.taken(message, attempts);
                    return ControlFlow::Continue(());
                }
                Answered::Unauthorized(refusal) => {
                    let since = *unauthorized_since.get_or_insert_with(Instant::now);
                    if newer {
                        unauthorized_since = None;
                    } else if since.elapsed() >= ROTATION {
                        self.skip(message, attempts, &refusal);
                        return ControlFlow::Continue(());
                    }
                    "it answers 401: the signing secrets differ".to_owned()
                }
                Answered::Refused(refusal) => {
                    self.skip(message, attempts, &refusal);
                    return ControlFlow::Continue(());
                }
                Answered::WrongTime(refusal) => {
                    unauthorized_since = None;
                    let clock = self.destination.clock.describe();
                    format!(
                        "it answers 403, `{}`: the clock of this host is {clock}",
                        refusal.code
                    )
                }
                Answered::NotNow(reason) => {
                    unauthorized_since = None;
                    reason
                }
            };
            let pause = waits.pause();
            self.not_taken(message, attempts, &reason, pause);
            status.retried();
            waiting.get_or_insert_with(|| status.waiting());
            tokio::select! {
                () = stopped(&mut self.stop) => return ControlFlow::Break(()),
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    /// Sends one request, which a stop does not interrupt. Returns the answer, and whether the next attempt has newer secrets.
    async fn attempt(
        &mut self,
        message: &Message,
        received_ms: i64,
        attempts: usize,
    ) -> ControlFlow<(), (Answered, bool)> {
        let turn = tokio::select! {
            biased;
            () = stopped(&mut self.stop) => return ControlFlow::Break(()),
            turn = self.turns.acquire() => turn,
        };
        let _in_flight = self.status.in_flight();
        let (answered, signed) = self
            .destination
            .post(&self.topic, message, received_ms, attempts)
            .await;
        drop(turn);
        let newer = match (&answered, &signed) {
            (Answered::Unauthorized(_), Some(signed)) => {
                self.destination.newer_secrets(signed).await
            }
            _ => false,
        };
        ControlFlow::Continue((answered, newer))
    }

    fn taken(&self, message: &Message, attempts: usize) {
        if attempts > 1 {
            line!(
                info,
                self,
                message,
                "the webhook took a message at last",
                attempts
            );
        }
    }

    /// Logs attempts 1, 2, 4, 8 and so on.
    fn not_taken(&self, message: &Message, attempts: usize, reason: &str, pause: Duration) {
        if attempts.is_power_of_two() {
            line!(
                warn,
                self,
                message,
                "the webhook does not take a message; its topic waits",
                attempts,
                retry_in_ms = pause.as_millis() as u64,
                error.text = reason
            );
        }
    }

    fn skip(&self, message: &Message, attempts: usize, refusal: &Refusal) {
        self.status.refused();
        line!(
            error,
            self,
            message,
            "skipped a message that the webhook refuses: its settings and the relay's do not fit",
            attempts,
            http.status = refusal.status,
            code = refusal.code
        );
    }

    fn id(&self, message: &Message) -> MessageId {
        let Message {
            page,
            number,
            value,
            ..
        } = message;
        MessageId::of_page(&self.topic.cache, &self.topic.topic, *page, *number, value)
    }
}

/// Waits for the stop signal.
pub(super) async fn stopped(stop: &mut watch::Receiver<bool>) {
    // A dropped sender sends no signal any more.
    if stop.wait_for(|stop| *stop).await.is_err() {
        std::future::pending().await
    }
}

#[cfg(test)]
pub(super) mod tests;
