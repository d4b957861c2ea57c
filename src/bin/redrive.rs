//! The redrive as a Lambda function, behind the parking queue.

use std::process::ExitCode;
use std::sync::Arc;

use lambda_runtime::Error;
use tokio::time::Instant;
use workflow_bridge::adapters::aws::{self, sqs::SqsQueue};
use workflow_bridge::clock;
use workflow_bridge::config::RedriveConfig;
use workflow_bridge::domain::inbound::queues::Queues;
use workflow_bridge::entrypoints::records::{self, Repeats};
use workflow_bridge::entrypoints::redrive::Redrive;
use workflow_bridge::environment::environment;
use workflow_bridge::telemetry::metrics::Metrics;
use workflow_bridge::{telemetry, wiring};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    telemetry::init("redrive", &environment);
    telemetry::exit(run().await)
}

async fn run() -> Result<(), Error> {
    let config = RedriveConfig::read(&environment)?;
    let aws = aws::of_function()?;
    let routes = wiring::live_routes(&config.routes, &aws).await?;
    routes
        .warm_up(Instant::now() + wiring::WARM_UP_WITHIN)
        .await;
    let parked = Arc::new(SqsQueue::new(&aws, config.parking_queue_url));
    let redrive = Redrive {
        routes,
        targets: wiring::targets(&aws),
        metrics: Metrics::new(&environment),
        repeats: Repeats::new(Some(parked.clone()), config.repeats, clock::now_ms),
        queues: Queues {
            parked,
            dead_letters: Arc::new(SqsQueue::new(&aws, config.dead_letter_queue_url)),
        },
    };
    records::serve(
        async |batch, deadline| redrive.handle(batch, deadline).await,
        aws::fault::credentials_expired,
    )
    .await
}
