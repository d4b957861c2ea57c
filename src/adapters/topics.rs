//! Momento Topics, by the `momento` SDK.
//!
//! The SDK retries nothing, and its deadline does not bound the set-up of a connection: [`crate::retry`] does both.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use momento::topics::Configuration;
use momento::topics::configurations::Lambda;
use momento::{CredentialProvider, MomentoError, MomentoErrorCode, MomentoResult, TopicClient};
use tokio::sync::Mutex;

use crate::config::MomentoEndpoint;
use crate::ports::{Answer, Fault, FaultKind, Secrets, Stage, Topics};

/// Publishes with the API key of a secret, fetched when first used.
pub struct MomentoTopics {
    key: Arc<dyn Secrets>,
    endpoint: MomentoEndpoint,
    session: Mutex<Option<Session>>,
}

/// A client, and whether Momento has taken its key.
#[derive(Clone)]
struct Session {
    client: TopicClient,
    proven: Arc<AtomicBool>,
}

impl MomentoTopics {
    pub fn new(key: Arc<dyn Secrets>, endpoint: MomentoEndpoint) -> Self {
        Self {
            key,
            endpoint,
            session: Mutex::default(),
        }
    }

    async fn session(&self) -> Result<Session, Fault> {
        let mut session = self.session.lock().await;
        if let Some(session) = &*session {
            return Ok(session.clone());
        }
        let missing = || {
            Fault::permanent(
                "NoSecretValue",
                "expected a Momento API key in the secret, found none; put one",
            )
        };
        let key = self.key.fetch(Stage::Current).await?.ok_or_else(missing)?;
        let client = connect(key.trim(), &self.endpoint, Lambda::latest());
        let new = Session {
            client: client.map_err(|e| fault(&e))?,
            proven: Arc::default(),
        };
        *session = Some(new.clone());
        Ok(new)
    }

    async fn publish_once(&self, cache: &str, topic: &str, value: &str) -> Result<(), Fault> {
        let session = self.session().await?;
        let error = match session.client.publish(cache, topic, value).await {
            Ok(_) => {
                session.proven.store(true, Ordering::Relaxed);
                return Ok(());
            }
            Err(error) => error,
        };
        let mut fault = fault(&error);
        if error.error_code == MomentoErrorCode::AuthenticationError {
            // The key may have been replaced: the next attempt reads it again. One that never worked is just wrong.
            self.session.lock().await.take();
            if session.proven.load(Ordering::Relaxed) {
                fault.kind = FaultKind::Transient;
            }
        }
        Err(fault)
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
        | Code::UnknownServiceError => true,
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
