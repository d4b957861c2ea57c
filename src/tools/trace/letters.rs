//! The queues, read as in a dry run of a replay.

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

use super::sources::{Found, Letters};
use crate::adapters::aws::sqs::SqsQueue;
use crate::domain::fault::Fault;
use crate::domain::ports::Answer;
use crate::tools::letters::{Dead, DeadQueue};
use crate::tools::replay::run::Queues as _;
use crate::tools::replay::sqs::Sqs;
use aws_config::SdkConfig;

/// Visibility time-out of read letters: a killed process hides them for this long.
const HOLD: Duration = Duration::from_secs(60);

/// Deadline for reading a queue: less than `HOLD`, while the first letters are still hidden.
const LOOK_WITHIN: Duration = Duration::from_secs(30);

/// Empty receives before the queue counts as read to its end.
const EMPTY_RECEIVES: u32 = 2;

/// The dead-letter queues and the parking queue of a stack.
pub struct DeadLetters {
    config: SdkConfig,
    outputs: BTreeMap<String, String>,
}

impl DeadLetters {
    /// The queues of a stack with these outputs.
    pub fn new(config: &SdkConfig, outputs: &BTreeMap<String, String>) -> Self {
        Self {
            config: config.clone(),
            outputs: outputs.clone(),
        }
    }

    fn url(&self, output: &str) -> Result<String, Fault> {
        self.outputs.get(output).cloned().ok_or_else(|| {
            let text = format!(
                "expected an output `{output}`, found none: deploy this version's template.yaml"
            );
            Fault::permanent("NoQueue", text)
        })
    }

    async fn look(
        &self,
        url: String,
        queue: DeadQueue,
        wanted: &(dyn Fn(&Dead) -> bool + Send + Sync),
    ) -> Result<Found, Fault> {
        let sqs = Sqs::new(&self.config, url, String::new()).looking(HOLD);
        let began = Instant::now();
        let (mut held, mut found) = (HashMap::new(), Found::default());
        let mut failed = None;
        let mut empty = 0;
        while empty < EMPTY_RECEIVES && began.elapsed() < LOOK_WITHIN {
            let records = match sqs.receive().await {
                Ok(records) => records,
                Err(error) => {
                    failed = Some(Fault::permanent("NotReceived", format!("{error:#}")));
                    break;
                }
            };
            empty = if records.is_empty() { empty + 1 } else { 0 };
            for record in records {
                let dead = Dead::read(queue, &record);
                let is_new = held.insert(record.message_id, record.receipt).is_none();
                if is_new && wanted(&dead) {
                    found.letters.push(dead);
                }
            }
        }
        found.all = empty == EMPTY_RECEIVES;
        let receipts: Vec<&str> = held.values().map(String::as_str).collect();
        sqs.hide(&receipts, Duration::ZERO).await;
        failed.map_or(Ok(found), Err)
    }
}

impl Letters for DeadLetters {
    fn find<'a>(
        &'a self,
        queue: DeadQueue,
        wanted: &'a (dyn Fn(&Dead) -> bool + Send + Sync),
    ) -> Answer<'a, Found> {
        Box::pin(async move {
            let url = self.url(match queue {
                DeadQueue::Messages => "DeadLetterQueueUrl",
                DeadQueue::Results => "CompletionsDeadLetterQueueUrl",
            })?;
            self.look(url, queue, wanted).await
        })
    }

    fn parked(&self) -> Answer<'_, u64> {
        Box::pin(async move {
            let url = self.url("ParkedQueueUrl")?;
            SqsQueue::new(&self.config, url).kept().await
        })
    }
}
