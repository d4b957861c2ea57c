//! Makes an event's publications, without repeating recorded ones.
//!
//! The ledger leases an event to one invocation for the duration of its work, and records the publications at the end. A
//! crash in between leads to a repeat after the lease, and never to a loss.

use std::borrow::Cow;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::future::join_all;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout_at};

use crate::domain::fault::{Fault, FaultKind};
use crate::domain::outbound::claims::{Claims, Unclaimed};
use crate::domain::outbound::result::Publication;
use crate::domain::ports::{Lease, Ledger, Topics};
use crate::domain::retry::{RetryPolicy, retry};

/// Time for updating the ledger, added to a lease.
const LEDGER_WITHIN: Duration = Duration::from_secs(1);

/// Publishes to Momento.
pub struct Publisher {
    pub topics: Arc<dyn Topics>,
    pub claims: Claims,
    /// Without one, a repeated event is published again.
    pub ledger: Option<Arc<dyn Ledger>>,
    /// Limits concurrent publications: Momento allows a new account 10 operations a second.
    pub at_once: Semaphore,
    /// The time, in ms since the epoch.
    pub now_ms: fn() -> i64,
}

/// Whether an event may be published now.
#[derive(Debug)]
pub enum Begin {
    Turn(Turn),
    /// Nothing is left to publish.
    Done,
    /// Leased to another invocation, for so long.
    Busy(Duration),
}

/// An event leased to this invocation.
#[derive(Debug)]
pub struct Turn {
    id: String,
    owner: String,
    published: Mutex<Vec<String>>,
}

/// Why a value was not published.
#[derive(Debug, thiserror::Error)]
pub enum Unpublished {
    #[error(
        "could not publish to topic `{topic}` in cache `{cache}` after {attempts} attempts: {fault}; look at the cache, and at what the API key may do"
    )]
    Topic {
        cache: String,
        topic: String,
        attempts: u32,
        fault: Fault,
    },
    #[error("could not publish to topic `{topic}` in cache `{cache}`: {cause}")]
    Value {
        cache: String,
        topic: String,
        cause: Unclaimed,
    },
}

impl Unpublished {
    /// The service's fault; `None` if every service's limit is too low for the value.
    pub fn fault(&self) -> Option<&Fault> {
        match self {
            Self::Topic { fault, .. } => Some(fault),
            Self::Value { cause, .. } => match cause {
                Unclaimed::Store { fault, .. } => Some(fault),
                Unclaimed::TooLarge { .. } => None,
            },
        }
    }

    pub fn attempts(&self) -> u32 {
        match self {
            Self::Topic { attempts, .. } => *attempts,
            Self::Value { cause, .. } => match cause {
                Unclaimed::Store { attempts, .. } => *attempts,
                Unclaimed::TooLarge { .. } => 0,
            },
        }
    }

    fn is_retryable(&self) -> bool {
        self.fault()
            .is_some_and(|fault| fault.kind != FaultKind::Permanent)
    }
}

impl Publisher {
    /// Leases the event `id` to an invocation that ends at `deadline`.
    ///
    /// # Errors
    ///
    /// When the ledger does not answer. Nothing is published then, since the ledger may have it as published.
    pub async fn begin(&self, id: String, deadline: Instant) -> Result<Begin, Fault> {
        let work = deadline.saturating_duration_since(Instant::now()) + LEDGER_WITHIN;
        let lease_until_ms = (self.now_ms)().saturating_add(ms(work));
        // A batch may hold two copies of an event, so a time does not identify an owner.
        let owner = format!("{:016x}", fastrand::u64(..));
        let turn = |published| Turn {
            id: id.clone(),
            owner: owner.clone(),
            published: Mutex::new(published),
        };
        let Some(ledger) = &self.ledger else {
            return Ok(Begin::Turn(turn(Vec::new())));
        };
        let begin = || ledger.begin(&id, &owner, lease_until_ms);
        let begun = match retry(RetryPolicy::until(deadline), begin).await.0 {
            Ok(begun) => begun,
            Err(fault) => {
                // The lease may have been granted without a response: release it, so that no other invocation waits for it.
                self.release(turn(Vec::new())).await;
                return Err(fault);
            }
        };
        Ok(match begun {
            Lease::Yours { published } => Begin::Turn(turn(published)),
            Lease::Done => Begin::Done,
            Lease::Busy { until_ms } => {
                let wait = until_ms.saturating_sub((self.now_ms)());
                Begin::Busy(Duration::from_millis(wait.try_into().unwrap_or_default()))
            }
        })
    }

