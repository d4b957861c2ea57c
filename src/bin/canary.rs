//! The canary as a Lambda function, behind a schedule.

use std::process::ExitCode;
use std::sync::Arc;

use lambda_runtime::{Error, LambdaEvent, Runtime, service_fn};
use workflow_bridge::adapters::aws::{self, secrets::SecretsManager, sfn::StepFunctions};
use workflow_bridge::adapters::momento::{Momento, topics::MomentoTopics};
use workflow_bridge::clock;
use workflow_bridge::config::CanaryConfig;
use workflow_bridge::entrypoints::canary::CanaryHandler;
use workflow_bridge::entrypoints::runtime;
use workflow_bridge::environment::environment;
use workflow_bridge::telemetry;
use workflow_bridge::telemetry::metrics::Metrics;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    telemetry::init("canary", &environment);
    telemetry::exit(run().await)
}

async fn run() -> Result<(), Error> {
    let config = CanaryConfig::read(&environment)?;
    let aws = aws::of_function()?;
    let key = Arc::new(SecretsManager::new(&aws, config.momento_secret_id));
    let canary = CanaryHandler {
        momento: Box::new(move || {
            let momento = Momento::new(key.clone(), config.momento_endpoint.clone());
            Arc::new(MomentoTopics(Arc::new(momento)))
        }),
        listing: Arc::new(StepFunctions::new(&aws)),
        cache: config.cache,
        state_machine: config.state_machine,
        within: config.within,
        metrics: Metrics::new(&environment),
        now_ms: clock::now_ms,
    };
    // The schedule's event has no content of interest.
    let runtime = Runtime::new(service_fn(async |event: LambdaEvent<serde_json::Value>| {
        telemetry::invoked(&event.context.request_id);
        let mut value = [0; 16];
        getrandom::fill(&mut value)?;
        canary.handle(&hex::encode(value)).await;
        Ok::<_, Error>(())
    }));
    runtime::run(runtime, aws::fault::credentials_expired).await
}
