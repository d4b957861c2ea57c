//! Step Functions.

use aws_sdk_sfn::Client;

use super::aws::fault;
use crate::ports::{Answer, Described, Executions, Started, Workflows};

/// Starts and describes executions.
pub struct StepFunctions(pub Client);

impl Workflows for StepFunctions {
    fn start<'a>(
        &'a self,
        state_machine: &'a str,
        name: &'a str,
        input: &'a str,
    ) -> Answer<'a, Started> {
        Box::pin(async move {
            let call = self
                .0
                .start_execution()
                .state_machine_arn(state_machine)
                .name(name)
                .input(input);
            match call.send().await {
                Ok(_) => Ok(Started::Now),
                Err(e)
                    if e.as_service_error()
                        .is_some_and(|e| e.is_execution_already_exists()) =>
                {
                    Ok(Started::Already)
                }
                Err(e) => Err(fault(&e)),
            }
        })
    }
}

impl Executions for StepFunctions {
    fn describe<'a>(&'a self, execution: &'a str) -> Answer<'a, Described> {
        Box::pin(async move {
            let call = self.0.describe_execution().execution_arn(execution);
            let output = call.send().await.map_err(|e| fault(&e))?;
            Ok(Described {
                input: output.input,
                output: output.output,
                error: output.error,
                cause: output.cause,
            })
        })
    }
}
