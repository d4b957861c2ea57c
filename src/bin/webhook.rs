//! The webhook as a Lambda function: behind a Function URL, API Gateway (REST or HTTP) or an ALB.

use std::process::ExitCode;

use lambda_runtime::Error;
use tokio::join;
use tokio::time::{Instant, timeout_at};
use workflow_bridge::adapters::aws;
use workflow_bridge::config::WebhookConfig;
use workflow_bridge::entrypoints::lambda;
use workflow_bridge::environment::environment;
use workflow_bridge::{telemetry, wiring};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    telemetry::init("webhook", &environment);
    telemetry::exit(run().await)
}

async fn run() -> Result<(), Error> {
    let began = Instant::now();
    let config = WebhookConfig::read(&environment)?;
    let aws = aws::of_function()?;
    let webhook = wiring::webhook(config, &aws).await?;
    let deadline = began + wiring::WARM_UP_WITHIN;
    let targets = timeout_at(
        deadline,
        wiring::connect_targets(&webhook.targets, &webhook.routes),
    );
    let routes = webhook.routes.warm_up(deadline);
    let _ = join!(webhook.warm_up(deadline), routes, targets);
    lambda::run(webhook, began, aws::fault::credentials_expired).await
}
