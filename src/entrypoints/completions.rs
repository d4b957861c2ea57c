//! SQS batches of EventBridge events in, publications out: the only place that decides whether a record is done,
//! ignored, or given back to the queue.

use std::sync::Arc;
use std::time::Duration;

use aws_lambda_events::sqs::{SqsBatchResponse, SqsEvent};
use futures_util::future::join_all;
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::time::Instant;

use crate::ports::{Executions, Fault, Topics};
use crate::result::{self, Decision, Execution, Publication, Unreadable};
use crate::retry::{Patience, retry};
use crate::routes::Routes;

/// How long a record is tried in one invocation; after that, the queue repeats it.
const RECORD_WITHIN: Duration = Duration::from_secs(20);

/// What is left of an invocation for its answer.
const ANSWERING: Duration = Duration::from_secs(1);

/// The completion.
pub struct Completion {
    pub routes: Routes,
    pub executions: Arc<dyn Executions>,
    pub topics: Arc<dyn Topics>,
    /// Longest value of a topic message, in bytes.
    pub max_message_bytes: usize,
}

/// How a record ended that need not come again.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Done {
    Published(usize),
    Ignored(&'static str),
}

/// Why a record has to come again.
#[derive(Debug, thiserror::Error)]
enum Failed {
    #[error(transparent)]
    Unreadable(#[from] Unreadable),
    #[error(
        "expected a status change of Step Functions or a `Topic Publish` of `workflow-bridge`, found `{0}` of `{1}`; route no other event to this queue"
    )]
    UnknownEvent(String, String),
    #[error(
        "expected a value of at most {most} bytes for topic `{topic}`, found {found}; return less, or publish a reference"
    )]
    TooLarge {
        topic: String,
        found: usize,
        most: usize,
    },
    #[error("could not describe the execution: {0}")]
    Describe(Fault),
    #[error(
        "could not publish to topic `{topic}` in cache `{cache}` after {attempts} attempts: {fault}"
    )]
    Publish {
        cache: String,
        topic: String,
        attempts: u32,
        fault: Fault,
    },
}

/// The parts of an EventBridge event that matter here.
#[derive(Deserialize)]
struct Event<'a> {
    source: String,
    #[serde(rename = "detail-type")]
    detail_type: String,
    #[serde(borrow)]
    detail: &'a RawValue,
}

impl Completion {
    /// Publishes what the records ask for, all at once, and names those that have to come again.
    ///
    /// `deadline` is the end of the invocation.
    ///
    /// # Errors
    ///
    /// When a failed record has no id: then the whole batch has to come again.
    pub async fn handle(
        &self,
        batch: SqsEvent,
        deadline: Instant,
    ) -> Result<SqsBatchResponse, String> {
        let now = Instant::now();
        let deadline = deadline.checked_sub(ANSWERING).unwrap_or(now);
        let deadline = deadline.min(now + RECORD_WITHIN);
        let records = batch.records.iter();
        let results = join_all(
            records.map(|record| self.record(record.body.as_deref().unwrap_or_default(), deadline)),
        )
        .await;
        let mut response = SqsBatchResponse::default();
        let (mut published, mut ignored) = (0, 0);
        for (record, result) in batch.records.iter().zip(results) {
            match (result, &record.message_id) {
                (Ok(Done::Published(count)), _) => published += count,
                (Ok(Done::Ignored(_)), _) => ignored += 1,
                (Err(_), Some(id)) if !id.is_empty() => response.add_failure(id),
                (Err(failed), _) => return Err(format!("a record without an id failed: {failed}")),
            }
        }
        tracing::info!(
            records = batch.records.len(),
            published,
            ignored,
            failed = response.batch_item_failures.len(),
            "handled a batch of events"
        );
        Ok(response)
    }

    async fn record(&self, body: &str, deadline: Instant) -> Result<Done, Failed> {
        let result = self.event(body, deadline).await;
        if let Err(failed) = &result {
            tracing::error!(error.text = %failed, "a record goes back to the queue");
        }
        result
    }

    async fn event(&self, body: &str, deadline: Instant) -> Result<Done, Failed> {
        let event: Event = read("an EventBridge event in JSON", body)?;
        match (event.source.as_str(), event.detail_type.as_str()) {
            ("aws.states", "Step Functions Execution Status Change") => {
                self.status_change(event.detail.get(), deadline).await
            }
            ("workflow-bridge", "Topic Publish") => {
                let publications = result::topic_publish(event.detail.get())?;
                self.publish_all(&publications, deadline).await?;
                tracing::info!(
                    publications = publications.len(),
                    "published for a workflow"
                );
                Ok(Done::Published(publications.len()))
            }
            _ => Err(Failed::UnknownEvent(event.detail_type, event.source)),
        }
    }

    async fn status_change(&self, detail: &str, deadline: Instant) -> Result<Done, Failed> {
        let mut execution: Execution = read("the detail of a status change", detail)?;
        if execution.has_ended() && execution.lacks_detail() {
            let describe = || self.executions.describe(&execution.execution_arn);
            let (described, _) = retry(Patience::until(deadline), describe).await;
            execution.fill_in(described.map_err(Failed::Describe)?);
        }
        let decision = execution.decide(&self.routes)?;
        let (route, done) = match decision {
            Decision::Ignore(reason) => (None, Done::Ignored(reason)),
            Decision::Publish {
                route,
                publications,
            } => {
                self.publish_all(&publications, deadline).await?;
                (Some(route), Done::Published(publications.len()))
            }
        };
        tracing::info!(
            execution.arn = execution.execution_arn,
            execution.status = ?execution.status,
            route,
            outcome = ?done,
            "an execution ended"
        );
        Ok(done)
    }

    /// Publishes all or fails; what was published is published again when the record comes again.
    async fn publish_all(
        &self,
        publications: &[Publication],
        deadline: Instant,
    ) -> Result<(), Failed> {
        let most = self.max_message_bytes;
        if let Some(large) = publications.iter().find(|p| p.value.len() > most) {
            return Err(Failed::TooLarge {
                topic: large.topic.clone(),
                found: large.value.len(),
                most,
            });
        }
        let results = join_all(publications.iter().map(|p| self.publish(p, deadline))).await;
        results.into_iter().collect()
    }

    async fn publish(&self, publication: &Publication, deadline: Instant) -> Result<(), Failed> {
        let Publication {
            cache,
            topic,
            value,
        } = publication;
        let patience = Patience {
            first_wait: Duration::from_millis(100),
            ..Patience::until(deadline)
        };
        let (result, attempts) = retry(patience, || self.topics.publish(cache, topic, value)).await;
        result.map_err(|fault| Failed::Publish {
            cache: cache.clone(),
            topic: topic.clone(),
            attempts,
            fault,
        })
    }
}

fn read<'a, T: Deserialize<'a>>(expected: &'static str, text: &'a str) -> Result<T, Unreadable> {
    serde_json::from_str(text).map_err(|e| result::unreadable(expected, &e))
}

#[cfg(test)]
mod tests;
