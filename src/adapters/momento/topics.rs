//! Momento Topics, by the `momento` SDK.

use std::sync::Arc;

use futures_util::StreamExt;
use futures_util::future::ready;
use momento::topics::configurations::Lambda;
use momento::topics::{Configuration, ValueKind};
use momento::{CredentialProvider, MomentoResult, TopicClient};

use super::{Momento, credentials};
use crate::config::MomentoEndpoint;
use crate::domain::fault::Fault;
use crate::domain::ports::{Answer, Subscription, Subscriptions, Topics};

/// Momento's hard limit on a message's value, in bytes. From `docs/topics/limits.mdx` of momentohq/public-dev-docs.
const MAX_VALUE_BYTES: usize = 4096;

/// Publishes, and listens.
pub struct MomentoTopics(pub Arc<Momento>);

impl MomentoTopics {
    async fn publish_once(&self, cache: &str, topic: &str, value: &str) -> Result<(), Fault> {
        let lease = self.0.lease().await?;
        let result = lease.topics().await?.publish(cache, topic, value).await;
        let published = self.0.settle(lease, result).await.map(|_| ());
        published.map_err(|fault| match fault.code.as_str() {
            // The value is within the limit, so the cause is another one, and may be transient.
            Fault::TOO_LARGE if value.len() <= MAX_VALUE_BYTES => {
                Fault::transient("LimitExceededError", fault.text)
            }
            _ => fault,
        })
    }

    async fn listen_once(&self, cache: &str, topic: &str) -> Result<Subscription, Fault> {
        let lease = self.0.lease().await?;
        let result = lease.topics().await?.subscribe(cache, topic).await;
        let values = self.0.settle(lease, result).await?;
        let texts = values.filter_map(|value| {
            ready(match value.kind {
                ValueKind::Text(text) => Some(text),
                ValueKind::Binary(_) => None,
            })
        });
        Ok(texts.boxed())
    }
}

impl Topics for MomentoTopics {
    fn publish<'a>(&'a self, cache: &'a str, topic: &'a str, value: &'a str) -> Answer<'a, ()> {
        Box::pin(self.publish_once(cache, topic, value))
    }
}

impl Subscriptions for MomentoTopics {
    /// The SDK resubscribes by itself, without a pause and without end, until the subscription is dropped.
    fn listen<'a>(&'a self, cache: &'a str, topic: &'a str) -> Answer<'a, Subscription> {
        Box::pin(self.listen_once(cache, topic))
    }
}

/// A client for a v2 API key. Connects on first use.
///
/// # Errors
///
/// When the key is not a v2 key.
pub fn connect(
    key: &str,
    endpoint: &MomentoEndpoint,
    configuration: impl Into<Configuration>,
) -> MomentoResult<TopicClient> {
    client(credentials(key, endpoint)?, configuration)
}

pub(super) fn for_lambda(credentials: CredentialProvider) -> MomentoResult<TopicClient> {
    client(credentials, Lambda::latest())
}

fn client(
    credentials: CredentialProvider,
    configuration: impl Into<Configuration>,
) -> MomentoResult<TopicClient> {
    TopicClient::builder()
        .configuration(configuration)
        .credential_provider(credentials)
        .build()
}
