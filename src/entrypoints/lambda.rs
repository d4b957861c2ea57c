//! The webhook behind Lambda's triggers: a Function URL, API Gateway (REST and HTTP) and an ALB.

mod answer;
mod event;

use std::sync::Arc;
use std::time::Duration;

use lambda_runtime::{Error, LambdaEvent, Runtime, service_fn};
use tokio::time::Instant;

use self::answer::Answer;
use self::event::Event;
use super::http::{Times, Webhook};
use super::runtime;
use crate::telemetry;

/// Time reserved for the answer, when storing ends.
const ANSWERING: Duration = Duration::from_millis(500);

/// Serves the events of a Function URL, API Gateway (REST and HTTP) and an ALB until the environment ends.
///
/// The first sender has waited since the function `began` to start, so its answer is due that much earlier. Nothing runs
/// after an answer, so attempts to store a message continue until shortly before the invocation's time-out.
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
        let waited = std::mem::take(&mut waited);
        let budget = webhook.settings.answer_within;
        let budget = budget.saturating_sub(waited).max(budget / 4);
        let received_at = event.payload.received_at;
        let left = left(
            event.context.deadline,
            received_at,
            (webhook.now_ms)(),
            waited,
        );
        let now = Instant::now();
        let times = Times {
            answer_by: now + budget,
            store_by: now + left.saturating_sub(ANSWERING),
            received_at,
        };
        async move {
            let Event {
                trigger, request, ..
            } = event.payload;
            let response = webhook.answer(&request, times).await;
            Ok::<_, Error>(Answer { trigger, response })
        }
    }));
    runtime::run(runtime, has_expired).await
}

/// Time left of an invocation that ends at `deadline` (ms since the epoch), by the later one of two clocks: the function's
/// own, which may lag for a moment after a freeze, and the front end's.
fn left(deadline: u64, received_at: Option<i64>, now_ms: i64, waited: Duration) -> Duration {
    let waited = i64::try_from(waited.as_millis()).unwrap_or(i64::MAX);
    let since = received_at.map_or(i64::MIN, |at| at.saturating_add(waited));
    let deadline = i64::try_from(deadline).unwrap_or(i64::MAX);
    let left = deadline.saturating_sub(now_ms.max(since));
    Duration::from_millis(left.try_into().unwrap_or_default())
}

/// The trigger, as far as the answer depends on it.
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
