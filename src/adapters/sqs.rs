//! SQS.

use std::collections::HashMap;
use std::time::Duration;

use serde::Deserialize;
use serde_json::json;

use super::aws::services::SQS;
use super::aws::{Aws, Client};
use crate::ports::{Answer, Backlog, Fault, Queue, Receipts};

/// Messages that wait.
const WAITING: &str = "ApproximateNumberOfMessages";
/// Messages that somebody has.
const HELD: &str = "ApproximateNumberOfMessagesNotVisible";
/// Messages that come later.
const DELAYED: &str = "ApproximateNumberOfMessagesDelayed";

/// One queue.
pub struct SqsQueue {
    client: Client,
    url: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Attributes {
    #[serde(default)]
    attributes: HashMap<String, String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Sent {
    #[serde(rename = "MessageId")]
    _message_id: String,
}

impl SqsQueue {
    pub fn new(aws: &Aws, url: String) -> Self {
        let client = Client::new(aws, &SQS);
        Self { client, url }
    }

    /// About how many messages there are: those that wait, those that somebody has, and those that come again later.
    ///
    /// # Errors
    ///
    /// When SQS does not say.
    pub async fn kept(&self) -> Result<u64, Fault> {
        let names = [WAITING, HELD, DELAYED];
        let found = self.attributes(&names).await?;
        let numbers = names
            .iter()
            .filter_map(|name| found.get(*name)?.parse::<u64>().ok());
        Ok(numbers.sum())
    }

    async fn attributes(&self, names: &[&str]) -> Result<HashMap<String, String>, Fault> {
        let input = json!({"QueueUrl": self.url, "AttributeNames": names});
        let found: Attributes = self.client.call("GetQueueAttributes", &input).await?;
        Ok(found.attributes)
    }
}

impl Queue for SqsQueue {
    fn send<'a>(&'a self, body: &'a str) -> Answer<'a, ()> {
        Box::pin(async move {
            let input = json!({"QueueUrl": self.url, "MessageBody": body});
            let _: Sent = self.client.call("SendMessage", &input).await?;
            Ok(())
        })
    }
}

impl Backlog for SqsQueue {
    fn waiting(&self) -> Answer<'_, u64> {
        Box::pin(async move {
            let found = self.attributes(&[WAITING]).await?;
            let number = found.get(WAITING).and_then(|n| n.parse().ok());
            number.ok_or_else(|| {
                Fault::transient("BadResponse", format!("expected {WAITING}, found none"))
            })
        })
    }
}

impl Receipts for SqsQueue {
    fn postpone<'a>(&'a self, receipt: &'a str, delay: Duration) -> Answer<'a, ()> {
        Box::pin(async move {
            let input = json!({
                "QueueUrl": self.url, "ReceiptHandle": receipt, "VisibilityTimeout": delay.as_secs(),
            });
            Ok(self.client.tell("ChangeMessageVisibility", &input).await?)
        })
    }
}
