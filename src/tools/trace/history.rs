//! Executions and their histories in Step Functions.

use aws_config::SdkConfig;
use aws_sdk_sfn::Client;
use aws_sdk_sfn::types::StateMachineType;

use crate::adapters::aws::fault::fault;
use crate::domain::ports::Answer;
use crate::tools::execution::history::{ms, page};
use crate::tools::trace::model::{Failure, State};
use crate::tools::trace::sources::{Execution, Workflows};
use crate::tools::trace::states::states;

/// Reads executions and state machines.
pub struct History(Client);

impl History {
    pub fn new(aws: &SdkConfig) -> Self {
        Self(Client::new(aws))
    }
}

impl Workflows for History {
    fn execution<'a>(&'a self, arn: &'a str) -> Answer<'a, Option<Execution>> {
        Box::pin(async move {
            let call = self.0.describe_execution().execution_arn(arn);
            let found = match call.send().await {
                Ok(found) => found,
                Err(e)
                    if e.as_service_error()
                        .is_some_and(|e| e.is_execution_does_not_exist()) =>
                {
                    return Ok(None);
                }
                Err(e) => return Err(fault(&e)),
            };
            Ok(Some(Execution {
                status: found.status.as_str().to_owned(),
                started_at: ms(&found.start_date),
                stopped_at: found.stop_date.as_ref().map(ms),
                redrives: found.redrive_count.unwrap_or(0).try_into().unwrap_or(0),
                state_machine: found.state_machine_arn,
                error: found.error,
                cause: found.cause,
                input: found.input,
            }))
        })
    }

    fn states<'a>(
        &'a self,
        arn: &'a str,
        payloads: bool,
    ) -> Answer<'a, (Vec<State>, Option<Failure>)> {
        Box::pin(async move {
            let (mut events, mut token) = (Vec::new(), None);
            loop {
                let page = page(&self.0, arn, payloads, token).await?;
                events.extend(page.events);
                token = page.next;
                if token.is_none() {
                    return Ok(states(&events, payloads));
                }
            }
        })
    }

    fn is_express<'a>(&'a self, state_machine: &'a str) -> Answer<'a, bool> {
        Box::pin(async move {
            let call = self.0.describe_state_machine();
            let found = call.state_machine_arn(state_machine).send().await;
            let found = found.map_err(|e| fault(&e))?;
            Ok(found.r#type == StateMachineType::Express)
        })
    }
}
