//! The canary's invocation: one round trip, as a metric and a line of the log.
//!
//! A message that does not come back fails no invocation: Lambda would repeat it, and the metric has told it already.

use std::sync::Arc;
use std::time::Duration;

use crate::canary::{Canary, Lost, Returned};
use crate::metrics::{Measurements, Metric, Metrics};
use crate::ports::{Listing, Topics, TopicsHeard};

/// The canary, over its ports.
pub struct CanaryHandler {
    /// Makes a client of Momento, for one round trip: an older one may have connections that died while the function was frozen,
    /// and the SDK's subscriptions never give their place back.
    pub momento: Box<dyn Fn() -> Arc<dyn Momento> + Send + Sync>,
    pub listing: Arc<dyn Listing>,
    pub cache: String,
    pub state_machine: String,
    pub within: Duration,
    pub metrics: Metrics,
    pub now_ms: fn() -> i64,
}

/// Momento as the canary uses it.
pub trait Momento: Topics + TopicsHeard {}

impl<T: Topics + TopicsHeard> Momento for T {}

impl CanaryHandler {
    /// Sends `value` round, which nobody else may know.
    pub async fn handle(&self, value: &str) {
        let momento = (self.momento)();
        let canary = Canary {
            topics: &*momento,
            heard: &*momento,
            listing: &*self.listing,
            cache: &self.cache,
            state_machine: &self.state_machine,
            within: self.within,
            now_ms: self.now_ms,
        };
        let result = canary.round_trip(value).await;
        let mut measured = Measurements::default();
        let outcome = match &result {
            Ok(_) => "succeeded",
            Err(_) => "failed",
        };
        measured.add(Metric::Canary, 1, None, Some(outcome));
        if let Ok(returned) = &result {
            measured.add(Metric::CanaryRoundTrip, ms(returned.round_trip), None, None);
        }
        tell(&result);
        self.metrics.write(measured);
    }
}

fn tell(result: &Result<Returned, Lost>) {
    match result {
        Ok(returned) => tracing::info!(
            correlation_id = returned.id,
            execution.arn = returned.execution,
            duration_ms = ms(returned.round_trip),
            "the canary came back"
        ),
        Err(lost) => tracing::error!(
            correlation_id = lost.execution().and_then(short_id),
            execution.arn = lost.execution(),
            reached = lost.reached(),
            error.code = lost.code(),
            error.text = %lost,
            "the canary did not come back"
        ),
    }
}

/// The beginning of the message's id, with which an execution's name ends.
fn short_id(execution: &str) -> Option<&str> {
    execution.rsplit_once('-').map(|(_, id)| id)
}

fn ms(duration: Duration) -> i64 {
    duration.as_millis().try_into().unwrap_or(i64::MAX)
}
