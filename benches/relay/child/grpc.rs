//! A subscriber by Momento's protocol, without anything around it.

use std::sync::Arc;

use anyhow::{Context, Result};
use momento_protos::cache_client::pubsub::pubsub_client::PubsubClient;
use momento_protos::cache_client::pubsub::subscription_item::Kind;
use momento_protos::cache_client::pubsub::{SubscriptionItem, SubscriptionRequest, topic_value};
use tonic::Request;
use tonic::transport::Endpoint;

use super::{CACHE, Source, Tally, broken, topic};

/// Streams that share a connection, as in Momento's SDKs.
const STREAMS_PER_CHANNEL: usize = 100;

/// Returns when all subscriptions are open.
pub async fn subscribe(source: &Source, tally: &Arc<Tally>) -> Result<()> {
    let endpoint = Endpoint::from_shared(source.endpoint.clone())?;
    let topics: Vec<_> = (0..source.topics).map(topic).collect();
    for topics in topics.chunks(STREAMS_PER_CHANNEL) {
        let channel = endpoint.connect().await?;
        for topic in topics {
            let mut request = Request::new(SubscriptionRequest {
                cache_name: CACHE.to_owned(),
                topic: topic.clone(),
                resume_at_topic_sequence_number: 0,
                sequence_page: 0,
            });
            let metadata = request.metadata_mut();
            metadata.insert("authorization", source.key.parse()?);
            let stream = PubsubClient::new(channel.clone()).subscribe(request).await;
            let mut stream = stream.context("cannot subscribe")?.into_inner();
            // The server's first item is a heartbeat: from then on the subscription is open.
            let heartbeat = stream.message().await?;
            heartbeat.context("expected a heartbeat, found the end")?;
            let (topic, tally) = (topic.clone(), tally.clone());
            tokio::spawn(async move {
                loop {
                    match stream.message().await {
                        Ok(Some(item)) => note(&tally, item),
                        Ok(None) => broken(&topic, "the stream is at its end"),
                        Err(status) => broken(&topic, status.message()),
                    }
                }
            });
        }
    }
    Ok(())
}

fn note(tally: &Tally, item: SubscriptionItem) {
    let Some(Kind::Item(item)) = item.kind else {
        return;
    };
    if let Some(topic_value::Kind::Text(text)) = item.value.and_then(|value| value.kind) {
        tally.note(&text);
    }
}
