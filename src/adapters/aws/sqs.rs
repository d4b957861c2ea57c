//! SQS.

use std::time::Duration;

use aws_config::SdkConfig;
use aws_sdk_sqs::Client;
use aws_sdk_sqs::types::QueueAttributeName;

use super::fault::{fault, unproven};
use super::{OnDemand, on_demand};
use crate::domain::fault::Fault;
use crate::domain::ports::{Answer, Backlog, Queue, Receipts};

/// One queue.
pub struct SqsQueue {
    client: OnDemand<Client>,
    url: String,
}

impl SqsQueue {
    pub fn new(aws: &SdkConfig, url: String) -> Self {
        Self {
            client: on_demand(aws, Client::new),
            url,
        }
    }

    /// The depth.
    ///
    /// # Errors
    ///
    /// When SQS does not answer.
    pub async fn depth(&self) -> Result<Depth, Fault> {
        let names = [
            QueueAttributeName::ApproximateNumberOfMessages,
            QueueAttributeName::ApproximateNumberOfMessagesNotVisible,
            QueueAttributeName::ApproximateNumberOfMessagesDelayed,
        ];
        let call = self.client.get_queue_attributes().queue_url(&self.url);
        let call = call.set_attribute_names(Some(names.to_vec()));
        let output = call.send().await.map_err(|e| fault(&e))?;
        let attributes = output.attributes.unwrap_or_default();
        let number = |name| attributes.get(name)?.parse().ok();
        let [visible, held, delayed] = names.each_ref().map(|name| number(name).unwrap_or(0));
        Ok(Depth {
            visible,
            held,
            delayed,
        })
    }
}

/// A queue's depth, by SQS's approximation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Depth {
    pub visible: u64,
    /// In flight: received, and neither deleted nor visible again.
    pub held: u64,
    pub delayed: u64,
}

impl Depth {
    pub fn total(&self) -> u64 {
        self.visible + self.held + self.delayed
    }
}

impl Queue for SqsQueue {
    fn send<'a>(&'a self, body: &'a str) -> Answer<'a, ()> {
        Box::pin(async move {
            let call = self
                .client
                .send_message()
                .queue_url(&self.url)
                .message_body(body);
            let sent = call.send().await.map_err(|e| fault(&e))?;
            sent.message_id
                .map(drop)
                .ok_or_else(|| unproven("SendMessage"))
        })
    }
}

impl Backlog for SqsQueue {
    fn waiting(&self) -> Answer<'_, u64> {
        Box::pin(async move {
            let name = QueueAttributeName::ApproximateNumberOfMessages;
            let call = self
                .client
                .get_queue_attributes()
                .queue_url(&self.url)
                .attribute_names(name.clone());
            let output = call.send().await.map_err(|e| fault(&e))?;
            let number = output.attributes().and_then(|all| all.get(&name));
            number.and_then(|n| n.parse().ok()).ok_or_else(|| {
                Fault::transient("BadResponse", format!("expected {name}, found none"))
            })
        })
    }
}

impl Receipts for SqsQueue {
    fn postpone<'a>(&'a self, receipt: &'a str, delay: Duration) -> Answer<'a, ()> {
        Box::pin(async move {
            let call = self
                .client
                .change_message_visibility()
                .queue_url(&self.url)
                .receipt_handle(receipt)
                .visibility_timeout(i32::try_from(delay.as_secs()).unwrap_or(i32::MAX));
            call.send().await.map(|_| ()).map_err(|e| fault(&e))
        })
    }
}
