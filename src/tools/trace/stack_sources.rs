//! The sources of a deployed stack, on AWS or in the emulator.

use std::collections::BTreeMap;
use std::time::Duration;

use aws_config::SdkConfig;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::AttributeValue;

use super::history::History;
use super::links::Stack;
use super::logs::CloudWatchLogs;
use super::model::{Entry, Part};
use super::sources::{Entries, Found, Letters, Sources};
use crate::adapters::aws::fault::fault;
use crate::adapters::aws::sqs::SqsQueue;
use crate::domain::fault::Fault;
use crate::domain::ports::Answer;
use crate::tools::letters::{Dead, DeadQueue};
use crate::tools::replay::reading::{Limits, look};
use crate::tools::replay::sqs::Sqs;

/// Limits of reading a queue.
const LOOK: Limits = Limits {
    matching: usize::MAX,
    read: u64::MAX,
    within: Duration::from_secs(30),
};

/// Logs, executions, ledger and queues by the outputs of a stack.
pub struct StackSources {
    logs: CloudWatchLogs,
    workflows: History,
    config: SdkConfig,
    outputs: BTreeMap<String, String>,
}

impl StackSources {
    /// Without an output, its source fails when it is queried.
    pub fn new(config: &SdkConfig, stack: &Stack) -> Self {
        let groups = Part::LOGGING.into_iter();
        let groups = groups.filter_map(|part| Some((part, stack.log_group(part)?.to_owned())));
        Self {
            logs: CloudWatchLogs::new(config, groups.collect()),
            workflows: History::new(config),
            config: config.clone(),
            outputs: stack.outputs.clone(),
        }
    }

    pub fn all(&self) -> Sources<'_> {
        Sources {
            logs: &self.logs,
            workflows: &self.workflows,
            ledger: self,
            letters: self,
        }
    }

    fn queue(&self, output: &str) -> Result<String, Fault> {
        self.outputs.get(output).cloned().ok_or_else(|| {
            let text = format!(
                "expected an output `{output}`, found none: deploy this version's template.yaml"
            );
            Fault::permanent("NoQueue", text)
        })
    }
}

impl Entries for StackSources {
    fn entry<'a>(&'a self, id: &'a str) -> Answer<'a, Option<Entry>> {
        Box::pin(async move {
            let table = self.outputs.get("LedgerTableName").cloned();
            let call = Client::new(&self.config).get_item();
            let call = call.table_name(table.unwrap_or_default());
            let call = call.key("id", AttributeValue::S(id.to_owned()));
            let output = call.consistent_read(true).send().await;
            let item = output.map_err(|e| fault(&e))?.item.unwrap_or_default();
            let Some(AttributeValue::S(state)) = item.get("state") else {
                return Ok(None);
            };
            let published = item.get("published").and_then(|set| set.as_ss().ok());
            // Each begins with its place in the event.
            let topic = |name: &String| {
                let topic = name.split_once(' ').map(|(_, topic)| topic);
                topic.unwrap_or(name).to_owned()
            };
            Ok(Some(Entry {
                state: state.clone(),
                published: published.into_iter().flatten().map(topic).collect(),
            }))
        })
    }
}

/// The queues, read as in a dry run of a replay.
impl Letters for StackSources {
    fn find<'a>(
        &'a self,
        queue: DeadQueue,
        wanted: &'a (dyn Fn(&Dead) -> bool + Send + Sync),
    ) -> Answer<'a, Found> {
        Box::pin(async move {
            let url = self.queue(match queue {
                DeadQueue::Messages => "DeadLetterQueueUrl",
                DeadQueue::Results => "CompletionsDeadLetterQueueUrl",
            })?;
            let queues = Sqs::new(&self.config, url, String::new());
            let (letters, all) = look(&queues.looking(), queue, wanted, LOOK).await?;
            Ok(Found { letters, all })
        })
    }

    fn parked(&self) -> Answer<'_, u64> {
        Box::pin(async move {
            let url = self.queue("ParkedQueueUrl")?;
            SqsQueue::new(&self.config, url)
                .depth()
                .await
                .map(|depth| depth.total())
        })
    }
}
