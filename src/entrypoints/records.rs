//! Shared by the functions behind a queue: each record is handled by itself, and a failed one returns after growing waits,
//! until its last receive.

mod batch;

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use futures_util::future::join_all;
use lambda_runtime::{Error, LambdaEvent, Runtime, service_fn};
use tokio::time::Instant;
use tracing::Instrument;

pub use self::batch::{Batch, Failures};
use self::batch::{Failure, Message};
use super::runtime;
use crate::config::RepeatSettings;
use crate::domain::ports::Receipts;
use crate::domain::retry::{RetryPolicy, retry};
use crate::telemetry::{self, message_span};

/// Time limit of a record in one invocation; after that, the queue repeats it. Five eighths are the target's: an unavailable
/// target must not delay other records for long.
const RECORD_WITHIN: Duration = Duration::from_secs(8);

/// Time reserved for postponing records and for the answer.
const ANSWERING: Duration = Duration::from_secs(3);

/// An older message is not returned: SQS would delete it after 14 days, without a recorded reason. The three days in between
/// are for records waiting in a long backlog.
const LAST_AGE: Duration = Duration::from_secs(11 * 24 * 3600);

/// Serves the batches of a queue until the environment ends. `handle` gets the deadline of its invocation.
///
/// # Errors
///
/// As [`runtime::run`].
pub async fn serve(
    handle: impl AsyncFn(Batch, Instant) -> Result<Failures, String>,
    has_expired: fn() -> bool,
) -> Result<(), Error> {
    let handle = &handle;
    let runtime = Runtime::new(service_fn(async |event: LambdaEvent<Batch>| {
        telemetry::invoked(&event.context.request_id);
        let deadline = event.context.deadline();
        let remaining = deadline.duration_since(SystemTime::now());
        let deadline = Instant::now() + remaining.unwrap_or_default();
        Ok::<_, Error>(handle(event.payload, deadline).await?)
    }));
    runtime::run(runtime, has_expired).await
}

/// A record of a batch: a message of the queue.
#[derive(Clone, Copy, Debug)]
pub struct Record<'a> {
    pub id: &'a str,
    pub body: &'a str,
    /// When it was put into the queue, in ms since the epoch.
    pub sent_at: Option<i64>,
    /// The sender's header `X-Amzn-Trace-Id`.
    pub trace: Option<&'a str>,
    /// Number of earlier receives, each with at least one attempt at the target.
    pub earlier_receives: u32,
    /// Whether it cannot return to the queue.
    pub is_last: bool,
}

/// The outcome of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    Done,
    /// Returns to the queue, for a wait that depends on the number of receives.
    Again,
    /// Returns to the queue, for this wait.
    After(Duration),
}

/// Retries of failed records.
#[derive(Clone)]
pub struct Repeats {
    /// For postponing records; without it the queue's own visibility timeout applies.
    pub receipts: Option<Arc<dyn Receipts>>,
    /// The wait after the first receive; each later one is twice as long, up to `longest`.
    pub first: Duration,
    pub longest: Duration,
    /// The last receive of a record.
    pub max_receives: u32,
    /// The time, in ms since the epoch.
    pub now_ms: fn() -> i64,
}

impl Repeats {
    pub fn new(
        receipts: Option<Arc<dyn Receipts>>,
        settings: RepeatSettings,
        now_ms: fn() -> i64,
    ) -> Self {
        Self {
            receipts,
            first: settings.first,
            longest: settings.longest,
            max_receives: settings.max_receives,
            now_ms,
        }
    }

    /// Handles all records concurrently. Returns those to be received again. `deadline` is the end of the invocation.
    ///
    /// # Errors
    ///
    /// When a failed record has no id: then the whole batch is received again.
    pub async fn each<'a>(
        &self,
        batch: &'a Batch,
        deadline: Instant,
        handle: impl AsyncFn(Record<'a>, Instant) -> Ended,
    ) -> Result<Failures, String> {
        let now = Instant::now();
        let end = deadline.checked_sub(ANSWERING).unwrap_or(now);
        let end = end.min(now + RECORD_WITHIN);
        let handle = &handle;
        let records = batch.records.iter().map(async |message| {
            let receives = message.receives().unwrap_or(1);
            let record = Record {
                id: message.message_id.as_deref().unwrap_or_default(),
                body: message.body.as_deref().unwrap_or_default(),
                sent_at: message.sent_at(),
                trace: message.trace(),
                earlier_receives: receives.saturating_sub(1),
                is_last: receives >= self.max_receives || self.age(message) >= LAST_AGE,
            };
            let ended = handle(record, end).instrument(message_span()).await;
            let wait = match ended {
                Ended::Done => return (record.id, false),
                Ended::Again => self.wait(receives),
                Ended::After(wait) => wait,
            };
            self.postpone(message, wait, deadline).await;
            (record.id, true)
        });
        let mut failures = Vec::new();
        for (id, failed) in join_all(records).await {
            match (failed, id) {
                (false, _) => {}
                (true, "") => return Err("a record without an id failed".to_owned()),
                (true, id) => failures.push(Failure {
                    item_identifier: id.to_owned(),
                }),
            }
        }
        tracing::info!(
            records = batch.records.len(),
            failed = failures.len(),
            "handled a batch"
        );
        Ok(Failures {
            batch_item_failures: failures,
        })
    }

    /// Doubles each time, less up to a quarter, so that records failing together do not return together.
    fn wait(&self, receives: u32) -> Duration {
        let doubled = 2_u32.saturating_pow(receives.saturating_sub(1));
        let wait = self.first.saturating_mul(doubled).min(self.longest);
        wait.mul_f64(1.0 - fastrand::f64() / 4.0)
    }

