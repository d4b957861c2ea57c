//! A function behind a queue that publishes values to topics.

use std::env;

use aws_config::BehaviorVersion;
use aws_lambda_events::sqs::{BatchItemFailure, SqsBatchResponse, SqsEvent};
use lambda_runtime::{Error, LambdaEvent, run, service_fn, tracing};
use momento::topics::configurations::Lambda;
use momento::{CredentialProvider, TopicClient};
use serde::Deserialize;

#[derive(Deserialize)]
struct Event {
    detail: Detail,
}

#[derive(Deserialize)]
struct Detail {
    cache: String,
    topic: String,
    value: String,
}

#[tokio::main]
async fn main() -> Result<(), Error> {
    tracing::init_default_subscriber();
    let config = aws_config::load_defaults(BehaviorVersion::latest()).await;
    let secrets = aws_sdk_secretsmanager::Client::new(&config);
    let key = secrets
        .get_secret_value()
        .secret_id(env::var("MOMENTO_SECRET_ID")?)
        .send()
        .await?
        .secret_string
        .ok_or("the secret has no text")?;
    let topics = &TopicClient::builder()
        .configuration(Lambda::latest())
        .credential_provider(credentials(key)?)
        .build()?;
    run(service_fn(move |event| publish_all(topics, event))).await
}

fn credentials(key: String) -> Result<CredentialProvider, Error> {
    let endpoint = env::var("MOMENTO_ENDPOINT")?;
    Ok(match endpoint.starts_with("http://") {
        true => CredentialProvider::from_api_key_v2(key, "localhost")?
            .insecure_endpoint_override(&endpoint),
        false => CredentialProvider::from_api_key_v2(key, endpoint)?,
    })
}

async fn publish_all(
    topics: &TopicClient,
    event: LambdaEvent<SqsEvent>,
) -> Result<SqsBatchResponse, Error> {
    let mut response = SqsBatchResponse::default();
    for record in event.payload.records {
        if let Err(error) = publish(topics, record.body.as_deref().unwrap_or_default()).await {
            tracing::error!(%error, "a value was not published");
            let mut failure = BatchItemFailure::default();
            failure.item_identifier = record.message_id.unwrap_or_default();
            response.batch_item_failures.push(failure);
        }
    }
    Ok(response)
}

async fn publish(topics: &TopicClient, body: &str) -> Result<(), Error> {
    let Detail {
        cache,
        topic,
        value,
    } = serde_json::from_str::<Event>(body)?.detail;
    topics.publish(cache, topic.as_str(), value).await?;
    tracing::info!(topic, "published");
    Ok(())
}
