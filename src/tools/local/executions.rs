//! The executions that a message started, followed to their ends.

use std::time::Duration;

use aws_config::SdkConfig;
use aws_sdk_sfn::Client;
use aws_sdk_sfn::operation::describe_execution::DescribeExecutionOutput;
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::happening::{Answer, Happening};
use crate::domain::inbound::routes::Routes;
use crate::tools::trace::history::History;
use crate::tools::trace::sources::Workflows as _;

/// An execution of a short workflow ends within a few polls; a long one is polled ever more rarely.
const FIRST_POLL: Duration = Duration::from_millis(25);
const SLOWEST_POLL: Duration = Duration::from_secs(2);

/// A longer execution is reported as running.
const SHORT: Duration = Duration::from_secs(3);

/// The search for an execution ends without a find after this.
const SEARCH: Duration = Duration::from_secs(60);

/// Finds executions in the emulator.
#[derive(Clone)]
pub struct Executions {
    client: Client,
    config: SdkConfig,
}

/// An execution to follow.
pub struct Started {
    executions: Executions,
    arn: String,
}

impl Executions {
    pub fn new(config: &SdkConfig) -> Self {
        Self {
            client: Client::new(config),
            config: config.clone(),
        }
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
                executions: self.clone(),
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
        while let Some(found) = self.find().await {
            seen |= found.is_some();
            if !seen && began.elapsed() > SEARCH {
                return;
            }
            if let Some(execution) = found {
                let ended = execution.stop_date.is_some();
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

    /// The execution, if it is there; none where it cannot be described.
    async fn find(&self) -> Option<Option<DescribeExecutionOutput>> {
        let describe = self.executions.client.describe_execution();
        match describe.execution_arn(&self.arn).send().await {
            Ok(execution) => Some(Some(execution)),
            Err(error) => {
                let missing = error.as_service_error();
                missing
                    .is_some_and(|error| error.is_execution_does_not_exist())
                    .then_some(None)
            }
        }
    }

    async fn describe(&self, execution: DescribeExecutionOutput, seen: Duration) -> Happening {
        let took = execution.stop_date.map_or(seen, |stopped| {
            let span = stopped.as_secs_f64() - execution.start_date.as_secs_f64();
            Duration::try_from_secs_f64(span).unwrap_or(seen)
        });
        let status = execution.status.as_str().to_owned();
        let history = History::new(&self.executions.config);
        let states = history.states(&execution.execution_arn, false).await;
        let (states, failed) = states.unwrap_or_default();
        let parts = [execution.error.as_deref(), execution.cause.as_deref()];
        let parts: Vec<_> = parts.into_iter().flatten().collect();
        Happening::Execution {
            name: execution.name.unwrap_or_default(),
            took,
            states: states.into_iter().map(|state| state.name).collect(),
            failure: (!parts.is_empty()).then(|| parts.join(": ")),
            failed,
            status,
        }
    }
}
