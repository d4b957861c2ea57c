//! Step Functions.

use std::time::SystemTime;

use aws_config::SdkConfig;
use aws_sdk_sfn::Client;
use aws_sdk_sfn::config::Builder;
use aws_sdk_sfn::primitives::DateTime;
use aws_sdk_sfn::types::{ExecutionListItem, ExecutionStatus, IncludedData};
use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::interceptors::context::BeforeTransmitInterceptorContextMut;
use aws_smithy_runtime_api::client::interceptors::{Intercept, dyn_dispatch_hint};
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::config_bag::ConfigBag;

use super::fault::{fault, unproven};
use crate::domain::fault::Fault;
use crate::domain::ports::{
    Answer, Described, ExecutionPage, Executions, Listed, Listing, NewExecution, Resumed, Started,
    StopRequest, Stopped, Stopping, Sweeping, TaskAnswer, Tasks, Verdict, Workflows,
};

/// Largest page of ListExecutions.
const PAGE: i32 = 1000;

/// An older stop, in ms, was another caller's: a repeated call returns the time of the first stop.
const STOPPED_BEFORE_MS: i64 = 60_000;

/// Adds an execution to a trace.
const TRACE_HEADER: &str = "x-amzn-trace-id";

/// Starts, stops, describes and lists executions, and answers their tasks.
pub struct StepFunctions(Client);

impl StepFunctions {
    pub fn new(aws: &SdkConfig) -> Self {
        Self(Client::from_conf(
            Builder::from(aws).interceptor(TraceHeader).build(),
        ))
    }
}

tokio::task_local! {
    /// The trace of the execution being started.
    static TRACE: String;
}

/// Adds the header to starts: the SDK would send the trace of Lambda's invocation, and Step Functions prefers the header to
/// the body. Set on each call by `customize()`, it would make a configuration for each.
#[derive(Debug)]
struct TraceHeader;

#[dyn_dispatch_hint]
impl Intercept for TraceHeader {
    fn name(&self) -> &'static str {
        "TraceHeader"
    }

    fn modify_before_signing(
        &self,
        context: &mut BeforeTransmitInterceptorContextMut<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        if let Ok(trace) = TRACE.try_get() {
            context
                .request_mut()
                .headers_mut()
                .insert(TRACE_HEADER, trace);
        }
        Ok(())
    }
}

