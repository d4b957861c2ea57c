//! A subscriber with the `momento` SDK.

use std::sync::Arc;

use anyhow::Result;
use futures_util::StreamExt as _;
use momento::topics::{ValueKind, configurations};
use momento::{CredentialProvider, TopicClient};

use super::{CACHE, Source, Tally, broken, topic};

/// Subscriptions of one client: four channels of 100 streams.
const SUBSCRIPTIONS_PER_CLIENT: usize = 400;

/// Returns when all subscriptions are open.
pub async fn subscribe(source: &Source, tally: &Arc<Tally>) -> Result<()> {
    let topics: Vec<_> = (0..source.topics).map(topic).collect();
    for topics in topics.chunks(SUBSCRIPTIONS_PER_CLIENT) {
        let client = client(source)?;
        for topic in topics {
            let mut subscription = client.subscribe(CACHE, topic.as_str()).await?;
            let (topic, tally) = (topic.clone(), tally.clone());
            tokio::spawn(async move {
                while let Some(item) = subscription.next().await {
                    if let ValueKind::Text(text) = &item.kind {
                        tally.note(text);
                    }
                }
                broken(&topic, "the SDK gave up");
            });
        }
    }
    Ok(())
}

fn client(source: &Source) -> Result<TopicClient> {
    let credentials = CredentialProvider::from_api_key_v2(source.key.as_str(), "local")?;
    let client = TopicClient::builder()
        .configuration(configurations::Laptop::latest())
        .credential_provider(credentials.insecure_endpoint_override(&source.endpoint));
    Ok(client.build()?)
}
