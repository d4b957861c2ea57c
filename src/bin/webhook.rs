//! The webhook as a Lambda function: behind a Function URL, API Gateway (REST or HTTP) or an ALB.

use std::process::ExitCode;
use std::sync::Arc;

use lambda_http::Error;
use tokio::time::Instant;
use workflow_bridge::adapters::{
    aws, eventbridge::EventBridge, secrets::SecretsManager, sfn::StepFunctions, sqs::SqsQueue, ssm,
};
use workflow_bridge::clock;
use workflow_bridge::config::{WebhookConfig, environment};
use workflow_bridge::dispatch::{Queues, Targets};
use workflow_bridge::entrypoints::http::Webhook;
use workflow_bridge::entrypoints::lambda;
use workflow_bridge::secrets::SecretCache;
use workflow_bridge::telemetry;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    telemetry::init(&environment);
    telemetry::exit(run().await)
}

async fn run() -> Result<(), Error> {
    let began = Instant::now();
    let config = WebhookConfig::read(&environment)?;
    let aws = aws::config().await;
    let signing = SecretsManager {
        client: aws_sdk_secretsmanager::Client::new(&aws),
        id: config.signing_secret_id,
    };
    let webhook = Arc::new(Webhook {
        routes: ssm::load_routes(&config.routes, &aws).await?,
        targets: Targets {
            workflows: Arc::new(StepFunctions(aws_sdk_sfn::Client::new(&aws))),
            event_bus: Arc::new(EventBridge(aws_sdk_eventbridge::Client::new(&aws))),
        },
        queues: Queues {
            parked: Arc::new(SqsQueue::new(&aws, config.parking_queue_url)),
            dead_letters: Arc::new(SqsQueue::new(&aws, config.dead_letter_queue_url)),
        },
        secrets: SecretCache::new(Arc::new(signing)),
        settings: config.settings,
        now_ms: clock::now_ms,
    });
    webhook.warm_up();
    lambda::run(webhook, began).await
}
