//! The queues, read as in a dry run of a replay.

use std::collections::BTreeMap;
use std::time::Duration;

use super::sources::{Found, Letters};
use crate::adapters::aws::sqs::SqsQueue;
use crate::domain::fault::Fault;
use crate::domain::ports::Answer;
use crate::tools::letters::{Dead, DeadQueue};
use crate::tools::replay::look::{Limits, look};
use crate::tools::replay::sqs::Sqs;
use aws_config::SdkConfig;

/// Deadline for reading a queue.
const LOOK_WITHIN: Duration = Duration::from_secs(30);

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
            let limits = Limits {
                matching: usize::MAX,
                read: u64::MAX,
                within: LOOK_WITHIN,
            };
            let queues = Sqs::new(&self.config, url, String::new());
            let (letters, all) = look(queues, queue, wanted, limits).await?;
            Ok(Found { letters, all })
        })
    }

    fn parked(&self) -> Answer<'_, u64> {
        Box::pin(async move {
            let url = self.url("ParkedQueueUrl")?;
            SqsQueue::new(&self.config, url).kept().await
        })
    }
}
