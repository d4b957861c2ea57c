//! Histories from Step Functions, a page at a time.

use std::collections::HashMap;

use aws_sdk_sfn::Client;
use aws_sdk_sfn::primitives::DateTime;
use aws_sdk_sfn::types::{
    AssignedVariablesDetails, HistoryEvent, HistoryEventExecutionDataDetails, TaskCredentials,
};
use serde_json::{Map, Value, json};

use super::event::Event;
use crate::adapters::aws::fault::fault;
use crate::domain::fault::Fault;

/// The largest page of GetExecutionHistory.
const PAGE: i32 = 1000;

/// A page of a history, oldest event first.
#[derive(Clone, Debug, Default)]
pub struct Page {
    pub events: Vec<Event>,
    /// The token of the next page; none after the last one.
    pub next: Option<String>,
}

/// Reads the page at `token`, the first one without. `payloads` asks for inputs and outputs, too.
///
/// # Errors
///
/// Those of GetExecutionHistory.
pub async fn page(
    client: &Client,
    execution_arn: &str,
    payloads: bool,
    token: Option<String>,
) -> Result<Page, Fault> {
    let call = client.get_execution_history().execution_arn(execution_arn);
    let call = call.max_results(PAGE).include_execution_data(payloads);
    let page = call.set_next_token(token).send().await;
    let page = page.map_err(|e| fault(&e))?;
    Ok(Page {
        events: page.events.into_iter().map(event).collect(),
        next: page.next_token,
    })
}

/// Milliseconds since the epoch.
pub fn ms(time: &DateTime) -> i64 {
    time.to_millis().unwrap_or(i64::MAX)
}

/// The event without the SDK's types.
pub fn event(event: HistoryEvent) -> Event {
    let mut fields = Fields::default();
    let (at, kind) = (ms(&event.timestamp), event.r#type.as_str().to_owned());
    let (id, previous) = (event.id, event.previous_event_id);
    macro_rules! details {
        ($($details:ident: $($field:ident)*;)*) => {$(
            if let Some(details) = event.$details {
                $(fields.put(stringify!($field), details.$field);)*
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
        details: fields.0,
    }
}

#[derive(Default)]
struct Fields(Map<String, Value>);

impl Fields {
    /// Adds a field under the service's spelling, unless it is missing.
    fn put(&mut self, name: &str, value: impl Field) {
        if let Some(value) = value.value() {
            self.0.insert(camel(name), value);
        }
    }
}

/// `inputDetails` for `input_details`.
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
