//! The queues of a lane, and what they hold.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use anyhow::{Context, Result, ensure};
use aws_sdk_sqs::types::QueueAttributeName;
use serde_json::Value;

use super::Lane;

/// The queues of a message's path.
pub const QUEUES: [&str; 4] = [
    "ParkedQueue",
    "DeadLetterQueue",
    "CompletionsQueue",
    "CompletionsDeadLetterQueue",
];

impl Lane {
    fn sqs(&self) -> aws_sdk_sqs::Client {
        aws_sdk_sqs::Client::new(self.faulty.stack.account().config())
    }

    /// The depth of a queue, including messages in flight or delayed.
    pub async fn depth(&self, queue: &str) -> Result<usize> {
        let call = self.sqs().get_queue_attributes();
        let call = call.queue_url(self.faulty.stack.resource(queue)?);
        let output = call.attribute_names(QueueAttributeName::All).send().await?;
        let numbers = output.attributes.unwrap_or_default();
        let number = |name| numbers.get(&name).and_then(|n| n.parse::<usize>().ok());
        Ok([
            QueueAttributeName::ApproximateNumberOfMessages,
            QueueAttributeName::ApproximateNumberOfMessagesNotVisible,
            QueueAttributeName::ApproximateNumberOfMessagesDelayed,
        ]
        .into_iter()
        .filter_map(number)
        .sum())
    }

    /// The reasons of the letters in a dead-letter queue, sorted, each once.
    pub async fn reasons(&self, queue: &str) -> Result<Vec<String>> {
        let call = self.sqs().receive_message().visibility_timeout(0);
        let call = call.queue_url(self.faulty.stack.resource(queue)?);
        let output = call.max_number_of_messages(10).send().await?;
        let mut reasons = Vec::new();
        for message in output.messages() {
            let letter: Value = serde_json::from_str(message.body().unwrap_or_default())?;
            let reason = letter["reason"].as_str().context("a letter has a reason")?;
            reasons.push(reason.to_owned());
        }
        reasons.sort();
        reasons.dedup();
        Ok(reasons)
    }

    /// Whether all queues are empty.
    pub async fn is_empty(&self) -> Result<bool> {
        for queue in QUEUES {
            if self.depth(queue).await? > 0 {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Replays all of a dead-letter queue.
    pub async fn replay(&self, queue: &str) -> Result<()> {
        let which = match queue {
            "DeadLetterQueue" => "--dead-letters",
            _ => "--results",
        };
        let count = self.depth(queue).await?.to_string();
        let output = self.desk.run(&["replay", which, "--limit", &count]).await;
        ensure!(
            output.status.success(),
            "the replay failed: {}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
        Ok(())
    }

    pub async fn purge(&self, queue: &str) -> Result<()> {
        let call = self.sqs().purge_queue();
        let url = self.faulty.stack.resource(queue)?;
        call.queue_url(url).send().await?;
        Ok(())
    }
}

pub async fn count_events(
    sqs: aws_sdk_sqs::Client,
    queue: String,
    arrived: Arc<Mutex<BTreeMap<String, usize>>>,
) {
    loop {
        let call = sqs.receive_message().queue_url(&queue).wait_time_seconds(1);
        let Ok(output) = call.max_number_of_messages(10).send().await else {
            return;
        };
        for message in output.messages.unwrap_or_default() {
            let event: Value = message
                .body()
                .and_then(|body| serde_json::from_str(body).ok())
                .unwrap_or_default();
            let topic = event["detail"]["topic"].as_str().unwrap_or_default();
            *arrived.lock().unwrap().entry(topic.to_owned()).or_default() += 1;
            let delete = sqs.delete_message().queue_url(&queue);
            let handle = message.receipt_handle.unwrap_or_default();
            let _ = delete.receipt_handle(handle).send().await;
        }
    }
}
