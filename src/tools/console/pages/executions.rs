//! Stops, redrives, and answers to waiting tasks.

use axum::Form;
use axum::extract::State;
use axum::extract::rejection::FormRejection;
use axum::response::{IntoResponse, Redirect, Response};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::domain::ports::Verdict;
use crate::tools::console::app::{App, Problem};
use crate::tools::console::text::segment;
use crate::tools::trace::subject::Subject;

/// An execution of a run.
#[derive(Debug, Deserialize)]
pub struct Named {
    arn: String,
    /// The page to go back to.
    #[serde(default)]
    run: String,
}

impl Named {
    fn read(form: Result<Form<Self>, FormRejection>) -> Result<Self, Problem> {
        let Form(named) = form.map_err(|error| Problem::bad_request(error.body_text()))?;
        match Subject::parse(&named.arn).map_err(Problem::bad_request)? {
            Subject::Execution { arn: Some(_), .. } => Ok(named),
            _ => Err(Problem::bad_request("expected the ARN of an execution")),
        }
    }
}

fn back(run: &str) -> Response {
    Redirect::to(&format!("/runs/{}", segment(run))).into_response()
}

/// `POST /executions/stop`.
pub async fn stop(
    State(app): State<App>,
    form: Result<Form<Named>, FormRejection>,
) -> Result<Response, Problem> {
    app.may_change()?;
    let named = Named::read(form)?;
    app.services.stop(&named.arn).await?;
    Ok(back(&named.run))
}

/// `POST /executions/redrive`.
pub async fn redrive(
    State(app): State<App>,
    form: Result<Form<Named>, FormRejection>,
) -> Result<Response, Problem> {
    app.may_change()?;
    let named = Named::read(form)?;
    app.services.redrive(&named.arn).await?;
    Ok(back(&named.run))
}

/// The answer to a task.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Reply {
    token: String,
    /// JSON.
    output: String,
    /// With a text, the task fails.
    error: String,
    cause: String,
    run: String,
}

/// `POST /tasks/answer`.
pub async fn answer(
    State(app): State<App>,
    form: Result<Form<Reply>, FormRejection>,
) -> Result<Response, Problem> {
    app.may_change()?;
    let Form(reply) = form.map_err(|error| Problem::bad_request(error.body_text()))?;
    let verdict = match reply.error.trim() {
        "" => {
            if let Err(error) = serde_json::from_str::<&RawValue>(&reply.output) {
                return Err(Problem::bad_request(format!(
                    "expected the task's output as JSON, such as `true` or `{{\"approved\":true}}`, found something else: {error}"
                )));
            }
            Verdict::Success(reply.output)
        }
        error => Verdict::Failure {
            error: error.to_owned(),
            cause: Some(reply.cause).filter(|cause| !cause.is_empty()),
        },
    };
    app.services.answer(&reply.token, &verdict).await?;
    Ok(back(&reply.run))
}
