//! Momento Topics, by the `momento` SDK.
//!
//! The SDK retries nothing, and its deadline does not bound the set-up of a connection: [`crate::retry`] does both.

use std::sync::Arc;

use momento::topics::Configuration;
use momento::topics::configurations::Lambda;
use momento::{CredentialProvider, MomentoError, MomentoErrorCode, MomentoResult, TopicClient};
use tokio::sync::Mutex;

use crate::config::MomentoEndpoint;
use crate::ports::{Answer, Fault, Secrets, Stage, Topics};

/// Publishes with the API key of a secret, fetched when first used.
pub struct MomentoTopics {
    key: Arc<dyn Secrets>,
    endpoint: MomentoEndpoint,
    client: Mutex<Option<TopicClient>>,
}

impl MomentoTopics {
    pub fn new(key: Arc<dyn Secrets>, endpoint: MomentoEndpoint) -> Self {
        Self {
            key,
            endpoint,
            client: Mutex::default(),
        }
    }

    async fn client(&self) -> Result<TopicClient, Fault> {
        let mut client = self.client.lock().await;
        if let Some(client) = &*client {
            return Ok(client.clone());
        }
        let missing = || {
            Fault::permanent(
                "NoSecretValue",
                "expected a Momento API key in the secret, found none; put one",
            )
        };
        let key = self.key.fetch(Stage::Current).await?.ok_or_else(missing)?;
        let new = connect(key.trim(), &self.endpoint, Lambda::latest()).map_err(|e| fault(&e))?;
        *client = Some(new.clone());
        Ok(new)
    }

    async fn publish_once(&self, cache: &str, topic: &str, value: &str) -> Result<(), Fault> {
        let client = self.client().await?;
        let result = client.publish(cache, topic, value).await;
        if let Err(e) = &result
            && e.error_code == MomentoErrorCode::AuthenticationError
        {
            // The key may have been replaced: the next attempt reads it again.
            *self.client.lock().await = None;
        }
        result.map(|_| ()).map_err(|e| fault(&e))
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
    let credentials = match endpoint {
        MomentoEndpoint::Host(host) => CredentialProvider::from_api_key_v2(key, host)?,
        MomentoEndpoint::Local(url) => {
            CredentialProvider::from_api_key_v2(key, "localhost")?.insecure_endpoint_override(url)
        }
    };
    TopicClient::builder()
        .configuration(configuration)
        .credential_provider(credentials)
        .build()
}

/// The SDK's error as a fault. Its own deadline shows as `CancelledError`.
fn fault(error: &MomentoError) -> Fault {
    use MomentoErrorCode as Code;
    let code = format!("{:?}", error.error_code);
    let transient = match error.error_code {
        Code::ServerUnavailable
        | Code::CancelledError
        | Code::InternalServerError
        | Code::TimeoutError
        | Code::UnknownServiceError
        | Code::UnknownError
        | Code::ClientResourceExhausted => true,
        // A rate gives way; the size of a message does not.
        Code::LimitExceededError => !error.message.to_lowercase().contains("size"),
        _ => false,
    };
    match transient {
        true => Fault::transient(code, &error.message),
        false => Fault::permanent(code, &error.message),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ports::FaultKind;

    #[test]
    fn faults_are_sorted_by_whether_asking_again_can_help() {
        use MomentoErrorCode as Code;
        let kind = |error_code, message: &str| {
            let error = MomentoError {
                message: message.into(),
                error_code,
                inner_error: None,
            };
            fault(&error).kind
        };
        for code in [
            Code::ServerUnavailable,
            Code::CancelledError,
            Code::InternalServerError,
            Code::TimeoutError,
            Code::UnknownServiceError,
        ] {
            assert_eq!(kind(code.clone(), ""), FaultKind::Transient, "{code:?}");
        }
        for code in [
            Code::AuthenticationError,
            Code::PermissionError,
            Code::InvalidArgumentError,
            Code::CacheNotFoundError,
            Code::BadRequestError,
        ] {
            assert_eq!(kind(code.clone(), ""), FaultKind::Permanent, "{code:?}");
        }
        let limit = |message| kind(Code::LimitExceededError, message);
        assert_eq!(
            limit("Request rate limit exceeded for this account"),
            FaultKind::Transient
        );
        assert_eq!(
            limit("Request size limit exceeded for this account"),
            FaultKind::Permanent
        );
    }
}
