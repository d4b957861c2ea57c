//! Executions and their histories in Step Functions.

use std::collections::HashMap;

use aws_config::SdkConfig;
use aws_sdk_sfn::Client;
use aws_sdk_sfn::primitives::DateTime;
use aws_sdk_sfn::types::{
    AssignedVariablesDetails, HistoryEvent, HistoryEventExecutionDataDetails, StateMachineType,
    TaskCredentials,
};
use serde_json::{Map, Value, json};

use super::event::Event;
use crate::adapters::aws::fault::fault;
use crate::domain::fault::Fault;

/// The largest page of GetExecutionHistory, in events.
const PAGE: i32 = 1000;

/// The result of DescribeExecution. Times are ms since the epoch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Execution {
    pub state_machine: String,
    pub status: String,
    pub started_at: i64,
    pub stopped_at: Option<i64>,
    pub redrives: u32,
    pub error: Option<String>,
    pub cause: Option<String>,
    pub input: Option<String>,
}

/// Reads executions and state machines; the errors are those of Step Functions.
#[derive(Clone)]
pub struct Executions(Client);

impl Executions {
    pub fn new(aws: &SdkConfig) -> Self {
        Self(Client::new(aws))
    }

    /// None for an unknown or deleted execution.
    pub async fn describe(&self, arn: &str) -> Result<Option<Execution>, Fault> {
        let call = self.0.describe_execution().execution_arn(arn);
        let found = match call.send().await {
            Ok(found) => found,
            Err(e) => {
                let service = e.as_service_error();
                let missing = service.is_some_and(|e| e.is_execution_does_not_exist());
                return if missing { Ok(None) } else { Err(fault(&e)) };
            }
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
    }

    /// The events of up to so many pages of a thousand, oldest first, and whether there are more. `payloads` asks for inputs and
    /// outputs, too.
    pub async fn events(
        &self,
        arn: &str,
        payloads: bool,
        pages: usize,
    ) -> Result<(Vec<Event>, bool), Fault> {
        let (mut events, mut token) = (Vec::new(), None);
        for _ in 0..pages {
            let call = self.0.get_execution_history().execution_arn(arn);
            let call = call.max_results(PAGE).include_execution_data(payloads);
            let page = call.set_next_token(token).send().await;
            let page = page.map_err(|e| fault(&e))?;
            events.extend(page.events.into_iter().map(event));
            token = page.next_token;
            if token.is_none() {
                break;
            }
        }
        Ok((events, token.is_some()))
    }

    pub async fn is_express(&self, state_machine: &str) -> Result<bool, Fault> {
        let call = self.0.describe_state_machine();
        let found = call.state_machine_arn(state_machine).send().await;
        let found = found.map_err(|e| fault(&e))?;
        Ok(found.r#type == StateMachineType::Express)
    }
}

/// Milliseconds since the epoch.
fn ms(time: &DateTime) -> i64 {
    time.to_millis().unwrap_or(i64::MAX)
}

/// The event without the SDK's types.
fn event(event: HistoryEvent) -> Event {
    let mut fields = Map::new();
    let (at, kind) = (ms(&event.timestamp), event.r#type.as_str().to_owned());
    let (id, previous) = (event.id, event.previous_event_id);
    macro_rules! details {
        ($($details:ident: $($field:ident)*;)*) => {$(
            if let Some(details) = event.$details {
                $(fields.extend(details.$field.value().map(|value| (camel(stringify!($field)), value)));)*
            }
        )*};
    }
    details! {
        activity_failed_event_details: error cause;
        activity_schedule_failed_event_details: error cause;
        activity_scheduled_event_details: resource input input_details timeout_in_seconds heartbeat_in_seconds;
        activity_started_event_details: worker_name;
        activity_succeeded_event_details: output output_details;
        activity_timed_out_event_details: error cause;
        task_failed_event_details: resource_type resource error cause;
        task_scheduled_event_details: resource_type resource region parameters timeout_in_seconds heartbeat_in_seconds task_credentials;
        task_start_failed_event_details: resource_type resource error cause;
        task_started_event_details: resource_type resource;
        task_submit_failed_event_details: resource_type resource error cause;
        task_submitted_event_details: resource_type resource output output_details;
        task_succeeded_event_details: resource_type resource output output_details;
        task_timed_out_event_details: resource_type resource error cause;
        execution_failed_event_details: error cause;
        execution_started_event_details: input input_details role_arn state_machine_alias_arn state_machine_version_arn;
        execution_succeeded_event_details: output output_details;
        execution_aborted_event_details: error cause;
        execution_timed_out_event_details: error cause;
        execution_redriven_event_details: redrive_count;
        map_state_started_event_details: length;
        map_iteration_started_event_details: name index;
        map_iteration_succeeded_event_details: name index;
        map_iteration_failed_event_details: name index;
        map_iteration_aborted_event_details: name index;
        lambda_function_failed_event_details: error cause;
        lambda_function_schedule_failed_event_details: error cause;
        lambda_function_scheduled_event_details: resource input input_details timeout_in_seconds task_credentials;
        lambda_function_start_failed_event_details: error cause;
        lambda_function_succeeded_event_details: output output_details;
        lambda_function_timed_out_event_details: error cause;
        state_entered_event_details: name input input_details;
        state_exited_event_details: name output output_details assigned_variables assigned_variables_details;
        map_run_started_event_details: map_run_arn;
        map_run_failed_event_details: error cause;
        map_run_redriven_event_details: map_run_arn redrive_count;
        evaluation_failed_event_details: error cause location state;
    }
    Event {
        id,
        previous,
        at,
        kind,
        details: fields,
    }
}

/// The service's spelling of a field: `inputDetails` for `input_details`.
fn camel(name: &str) -> String {
    let mut words = name.split('_');
    let mut camel = words.next().unwrap_or_default().to_owned();
    for word in words {
        let (first, rest) = word.split_at(1);
        camel += &first.to_uppercase();
        camel += rest;
    }
    camel
}

/// A field of an event's details.
trait Field {
    fn value(self) -> Option<Value>;
}

impl Field for String {
    /// The SDK replaces a missing text by an empty one.
    fn value(self) -> Option<Value> {
        (!self.is_empty()).then_some(Value::String(self))
    }
}

impl Field for i32 {
    fn value(self) -> Option<Value> {
        Some(self.into())
    }
}

impl Field for i64 {
    fn value(self) -> Option<Value> {
        Some(self.into())
    }
}

impl<T: Field> Field for Option<T> {
    fn value(self) -> Option<Value> {
        self?.value()
    }
}

impl Field for HashMap<String, String> {
    fn value(self) -> Option<Value> {
        (!self.is_empty()).then(|| json!(self))
    }
}

impl Field for HistoryEventExecutionDataDetails {
    fn value(self) -> Option<Value> {
        self.truncated.then(|| json!({"truncated": true}))
    }
}

impl Field for AssignedVariablesDetails {
    fn value(self) -> Option<Value> {
        self.truncated.then(|| json!({"truncated": true}))
    }
}

impl Field for TaskCredentials {
    fn value(self) -> Option<Value> {
        Some(json!({"roleArn": self.role_arn?}))
    }
}
