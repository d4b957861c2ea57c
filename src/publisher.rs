//! Publishing what an event asks for, and never again what is known to be published.
//!
//! In two phases: the ledger gives an event to one invocation for as long as that can last, and is told at the end what was
//! published. A crash in between leads to a repeat when the lease is over, and never to a loss.

use std::borrow::Cow;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::future::join_all;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout_at};

use crate::claims::{Claims, Unclaimed};
use crate::ports::{Begun, Fault, FaultKind, Ledger, Topics};
use crate::result::Publication;
use crate::retry::{Patience, retry};

/// How much longer than its work an event is held: for telling the ledger.
const TELLING: Duration = Duration::from_secs(1);

/// The way to Momento.
pub struct Publisher {
    pub topics: Arc<dyn Topics>,
    pub claims: Claims,
    /// Without one, an event that comes again is published again.
    pub ledger: Option<Arc<dyn Ledger>>,
    /// How many publications are under way at once: Momento allows a new account 10 operations a second.
    pub at_once: Semaphore,
    /// The time, in ms since the epoch.
    pub now_ms: fn() -> i64,
}

/// Whether an event may be published now.
#[derive(Debug)]
pub enum Begin {
    Turn(Turn),
    /// All of it was published.
    Done,
    /// Another invocation has it, for so long.
    Busy(Duration),
}

/// An event that is this invocation's for now.
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
    /// What the service said; none where the value is too large for all of them.
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

    fn may_pass(&self) -> bool {
        self.fault()
            .is_some_and(|fault| fault.kind != FaultKind::Permanent)
    }
}

impl Publisher {
    /// Takes the event `id` for an invocation that is over at `deadline`.
    ///
    /// # Errors
    ///
    /// When the ledger does not answer. Nothing is published that it might know as published.
    pub async fn begin(&self, id: String, deadline: Instant) -> Result<Begin, Fault> {
        let work = deadline.saturating_duration_since(Instant::now()) + TELLING;
        let lease_until_ms = (self.now_ms)().saturating_add(ms(work));
        // Two copies of an event may come in one batch, so the time tells nobody apart.
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
        let begun = match retry(Patience::until(deadline), begin).await.0 {
            Ok(begun) => begun,
            Err(fault) => {
                // It may have worked without an answer: nobody shall wait for a lease that nobody uses.
                self.give_back(turn(Vec::new())).await;
                return Err(fault);
            }
        };
        Ok(match begun {
            Begun::Yours { published } => Begin::Turn(turn(published)),
            Begun::Done => Begin::Done,
            Begun::Busy { until_ms } => {
                let wait = until_ms.saturating_sub((self.now_ms)());
                Begin::Busy(Duration::from_millis(wait.try_into().unwrap_or_default()))
            }
        })
    }

    /// Publishes what was not published before, and tells how many of the values became claims.
    ///
    /// # Errors
    ///
    /// What stands in the way of one of them; where there is a choice, something that may pass.
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
                // The same topic may be there twice, with other values.
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
        let passing = failed.iter().position(Unpublished::may_pass).unwrap_or(0);
        failed.into_iter().nth(passing).map_or(Ok(claims), Err)
    }

    /// Whether what it published was a claim.
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
        let patience = Patience {
            first_wait: Duration::from_millis(100),
            ..Patience::until(deadline)
        };
        let (result, attempts) = retry(patience, || self.topics.publish(cache, topic, &text)).await;
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

    /// Tells the ledger that nothing of the event is left to publish.
    ///
    /// Where it does not take that, the event is done all the same: only who brings it again publishes it again.
    pub async fn finish(&self, turn: Turn) {
        let Some(ledger) = &self.ledger else { return };
        let until = Patience::until(Instant::now() + TELLING);
        let (result, _) = retry(until, || ledger.finish(&turn.id)).await;
        tell(result, "published, but the ledger does not know");
    }

    /// Gives the event to whoever takes it next, with what was published of it.
    pub async fn give_back(&self, turn: Turn) {
        let Some(ledger) = &self.ledger else { return };
        let published = turn.published().clone();
        let until = Patience::until(Instant::now() + TELLING);
        let give_back = || ledger.give_back(&turn.id, &turn.owner, &published);
        let (result, _) = retry(until, give_back).await;
        tell(result, "the ledger holds an event until its lease ends");
    }
}

impl Turn {
    fn published(&self) -> std::sync::MutexGuard<'_, Vec<String>> {
        self.published
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

fn tell(result: Result<(), Fault>, what: &str) {
    if let Err(fault) = result {
        tracing::warn!(error.code = fault.code, error.text = fault.text, "{what}");
    }
}

fn ms(duration: Duration) -> i64 {
    duration.as_millis().try_into().unwrap_or(i64::MAX)
}
