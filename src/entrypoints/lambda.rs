//! The webhook behind Lambda's triggers: a Function URL, API Gateway (REST and HTTP) and an ALB.

mod answer;
mod event;

use std::sync::Arc;

use lambda_runtime::{Error, LambdaEvent, Runtime, service_fn};
use tokio::time::Instant;

use self::answer::Answer;
use self::event::Event;
use super::http::Webhook;
use super::runtime;
use crate::telemetry;

/// Serves the events of a Function URL, API Gateway (REST and HTTP) and an ALB until the environment ends.
///
/// The first sender has waited since the function `began` to start, so its answer has that much less time.
///
/// # Errors
///
/// As [`runtime::run`].
pub async fn run(
    webhook: Arc<Webhook>,
    began: Instant,
    has_expired: fn() -> bool,
) -> Result<(), Error> {
    let webhook = &*webhook;
    let mut waited = began.elapsed();
    let runtime = Runtime::new(service_fn(move |event: LambdaEvent<Event>| {
        telemetry::invoked(&event.context.request_id);
        let budget = webhook.settings.answer_within;
        let left = budget.saturating_sub(std::mem::take(&mut waited));
        async move {
            let Event { trigger, request } = event.payload;
            let response = webhook.answer(&request, left.max(budget / 4)).await;
            Ok::<_, Error>(Answer { trigger, response })
        }
    }));
    runtime::run(runtime, has_expired).await
}

/// Who invoked the function, as far as the answer depends on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Trigger {
    /// A Function URL, or an HTTP API with the payload 2.0.
    Http,
    /// A REST API, or an HTTP API with the payload 1.0.
    Rest,
    Alb,
}

#[cfg(test)]
mod tests;
