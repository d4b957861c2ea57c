//! The replay itself: receives, filters, sends back, deletes, and releases the rest at the end.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};

use serde::Serialize;

use super::choice::Choice;
use super::reading::{Queues, Reading};
use crate::tools::letters::{Dead, DeadQueue, Identity, Record};

/// Long polls without a new record before the queue counts as read to its end. One poll may miss records of a busy server.
const EMPTY_RECEIVES: u32 = 3;

/// The outcome of one record; as JSON, `outcome` and, where it has one, `error`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "outcome", content = "error", rename_all = "snake_case")]
pub enum Fate {
    Replayed,
    WouldReplay,
    /// Stays: it was replayed a moment ago and came back.
    CameBack,
    /// Stays: not a letter, or one of another queue.
    NoLetter,
    /// Stays: sending failed.
    NotSent(String),
    /// Sent, but still here, too.
    NotDeleted(String),
}

/// Counts of one queue's replay.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Tally {
    /// Records seen.
    pub found: u64,
    /// Put back, or listed by a dry run.
    pub replayed: u64,
    pub not_matching: u64,
    pub came_back: u64,
    pub no_letter: u64,
    pub not_sent: u64,
    pub not_deleted: u64,
    /// Matching records beyond the limit, in the last batch.
    #[serde(skip)]
    pub over_limit: u64,
    pub limit_reached: bool,
    pub stopped: bool,
    /// Why the run ended early.
    #[serde(rename = "error")]
    pub broke_off: Option<String>,
}

impl Tally {
    pub fn failed(&self) -> bool {
        self.not_sent > 0 || self.not_deleted > 0 || self.came_back > 0 || self.broke_off.is_some()
    }
}

/// The replay of one dead-letter queue.
pub struct Job<'a> {
    pub kind: DeadQueue,
    pub choice: &'a Choice,
    pub dry_run: bool,
    pub stop: &'a AtomicBool,
}

impl Job<'_> {
    /// Goes once through the queue. `limit` counts down with each match. `report` gets every record except those that do not
    /// match, and the count so far.
    pub async fn run(
        &self,
        queues: &impl Queues,
        limit: &mut Option<u64>,
        mut report: impl FnMut(&Tally, Option<(&Dead, Fate)>),
    ) -> Tally {
        let mut tally = Tally::default();
        let mut reading = Reading::new(queues, EMPTY_RECEIVES);
        let mut sent_back: HashMap<Identity, i64> = HashMap::new();
        while tally.broke_off.is_none() {
            tally.stopped = self.stop.load(Ordering::Relaxed);
            tally.limit_reached = *limit == Some(0);
            if tally.stopped || tally.limit_reached {
                break;
            }
            let records = match reading.next().await {
                Ok(Some(records)) => records,
                Ok(None) => break,
                Err(error) => {
                    tally.broke_off = Some(format!("{error:#}"));
                    break;
                }
            };
            let mut chosen = Vec::new();
            for record in records {
                tally.found += 1;
                let dead = Dead::read(self.kind, &record);
                match self.why_not(&record, &dead, &sent_back, *limit, &mut tally) {
                    None => {
                        *limit = limit.map(|left| left - 1);
                        if let Some(identity) = dead.identity(self.kind) {
                            sent_back.entry(identity).or_insert(record.received_ms);
                        }
                        chosen.push((record, dead));
                    }
                    Some(Some(fate)) => report(&tally, Some((&dead, fate))),
                    Some(None) => {}
                }
            }
            let fates = self.put_back(queues, &chosen).await;
            let not_sent = |fate: &Fate| matches!(fate, Fate::NotSent(_));
            if !fates.is_empty() && fates.iter().all(not_sent) {
                // Further batches would fail as well.
                tally.broke_off = Some("no letter of the last batch could be put back".to_owned());
            }
            for ((record, dead), fate) in chosen.into_iter().zip(fates) {
                match &fate {
                    Fate::NotSent(_) => {
                        tally.not_sent += 1;
                        dead.identity(self.kind)
                            .map(|identity| sent_back.remove(&identity));
                    }
                    Fate::NotDeleted(_) => tally.not_deleted += 1,
                    _ => tally.replayed += 1,
                }
                if fate == Fate::Replayed {
                    reading.is_gone(record.message_id);
                }
                report(&tally, Some((&dead, fate)));
            }
            report(&tally, None);
        }
        reading.release().await;
        tally
    }

    /// `None` for a record to put back; else counts the reason, and returns the outcome to report, if any. `sent_back` has the
    /// time of the first receive of each letter put back.
    fn why_not(
        &self,
        record: &Record,
        dead: &Dead,
        sent_back: &HashMap<Identity, i64>,
        limit: Option<u64>,
        tally: &mut Tally,
    ) -> Option<Option<Fate>> {
        if dead.has_no_way_back() {
            tally.no_letter += 1;
            return Some(Some(Fate::NoLetter));
        }
        let came_back = dead.identity(self.kind).is_some_and(|identity| {
            // A letter without a route may come back with one.
            let unrouted = match &identity {
                Identity::Message(id, _) => Some(Identity::Message(id.clone(), None)),
                Identity::Result(_) => None,
            };
            // A copy sent before the first receive was in the queue already.
            let identities = [Some(identity), unrouted].into_iter().flatten();
            let mut received = identities.filter_map(|identity| sent_back.get(&identity));
            received.any(|&received| record.sent_ms >= received)
        });
        if came_back && !self.dry_run {
            tally.came_back += 1;
            return Some(Some(Fate::CameBack));
        }
        if !self.choice.takes(dead) {
            tally.not_matching += 1;
            return Some(None);
        }
        if limit == Some(0) {
            tally.over_limit += 1;
            return Some(None);
        }
        None
    }

    /// Sends, then deletes: a crash in between leaves the letter in both queues, and a message delivered twice starts one
    /// execution.
    async fn put_back(&self, queues: &impl Queues, chosen: &[(Record, Dead)]) -> Vec<Fate> {
        if self.dry_run {
            return vec![Fate::WouldReplay; chosen.len()];
        }
        if chosen.is_empty() {
            return Vec::new();
        }
        let payloads = chosen.iter().map(|(_, dead)| dead.send.as_ref());
        let bodies = payloads.map(|payload| payload.map_or("", |payload| &payload.0));
        let sent = queues.send(&bodies.collect::<Vec<_>>()).await;
        let taken = chosen.iter().zip(&sent).filter(|(_, sent)| sent.is_ok());
        let receipts = taken.map(|((record, _), _)| record.receipt.as_str());
        let receipts: Vec<_> = receipts.collect();
        let mut deleted = queues.delete(&receipts).await.into_iter();
        let fate = |sent| match sent {
            Err(error) => Fate::NotSent(error),
            Ok(()) => match deleted.next() {
                Some(Err(error)) => Fate::NotDeleted(error),
                _ => Fate::Replayed,
            },
        };
        sent.into_iter().map(fate).collect()
    }
}

#[cfg(test)]
mod tests;
