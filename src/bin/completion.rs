//! The completion as a Lambda function, behind the Completions queue.

use std::process::ExitCode;
use std::sync::Arc;

use lambda_runtime::Error;
use tokio::join;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout_at};
use workflow_bridge::adapters::aws;
use workflow_bridge::adapters::aws::{
    dynamodb::DynamoLedger, objects::S3Objects, secrets::SecretsManager, sfn::StepFunctions,
    sqs::SqsQueue,
};
use workflow_bridge::adapters::momento::{Momento, items::MomentoItems, topics::MomentoTopics};
use workflow_bridge::clock;
use workflow_bridge::config::CompletionConfig;
use workflow_bridge::domain::outbound::claims::Claims;
use workflow_bridge::domain::outbound::complete::Complete;
use workflow_bridge::domain::outbound::publisher::Publisher;
use workflow_bridge::domain::ports::{Queue, Receipts};
use workflow_bridge::entrypoints::completions::Completion;
use workflow_bridge::entrypoints::records::{self, Repeats};
use workflow_bridge::environment::environment;
use workflow_bridge::telemetry::metrics::Metrics;
use workflow_bridge::telemetry::xray::Tracer;
use workflow_bridge::{telemetry, wiring};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    telemetry::init("completion", &environment);
    telemetry::exit(run().await)
}

async fn run() -> Result<(), Error> {
    let config = CompletionConfig::read(&environment)?;
    let aws = aws::of_function()?;
    let key = SecretsManager::new(&aws, config.momento_secret_id);
    let momento = Arc::new(Momento::new(Arc::new(key), config.momento_endpoint));
    let ledger = |table| Arc::new(DynamoLedger::new(&aws, table, clock::now_ms));
    let ledger = config.ledger_table.map(ledger);
    let deadline = Instant::now() + wiring::WARM_UP_WITHIN;
    let ready = async { join!(momento.warm_up(), wiring::connect_ledger(ledger.as_deref())) };
    let ready = timeout_at(deadline, ready);
    let routes = async {
        let routes = wiring::live_routes(&config.routes, &aws).await?;
        routes.warm_up(deadline).await;
        Ok::<_, Error>(routes)
    };
    let (routes, _) = join!(routes, ready);
    let queue = |url| Arc::new(SqsQueue::new(&aws, url));
    let complete = Complete {
        routes: routes?,
        executions: Arc::new(StepFunctions::new(&aws)),
        publisher: Publisher {
            topics: Arc::new(MomentoTopics(momento.clone())),
            claims: Claims {
                items: Arc::new(MomentoItems(momento)),
                objects: config
                    .claims_bucket
                    .map(|bucket| Arc::new(S3Objects::new(&aws, bucket)) as _),
                max_message_bytes: config.max_message_bytes,
                max_item_bytes: config.max_item_bytes,
                ttl: config.claim_ttl,
                now_ms: clock::now_ms,
            },
            ledger: ledger.map(|ledger| ledger as _),
            at_once: Semaphore::new(config.publish_concurrency),
            now_ms: clock::now_ms,
        },
        metrics: Metrics::new(&environment),
        tracer: Tracer::new(&environment),
        now_ms: clock::now_ms,
    };
    let completion = Completion {
        complete,
        dead_letters: config
            .dead_letter_queue_url
            .map(|url| queue(url) as Arc<dyn Queue>),
        repeats: Repeats::new(
            config
                .completions_queue_url
                .map(|url| queue(url) as Arc<dyn Receipts>),
            config.repeats,
            clock::now_ms,
        ),
    };
    records::serve(
        async |batch, deadline| completion.handle(batch, deadline).await,
        aws::fault::credentials_expired,
    )
    .await
}
