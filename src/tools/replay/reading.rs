//! Reads a dead-letter queue to its end: every record once, hidden from other readers until then.

use std::collections::HashMap;
use std::time::Duration;

use anyhow::Result;
use tokio::time::Instant;

use crate::domain::fault::Fault;
use crate::tools::letters::{Dead, DeadQueue, Record};

/// Visibility time-out of held records, renewed after half of it. A killed run hides its records for no longer than this.
pub const HOLD: Duration = Duration::from_secs(600);

/// Empty receives before a look counts a queue as read to its end.
const EMPTY_RECEIVES: u32 = 2;

/// A dead-letter queue, and the queue to replay into.
pub trait Queues {
    /// Up to ten records, hidden from other readers; waits a moment for the first.
    fn receive(&self) -> impl Future<Output = Result<Vec<Record>>> + Send;

    /// Sends a body back.
    fn send(&self, body: &str) -> impl Future<Output = Result<(), String>> + Send;

    /// Deletes a received record.
    fn delete(&self, receipt: &str) -> impl Future<Output = Result<(), String>> + Send;

    /// Shows received records again after `time`. After a failure they show again by themselves.
    fn hide(&self, receipts: &[&str], time: Duration) -> impl Future<Output = ()> + Send;
}

/// A queue that is being read.
pub struct Reading<'a, Q> {
    queues: &'a Q,
    /// Receipts by SQS's ids; none for deleted records.
    seen: HashMap<String, Option<String>>,
    renewed: Instant,
    /// Receives without a new record that may still follow.
    receives: u32,
    most_empty: u32,
}

impl<'a, Q: Queues> Reading<'a, Q> {
    /// Ends after `most_empty` receives in a row without a new record.
    pub fn new(queues: &'a Q, most_empty: u32) -> Self {
        Self {
            queues,
            seen: HashMap::new(),
            renewed: Instant::now(),
            receives: most_empty,
            most_empty,
        }
    }

    /// The new records of one receive; `None` at the end of the queue.
    ///
    /// # Errors
    ///
    /// When the queue does not answer.
    pub async fn next(&mut self) -> Result<Option<Vec<Record>>> {
        if self.receives == 0 {
            return Ok(None);
        }
        if self.renewed.elapsed() > HOLD / 2 {
            self.renewed = Instant::now();
            self.queues.hide(&self.held(), HOLD).await;
        }
        self.receives -= 1;
        let mut new = Vec::new();
        for record in self.queues.receive().await? {
            match self.seen.get_mut(&record.message_id) {
                // SQS may deliver a record twice, in which case the newer receipt counts, and even a deleted one.
                Some(Some(receipt)) => *receipt = record.receipt,
                Some(None) => drop(self.queues.delete(&record.receipt).await),
                None => {
                    self.receives = self.most_empty;
                    let receipt = Some(record.receipt.clone());
                    self.seen.insert(record.message_id.clone(), receipt);
                    new.push(record);
                }
            }
        }
        Ok(Some(new))
    }

    /// The record with this id of SQS was deleted.
    pub fn mark_deleted(&mut self, message_id: String) {
        self.seen.insert(message_id, None);
    }

    fn held(&self) -> Vec<&str> {
        self.seen.values().flatten().map(String::as_str).collect()
    }

    /// Shows all records again but the deleted ones.
    pub async fn release(self) {
        self.queues.hide(&self.held(), Duration::ZERO).await;
    }
}

/// The letters that match, and whether the whole queue was read. They stay there: what is received shows again at the end.
///
/// It ends at the end of the queue, with the `most`th match, with as many letters as the queue's `depth`, or after `within`: less
/// than a minute, while the first letters are still hidden.
///
/// # Errors
///
/// When the queue does not answer.
pub async fn look(
    queues: &impl Queues,
    queue: DeadQueue,
    wanted: impl Fn(&Dead) -> bool,
    most: usize,
    depth: Option<u64>,
    within: Duration,
) -> Result<(Vec<Dead>, bool), Fault> {
    let began = Instant::now();
    let mut reading = Reading::new(queues, EMPTY_RECEIVES);
    let (mut found, mut failed) = (Vec::new(), None);
    let whole =
        |reading: &Reading<'_, _>| depth.is_some_and(|depth| reading.seen.len() as u64 >= depth);
    while !whole(&reading) && found.len() < most && began.elapsed() < within {
        match reading.next().await {
            Ok(Some(records)) => {
                let letters = records.iter().map(|record| Dead::read(queue, record));
                found.extend(letters.filter(|dead| wanted(dead)));
            }
            Ok(None) => break,
            Err(error) => {
                failed = Some(Fault::permanent("NotReceived", format!("{error:#}")));
                break;
            }
        }
    }
    let all = reading.receives == 0 || whole(&reading);
    reading.release().await;
    failed.map_or(Ok((found, all)), Err)
}
