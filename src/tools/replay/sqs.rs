//! The two queues of a replay, in SQS.

use std::time::Duration;

use crate::adapters::aws::fault::fault;
use crate::adapters::aws::sqs::{Depth, SqsQueue};
use crate::domain::ports::Queue as _;
use anyhow::{Context, Result, anyhow};
use aws_config::SdkConfig;
use aws_sdk_sqs::Client;
use aws_sdk_sqs::types::{
    ChangeMessageVisibilityBatchRequestEntry, Message, MessageSystemAttributeName,
};
use futures_util::StreamExt;
use futures_util::stream::iter;

use super::reading::{HOLD, Queues};
use crate::tools::letters::Record;

/// SQS's limit of messages in a receive, and of entries in a batch.
const BATCH: usize = 10;

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
    url: String,
    from: SqsQueue,
    to: SqsQueue,
    hold: Duration,
}

impl Sqs {
    /// Both queues by their URLs.
    pub fn new(config: &SdkConfig, from: String, to: String) -> Self {
        Self {
            client: Client::new(config),
            from: SqsQueue::new(config, from.clone()),
            to: SqsQueue::new(config, to),
            url: from,
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
        self.from.depth().await.ok()
    }
}

impl Queues for Sqs {
    async fn receive(&self) -> Result<Vec<Record>> {
        let call = self.client.receive_message().queue_url(&self.url);
        let call = call
            .max_number_of_messages(BATCH as i32)
            .visibility_timeout(seconds(self.hold))
            .wait_time_seconds(WAIT)
            .set_message_system_attribute_names(Some(vec![SENT, RECEIVED]))
            .set_message_attribute_names(Some(UNDELIVERED.map(Into::into).into()));
        let output = call.send().await.map_err(|e| anyhow!(fault(&e)));
        let output = output.with_context(|| format!("cannot receive from `{}`", self.url))?;
        let messages = output.messages.into_iter().flatten();
        Ok(messages.filter_map(record).collect())
    }

    async fn send(&self, body: &str) -> Result<(), String> {
        self.to.send(body).await.map_err(|e| e.to_string())
    }

    async fn delete(&self, receipt: &str) -> Result<(), String> {
        let call = self.client.delete_message().queue_url(&self.url);
        let deleted = call.receipt_handle(receipt).send().await;
        deleted.map(drop).map_err(|e| fault(&e).to_string())
    }

    async fn hide(&self, receipts: &[&str], time: Duration) {
        let calls = receipts.chunks(BATCH).map(|chunk| {
            let entries = chunk.iter().enumerate().filter_map(|(index, receipt)| {
                let entry = ChangeMessageVisibilityBatchRequestEntry::builder();
                let entry = entry.id(index.to_string());
                let entry = entry.receipt_handle(*receipt);
                entry.visibility_timeout(seconds(time)).build().ok()
            });
            let call = self.client.change_message_visibility_batch();
            let call = call.queue_url(&self.url);
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
