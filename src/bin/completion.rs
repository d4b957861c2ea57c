//! The completion as a Lambda function, behind the Completions queue.

use std::process::ExitCode;
use std::sync::Arc;

use aws_lambda_events::sqs::SqsEvent;
use lambda_runtime::{Error, LambdaEvent, service_fn};
use tokio::time::Instant;
use workflow_bridge::adapters::{
    aws, momento::Momento, secrets::SecretsManager, sfn::StepFunctions, ssm, topics::MomentoTopics,
};
use workflow_bridge::config::{CompletionConfig, environment};
use workflow_bridge::entrypoints::completions::Completion;
use workflow_bridge::telemetry;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    telemetry::init(&environment);
    telemetry::exit(run().await)
}

async fn run() -> Result<(), Error> {
    let config = CompletionConfig::read(&environment)?;
    let aws = aws::config().await;
    let key = SecretsManager {
        client: aws_sdk_secretsmanager::Client::new(&aws),
        id: config.momento_secret_id,
    };
    let completion = Completion {
        routes: ssm::load_routes(&config.routes, &aws).await?,
        executions: Arc::new(StepFunctions(aws_sdk_sfn::Client::new(&aws))),
        topics: Arc::new(MomentoTopics(Arc::new(Momento::new(
            Arc::new(key),
            config.momento_endpoint,
        )))),
        max_message_bytes: config.max_message_bytes,
    };
    lambda_runtime::run(service_fn(async |event: LambdaEvent<SqsEvent>| {
        let remaining = event
            .context
            .deadline()
            .duration_since(std::time::SystemTime::now());
        let deadline = Instant::now() + remaining.unwrap_or_default();
        Ok::<_, Error>(completion.handle(event.payload, deadline).await?)
    }))
    .await
}
