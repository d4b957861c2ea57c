//! The sources of a trace.

use std::time::Duration;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::AttributeValue;

use super::logs::Logs;
use super::model::Entry;
use crate::adapters::aws::fault::fault;
use crate::adapters::aws::sqs::SqsQueue;
use crate::domain::fault::Fault;
use crate::tools::execution::{Event, Execution, Executions};
use crate::tools::letters::{Dead, DeadQueue};
use crate::tools::place::Place;
use crate::tools::replay::reading::look;

/// Deadline for reading a queue.
const LOOK_WITHIN: Duration = Duration::from_secs(30);

/// Which letters a search returns.
pub type Wanted<'a> = &'a (dyn Fn(&Dead) -> bool + Send + Sync);

pub type Answer<T> = Result<T, Fault>;

/// The sources; each query fails by itself.
pub trait Sources: Logs {
    /// None for an unknown or deleted execution.
    fn execution(&self, arn: &str) -> impl Future<Output = Answer<Option<Execution>>> + Send;

    /// The whole history of an execution, oldest event first.
    fn history(&self, arn: &str, payloads: bool)
    -> impl Future<Output = Answer<Vec<Event>>> + Send;

    fn is_express(&self, state_machine: &str) -> impl Future<Output = Answer<bool>> + Send;

    /// The ledger's entry; none for an end without one.
    fn entry(&self, id: &str) -> impl Future<Output = Answer<Option<Entry>>> + Send;

    /// The wanted letters of a dead-letter queue, which stay there, and whether the whole queue was searched.
    fn letters(
        &self,
        queue: DeadQueue,
        wanted: Wanted<'_>,
    ) -> impl Future<Output = Answer<(Vec<Dead>, bool)>> + Send;

    /// The approximate depth of the parking queue.
    fn parked(&self) -> impl Future<Output = Answer<u64>> + Send;
}

/// The fault of a source whose output is missing.
pub fn missing(output: anyhow::Error) -> Fault {
    Fault::permanent("NoQueue", output.to_string())
}

/// Those of a stack, by its outputs. Without an output, its source fails when it is queried.
impl Sources for Place {
    async fn execution(&self, arn: &str) -> Answer<Option<Execution>> {
        Executions::new(&self.config).describe(arn).await
    }

    async fn history(&self, arn: &str, payloads: bool) -> Answer<Vec<Event>> {
        let events = Executions::new(&self.config)
            .events(arn, payloads, usize::MAX)
            .await;
        events.map(|(events, _)| events)
    }

    async fn is_express(&self, state_machine: &str) -> Answer<bool> {
        Executions::new(&self.config)
            .is_express(state_machine)
            .await
    }

    async fn entry(&self, id: &str) -> Answer<Option<Entry>> {
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
        let queues = self.queues(queue).map_err(missing)?.looking();
        look(&queues, queue, wanted, usize::MAX, None, LOOK_WITHIN).await
    }

    async fn parked(&self) -> Answer<u64> {
        let url = self.output("ParkedQueueUrl").map_err(missing)?;
        let queue = SqsQueue::new(&self.config, url);
        Ok(queue.depth().await?.total())
    }
}
