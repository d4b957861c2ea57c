//! The replay itself: receives, filters, sends back, deletes, and releases the rest at the end.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::future::join_all;
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
    /// Stays, and is not reported.
    NotMatching,
    /// Stays, and is not reported: it matches beyond the limit.
    OverLimit,
    /// Stays: sending failed.
    NotSent(String),
    /// Sent, but still here, too.
    NotDeleted(String),
}

/// Counts of one queue's replay.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Tally {
    /// Records seen; a letter that came back counts once.
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
    fn count(&mut self, fate: &Fate) {
        self.found += u64::from(*fate != Fate::CameBack);
        *match fate {
            Fate::Replayed | Fate::WouldReplay => &mut self.replayed,
            Fate::CameBack => &mut self.came_back,
            Fate::NoLetter => &mut self.no_letter,
            Fate::NotMatching => &mut self.not_matching,
            Fate::OverLimit => &mut self.over_limit,
            Fate::NotSent(_) => &mut self.not_sent,
            Fate::NotDeleted(_) => &mut self.not_deleted,
        } += 1;
    }

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
                let dead = Dead::read(self.kind, &record);
                if let Some(fate) = self.why_not(&record, &dead, &sent_back, *limit) {
                    tally.count(&fate);
                    if !matches!(fate, Fate::NotMatching | Fate::OverLimit) {
                        report(&tally, Some((&dead, fate)));
                    }
                    continue;
                }
                *limit = limit.map(|left| left - 1);
                let identity = dead.identity(self.kind);
                sent_back.entry(identity).or_insert(record.received_ms);
                chosen.push((record, dead));
            }
            let fates = chosen
                .iter()
                .map(|(record, dead)| self.put_back(queues, record, dead));
            let fates = join_all(fates).await;
            let not_sent = |fate: &Fate| matches!(fate, Fate::NotSent(_));
            if !fates.is_empty() && fates.iter().all(not_sent) {
                // Further batches would fail as well.
                tally.broke_off = Some("no letter of the last batch could be put back".to_owned());
            }
            for ((record, dead), fate) in chosen.into_iter().zip(fates) {
                tally.count(&fate);
                if not_sent(&fate) {
                    sent_back.remove(&dead.identity(self.kind));
                }
                if fate == Fate::Replayed {
                    reading.mark_deleted(record.message_id);
                }
                report(&tally, Some((&dead, fate)));
            }
            report(&tally, None);
        }
        reading.release().await;
        tally
    }

    /// The outcome of a record that stays; `None` for one to put back. `sent_back` has the time of the first receive of each
    /// letter put back.
    fn why_not(
        &self,
        record: &Record,
        dead: &Dead,
        sent_back: &HashMap<Identity, i64>,
        limit: Option<u64>,
    ) -> Option<Fate> {
        let came_back = |(id, route): Identity| {
            // A letter without a route may come back with one.
            let identities = [(id.clone(), route), (id, None)];
            let mut received = identities.iter().filter_map(|one| sent_back.get(one));
            // A copy sent before the first receive was in the queue already.
            received.any(|&received| record.sent_ms >= received)
        };
        if dead.send.is_none() {
            Some(Fate::NoLetter)
        } else if !self.dry_run && came_back(dead.identity(self.kind)) {
            Some(Fate::CameBack)
        } else if !self.choice.takes(dead) {
            Some(Fate::NotMatching)
        } else {
            (limit == Some(0)).then_some(Fate::OverLimit)
        }
    }

    /// Sends, then deletes: a crash in between leaves the letter in both queues, and a message delivered twice starts one
    /// execution.
    async fn put_back(&self, queues: &impl Queues, record: &Record, dead: &Dead) -> Fate {
        if self.dry_run {
            return Fate::WouldReplay;
        }
        let body = dead.send.as_ref().map_or("", |payload| &payload.0);
        if let Err(error) = queues.send(body).await {
            return Fate::NotSent(error);
        }
        match queues.delete(&record.receipt).await {
            Ok(()) => Fate::Replayed,
            Err(error) => Fate::NotDeleted(error),
        }
    }
}

#[cfg(test)]
mod tests;
