//! SQS.

use aws_sdk_sqs::Client;

use super::aws::fault;
use crate::ports::{Answer, Queue};

/// One queue.
pub struct SqsQueue {
    pub client: Client,
    pub url: String,
}

impl Queue for SqsQueue {
    fn send<'a>(&'a self, body: &'a str) -> Answer<'a, ()> {
        Box::pin(async move {
            let call = self
                .client
                .send_message()
                .queue_url(&self.url)
                .message_body(body);
            call.send().await.map(|_| ()).map_err(|e| fault(&e))
        })
    }
}
