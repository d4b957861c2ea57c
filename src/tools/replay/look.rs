//! A look at a queue of dead letters, which stay in it.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use super::run::Queues as _;
use super::sqs::Sqs;
use crate::domain::fault::Fault;
use crate::tools::letters::{Dead, DeadQueue};

/// Visibility time-out of read letters: a killed process hides them for this long.
const HOLD: Duration = Duration::from_secs(60);

/// Empty receives before the queue counts as read to its end.
const EMPTY_RECEIVES: u32 = 2;

/// The end of a look, whichever comes first.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Matching letters.
    pub matching: usize,
    /// Letters of the queue: its depth, where a look need not find more.
    pub read: u64,
    /// Less than a minute, while the first letters are still hidden.
    pub within: Duration,
}

/// The letters that match, and whether the whole queue was read. What is received shows again at the end.
///
/// # Errors
///
/// When the queue does not answer.
pub async fn look(
    queues: Sqs,
    queue: DeadQueue,
    wanted: impl Fn(&Dead) -> bool,
    limits: Limits,
) -> Result<(Vec<Dead>, bool), Fault> {
    let queues = queues.looking(HOLD);
    let began = Instant::now();
    let (mut held, mut found) = (HashMap::new(), Vec::new());
    let (mut empty, mut failed) = (0, None);
    while empty < EMPTY_RECEIVES
        && (held.len() as u64) < limits.read
        && found.len() < limits.matching
        && began.elapsed() < limits.within
    {
        let records = match queues.receive().await {
            Ok(records) => records,
            Err(error) => {
                failed = Some(Fault::permanent("NotReceived", format!("{error:#}")));
                break;
            }
        };
        empty = if records.is_empty() { empty + 1 } else { 0 };
        for record in records {
            let dead = Dead::read(queue, &record);
            let is_new = held.insert(record.message_id, record.receipt).is_none();
            if is_new && wanted(&dead) {
                found.push(dead);
            }
        }
    }
    let all = empty == EMPTY_RECEIVES || held.len() as u64 >= limits.read;
    let receipts: Vec<&str> = held.values().map(String::as_str).collect();
    queues.hide(&receipts, Duration::ZERO).await;
    failed.map_or(Ok((found, all)), Err)
}