    /// If this fails, the record returns after the queue's visibility timeout.
    async fn postpone(&self, message: &Message, wait: Duration, deadline: Instant) {
        let (Some(receipts), Some(receipt)) = (&self.receipts, &message.receipt_handle) else {
            return;
        };
        let until = deadline.min(Instant::now() + ANSWERING / 2);
        // Rounded up, since an immediate return would be too early.
        let wait = Duration::from_secs(wait.as_secs_f64().ceil() as u64);
        let (result, _) = retry(RetryPolicy::until(until), || {
            receipts.postpone(receipt, wait)
        })
        .await;
        if let Err(fault) = result {
            tracing::warn!(
                error.code = fault.code,
                error.text = fault.text,
                "a record returns when its visibility timeout ends"
            );
        }
    }

    fn age(&self, message: &Message) -> Duration {
        let sent_at = message.sent_at().unwrap_or(i64::MAX);
        let age = (self.now_ms)().saturating_sub(sent_at);
        Duration::from_millis(age.try_into().unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;
    use crate::domain::fault::Fault;
    use crate::domain::ports::Answer;

    #[derive(Default)]
    struct Postponed(Mutex<Vec<(String, u64)>>, Option<Fault>);

    impl Receipts for Postponed {
        fn postpone<'a>(&'a self, receipt: &'a str, delay: Duration) -> Answer<'a, ()> {
            let record = (receipt.to_owned(), delay.as_secs());
            self.0.lock().unwrap().push(record);
            let fault = self.1.clone();
            Box::pin(async { fault.map_or(Ok(()), Err) })
        }
    }

    fn repeats(receipts: &Arc<Postponed>) -> Repeats {
        Repeats {
            receipts: Some(receipts.clone()),
            first: Duration::from_secs(30),
            longest: Duration::from_secs(7200),
            max_receives: 150,
            now_ms: || 1_000_000_000,
        }
    }

    fn batch(records: &[(&str, u32, i64)]) -> Batch {
        let records = records.iter().map(|(id, receives, sent_at)| {
            serde_json::json!({
                "messageId": id, "receiptHandle": format!("receipt-{id}"), "body": "x",
                "attributes": {"ApproximateReceiveCount": receives.to_string(), "SentTimestamp": sent_at.to_string()},
            })
        });
        let batch = serde_json::json!({"Records": records.collect::<Vec<_>>()});
        serde_json::from_value(batch).unwrap()
    }

    async fn ends(repeats: &Repeats, batch: &Batch, ended: Ended) -> Vec<String> {
        let deadline = Instant::now() + Duration::from_secs(60);
        let handle = async |_: Record<'_>, _: Instant| ended;
        let response = repeats.each(batch, deadline, handle).await.unwrap();
        let failures = response.batch_item_failures.into_iter();
        failures.map(|failure| failure.item_identifier).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn a_failed_record_returns_after_growing_waits() {
        let receipts = Arc::new(Postponed::default());
        let all = batch(&[("a", 1, 0), ("b", 2, 0), ("c", 9, 0), ("d", 140, 0)]);
        let failed = ends(&repeats(&receipts), &all, Ended::Again).await;
        assert_eq!(failed, ["a", "b", "c", "d"]);
        let waits = receipts.0.lock().unwrap().clone();
        for ((receipt, wait), longest) in waits.iter().zip([30, 60, 7200, 7200]) {
            assert!(
                (longest * 3 / 4..=longest).contains(wait),
                "{receipt}: {wait}"
            );
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_finished_record_does_not_return() {
        let receipts = Arc::new(Postponed::default());
        let done = ends(&repeats(&receipts), &batch(&[("a", 1, 0)]), Ended::Done).await;
        assert!(done.is_empty() && receipts.0.lock().unwrap().is_empty());
        let after = Ended::After(Duration::from_millis(4100));
        ends(&repeats(&receipts), &batch(&[("a", 1, 0)]), after).await;
        assert_eq!(receipts.0.lock().unwrap()[0], ("receipt-a".into(), 5));
    }

    #[tokio::test(start_paused = true)]
    async fn a_record_returns_even_if_postponing_it_fails() {
        let fault = Fault::permanent("ReceiptHandleIsInvalid", "gone");
        let receipts = Arc::new(Postponed(Mutex::default(), Some(fault)));
        let failed = ends(&repeats(&receipts), &batch(&[("a", 1, 0)]), Ended::Again).await;
        assert_eq!(failed, ["a"]);
    }

    #[tokio::test(start_paused = true)]
    async fn the_last_receive_depends_on_count_and_age() {
        let repeats = repeats(&Arc::default());
        let now = (repeats.now_ms)();
        let day = 24 * 3600 * 1000;
        let all = batch(&[
            ("first", 1, now),
            ("late", 149, now - 10 * day),
            ("last", 150, now),
            ("old", 2, now - 11 * day),
        ]);
        let last = Mutex::new(Vec::new());
        let handle = async |record: Record<'_>, _: Instant| {
            if record.is_last {
                last.lock().unwrap().push(record.id.to_owned());
            }
            Ended::Done
        };
        let deadline = Instant::now() + Duration::from_secs(60);
        repeats.each(&all, deadline, handle).await.unwrap();
        assert_eq!(*last.lock().unwrap(), ["last", "old"]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_failed_record_without_an_id_fails_the_batch() {
        let repeats = repeats(&Arc::default());
        let all = serde_json::from_str(r#"{"Records": [{"body": "x"}]}"#).unwrap();
        let handle = async |_: Record<'_>, _: Instant| Ended::Again;
        assert!(repeats.each(&all, Instant::now(), handle).await.is_err());
    }
}