impl Workflows for StepFunctions {
    fn start<'a>(&'a self, execution: &'a NewExecution<'a>, trace: &'a str) -> Answer<'a, Started> {
        Box::pin(async move {
            let call = self
                .0
                .start_execution()
                .state_machine_arn(execution.state_machine)
                .name(&execution.name)
                .input(&execution.input)
                .send();
            match TRACE.scope(trace.to_owned(), call).await {
                Ok(started) if started.execution_arn.is_empty() => Err(unproven("StartExecution")),
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

impl Tasks for StepFunctions {
    fn answer<'a>(&'a self, answer: &'a TaskAnswer) -> Answer<'a, Resumed> {
        Box::pin(async move {
            let token = &answer.token;
            let fault = match &answer.verdict {
                Verdict::Success(output) => {
                    let call = self.0.send_task_success().task_token(token).output(output);
                    call.send().await.err().map(|e| fault(&e))
                }
                Verdict::Failure { error, cause } => {
                    let call = self.0.send_task_failure().task_token(token).error(error);
                    let call = call.set_cause(cause.clone());
                    call.send().await.err().map(|e| fault(&e))
                }
            };
            fault.map_or(Ok(Resumed::Now), closed)
        })
    }
}

impl Stopping for StepFunctions {
    fn stop<'a>(&'a self, request: &'a StopRequest) -> Answer<'a, Stopped> {
        Box::pin(async move {
            let now = ms(&DateTime::from(SystemTime::now()));
            let call = self
                .0
                .stop_execution()
                .execution_arn(&request.execution)
                .set_error(request.error.clone())
                .set_cause(request.cause.clone());
            match call.send().await {
                Ok(output) if now.saturating_sub(ms(&output.stop_date)) > STOPPED_BEFORE_MS => {
                    Ok(Stopped::Closed)
                }
                Ok(_) => Ok(Stopped::Now),
                Err(e) => not_running(fault(&e)),
            }
        })
    }
}

/// An execution that does not run counts as closed, not as a fault.
fn not_running(fault: Fault) -> Result<Stopped, Fault> {
    match fault.code.as_str() {
        // The cause of the second one is undocumented. ARN and texts are within their limits here.
        "ExecutionDoesNotExist" | "ValidationException" => Ok(Stopped::Closed),
        _ => Err(fault),
    }
}

/// A task that no longer waits counts as closed, not as a fault.
fn closed(fault: Fault) -> Result<Resumed, Fault> {
    match fault.code.as_str() {
        "TaskTimedOut" | "TaskDoesNotExist" => Ok(Resumed::Closed),
        _ => Err(fault),
    }
}

impl Executions for StepFunctions {
    fn describe<'a>(&'a self, execution: &'a str) -> Answer<'a, Described> {
        Box::pin(async move {
            let call = self.0.describe_execution().execution_arn(execution);
            let output = call.send().await.map_err(|e| fault(&e))?;
            Ok(Described {
                status: output.status.as_str().to_owned(),
                redrive_count: redrives(output.redrive_count),
                input: output.input,
                output: output.output,
                error: output.error,
                cause: output.cause,
            })
        })
    }
}

impl StepFunctions {
    async fn page(
        &self,
        state_machine: &str,
        status: Option<ExecutionStatus>,
        next_token: Option<&str>,
    ) -> Result<ExecutionPage, Fault> {
        let call = self
            .0
            .list_executions()
            .state_machine_arn(state_machine)
            .set_status_filter(status)
            .set_next_token(next_token.map(str::to_owned))
            .max_results(PAGE);
        let output = call.send().await.map_err(|e| fault(&e))?;
        Ok(ExecutionPage {
            executions: output.executions.into_iter().map(listed).collect(),
            next_token: output.next_token,
        })
    }
}

impl Listing for StepFunctions {
    fn list<'a>(
        &'a self,
        state_machine: &'a str,
        next_token: Option<&'a str>,
    ) -> Answer<'a, ExecutionPage> {
        Box::pin(self.page(state_machine, None, next_token))
    }
}

impl Sweeping for StepFunctions {
    fn list_open<'a>(
        &'a self,
        state_machine: &'a str,
        next_token: Option<&'a str>,
    ) -> Answer<'a, ExecutionPage> {
        Box::pin(self.page(state_machine, Some(ExecutionStatus::Running), next_token))
    }

    fn look<'a>(&'a self, execution: &'a str) -> Answer<'a, Option<Listed>> {
        Box::pin(async move {
            let call = self.0.describe_execution().execution_arn(execution);
            // Neither input nor output is needed.
            let call = call.included_data(IncludedData::MetadataOnly);
            match call.send().await {
                Ok(output) => Ok(Some(Listed {
                    execution_arn: output.execution_arn,
                    name: output.name.unwrap_or_default(),
                    status: output.status.as_str().to_owned(),
                    started_at: ms(&output.start_date),
                    stopped_at: output.stop_date.as_ref().map(ms),
                    redrive_count: redrives(output.redrive_count),
                })),
                Err(e) => match fault(&e) {
                    fault if fault.code == "ExecutionDoesNotExist" => Ok(None),
                    fault => Err(fault),
                },
            }
        })
    }
}

fn listed(item: ExecutionListItem) -> Listed {
    Listed {
        execution_arn: item.execution_arn,
        name: item.name,
        status: item.status.as_str().to_owned(),
        started_at: ms(&item.start_date),
        stopped_at: item.stop_date.as_ref().map(ms),
        redrive_count: redrives(item.redrive_count),
    }
}

fn redrives(count: Option<i32>) -> u32 {
    count.and_then(|n| n.try_into().ok()).unwrap_or_default()
}

/// Milliseconds since the epoch, rounded: dates are fractions of seconds that no double holds exactly.
fn ms(date: &DateTime) -> i64 {
    let fraction = i64::from(date.subsec_nanos().saturating_add(500_000) / 1_000_000);
    date.secs().saturating_mul(1000).saturating_add(fraction)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_task_that_no_longer_waits_counts_as_closed() {
        for code in ["TaskTimedOut", "TaskDoesNotExist"] {
            let fault = Fault::permanent(code, "");
            assert_eq!(closed(fault), Ok(Resumed::Closed));
        }
        for code in ["InvalidToken", "InvalidOutput", "KmsAccessDeniedException"] {
            let fault = Fault::permanent(code, "");
            assert_eq!(closed(fault.clone()), Err(fault));
        }
    }

    #[test]
    fn an_execution_that_does_not_run_counts_as_closed() {
        for code in ["ExecutionDoesNotExist", "ValidationException"] {
            let fault = Fault::permanent(code, "");
            assert_eq!(not_running(fault), Ok(Stopped::Closed));
        }
        for code in ["InvalidArn", "AccessDeniedException", "ThrottlingException"] {
            let fault = Fault::permanent(code, "");
            assert_eq!(not_running(fault.clone()), Err(fault));
        }
    }

    #[test]
    fn dates_are_milliseconds_and_redrives_are_counted() {
        let item = ExecutionListItem::builder()
            .execution_arn("arn:execution")
            .state_machine_arn("arn:machine")
            .name("name")
            .status(ExecutionStatus::TimedOut)
            .start_date(DateTime::from_secs_f64(1_704_296_470.564));
        let open = listed(item.clone().build().unwrap());
        assert_eq!(open.started_at, 1_704_296_470_564);
        assert_eq!((open.stopped_at, open.redrive_count), (None, 0));
        let item = item.stop_date(DateTime::from_secs(1_704_296_471));
        let ended = listed(item.redrive_count(2).build().unwrap());
        assert_eq!(ended.status, "TIMED_OUT");
        assert_eq!(ended.stopped_at, Some(1_704_296_471_000));
        assert_eq!(ended.redrive_count, 2);
    }
}
