//! Executions and their histories in Step Functions.

use aws_config::SdkConfig;
use aws_sdk_sfn::Client;
use aws_sdk_sfn::primitives::DateTime;
use aws_sdk_sfn::types::{HistoryEvent, HistoryEventType, StateMachineType};

use crate::adapters::aws::fault::fault;
use crate::domain::ports::Answer;
use crate::tools::trace::model::State;
use crate::tools::trace::sources::{Execution, Workflows};
use crate::tools::trace::states::{Kind, Step, states};

/// The largest page of GetExecutionHistory.
const PAGE: i32 = 1000;

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

    fn states<'a>(&'a self, arn: &'a str, payloads: bool) -> Answer<'a, Vec<State>> {
        Box::pin(async move {
            let (mut steps, mut token) = (Vec::new(), None);
            loop {
                let call = self.0.get_execution_history().execution_arn(arn);
                let call = call.max_results(PAGE).include_execution_data(payloads);
                let page = call.set_next_token(token).send().await;
                let page = page.map_err(|e| fault(&e))?;
                steps.extend(page.events.into_iter().map(|event| step(event, payloads)));
                token = page.next_token;
                if token.is_none() {
                    return Ok(states(&steps));
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

fn step(event: HistoryEvent, payloads: bool) -> Step {
    let at_ms = ms(&event.timestamp);
    let (id, previous) = (event.id, event.previous_event_id);
    Step {
        id,
        previous,
        at_ms,
        kind: kind(event, payloads),
    }
}

fn kind(event: HistoryEvent, payloads: bool) -> Kind {
    use HistoryEventType as Type;
    let error = error(&event);
    if let Some(entered) = event.state_entered_event_details {
        let (name, input) = (entered.name, entered.input.filter(|_| payloads));
        return Kind::Entered { name, input };
    }
    if let Some(exited) = event.state_exited_event_details {
        let output = exited.output.filter(|_| payloads);
        let name = exited.name;
        return Kind::Exited { name, output };
    }
    match event.r#type {
        Type::TaskScheduled | Type::LambdaFunctionScheduled | Type::ActivityScheduled => {
            Kind::Scheduled
        }
        Type::TaskSucceeded | Type::LambdaFunctionSucceeded | Type::ActivitySucceeded => {
            Kind::Succeeded
        }
        Type::ExecutionFailed | Type::ExecutionTimedOut | Type::ExecutionAborted => Kind::Ended,
        Type::ExecutionRedriven => Kind::Redriven,
        Type::EvaluationFailed
        | Type::MapStateFailed
        | Type::ParallelStateFailed
        | Type::MapRunFailed => Kind::Failed { error },
        _ if error.is_some() => Kind::Failed { error },
        _ => Kind::Other,
    }
}

/// The name of a task's error.
fn error(event: &HistoryEvent) -> Option<String> {
    macro_rules! first {
        ($($details:ident),+) => {
            None$(.or(event.$details.as_ref().map(|details| details.error.as_ref())))+
        };
    }
    let error: Option<Option<&String>> = first!(
        task_failed_event_details,
        task_timed_out_event_details,
        task_submit_failed_event_details,
        task_start_failed_event_details,
        lambda_function_failed_event_details,
        lambda_function_timed_out_event_details,
        lambda_function_schedule_failed_event_details,
        lambda_function_start_failed_event_details,
        activity_failed_event_details,
        activity_timed_out_event_details,
        activity_schedule_failed_event_details,
        evaluation_failed_event_details
    );
    error.map(|name| name.cloned().unwrap_or_else(|| "unnamed".to_owned()))
}

fn ms(time: &DateTime) -> i64 {
    time.to_millis().unwrap_or(i64::MAX)
}
