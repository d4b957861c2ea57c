//! Parked messages in, the targets asked again: the only place that decides whether a letter goes on waiting.
//!
//! The signature was checked before the message was parked, and how old it is does not matter any more.

use aws_lambda_events::sqs::{SqsBatchResponse, SqsEvent};
use tokio::time::Instant;

use super::records::{Ended, Record, Repeats};
use crate::dispatch::{self, Delivered, Ladder, Outcome, Queues, Targets};
use crate::letter::{Letter, Reason};
use crate::message::TopicMessage;
use crate::ports::{Fault, FaultKind};
use crate::routes::Routes;
use crate::signature::Verified;

/// The redrive.
pub struct Redrive {
    pub routes: Routes,
    pub targets: Targets,
    pub queues: Queues,
    pub repeats: Repeats,
}

/// A letter that cannot be delivered as it is.
struct Hopeless {
    reason: Reason,
    detail: String,
    attempts: u32,
}

/// What came of a letter that was tried.
enum Tried {
    /// Its outcome, or those of all routes that took an unrouted message.
    Delivered(String),
    Waits(Fault, u32),
    Hopeless(Hopeless),
}

impl Redrive {
    /// Tries each letter once more, and names those that go on waiting. `deadline` is the end of the invocation.
    ///
    /// # Errors
    ///
    /// When a failed record has no id: then the whole batch has to come again.
    pub async fn handle(
        &self,
        batch: SqsEvent,
        deadline: Instant,
    ) -> Result<SqsBatchResponse, String> {
        let handle = async |record, deadline| self.record(record, deadline).await;
        self.repeats.each(&batch, deadline, handle).await
    }

    async fn record(&self, record: Record<'_>, deadline: Instant) -> Ended {
        let budget = deadline.saturating_duration_since(Instant::now());
        let ladder = Ladder::within(budget, deadline);
        let letter: Letter = match serde_json::from_str(record.body) {
            Ok(letter) => letter,
            Err(e) => {
                let detail = format!(
                    "expected a parked message, found {}",
                    crate::json::error_without_content(&e)
                );
                let letter = Letter::about_event(
                    record.id,
                    record.body,
                    Reason::Unreadable,
                    detail,
                    self.now_ms(),
                );
                return self.bury(letter, ladder.queue).await;
            }
        };
        let (id, route) = (letter.id.clone(), letter.route.clone());
        let (outcome, ended, error) = match self.deliver(&letter, ladder).await {
            Tried::Delivered(outcome) => (outcome, Ended::Done, None),
            Tried::Waits(fault, _) if !record.is_last => {
                ("waits".to_owned(), Ended::Again, Some(fault.to_string()))
            }
            Tried::Waits(fault, attempts) => {
                let detail = fault.to_string();
                let letter = letter.again(Reason::GaveUp, detail.clone(), attempts, self.now_ms());
                let ended = self.bury(letter, ladder.queue).await;
                (Reason::GaveUp.name().to_owned(), ended, Some(detail))
            }
            Tried::Hopeless(Hopeless {
                reason,
                detail,
                attempts,
            }) => {
                let letter = letter.again(reason, detail.clone(), attempts, self.now_ms());
                let ended = self.bury(letter, ladder.queue).await;
                (reason.name().to_owned(), ended, Some(detail))
            }
        };
        if let Some(error) = error {
            tracing::warn!(
                message.id = id,
                route,
                outcome,
                error.text = error,
                "a parked message was tried in vain"
            );
        } else {
            tracing::info!(message.id = id, route, outcome, "redrove a parked message");
        }
        ended
    }

    async fn deliver(&self, letter: &Letter, ladder: Ladder) -> Tried {
        let body = letter.message.as_ref().map_or("", |message| message.get());
        let message = match TopicMessage::parse(Verified::stored(body.as_bytes())) {
            Ok(message) => message,
            Err(e) => {
                return Tried::Hopeless(Hopeless {
                    reason: Reason::Unreadable,
                    detail: e.to_string(),
                    attempts: 0,
                });
            }
        };
        let Some(name) = &letter.route else {
            return self.deliver_anew(&message, body, ladder).await;
        };
        let Some(route) = self.routes.iter().find(|r| r.name == *name && r.enabled) else {
            return Tried::Hopeless(Hopeless {
                reason: Reason::RouteGone,
                detail: format!(
                    "expected an enabled route `{name}`, found none; put it back, then replay"
                ),
                attempts: 0,
            });
        };
        let (result, attempts) =
            dispatch::attempt(&message, route, &self.targets, ladder.target).await;
        match result {
            Ok(outcome) => Tried::Delivered(outcome.name().to_owned()),
            Err(fault) if fault.kind == FaultKind::Permanent => Tried::Hopeless(Hopeless {
                reason: Reason::of(&fault),
                detail: fault.to_string(),
                attempts,
            }),
            Err(fault) => Tried::Waits(fault, attempts),
        }
    }

    /// A message that no route took, on its way again because somebody has added one.
    async fn deliver_anew(&self, message: &TopicMessage, body: &str, ladder: Ladder) -> Tried {
        let delivered = Delivered {
            message,
            body,
            now_ms: self.now_ms(),
        };
        let (targets, queues) = (&self.targets, &self.queues);
        let deliveries = dispatch::deliver(delivered, &self.routes, targets, queues, ladder).await;
        if deliveries.is_empty() {
            return Tried::Hopeless(Hopeless {
                reason: Reason::Unrouted,
                detail: Letter::unrouted(message, body, 0).detail,
                attempts: 0,
            });
        }
        // What a target did not take has a letter of its own by now, unless the queue took none.
        let lost = deliveries
            .iter()
            .find(|delivery| delivery.outcome == Outcome::NotStored);
        if let Some(fault) = lost.and_then(|delivery| delivery.queue_fault.clone()) {
            return Tried::Waits(fault, 0);
        }
        Tried::Delivered(dispatch::outcomes(&deliveries))
    }

    async fn bury(&self, letter: Letter, deadline: Instant) -> Ended {
        match dispatch::post(&letter, &self.queues.dead_letters, deadline).await {
            Ok(()) => Ended::Done,
            Err(fault) => {
                tracing::error!(
                    message.id = letter.id,
                    error.code = fault.code,
                    error.text = fault.text,
                    "the dead-letter queue did not take a message, which goes on waiting"
                );
                Ended::Again
            }
        }
    }

    fn now_ms(&self) -> i64 {
        (self.repeats.now_ms)()
    }
}

#[cfg(test)]
mod tests;