    /// Makes the missing publications. Returns the number of values published as claims.
    ///
    /// # Errors
    ///
    /// The failure of one publication, a transient one if there is any.
    pub async fn publish(
        &self,
        turn: &Turn,
        publications: &[Publication],
        deadline: Instant,
    ) -> Result<usize, Unpublished> {
        let all = publications
            .iter()
            .enumerate()
            .map(async |(i, publication)| {
                // The same topic may occur twice, with different values.
                let name = format!("{i} {}/{}", publication.cache, publication.topic);
                if turn.published().contains(&name) {
                    return Ok(false);
                }
                let claimed = self.publish_one(publication, deadline).await?;
                turn.published().push(name);
                Ok(claimed)
            });
        let (mut claims, mut failed) = (0, Vec::new());
        for published in join_all(all).await {
            match published {
                Ok(claimed) => claims += usize::from(claimed),
                Err(unpublished) => failed.push(unpublished),
            }
        }
        let passing = failed
            .iter()
            .position(Unpublished::is_retryable)
            .unwrap_or(0);
        failed.into_iter().nth(passing).map_or(Ok(claims), Err)
    }

    /// Whether the value was published as a claim.
    async fn publish_one(
        &self,
        publication: &Publication,
        deadline: Instant,
    ) -> Result<bool, Unpublished> {
        let Publication { cache, topic, .. } = publication;
        let permit = timeout_at(deadline, self.at_once.acquire()).await;
        let text = match permit {
            Ok(_) => self.claims.text(publication, deadline).await,
            Err(_) => {
                return Err(Unpublished::Topic {
                    cache: cache.clone(),
                    topic: topic.clone(),
                    attempts: 0,
                    fault: Fault::timed_out(),
                });
            }
        };
        let text = text.map_err(|cause| Unpublished::Value {
            cache: cache.clone(),
            topic: topic.clone(),
            cause,
        })?;
        let policy = RetryPolicy {
            first_wait: Duration::from_millis(100),
            ..RetryPolicy::until(deadline)
        };
        let (result, attempts) = retry(policy, || self.topics.publish(cache, topic, &text)).await;
        match result {
            Ok(()) => Ok(matches!(text, Cow::Owned(_))),
            Err(fault) => Err(Unpublished::Topic {
                cache: cache.clone(),
                topic: topic.clone(),
                attempts,
                fault,
            }),
        }
    }

    /// Marks the event as done in the ledger.
    ///
    /// The event is done even if that fails: only a repeat of the event would then be published again.
    pub async fn finish(&self, turn: Turn) {
        let Some(ledger) = &self.ledger else { return };
        let until = RetryPolicy::until(Instant::now() + LEDGER_WITHIN);
        let (result, _) = retry(until, || ledger.finish(&turn.id)).await;
        report(result, "published, but the ledger was not updated");
    }

    /// As [`Publisher::finish`], for an event whose publications must never be made.
    ///
    /// # Errors
    ///
    /// When the ledger does not answer before `deadline`.
    pub async fn close(&self, turn: Turn, deadline: Instant) -> Result<(), Fault> {
        self.mark(&turn.id, deadline).await
    }

    /// Marks an id as done in the ledger.
    ///
    /// # Errors
    ///
    /// When the ledger does not answer before `deadline`.
    pub async fn mark(&self, id: &str, deadline: Instant) -> Result<(), Fault> {
        let Some(ledger) = &self.ledger else {
            return Ok(());
        };
        let until = RetryPolicy::until(deadline);
        retry(until, || ledger.finish(id)).await.0
    }

    /// Releases the event for its next owner, with the publications so far.
    pub async fn release(&self, turn: Turn) {
        let Some(ledger) = &self.ledger else { return };
        let published = turn.published().clone();
        let until = RetryPolicy::until(Instant::now() + LEDGER_WITHIN);
        let release = || ledger.release(&turn.id, &turn.owner, &published);
        let (result, _) = retry(until, release).await;
        report(result, "the ledger holds an event until its lease ends");
    }
}

impl Turn {
    fn published(&self) -> std::sync::MutexGuard<'_, Vec<String>> {
        self.published
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

fn report(result: Result<(), Fault>, what: &str) {
    if let Err(fault) = result {
        tracing::warn!(error.code = fault.code, error.text = fault.text, "{what}");
    }
}

fn ms(duration: Duration) -> i64 {
    duration.as_millis().try_into().unwrap_or(i64::MAX)
}
