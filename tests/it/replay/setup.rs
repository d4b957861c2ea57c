//! Queues in the emulator and a command line that finds them.

use std::collections::BTreeMap;
use std::process::{Command, Output, Stdio};

use aws_sdk_sqs::Client;
use workflow_bridge::tools::local::Account;
use workflow_bridge::tools::local::workspace::State;

use crate::deployed::stack;
use crate::shared::desk::Desk;

const QUEUES: [&str; 4] = [
    "DeadLetterQueue",
    "ParkedQueue",
    "CompletionsDeadLetterQueue",
    "CompletionsQueue",
];

/// Four queues in an account of their own, which the command line finds as a running local stack.
pub struct Setup {
    pub account: Account,
    pub urls: BTreeMap<String, String>,
    desk: Desk,
}

impl Setup {
    pub async fn new() -> Self {
        let account = Account::new(stack().await.emulator().endpoint(), &Account::fresh_id());
        let mut urls = BTreeMap::new();
        for name in QUEUES {
            let queue = Client::new(account.config()).create_queue();
            let queue = queue.queue_name(name).send().await.unwrap();
            urls.insert(format!("{name}Url"), queue.queue_url.unwrap());
        }
        let desk = Desk::of(&State {
            aws_endpoint: account.endpoint().to_owned(),
            account: account.id().to_owned(),
            outputs: urls.clone(),
            ..State::default()
        });
        Self {
            account,
            urls,
            desk,
        }
    }

    pub fn url(&self, queue: &str) -> &str {
        &self.urls[&format!("{queue}Url")]
    }

    pub async fn send(&self, queue: &str, body: &str) {
        let call = Client::new(self.account.config()).send_message();
        let call = call.queue_url(self.url(queue)).message_body(body);
        call.send().await.unwrap();
    }

    /// All messages that a queue delivers now; messages in flight are not awaited.
    pub async fn bodies(&self, queue: &str) -> Vec<String> {
        let mut bodies = Vec::new();
        loop {
            let call = Client::new(self.account.config()).receive_message();
            let call = call.queue_url(self.url(queue)).max_number_of_messages(10);
            let output = call.send().await.unwrap();
            if output.messages().is_empty() {
                bodies.sort();
                return bodies;
            }
            let messages = output.messages.into_iter().flatten();
            bodies.extend(messages.filter_map(|message| message.body));
        }
    }

    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.desk.command(&[&["replay"], arguments].concat());
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    pub async fn replay(&self, arguments: &[&str]) -> Output {
        self.desk.run(&[&["replay"], arguments].concat()).await
    }
}
