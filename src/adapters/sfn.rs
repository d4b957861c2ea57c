//! Step Functions.

use std::fmt;

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::json;

use super::aws::services::SFN;
use super::aws::{self, Aws, Client, Refusal};
use crate::json as text;
use crate::ports::{
    Answer, Described, ExecutionPage, Executions, Fault, Listed, Listing, NewExecution, Resumed,
    Started, Tasks, Workflows,
};
use crate::resume::{TaskAnswer, Verdict};

/// The most that ListExecutions gives at once.
const PAGE: u32 = 1000;

/// Room for what is around the input in a StartExecution: an ARN, a name and the keys.
const START_BYTES: usize = 400;

/// Starts, describes and lists executions, and answers their tasks.
#[derive(Debug)]
pub struct StepFunctions(Client);

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ExecutionStarted {
    #[serde(rename = "executionArn")]
    _execution_arn: IgnoredAny,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Execution {
    status: String,
    redrive_count: Option<u32>,
    input: Option<String>,
    output: Option<String>,
    error: Option<String>,
    cause: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Page {
    executions: Vec<Item>,
    next_token: Option<String>,
}

/// Dates are seconds since the epoch, with a fraction.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Item {
    execution_arn: String,
    name: String,
    status: String,
    start_date: f64,
    stop_date: Option<f64>,
    redrive_count: Option<u32>,
}

impl StepFunctions {
    pub fn new(aws: &Aws) -> Self {
        Self(Client::new(aws, &SFN))
    }
}

impl Workflows for StepFunctions {
    fn start<'a>(&'a self, execution: NewExecution<'a>) -> Answer<'a, Started> {
        Box::pin(async move {
            // Step Functions prefers the header to what a body says.
            let trace = Some(execution.trace);
            let body = start(execution).map_err(|_| aws::unbuilt())?;
            let started = self.0.call_in(trace, "StartExecution", body).await;
            match started {
                Ok(ExecutionStarted { .. }) => Ok(Started::Now),
                Err(refusal) if refusal.fault.code == "ExecutionAlreadyExists" => {
                    Ok(Started::Already)
                }
                Err(refusal) => Err(refusal.into()),
            }
        })
    }
}

/// Written at once, so that a text is copied no more than it must be.
fn start(execution: NewExecution<'_>) -> Result<Vec<u8>, fmt::Error> {
    let input = execution.input.size_hint();
    let mut body = String::with_capacity(START_BYTES + input + input / 8);
    body.push_str(r#"{"stateMachineArn":"#);
    text::quote(&mut body, execution.state_machine)?;
    body.push_str(r#","name":"#);
    text::quote(&mut body, execution.name)?;
    body.push_str(r#","input":""#);
    execution.input.write_to(&mut text::Escaped(&mut body))?;
    body.push_str("\"}");
    Ok(body.into_bytes())
}

impl Tasks for StepFunctions {
    fn answer<'a>(&'a self, answer: &'a TaskAnswer) -> Answer<'a, Resumed> {
        Box::pin(async move {
            let token = &answer.token;
            let (operation, input) = match &answer.verdict {
                Verdict::Success(output) => {
                    let input = json!({"taskToken": token, "output": output});
                    ("SendTaskSuccess", input)
                }
                Verdict::Failure { error, cause } => {
                    let mut input = json!({"taskToken": token, "error": error});
                    if let Some(cause) = cause {
                        input["cause"] = cause.as_str().into();
                    }
                    ("SendTaskFailure", input)
                }
            };
            let told = self.0.tell(operation, &input).await;
            told.map_or_else(closed, |()| Ok(Resumed::Now))
        })
    }
}

/// A task that waits no more is no fault.
fn closed(refusal: Refusal) -> Result<Resumed, Fault> {
    match refusal.fault.code.as_str() {
        "TaskTimedOut" | "TaskDoesNotExist" => Ok(Resumed::Closed),
        _ => Err(refusal.into()),
    }
}

impl Executions for StepFunctions {
    fn describe<'a>(&'a self, execution: &'a str) -> Answer<'a, Described> {
        Box::pin(async move {
            let input = json!({"executionArn": execution});
            let found: Execution = self.0.call("DescribeExecution", &input).await?;
            Ok(Described {
                status: found.status,
                redrive_count: found.redrive_count.unwrap_or_default(),
                input: found.input,
                output: found.output,
                error: found.error,
                cause: found.cause,
            })
        })
    }
}

impl Listing for StepFunctions {
    fn list<'a>(
        &'a self,
        state_machine: &'a str,
        next_token: Option<&'a str>,
    ) -> Answer<'a, ExecutionPage> {
        Box::pin(async move {
            let mut input = json!({"stateMachineArn": state_machine, "maxResults": PAGE});
            if let Some(token) = next_token {
                input["nextToken"] = token.into();
            }
            let page: Page = self.0.call("ListExecutions", &input).await?;
            Ok(ExecutionPage {
                executions: page.executions.into_iter().map(listed).collect(),
                next_token: page.next_token,
            })
        })
    }
}

fn listed(item: Item) -> Listed {
    Listed {
        execution_arn: item.execution_arn,
        name: item.name,
        status: item.status,
        started_at: ms(item.start_date),
        stopped_at: item.stop_date.map(ms),
        redrive_count: item.redrive_count.unwrap_or_default(),
    }
}

/// Milliseconds since the epoch; rounded, since no double holds them exactly.
fn ms(seconds: f64) -> i64 {
    (seconds * 1000.0).round() as i64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_task_that_waits_no_more_is_no_fault() {
        for code in ["TaskTimedOut", "TaskDoesNotExist"] {
            let fault = Fault::permanent(code, "");
            assert_eq!(closed(fault.into()), Ok(Resumed::Closed));
        }
        for code in ["InvalidToken", "InvalidOutput", "KmsAccessDeniedException"] {
            let fault = Fault::permanent(code, "");
            assert_eq!(closed(fault.clone().into()), Err(fault));
        }
    }

    #[test]
    fn dates_are_milliseconds_and_redrives_are_counted() {
        let read = |more: serde_json::Value| {
            let mut item = json!({
                "executionArn": "arn:execution", "stateMachineArn": "arn:machine", "name": "name",
                "status": "TIMED_OUT", "startDate": 1_704_296_470.564,
            });
            let more = more.as_object().cloned().unwrap_or_default();
            item.as_object_mut().unwrap().extend(more);
            listed(serde_json::from_value(item).unwrap())
        };
        let open = read(json!({}));
        assert_eq!(open.started_at, 1_704_296_470_564);
        assert_eq!((open.stopped_at, open.redrive_count), (None, 0));
        let ended = read(json!({"stopDate": 1_704_296_471, "redriveCount": 2}));
        assert_eq!(ended.status, "TIMED_OUT");
        assert_eq!(ended.stopped_at, Some(1_704_296_471_000));
        assert_eq!(ended.redrive_count, 2);
    }
}
