//! The canary's invocation: one round trip, as a metric and a line of the log.
//!
//! A lost message does not fail the invocation: Lambda would repeat it, and the metric has reported the loss already.

use std::sync::Arc;
use std::time::Duration;

use crate::domain::outbound::canary::{Canary, Lost, Returned};
use crate::domain::ports::{Listing, Subscriptions, Topics};
use crate::telemetry::metrics::{Measurements, Metric, Metrics};

/// The canary, over its ports.
pub struct CanaryHandler {
    /// Makes a Momento client for one round trip: an older one may have connections that died during a freeze, and the SDK
    /// never releases a subscription's place.
    pub momento: Box<dyn Fn() -> Arc<dyn Momento> + Send + Sync>,
    pub listing: Arc<dyn Listing>,
    pub cache: String,
    pub state_machine: String,
    pub within: Duration,
    pub metrics: Metrics,
    pub now_ms: fn() -> i64,
}

/// Momento, for the canary.
pub trait Momento: Topics + Subscriptions {}

impl<T: Topics + Subscriptions> Momento for T {}

impl CanaryHandler {
    /// Makes one round trip with the secret `value`.
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
        report(&result);
        self.metrics.write(measured);
    }
}

fn report(result: &Result<Returned, Lost>) {
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

/// The digits of the message's id at the end of an execution's name.
fn short_id(execution: &str) -> Option<&str> {
    execution.rsplit_once('-').map(|(_, id)| id)
}

fn ms(duration: Duration) -> i64 {
    duration.as_millis().try_into().unwrap_or(i64::MAX)
}
