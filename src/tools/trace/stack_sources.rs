//! The sources of a deployed stack, on AWS or in the emulator.

use std::time::Duration;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::AttributeValue;

use super::lines::Line;
use super::logs::{CloudWatchLogs, Logs as _};
use super::model::{Entry, Part};
use super::sources::{Answer, Sources, Wanted, Window};
use crate::adapters::aws::fault::fault;
use crate::adapters::aws::sqs::SqsQueue;
use crate::domain::fault::Fault;
use crate::tools::execution::{Event, Execution, Executions};
use crate::tools::letters::{Dead, DeadQueue};
use crate::tools::place::Place;
use crate::tools::replay::reading::{Limits, look};

/// Limits of reading a queue.
const LOOK: Limits = Limits {
    matching: usize::MAX,
    read: u64::MAX,
    within: Duration::from_secs(30),
};

/// Logs, executions, ledger and queues by the outputs of a stack. Without an output, its source fails when it is queried.
pub struct StackSources<'a> {
    place: &'a Place,
    logs: CloudWatchLogs,
    executions: Executions,
}

impl<'a> StackSources<'a> {
    pub fn new(place: &'a Place) -> Self {
        Self {
            place,
            logs: CloudWatchLogs::new(place),
            executions: Executions::new(&place.config),
        }
    }
}

fn missing(output: anyhow::Error) -> Fault {
    Fault::permanent("NoQueue", output.to_string())
}

impl Sources for StackSources<'_> {
    async fn lines(&self, part: Part, text: &str, window: Window) -> Answer<Vec<Line>> {
        self.logs.find(part, text, window).await
    }

    async fn execution(&self, arn: &str) -> Answer<Option<Execution>> {
        self.executions.describe(arn).await
    }

    async fn history(&self, arn: &str, payloads: bool) -> Answer<Vec<Event>> {
        let events = self.executions.events(arn, payloads, usize::MAX).await;
        events.map(|(events, _)| events)
    }

    async fn is_express(&self, state_machine: &str) -> Answer<bool> {
        self.executions.is_express(state_machine).await
    }

    async fn entry(&self, id: &str) -> Answer<Option<Entry>> {
        let table = self.place.outputs.get("LedgerTableName").cloned();
        let call = Client::new(&self.place.config).get_item();
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
            name.split_once(' ')
                .map_or(&**name, |(_, topic)| topic)
                .to_owned()
        };
        Ok(Some(Entry {
            state: state.clone(),
            published: published.into_iter().flatten().map(topic).collect(),
        }))
    }

    /// Reads as in a dry run of a replay.
    async fn letters(&self, queue: DeadQueue, wanted: Wanted<'_>) -> Answer<(Vec<Dead>, bool)> {
        let queues = self.place.queues(queue).map_err(missing)?.looking();
        look(&queues, queue, wanted, LOOK).await
    }

    async fn parked(&self) -> Answer<u64> {
        let url = self.place.output("ParkedQueueUrl").map_err(missing)?;
        let queue = SqsQueue::new(&self.place.config, url);
        Ok(queue.depth().await?.total())
    }
}
