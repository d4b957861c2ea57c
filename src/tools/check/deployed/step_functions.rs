//! The state machines of an account.

use aws_config::SdkConfig;
use aws_sdk_sfn::Client;
use aws_sdk_sfn::types::{ExecutionStatus, StateMachineType};

use super::{Machine, Machines, Open};
use crate::adapters::aws::fault::fault;
use crate::domain::inbound::arn::unqualified;
use crate::domain::ports::Answer;

/// The largest page of both lists.
const PAGE: i32 = 1000;

/// Reads state machines and counts their executions.
pub struct StepFunctionsMachines(Client);

impl StepFunctionsMachines {
    pub fn new(aws: &SdkConfig) -> Self {
        Self(Client::new(aws))
    }
}

impl Machines for StepFunctionsMachines {
    fn named<'a>(&'a self, prefix: &'a str) -> Answer<'a, Vec<Machine>> {
        Box::pin(async move {
            let (mut machines, mut token) = (Vec::new(), None);
            loop {
                let call = self.0.list_state_machines().max_results(PAGE);
                let page = call.set_next_token(token).send().await;
                let page = page.map_err(|e| fault(&e))?;
                let ours = page.state_machines.into_iter();
                let ours = ours.filter(|machine| machine.name.starts_with(prefix));
                machines.extend(ours.map(|machine| Machine {
                    express: machine.r#type == StateMachineType::Express,
                    arn: machine.state_machine_arn,
                }));
                token = page.next_token;
                if token.is_none() {
                    return Ok(machines);
                }
            }
        })
    }

    fn describe<'a>(&'a self, arn: &'a str) -> Answer<'a, Option<Machine>> {
        Box::pin(async move {
            let call = self.0.describe_state_machine().state_machine_arn(arn);
            match call.send().await {
                Ok(found) => Ok(Some(Machine {
                    arn: unqualified(arn).to_owned(),
                    express: found.r#type == StateMachineType::Express,
                })),
                Err(e)
                    if e.as_service_error()
                        .is_some_and(|e| e.is_state_machine_does_not_exist()) =>
                {
                    Ok(None)
                }
                Err(e) => Err(fault(&e)),
            }
        })
    }

    fn open<'a>(&'a self, arn: &'a str) -> Answer<'a, Open> {
        Box::pin(async move {
            let call = self
                .0
                .list_executions()
                .state_machine_arn(arn)
                .status_filter(ExecutionStatus::Running)
                .max_results(PAGE);
            let page = call.send().await.map_err(|e| fault(&e))?;
            Ok(Open {
                executions: page.executions.len(),
                more: page.next_token.is_some(),
            })
        })
    }
}
