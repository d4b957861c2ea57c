//! Items of a Momento cache, by the `momento` SDK.

use std::sync::Arc;
use std::time::Duration;

use momento::cache::{Configuration, SetRequest};
use momento::config::grpc_configuration::GrpcConfiguration;
use momento::config::transport_strategy::TransportStrategy;
use momento::{CacheClient, CredentialProvider, MomentoResult};

use super::{Momento, credentials};
use crate::config::MomentoEndpoint;
use crate::domain::fault::Fault;
use crate::domain::ports::{Answer, Items};

/// Time limit of one call. The SDK's own for functions, 1.1 s, is meant for small items.
const CALL_WITHIN: Duration = Duration::from_secs(5);

/// Stores items.
pub struct MomentoItems(pub Arc<Momento>);

impl MomentoItems {
    async fn store_once(
        &self,
        cache: &str,
        key: &str,
        value: &str,
        ttl: Duration,
    ) -> Result<(), Fault> {
        let lease = self.0.lease().await?;
        let request = SetRequest::new(cache, key, value).ttl(ttl);
        let result = lease.items().await?.send_request(request).await;
        self.0.settle(lease, result).await.map(|_| ())
    }
}

impl Items for MomentoItems {
    fn store<'a>(
        &'a self,
        cache: &'a str,
        key: &'a str,
        value: &'a str,
        ttl: Duration,
    ) -> Answer<'a, ()> {
        Box::pin(self.store_once(cache, key, value, ttl))
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
) -> MomentoResult<CacheClient> {
    client(credentials(key, endpoint)?, configuration)
}

pub(super) fn for_lambda(credentials: CredentialProvider) -> MomentoResult<CacheClient> {
    let grpc = GrpcConfiguration::builder().deadline(CALL_WITHIN);
    let transport = TransportStrategy::builder().grpc_configuration(grpc);
    let configuration = Configuration::builder().transport_strategy(transport);
    client(credentials, configuration)
}

fn client(
    credentials: CredentialProvider,
    configuration: impl Into<Configuration>,
) -> MomentoResult<CacheClient> {
    CacheClient::builder()
        // Unused: every item is stored with a TTL of its own.
        .default_ttl(Duration::from_secs(60))
        .configuration(configuration)
        .credential_provider(credentials)
        .with_num_connections(1)
        .build()
}
