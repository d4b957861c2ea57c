//! Helpers for a deployed stack: post messages, watch topics, read queues and executions.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use aws_sdk_sfn::types::ExecutionStatus;
use aws_sdk_sqs::types::{DeleteMessageBatchRequestEntry, QueueAttributeName};
use serde_json::{Value, json};
use tokio::sync::{broadcast::error::RecvError, watch};
use workflow_bridge::clock::now_ms;
use workflow_bridge::domain::inbound::signature::sign;
use workflow_bridge::tools::local::Stack;
use workflow_bridge::tools::local::topics::{TopicsEvent, broker::Value as Published};

use crate::deployed::{SOON, resource, stack};
use crate::faulty::FaultyStack;
use crate::shared::invocation;

/// The timeout for a condition, so that no test hangs.
const TIMEOUT: Duration = Duration::from_secs(180);

/// With these and [`quicken`], failed work is retried within seconds and without limit.
pub const QUICK: [(&str, &str); 4] = [
    ("RETRY_AFTER_SECONDS", "1"),
    ("RETRY_AT_MOST_SECONDS", "3"),
    ("MAX_RECEIVES", "1000"),
    ("SWEEP_GRACE_SECONDS", "0"),
];

/// A batch of a killed function returns after 12 s, which is longer than the functions' timeout.
pub fn quicken(template: &mut Value) -> Result<()> {
    let resources = &mut template["Resources"];
    for function in ["RedriveFunction", "CompletionFunction"] {
        resources[function]["Properties"]["Timeout"] = json!(10);
    }
    for queue in ["ParkedQueue", "CompletionsQueue"] {
        let properties = &mut resources[queue]["Properties"];
        properties["VisibilityTimeout"] = json!(12);
        properties["RedrivePolicy"]["maxReceiveCount"] = json!(1000);
    }
    Ok(())
}

/// Deploys the template, changed by `edit`, into the tests' emulator with [`QUICK`], and waits for its webhook.
///
/// Under load the emulator's first start of a function can fail, which looks like an answer of the webhook.
pub async fn deploy(edit: impl FnOnce(&mut Value) -> Result<()> + Send + 'static) -> FaultyStack {
    deploy_with(&[], edit).await
}

/// As [`deploy`], with examples beside the template.
pub async fn deploy_with(
    examples: &[&str],
    edit: impl FnOnce(&mut Value) -> Result<()> + Send + 'static,
) -> FaultyStack {
    let emulator = Arc::clone(stack().await.emulator());
    let faulty = FaultyStack::start_with(emulator, examples, &QUICK, edit).await;
    let faulty = faulty.unwrap();
    let http = reqwest::Client::new();
    until("a webhook that answers", async || {
        let unsigned = http.post(faulty.stack.webhook_url()).body("{}");
        let answer = unsigned.timeout(SOON).send().await;
        answer.is_ok_and(|answer| answer.status() == 401)
    })
    .await;
    faulty
}

/// A message's body, published now.
pub fn body(topic: &str, number: u64, text: &str) -> String {
    let now = now_ms();
    json!({
        "cache": "demo", "topic": topic, "event_timestamp": now, "publish_timestamp": now,
        "topic_sequence_number": number, "token_id": "mo", "text": text,
    })
    .to_string()
}

/// Posts a body to the webhook, signed with `secret`. Status 0 stands for no answer, null for an answer without JSON.
pub async fn post_signed(
    http: &reqwest::Client,
    stack: &Stack,
    secret: &str,
    body: &str,
) -> (u16, Value) {
    post_to(http, stack.webhook_url(), secret, body).await
}

/// As [`post_signed`], to a webhook's URL.
pub async fn post_to(http: &reqwest::Client, url: &str, secret: &str, body: &str) -> (u16, Value) {
    let request = http
        .post(url)
        .header("momento-signature", sign(secret, body.as_bytes()))
        .timeout(Duration::from_secs(20))
        .body(body.to_owned());
    let Ok(response) = request.send().await else {
        return (0, Value::Null);
    };
    let status = response.status().as_u16();
    let text = response.text().await.unwrap_or_default();
    (status, serde_json::from_str(&text).unwrap_or_default())
}

/// Posts a body to the webhook with the stack's own secret.
pub async fn post(stack: &Stack, body: &str) -> (u16, Value) {
    post_signed(&reqwest::Client::new(), stack, stack.signing_secret(), body).await
}

