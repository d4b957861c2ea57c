//! Momento Topics, by the `momento` SDK.

use std::sync::Arc;

use momento::topics::Configuration;
use momento::topics::configurations::Lambda;
use momento::{CredentialProvider, MomentoResult, TopicClient};

use super::momento::{Momento, credentials};
use crate::config::MomentoEndpoint;
use crate::ports::{Answer, Fault, Topics};

/// Publishes.
pub struct MomentoTopics(pub Arc<Momento>);

impl MomentoTopics {
    async fn publish_once(&self, cache: &str, topic: &str, value: &str) -> Result<(), Fault> {
        let lease = self.0.lease().await?;
        let result = lease.topics().await?.publish(cache, topic, value).await;
        self.0.settle(lease, result).await.map(|_| ())
    }
}

impl Topics for MomentoTopics {
    fn publish<'a>(&'a self, cache: &'a str, topic: &'a str, value: &'a str) -> Answer<'a, ()> {
        Box::pin(self.publish_once(cache, topic, value))
    }
}

/// A client for a v2 API key. Connects when first used.
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
