//! The webhook as a Lambda function: behind a Function URL, API Gateway (REST or HTTP) or an ALB.

use std::process::ExitCode;
use std::time::Duration;

use lambda_runtime::Error;
use tokio::join;
use tokio::time::{Instant, timeout_at};
use workflow_bridge::adapters::aws::Aws;
use workflow_bridge::config::{WebhookConfig, environment};
use workflow_bridge::entrypoints::lambda;
use workflow_bridge::{telemetry, wiring};

/// How long a start waits for what the first message needs; that one goes on waiting, if it must.
const WARM_UP_WITHIN: Duration = Duration::from_secs(2);

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    telemetry::init("webhook", &environment);
    telemetry::exit(run().await)
}

async fn run() -> Result<(), Error> {
    let began = Instant::now();
    let config = WebhookConfig::read(&environment)?;
    let aws = Aws::of_function()?;
    let webhook = wiring::webhook(config, &aws).await?;
    // A function that starts has a whole processor; one that answers has its share of one.
    let deadline = began + WARM_UP_WITHIN;
    let targets = timeout_at(deadline, wiring::connect(&aws, &webhook.routes));
    let _ = join!(webhook.warm_up(deadline), targets);
    lambda::run(webhook, began).await
}
