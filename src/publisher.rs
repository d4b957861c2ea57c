//! Publishing what an event asks for, and never again what is known to be published.
//!
//! In two phases: the ledger gives an event to one invocation for as long as that can last, and is told at the end what was
//! published. A crash in between leads to a repeat when the lease is over, and never to a loss.

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
const TELLING: Duration = Duration::from_secs(2);

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
    lease_until_ms: i64,
    published: Mutex<Vec<String>>,
}

/// Why a value was not published.
#[derive(Debug, thiserror::Error)]
pub enum Unpublished {
    #[error(
        "could not publish to topic `{topic}` in cache `{cache}` after {attempts} attempts: {fault}"
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
        // A part of it is left to chance, so that the end of a lease tells whose it is.
        let lease_until_ms = (self.now_ms)().saturating_add(ms(work) + fastrand::i64(0..1000));
        let turn = |published| Turn {
            id: id.clone(),
            lease_until_ms,
            published: Mutex::new(published),
        };
        let Some(ledger) = &self.ledger else {
            return Ok(Begin::Turn(turn(Vec::new())));
        };
        let begin = || ledger.begin(&id, lease_until_ms);
        let begun = retry(Patience::until(deadline), begin).await.0?;
        Ok(match begun {
            Begun::Yours { published } => Begin::Turn(turn(published)),
            Begun::Done => Begin::Done,
            // An attempt of our own whose answer was lost.
            Begun::Busy {
                until_ms,
                published,
            } if until_ms == lease_until_ms => Begin::Turn(turn(published)),
            Begun::Busy { until_ms, .. } => {
                let wait = until_ms.saturating_sub((self.now_ms)());
                Begin::Busy(Duration::from_millis(wait.try_into().unwrap_or_default()))
            }
        })
    }

    /// Publishes what was not published before.
    ///
    /// # Errors
    ///
    /// What stands in the way of one of them; where there is a choice, something that may pass.
    pub async fn publish(
        &self,
        turn: &Turn,
        publications: &[Publication],
        deadline: Instant,
    ) -> Result<(), Unpublished> {
        let all = publications
            .iter()
            .enumerate()
            .map(async |(i, publication)| {
                // The same topic may be there twice, with other values.
                let name = format!("{i} {}/{}", publication.cache, publication.topic);
                if turn.published().contains(&name) {
                    return Ok(());
                }
                self.publish_one(publication, deadline).await?;
                turn.published().push(name);
                Ok(())
            });
        let failed: Vec<Unpublished> = join_all(all)
            .await
            .into_iter()
            .filter_map(Result::err)
            .collect();
        let passing = failed.iter().position(Unpublished::may_pass).unwrap_or(0);
        failed.into_iter().nth(passing).map_or(Ok(()), Err)
    }

    async fn publish_one(
        &self,
        publication: &Publication,
        deadline: Instant,
    ) -> Result<(), Unpublished> {
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
        result.map_err(|fault| Unpublished::Topic {
            cache: cache.clone(),
            topic: topic.clone(),
            attempts,
            fault,
        })
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
        let give_back = || ledger.give_back(&turn.id, turn.lease_until_ms, &published);
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ports::Answer;
    use crate::testing::World;

    /// Takes the first lease that is asked for, and loses the answer.
    #[derive(Default)]
    struct Forgetful(Mutex<Option<i64>>);

    impl Ledger for Forgetful {
        fn begin<'a>(&'a self, _: &'a str, lease_until_ms: i64) -> Answer<'a, Begun> {
            let mut lease = self.0.lock().unwrap();
            let answer = match *lease {
                None => Err(Fault::timed_out()),
                Some(until_ms) => Ok(Begun::Busy {
                    until_ms,
                    published: vec!["0 demo/a".to_owned()],
                }),
            };
            lease.get_or_insert(lease_until_ms);
            Box::pin(async { answer })
        }

        fn finish<'a>(&'a self, _: &'a str) -> Answer<'a, ()> {
            Box::pin(async { Ok(()) })
        }

        fn give_back<'a>(&'a self, _: &'a str, _: i64, _: &'a [String]) -> Answer<'a, ()> {
            Box::pin(async { Ok(()) })
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_lease_whose_answer_was_lost_is_known_again() {
        let world = World::default();
        let publisher = Publisher {
            topics: Arc::new(world.clone()),
            claims: Claims {
                items: Arc::new(world.clone()),
                objects: None,
                max_message_bytes: 4096,
                max_item_bytes: 4096,
                ttl: Duration::from_secs(60),
                now_ms: || 0,
            },
            ledger: Some(Arc::new(Forgetful::default())),
            at_once: Semaphore::new(1),
            now_ms: || 0,
        };
        let deadline = Instant::now() + Duration::from_secs(10);
        let Ok(Begin::Turn(turn)) = publisher.begin("e".to_owned(), deadline).await else {
            panic!("it is ours");
        };
        let publication = |topic: &str| Publication {
            cache: "demo".to_owned(),
            topic: topic.to_owned(),
            value: "x".to_owned(),
        };
        let both = [publication("a"), publication("b")];
        publisher.publish(&turn, &both, deadline).await.unwrap();
        assert_eq!(world.calls(), ["publish demo/b x"], "a was done before");
        // Nobody else has that lease.
        let Ok(Begin::Busy(wait)) = publisher.begin("e".to_owned(), deadline).await else {
            panic!("it is taken");
        };
        assert!((12..=13).contains(&wait.as_secs()), "{wait:?}");
    }
}
