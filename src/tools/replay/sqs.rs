//! The two queues of a replay, in SQS.

use std::time::Duration;

use crate::adapters::aws::fault::fault;
use crate::adapters::aws::sqs::{Depth, SqsQueue};
use anyhow::{Context, Result, anyhow};
use aws_config::SdkConfig;
use aws_sdk_sqs::Client;
use aws_sdk_sqs::types::{
    BatchResultErrorEntry, ChangeMessageVisibilityBatchRequestEntry,
    DeleteMessageBatchRequestEntry, Message, MessageSystemAttributeName,
    SendMessageBatchRequestEntry,
};
use futures_util::StreamExt;
use futures_util::stream::iter;

use super::reading::{HOLD, Queues};
use crate::tools::letters::Record;

/// SQS's limit of entries in a batch, and of messages in a receive.
const BATCH: usize = 10;

/// SQS's limit of all bodies of a batch together, in bytes.
const BATCH_BYTES: usize = 1024 * 1024;

/// How long a receive waits for a first message, in s.
const WAIT: i32 = 1;

/// Concurrent calls to show held records again.
const AT_ONCE: usize = 8;

/// EventBridge's attributes of an undelivered event.
const UNDELIVERED: [&str; 2] = ["ERROR_CODE", "ERROR_MESSAGE"];

const SENT: MessageSystemAttributeName = MessageSystemAttributeName::SentTimestamp;
const RECEIVED: MessageSystemAttributeName =
    MessageSystemAttributeName::ApproximateFirstReceiveTimestamp;

/// A dead-letter queue, and the queue to replay into.
pub struct Sqs {
    client: Client,
    config: SdkConfig,
    from: String,
    to: String,
    hold: Duration,
}

impl Sqs {
    /// Both queues by their URLs.
    pub fn new(config: &SdkConfig, from: String, to: String) -> Self {
        Self {
            client: Client::new(config),
            config: config.clone(),
            from,
            to,
            hold: HOLD,
        }
    }

    /// The same queue for reading only: a killed process hides its letters for a minute.
    pub fn looking(self) -> Self {
        let hold = Duration::from_secs(60);
        Self { hold, ..self }
    }

    /// The depth; `None` on an error, since a missing permission for it must not fail the replay.
    pub async fn depth(&self) -> Option<Depth> {
        let queue = SqsQueue::new(&self.config, self.from.clone());
        queue.depth().await.ok()
    }
}

/// The ids and the items of a batch's entries: their positions.
fn numbered<'a>(items: &'a [&'a str]) -> impl Iterator<Item = (String, &'a str)> {
    let items = items.iter().enumerate();
    items.map(|(index, item)| (index.to_string(), *item))
}

impl Queues for Sqs {
    async fn receive(&self) -> Result<Vec<Record>> {
        let call = self.client.receive_message().queue_url(&self.from);
        let call = call
            .max_number_of_messages(BATCH as i32)
            .visibility_timeout(seconds(self.hold))
            .wait_time_seconds(WAIT)
            .set_message_system_attribute_names(Some(vec![SENT, RECEIVED]))
            .set_message_attribute_names(Some(UNDELIVERED.map(Into::into).into()));
        let output = call.send().await.map_err(|e| anyhow!(fault(&e)));
        let output = output.with_context(|| format!("cannot receive from `{}`", self.from))?;
        let messages = output.messages.into_iter().flatten();
        Ok(messages.filter_map(record).collect())
    }

    async fn send(&self, bodies: &[&str]) -> Vec<Result<(), String>> {
        let mut results = Vec::with_capacity(bodies.len());
        for group in by_size(bodies) {
            let entries = numbered(group).filter_map(|(id, body)| {
                let entry = SendMessageBatchRequestEntry::builder().id(id);
                entry.message_body(body).build().ok()
            });
            let call = self.client.send_message_batch().queue_url(&self.to);
            let call = call.set_entries(Some(entries.collect()));
            results.extend(match call.send().await {
                Ok(output) => {
                    let taken = output.successful().iter().map(|entry| entry.id());
                    each(group.len(), &taken.collect::<Vec<_>>(), output.failed())
                }
                Err(error) => vec![Err(fault(&error).to_string()); group.len()],
            });
        }
        results
    }

