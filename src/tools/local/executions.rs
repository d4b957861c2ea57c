//! The executions that a message started, followed to their ends.

use std::time::Duration;

use aws_config::SdkConfig;
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::happening::{Answer, Happening};
use crate::domain::inbound::routes::Routes;
use crate::tools::execution::{self, Execution, visited};

/// An execution of a short workflow ends within a few polls; a long one is polled ever more rarely.
const FIRST_POLL: Duration = Duration::from_millis(25);
const SLOWEST_POLL: Duration = Duration::from_secs(2);

/// A longer execution is reported as running.
const SHORT: Duration = Duration::from_secs(3);

/// The search for an execution ends without a find after this.
const SEARCH: Duration = Duration::from_secs(60);

/// Finds executions in the emulator.
#[derive(Clone)]
pub struct Executions(execution::Executions);

/// An execution to follow.
pub struct Started {
    executions: execution::Executions,
    arn: String,
}

impl Executions {
    pub fn new(config: &SdkConfig) -> Self {
        Self(execution::Executions::new(config))
    }

    /// The executions that the webhook's answer says were started.
    pub fn started(
        &self,
        routes: &Routes,
        answer: &Answer,
        topic: &str,
        number: u64,
    ) -> Vec<Started> {
        let started = answer.targets.iter();
        let started = started.filter(|target| target.outcome == "started");
        started
            .filter_map(|target| target.execution(routes, topic, number, &answer.id))
            .map(|arn| Started {
                executions: self.0.clone(),
                arn,
            })
            .collect()
    }
}

impl Started {
    /// Reports the end of the execution, and before it that it takes long. The emulator describes EXPRESS executions, too,
    /// unlike AWS.
    pub async fn follow(self, sender: mpsc::UnboundedSender<Happening>) {
        let began = Instant::now();
        let (mut seen, mut reported) = (false, false);
        let mut pause = FIRST_POLL;
        while let Ok(found) = self.executions.describe(&self.arn).await {
            seen |= found.is_some();
            if !seen && began.elapsed() > SEARCH {
                return;
            }
            if let Some(execution) = found {
                let ended = execution.stopped_at.is_some();
                if ended || (!reported && began.elapsed() > SHORT) {
                    reported = true;
                    let happening = self.describe(execution, began.elapsed()).await;
                    if sender.send(happening).is_err() {
                        return;
                    }
                }
                if ended {
                    return;
                }
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 5 / 4).min(SLOWEST_POLL);
        }
    }

    async fn describe(&self, execution: Execution, seen: Duration) -> Happening {
        let took = execution.stopped_at.map(|at| at - execution.started_at);
        let took = took.and_then(|ms| ms.try_into().ok());
        let events = self.executions.events(&self.arn, false, usize::MAX).await;
        let (states, failed) = visited(&events.unwrap_or_default().0);
        let parts = [execution.error, execution.cause];
        let parts: Vec<_> = parts.into_iter().flatten().collect();
        Happening::Execution {
            name: self.arn.rsplit(':').next().unwrap_or_default().to_owned(),
            took: took.map_or(seen, Duration::from_millis),
            states: states.into_iter().map(|state| state.name).collect(),
            failure: (!parts.is_empty()).then(|| parts.join(": ")),
            failed,
            status: execution.status,
        }
    }
}
