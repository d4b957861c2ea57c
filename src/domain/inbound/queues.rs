//! Stores undelivered messages: after a permanent fault as dead letters, else in the parking queue; in the other queue if the
//! first one refuses.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::domain::fault::Fault;
use crate::domain::inbound::letter::Letter;
use crate::domain::ports::Queue;
use crate::domain::retry::{RetryPolicy, retry};

#[derive(Clone)]
pub struct Queues {
    pub parked: Arc<dyn Queue>,
    pub dead_letters: Arc<dyn Queue>,
}

/// The queue of a letter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    Parked,
    DeadLetters,
}

impl Place {
    fn other(self) -> Self {
        match self {
            Self::Parked => Self::DeadLetters,
            Self::DeadLetters => Self::Parked,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Parked => "parking queue",
            Self::DeadLetters => "dead-letter queue",
        }
    }
}

impl Queues {
    fn of(&self, place: Place) -> &Arc<dyn Queue> {
        match place {
            Place::Parked => &self.parked,
            Place::DeadLetters => &self.dead_letters,
        }
    }
}

/// The deadlines of a message's attempts.
#[derive(Clone, Copy, Debug)]
pub struct Deadlines {
    /// End of the target's attempts.
    pub target: Instant,
    /// When the answer is due; the time after `target` is the queues' share.
    pub answer: Instant,
    /// End of attempts to store a message taken by neither the target nor a queue before `answer`.
    pub store: Instant,
}

/// Minimum time of a target, and of both queues, after the signing secret used up the budget.
const LEAST: Duration = Duration::from_secs(1);

/// Minimum time of an attempt at a queue, connection set-up included.
const LEAST_ATTEMPT: Duration = Duration::from_millis(750);

/// Pauses after both queues refused a letter.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

impl Deadlines {
    /// Reserves the last three eighths of `budget`, which ends at `answer`, for the queues.
    pub fn within(budget: Duration, answer: Instant, store: Instant) -> Self {
        Self {
            target: answer.checked_sub(budget * 3 / 8).unwrap_or(answer),
            answer,
            store: store.max(answer),
        }
    }

    /// End of fetching a signing secret, without which no message can be stored: the end of storing, less the minimum time
    /// for the target and the queues, but at least [`Deadlines::reread`].
    pub fn secrets(&self) -> Instant {
        let late = self.store.checked_sub(2 * LEAST);
        late.map_or(self.reread(), |late| late.max(self.reread()))
    }

    /// End of fetching a newer signing secret, for a signature that may be forged: half of the queues' share.
    pub fn reread(&self) -> Instant {
        self.target + self.answer.saturating_duration_since(self.target) / 2
    }

    /// The same deadlines for a message verified late, with the minimum time for its target.
    pub fn once_verified(self, now: Instant) -> Self {
        let latest = self.store.checked_sub(LEAST).unwrap_or(self.target);
        let target = self.target.max((now + LEAST).min(latest));
        Self { target, ..self }
    }
}

/// Puts a letter into a queue.
///
/// # Errors
///
/// The queue's fault, if it does not take the letter before `deadline`.
pub async fn post(letter: &Letter, queue: &Arc<dyn Queue>, deadline: Instant) -> Result<(), Fault> {
    post_by(letter, queue, deadline, deadline).await
}

/// As [`post`]; an attempt has half of the time until the answer, so a dead connection costs an attempt and not the message.
async fn post_by(
    letter: &Letter,
    queue: &Arc<dyn Queue>,
    answer: Instant,
    deadline: Instant,
) -> Result<(), Fault> {
    let body = letter.to_json();
    let time = answer.saturating_duration_since(Instant::now());
    let policy = RetryPolicy {
        per_attempt: (time / 2).max(LEAST_ATTEMPT),
        ..RetryPolicy::until(deadline)
    };
    retry(policy, || queue.send(&body)).await.0
}

/// Puts a letter into the queue `first`. If that one refuses it, or has not taken it shortly before the end of storing, the
/// other queue takes it: a dead letter can be replayed, and a parked message is tried again.
///
/// # Errors
///
/// The fault of `first`, if neither takes it in time.
pub async fn store(
    letter: Letter,
    first: Place,
    queues: &Queues,
    deadlines: Deadlines,
) -> Result<Place, Fault> {
    let Deadlines { answer, store, .. } = deadlines;
    let mut pause = FIRST_PAUSE;
    loop {
        let now = Instant::now();
        let end = store.checked_sub(LEAST).filter(|end| *end > answer);
        let end = end.map_or(store, |end| end.max(now));
        let Err(fault) = post_by(&letter, queues.of(first), answer, end).await else {
            return Ok(first);
        };
        let elsewhere = Letter {
            detail: format!(
                "{}; the {} did not take it: {fault}",
                letter.detail,
                first.name()
            ),
            ..letter.clone()
        };
        let end = store.min(Instant::now() + LEAST);
        let posted = post_by(&elsewhere, queues.of(first.other()), answer, end).await;
        if posted.is_ok() {
            return Ok(first.other());
        }
        if Instant::now() + pause >= store {
            return Err(fault);
        }
        sleep(pause).await;
        pause = (2 * pause).min(LONGEST_PAUSE);
    }
}
