//! The loop of a Lambda function: events from the Runtime API, one after the other.

use lambda_runtime::layers::TracingLayer;
use lambda_runtime::tower::Service;
use lambda_runtime::tower::util::MapFutureLayer;
use lambda_runtime::{Error, LambdaInvocation, Runtime};

/// Runs until Lambda ends the environment, or until `has_expired` after an answer: Lambda sets a function's credentials
/// once, at its start, and starts a function again after its end.
///
/// # Errors
///
/// When the Runtime API cannot be reached, or the credentials expired.
pub async fn run<S>(runtime: Runtime<S>, has_expired: fn() -> bool) -> Result<(), Error>
where
    S: Service<LambdaInvocation, Response = (), Error = Error>,
{
    let end_if_expired = MapFutureLayer::new(move |answered: S::Future| async move {
        answered.await?;
        match has_expired() {
            true => Err("the credentials of this environment expired; the next one has new ones"),
            false => Ok(()),
        }
        .map_err(Error::from)
    });
    let runtime = runtime.layer(end_if_expired).layer(TracingLayer::new());
    runtime.run().await
}
