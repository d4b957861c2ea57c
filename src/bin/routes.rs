//! The collection of routes as a Lambda function, behind a schedule and the changes of parameters.

use std::process::ExitCode;
use std::time::SystemTime;

use lambda_runtime::{Error, LambdaEvent, Runtime, service_fn};
use tokio::time::Instant;
use workflow_bridge::adapters::aws;
use workflow_bridge::config::CollectConfig;
use workflow_bridge::entrypoints::runtime;
use workflow_bridge::environment::environment;
use workflow_bridge::{telemetry, wiring};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    telemetry::init("routes", &environment);
    telemetry::exit(run().await)
}

async fn run() -> Result<(), Error> {
    let config = CollectConfig::read(&environment)?;
    let aws = aws::of_function()?;
    let collector = wiring::collector(config, &aws);
    // All parameters are read again, whatever the event says: events are best effort.
    let runtime = Runtime::new(service_fn(async |event: LambdaEvent<serde_json::Value>| {
        telemetry::invoked(&event.context.request_id);
        let remaining = event.context.deadline().duration_since(SystemTime::now());
        let deadline = Instant::now() + remaining.unwrap_or_default();
        Ok::<_, Error>(collector.handle(deadline).await?)
    }));
    runtime::run(runtime, aws::fault::credentials_expired).await
}