    async fn delete(&self, receipts: &[&str]) -> Vec<Result<(), String>> {
        if receipts.is_empty() {
            return Vec::new();
        }
        let entries = numbered(receipts).filter_map(|(id, receipt)| {
            let entry = DeleteMessageBatchRequestEntry::builder().id(id);
            entry.receipt_handle(receipt).build().ok()
        });
        let call = self.client.delete_message_batch().queue_url(&self.from);
        match call.set_entries(Some(entries.collect())).send().await {
            Ok(output) => {
                let taken = output.successful().iter().map(|entry| entry.id());
                each(receipts.len(), &taken.collect::<Vec<_>>(), output.failed())
            }
            Err(error) => vec![Err(fault(&error).to_string()); receipts.len()],
        }
    }

    async fn hide(&self, receipts: &[&str], time: Duration) {
        let calls = receipts.chunks(BATCH).map(|chunk| {
            let entries = numbered(chunk).filter_map(|(id, receipt)| {
                let entry = ChangeMessageVisibilityBatchRequestEntry::builder().id(id);
                let entry = entry.receipt_handle(receipt);
                entry.visibility_timeout(seconds(time)).build().ok()
            });
            let call = self.client.change_message_visibility_batch();
            let call = call.queue_url(&self.from);
            call.set_entries(Some(entries.collect())).send()
        });
        let calls: Vec<_> = calls.collect();
        let calls = iter(calls).buffer_unordered(AT_ONCE);
        calls.for_each(|_| async {}).await;
    }
}

fn seconds(time: Duration) -> i32 {
    i32::try_from(time.as_secs()).unwrap_or(i32::MAX)
}

/// One result for each of `count` entries, whose ids are their positions. An entry missing in the answer has failed.
fn each(count: usize, taken: &[&str], failed: &[BatchResultErrorEntry]) -> Vec<Result<(), String>> {
    let one = |index: usize| {
        let id = index.to_string();
        if taken.contains(&id.as_str()) {
            return Ok(());
        }
        let entry = failed.iter().find(|entry| entry.id() == id);
        Err(match entry.map(|entry| (entry.code(), entry.message())) {
            Some((code, Some(message))) => format!("{code}: {message}"),
            Some((code, None)) => code.to_owned(),
            None => "SQS's answer does not name it".to_owned(),
        })
    };
    (0..count).map(one).collect()
}

/// Splits the bodies, in order, into batches within SQS's limits.
fn by_size<'a, 'b>(bodies: &'a [&'b str]) -> Vec<&'a [&'b str]> {
    let (mut groups, mut start, mut bytes) = (Vec::new(), 0, 0);
    for (index, body) in bodies.iter().enumerate() {
        let full = index - start == BATCH || bytes + body.len() > BATCH_BYTES;
        if full && index > start {
            groups.push(&bodies[start..index]);
            (start, bytes) = (index, 0);
        }
        bytes += body.len();
    }
    if start < bodies.len() {
        groups.push(&bodies[start..]);
    }
    groups
}

fn record(message: Message) -> Option<Record> {
    let attribute = |name| message.message_attributes()?.get(name)?.string_value();
    let undelivered: Vec<_> = UNDELIVERED.into_iter().filter_map(attribute).collect();
    let time = |name| message.attributes()?.get(&name)?.parse().ok();
    Some(Record {
        undelivered: (!undelivered.is_empty()).then(|| undelivered.join(": ")),
        sent_ms: time(SENT).unwrap_or_default(),
        received_ms: time(RECEIVED).unwrap_or_default(),
        message_id: message.message_id?,
        receipt: message.receipt_handle?,
        body: message.body?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_keep_sqs_limits() {
        let sizes = |bodies: &[&str]| -> Vec<usize> {
            by_size(bodies).into_iter().map(<[&str]>::len).collect()
        };
        let large = "x".repeat(BATCH_BYTES / 2);
        let whole = "x".repeat(BATCH_BYTES);
        assert_eq!(sizes(&[]), [0; 0]);
        assert_eq!(sizes(&["a"; 10]), [10]);
        assert_eq!(sizes(&["a"; 11]), [10, 1]);
        assert_eq!(sizes(&[&large, &large, "a"]), [2, 1]);
        assert_eq!(sizes(&["a", &whole, "a"]), [1, 1, 1]);
    }

    #[test]
    fn an_entry_missing_in_the_answer_has_failed() {
        let failed = BatchResultErrorEntry::builder().id("1");
        let failed = failed.code("InternalError").sender_fault(false).build();
        let results = each(3, &["0"], &[failed.unwrap()]);
        assert_eq!(results[..2], [Ok(()), Err("InternalError".to_owned())]);
        assert!(results[2].is_err());
    }
}
