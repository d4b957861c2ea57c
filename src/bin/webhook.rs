//! The webhook as a Lambda function: behind a Function URL, API Gateway (REST or HTTP) or an ALB.

use std::process::ExitCode;

use lambda_runtime::Error;
use tokio::time::Instant;
use workflow_bridge::adapters::aws::Aws;
use workflow_bridge::config::{WebhookConfig, environment};
use workflow_bridge::entrypoints::lambda;
use workflow_bridge::{telemetry, wiring};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    telemetry::init("webhook", &environment);
    telemetry::exit(run().await)
}

async fn run() -> Result<(), Error> {
    let began = Instant::now();
    let config = WebhookConfig::read(&environment)?;
    let webhook = wiring::webhook(config, &Aws::of_function()?).await?;
    webhook.warm_up();
    lambda::run(webhook, began).await
}
