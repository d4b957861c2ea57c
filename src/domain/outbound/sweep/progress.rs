//! How far the completion has come with its queue.
//!
//! An end unknown to the ledger is not lost while its event may wait in the queue. An empty queue has no event; in a queue
//! with messages, the sweep leaves a marker, which the completion enters into the ledger when it takes it. What was sent
//! before the newest marker taken, or before the queue was last seen empty, was taken too.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::time::Instant;

use super::cursor::BEFORE_FIRST;
use super::{Budget, Failed, SAVE_WITHIN, Sweep, with_retries};
use crate::domain::retry::{RetryPolicy, retry};

/// The key of the saved progress.
const KEY: &str = "sweep-queue";
/// The depth is measured again after this time.
const FRESH: Duration = Duration::from_secs(20);
/// Shortest time between two markers, in ms.
const MARK_EVERY_MS: i64 = 60_000;
/// Most outstanding markers, all looked up in one call; then every other one is forgotten.
const MARKERS: usize = 100;
/// A busy completion takes a marker within this time.
const TAKEN_WITHIN: Duration = Duration::from_secs(2);

/// Times are ms since the epoch.
#[derive(Debug)]
pub struct Progress {
    saved: Saved,
    /// Approximate number of messages in the queue; `None` if unknown.
    pub waiting: Option<u64>,
    measured: Option<Instant>,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
struct Saved {
    /// Every event sent before this was taken.
    taken: i64,
    /// When the outstanding markers were sent.
    markers: Vec<i64>,
}

impl Progress {
    /// Ends after this may have an event on its way.
    pub(super) fn cutoff(&self, now: i64, grace: Duration) -> i64 {
        let grace = i64::try_from(grace.as_millis()).unwrap_or(i64::MAX / 4);
        now.min(self.saved.taken) - grace
    }

    /// Age of the oldest event that may wait in the queue, in ms.
    pub fn age(&self, now: i64) -> i64 {
        (now - self.saved.taken).max(0)
    }
}

/// The key of a marker in the ledger.
fn marker(sent_at: i64) -> String {
    format!("sweep-marker#{sent_at}")
}

impl Sweep {
    /// Measures the progress at the start of an invocation. If the depth of the queue is unknown, the markers are used.
    ///
    /// # Errors
    ///
    /// When the table or the queue cannot be used.
    pub async fn progress(&self, budget: &Budget) -> Result<(Progress, Option<Failed>), Failed> {
        let policy = RetryPolicy::until(Instant::now() + SAVE_WITHIN);
        let (saved, _) = retry(policy, || self.register.load(KEY)).await;
        let saved = saved.map_err(Failed::Table)?;
        // Earlier ends do not count in a first sweep.
        let taken = budget.began_ms() - BEFORE_FIRST;
        let first = || Saved {
            taken,
            markers: Vec::new(),
        };
        let saved = saved.and_then(|text| serde_json::from_str(&text).ok());
        let mut progress = Progress {
            saved: saved.unwrap_or_else(first),
            waiting: None,
            measured: None,
        };
        let unknown = self.measure(&mut progress, budget).await?;
        if progress.waiting != Some(0) && Instant::now() + 2 * TAKEN_WITHIN < budget.deadline {
            tokio::time::sleep(TAKEN_WITHIN).await;
            progress.measured = None;
            self.measure(&mut progress, budget).await?;
        }
        Ok((progress, unknown))
    }

    /// Measures again if the last time is long ago. Returns the failure to read the depth.
    pub(super) async fn measure(
        &self,
        progress: &mut Progress,
        budget: &Budget,
    ) -> Result<Option<Failed>, Failed> {
        if progress.measured.is_some_and(|at| at.elapsed() < FRESH) {
            return Ok(None);
        }
        progress.measured = Some(Instant::now());
        let now = budget.now_ms();
        let policy = RetryPolicy::until(Instant::now() + SAVE_WITHIN);
        let (waiting, _) = retry(policy, || self.backlog.waiting()).await;
        let before = progress.saved.clone();
        let unknown = match waiting {
            Ok(0) => {
                progress.waiting = Some(0);
                progress.saved.taken = now;
                progress.saved.markers.clear();
                None
            }
            waiting => {
                progress.waiting = waiting.as_ref().ok().copied();
                self.mark_queue(&mut progress.saved, now, budget).await?;
                waiting.err().map(Failed::Backlog)
            }
        };
        if progress.saved != before {
            let text = serde_json::to_string(&progress.saved).expect("numbers serialize");
            let policy = RetryPolicy::until(Instant::now() + SAVE_WITHIN);
            let (saved, _) = retry(policy, || self.register.save(KEY, &text)).await;
            saved.map_err(Failed::Table)?;
        }
        Ok(unknown)
    }

    /// Looks for the markers taken, and sends another one.
    async fn mark_queue(&self, saved: &mut Saved, now: i64, budget: &Budget) -> Result<(), Failed> {
        if !saved.markers.is_empty() {
            let ids: Vec<String> = saved.markers.iter().copied().map(marker).collect();
            let known = with_retries(budget, || self.register.known(&ids)).await;
            let Some(known) = known.transpose().map_err(Failed::Table)? else {
                return Ok(());
            };
            let taken = |at: &&i64| known.contains(&marker(**at));
            if let Some(newest) = saved.markers.iter().rev().find(taken).copied() {
                saved.taken = saved.taken.max(newest);
                saved.markers.retain(|at| *at > newest);
            }
        }
        let last = saved.markers.last().copied().unwrap_or(saved.taken);
        if now - last >= MARK_EVERY_MS {
            let event = json!({
                "version": "0",
                "id": marker(now),
                "source": "workflow-bridge",
                "detail-type": "Sweep Marker",
                "resources": [],
                "detail": {},
            });
            let event = event.to_string();
            match with_retries(budget, || self.completions.send(&event)).await {
                None => return Ok(()),
                Some(sent) => sent.map_err(Failed::Queue)?,
            }
            if saved.markers.len() >= MARKERS {
                let mut at = 0;
                saved.markers.retain(|_| {
                    at += 1;
                    at % 2 == 0
                });
            }
            saved.markers.push(now);
        }
        Ok(())
    }
}