/// Waits until the condition is true.
pub async fn until(what: &str, mut condition: impl AsyncFnMut() -> bool) {
    let waiting = async {
        while !condition().await {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    if tokio::time::timeout(TIMEOUT, waiting).await.is_err() {
        panic!("expected within {TIMEOUT:?}: {what}");
    }
}

/// All texts published from now on, with their topics.
pub struct Publications(watch::Receiver<Vec<(String, String)>>);

impl Publications {
    pub fn of(stack: &Stack) -> Self {
        let mut events = stack.topics().events();
        let (sender, receiver) = watch::channel(Vec::new());
        tokio::spawn(async move {
            loop {
                match events.recv().await {
                    Ok(TopicsEvent::Published(message)) => {
                        if let Published::Text(text) = &message.value {
                            let one = (message.topic.clone(), text.clone());
                            sender.send_modify(|all| all.push(one));
                        }
                    }
                    Ok(_) => {}
                    Err(RecvError::Closed) => return,
                    // The count would be too low: ending this task fails every wait.
                    Err(RecvError::Lagged(missed)) => panic!("missed {missed} publications"),
                }
            }
        });
        Self(receiver)
    }

    /// The texts published on a topic so far.
    pub fn on(&self, topic: &str) -> Vec<String> {
        let all = self.0.borrow();
        let texts = all.iter().filter(|(on, _)| on == topic);
        texts.map(|(_, text)| text.clone()).collect()
    }

    /// The number of publications on all topics so far; fails if some were missed.
    pub fn count(&self) -> usize {
        assert!(self.0.has_changed().is_ok(), "publications were missed");
        self.0.borrow().len()
    }

    /// Waits for `count` publications on a topic; returns their texts.
    pub async fn wait(&self, topic: &str, count: usize) -> Vec<String> {
        let what = format!("{count} publications on `{topic}`");
        until(&what, async || self.on(topic).len() >= count).await;
        self.on(topic)
    }
}

fn sqs(stack: &Stack) -> aws_sdk_sqs::Client {
    aws_sdk_sqs::Client::new(stack.account().config())
}

/// The depth of a queue of the template, including messages in flight or delayed.
pub async fn depth(stack: &Stack, queue: &str) -> usize {
    let names = [
        QueueAttributeName::ApproximateNumberOfMessages,
        QueueAttributeName::ApproximateNumberOfMessagesNotVisible,
        QueueAttributeName::ApproximateNumberOfMessagesDelayed,
    ];
    let call = sqs(stack)
        .get_queue_attributes()
        .queue_url(stack.resource(queue).unwrap())
        .set_attribute_names(Some(names.to_vec()));
    let attributes = call.send().await.unwrap().attributes.unwrap_or_default();
    let count = |name| attributes.get(name)?.parse::<usize>().ok();
    names.iter().filter_map(count).sum()
}

/// Removes and returns all messages of a queue of the template.
pub async fn drain(stack: &Stack, queue: &str) -> Vec<Value> {
    let (sqs, url) = (sqs(stack), stack.resource(queue).unwrap());
    let mut all = Vec::new();
    loop {
        let call = sqs.receive_message().queue_url(url);
        let output = call.max_number_of_messages(10).send().await.unwrap();
        if output.messages().is_empty() {
            return all;
        }
        let mut entries = Vec::new();
        for (i, message) in output.messages().iter().enumerate() {
            let text = message.body().unwrap_or_default();
            all.push(serde_json::from_str(text).unwrap_or_else(|_| json!(text)));
            let entry = DeleteMessageBatchRequestEntry::builder()
                .id(i.to_string())
                .set_receipt_handle(message.receipt_handle.clone());
            entries.push(entry.build().unwrap());
        }
        let call = sqs.delete_message_batch().queue_url(url);
        call.set_entries(Some(entries)).send().await.unwrap();
    }
}

/// Puts a message into a queue of the template.
pub async fn enqueue(stack: &Stack, queue: &str, body: &Value) {
    let call = sqs(stack)
        .send_message()
        .queue_url(stack.resource(queue).unwrap());
    call.message_body(body.to_string()).send().await.unwrap();
}

/// Waits until the queues are empty and no execution runs.
pub async fn settle(stack: &Stack, machines: &[&str]) {
    until("empty queues and ended executions", async || {
        if depth(stack, "ParkedQueue").await > 0 {
            return false;
        }
        for machine in machines {
            let executions = executions(stack, machine).await;
            if executions
                .iter()
                .any(|one| one.status == ExecutionStatus::Running)
            {
                return false;
            }
        }
        depth(stack, "CompletionsQueue").await == 0
    })
    .await;
}

/// Invokes a function of the template with an empty event; panics on an error.
pub async fn invoke(stack: &Stack, function: &str) {
    let response = invocation(stack, function).await.unwrap();
    let failed = response.headers().contains_key("x-amz-function-error");
    let status = response.status();
    let text = response.text().await.unwrap();
    assert!(status.is_success() && !failed, "{status}: {text}");
}

/// An execution in ListExecutions.
#[derive(Clone, Debug)]
pub struct Execution {
    pub arn: String,
    pub name: String,
    pub status: ExecutionStatus,
}

/// All executions of a state machine of the template.
pub async fn executions(stack: &Stack, machine: &str) -> Vec<Execution> {
    let sfn = aws_sdk_sfn::Client::new(stack.account().config());
    let (mut all, mut token) = (Vec::new(), None);
    loop {
        let call = sfn
            .list_executions()
            .state_machine_arn(resource(stack, machine))
            .max_results(1000)
            .set_next_token(token);
        let page = call.send().await.unwrap();
        all.extend(page.executions.into_iter().map(|item| Execution {
            arn: item.execution_arn,
            name: item.name,
            status: item.status,
        }));
        token = page.next_token;
        if token.is_none() {
            return all;
        }
    }
}

/// Enables or disables the rule for events of ended executions.
pub async fn deliver_end_events(stack: &Stack, enabled: bool) {
    let events = aws_sdk_eventbridge::Client::new(stack.account().config());
    // The physical id of a rule may be `bus|name`.
    let id = stack.resource("WorkflowEnds").unwrap();
    let name = id.rsplit(['|', '/']).next().unwrap();
    if enabled {
        events.enable_rule().name(name).send().await.unwrap();
    } else {
        events.disable_rule().name(name).send().await.unwrap();
    }
}

/// Puts a new value into a secret of the template; the old one becomes AWSPREVIOUS.
pub async fn put_secret(stack: &Stack, secret: &str, value: &str) {
    let client = aws_sdk_secretsmanager::Client::new(stack.account().config());
    let call = client
        .put_secret_value()
        .secret_id(stack.resource(secret).unwrap());
    call.secret_string(value).send().await.unwrap();
}
