//! The sweep as a Lambda function, behind a schedule.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::SystemTime;

use lambda_runtime::{Error, LambdaEvent, Runtime, service_fn};
use tokio::time::Instant;
use workflow_bridge::adapters::aws::{
    self, dynamodb::DynamoLedger, sfn::StepFunctions, sqs::SqsQueue,
};
use workflow_bridge::clock;
use workflow_bridge::config::SweepConfig;
use workflow_bridge::domain::outbound::sweep::Sweep;
use workflow_bridge::entrypoints::runtime;
use workflow_bridge::entrypoints::sweep::Sweeper;
use workflow_bridge::environment::environment;
use workflow_bridge::telemetry::metrics::Metrics;
use workflow_bridge::{telemetry, wiring};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    telemetry::init("sweep", &environment);
    telemetry::exit(run().await)
}

async fn run() -> Result<(), Error> {
    let config = SweepConfig::read(&environment)?;
    let aws = aws::of_function()?;
    let queue = Arc::new(SqsQueue::new(&aws, config.completions_queue_url));
    let sweeper = Sweeper {
        routes: wiring::live_routes(&config.routes, &aws).await?,
        sweep: Sweep {
            listing: Arc::new(StepFunctions::new(&aws)),
            register: Arc::new(DynamoLedger::new(&aws, config.ledger_table, clock::now_ms)),
            completions: queue.clone(),
            backlog: queue,
            grace: config.grace,
        },
        metrics: Metrics::new(&environment),
        now_ms: clock::now_ms,
    };
    // The schedule's event has no content of interest.
    let runtime = Runtime::new(service_fn(async |event: LambdaEvent<serde_json::Value>| {
        telemetry::invoked(&event.context.request_id);
        let remaining = event.context.deadline().duration_since(SystemTime::now());
        let deadline = Instant::now() + remaining.unwrap_or_default();
        Ok::<_, Error>(sweeper.handle(deadline).await?)
    }));
    runtime::run(runtime, aws::fault::credentials_expired).await
}
