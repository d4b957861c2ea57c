//! The two queues of a replay, in SQS.

use std::time::Duration;

use crate::adapters::aws::fault::fault;
use anyhow::{Context, Result, anyhow};
use aws_config::SdkConfig;
use aws_sdk_sqs::Client;
use aws_sdk_sqs::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_sqs::types::{
    BatchResultErrorEntry, ChangeMessageVisibilityBatchRequestEntry,
    DeleteMessageBatchRequestEntry, Message, MessageSystemAttributeName, QueueAttributeName,
    SendMessageBatchRequestEntry,
};
use aws_smithy_types::retry::ProvideErrorKind;
use futures_util::StreamExt;
use futures_util::stream::iter;

use super::run::{HOLD, Queues};
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
    from: String,
    to: String,
    hold: Duration,
}

/// A queue's depth, by SQS's approximation.
#[derive(Clone, Copy, Debug, Default)]
pub struct Depth {
    pub visible: u64,
    /// In flight: received, and neither deleted nor visible again.
    pub held: u64,
}

impl Sqs {
    /// Both queues by their URLs.
    pub fn new(config: &SdkConfig, from: String, to: String) -> Self {
        Self {
            client: Client::new(config),
            from,
            to,
            hold: HOLD,
        }
    }

    /// The same queue for reading only, with this visibility time-out.
    pub fn looking(self, hold: Duration) -> Self {
        Self { hold, ..self }
    }

    /// The depth; `None` on an error, since a missing permission for it must not fail the replay.
    pub async fn depth(&self) -> Option<Depth> {
        use QueueAttributeName as Name;
        let (visible, held) = (
            Name::ApproximateNumberOfMessages,
            Name::ApproximateNumberOfMessagesNotVisible,
        );
        let call = self.client.get_queue_attributes().queue_url(&self.from);
        let call = call
            .attribute_names(visible.clone())
            .attribute_names(held.clone());
        let output = call.send().await.ok()?;
        let number = |name| output.attributes()?.get(&name)?.parse().ok();
        Some(Depth {
            visible: number(visible)?,
            held: number(held)?,
        })
    }
}

impl Queues for Sqs {
    async fn receive(&self) -> Result<Vec<Record>> {
        let call = self
            .client
            .receive_message()
            .queue_url(&self.from)
            .max_number_of_messages(BATCH as i32)
            .visibility_timeout(i32::try_from(self.hold.as_secs()).unwrap_or(i32::MAX))
            .wait_time_seconds(WAIT)
            .set_message_system_attribute_names(Some(vec![SENT, RECEIVED]))
            .set_message_attribute_names(Some(UNDELIVERED.map(Into::into).into()));
        let output = call.send().await.map_err(|error| anyhow!(reason(&error)));
        let output = output.with_context(|| format!("cannot receive from `{}`", self.from))?;
        Ok(output
            .messages
            .unwrap_or_default()
            .into_iter()
            .filter_map(record)
            .collect())
    }

    async fn send(&self, bodies: &[&str]) -> Vec<Result<(), String>> {
        let mut results = Vec::with_capacity(bodies.len());
        for group in by_size(bodies) {
            let entries = group.iter().enumerate().map(|(index, body)| {
                SendMessageBatchRequestEntry::builder()
                    .id(index.to_string())
                    .message_body(*body)
                    .build()
                    .map_err(|error| error.to_string())
            });
            let entries = match entries.collect::<Result<Vec<_>, _>>() {
                Ok(entries) => entries,
                Err(error) => {
                    results.extend(vec![Err(error); group.len()]);
                    continue;
                }
            };
            let call = self.client.send_message_batch().queue_url(&self.to);
            let output = call.set_entries(Some(entries)).send().await;
            results.extend(match output {
                Ok(output) => {
                    let taken = output.successful().iter().map(|entry| entry.id());
                    each(group.len(), &taken.collect::<Vec<_>>(), output.failed())
                }
                Err(error) => vec![Err(reason(&error)); group.len()],
            });
        }
        results
    }

    async fn delete(&self, receipts: &[&str]) -> Vec<Result<(), String>> {
        if receipts.is_empty() {
            return Vec::new();
        }
        let entries = receipts.iter().enumerate().filter_map(|(index, receipt)| {
            DeleteMessageBatchRequestEntry::builder()
                .id(index.to_string())
                .receipt_handle(*receipt)
                .build()
                .ok()
        });
        let call = self.client.delete_message_batch().queue_url(&self.from);
        match call.set_entries(Some(entries.collect())).send().await {
            Ok(output) => {
                let taken = output.successful().iter().map(|entry| entry.id());
                each(receipts.len(), &taken.collect::<Vec<_>>(), output.failed())
            }
            Err(error) => vec![Err(reason(&error)); receipts.len()],
        }
    }

    async fn hide(&self, receipts: &[&str], time: Duration) {
        let seconds = i32::try_from(time.as_secs()).unwrap_or(i32::MAX);
        let calls = receipts.chunks(BATCH).map(|chunk| {
            let entries = chunk.iter().enumerate().filter_map(|(index, receipt)| {
                ChangeMessageVisibilityBatchRequestEntry::builder()
                    .id(index.to_string())
                    .receipt_handle(*receipt)
                    .visibility_timeout(seconds)
                    .build()
                    .ok()
            });
            let call = self.client.change_message_visibility_batch();
            call.queue_url(&self.from)
                .set_entries(Some(entries.collect()))
                .send()
        });
        let calls: Vec<_> = calls.collect();
        iter(calls)
            .buffer_unordered(AT_ONCE)
            .for_each(|_| async {})
            .await;
    }
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

/// The error for people, without the request's content.
fn reason<E>(
    error: &SdkError<E, aws_smithy_runtime_api::client::orchestrator::HttpResponse>,
) -> String
where
    E: ProvideErrorMetadata + ProvideErrorKind,
{
    fault(error).to_string()
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
        let failed = BatchResultErrorEntry::builder()
            .id("1")
            .code("InternalError")
            .sender_fault(false)
            .build()
            .unwrap();
        let results = each(3, &["0"], &[failed]);
        assert_eq!(results[0], Ok(()));
        assert_eq!(results[1], Err("InternalError".to_owned()));
        assert!(results[2].is_err());
    }
}
