//! The AWS SDK, for what runs anywhere: it finds region, credentials and endpoints wherever the AWS tools do.

use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use aws_config::{BehaviorVersion, SdkConfig};
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider};
use aws_smithy_http_client::tls::Provider as TlsProvider;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::{DispatchFailure, SdkError};
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use aws_smithy_types::retry::RetryConfig;
use aws_smithy_types::timeout::TimeoutConfig;
use aws_types::service_config::ServiceConfigKey;
use rustls::RootCertStore;
use tokio::sync::Mutex;

use super::aws::credentials::{Credentials, Source};
use super::aws::fault::{no_credentials, service_fault, unreachable, unsent};
use super::aws::services::ALL;
use super::aws::{Aws, CONNECT_WITHIN, Endpoints};
use super::https::Pool;
use crate::config::environment;
use crate::ports::Fault;

/// Credentials are fetched again so long before they end.
const AHEAD: Duration = Duration::from_secs(300);

/// Reads region, credentials and endpoints from wherever the AWS tools do. Retries are off, as in [`super::aws`].
pub async fn config() -> SdkConfig {
    let http_client = aws_smithy_http_client::Builder::new()
        .tls_provider(TlsProvider::Rustls(CryptoMode::Ring))
        .build_https();
    let timeouts = TimeoutConfig::builder().connect_timeout(CONNECT_WITHIN);
    aws_config::defaults(BehaviorVersion::latest())
        .http_client(http_client)
        .retry_config(RetryConfig::disabled())
        .timeout_config(timeouts.build())
        .load()
        .await
}

impl From<&SdkConfig> for Aws {
    /// With the roots that the system trusts.
    fn from(config: &SdkConfig) -> Self {
        let mut trusted = RootCertStore::empty();
        trusted.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        Self {
            region: config.region().map(ToString::to_string),
            credentials: config.credentials_provider().map_or_else(
                || Source::variables(&environment),
                |provider| Source::Provider(Arc::new(Provider::new(provider))),
            ),
            endpoints: endpoints(config),
            pool: Pool::new(trusted, CONNECT_WITHIN),
        }
    }
}

fn endpoints(config: &SdkConfig) -> Endpoints {
    let own = ALL.iter().filter_map(|service| {
        let key = ServiceConfigKey::builder()
            .service_id(service.id)
            .env("AWS_ENDPOINT_URL")
            .profile("endpoint_url");
        let url = config.service_config()?.load_config(key.build().ok()?)?;
        Some((service.id, url))
    });
    Endpoints {
        own: own.collect(),
        all: config.endpoint_url().map(str::to_owned),
        fips: config.use_fips().unwrap_or_default(),
        dual_stack: config.use_dual_stack().unwrap_or_default(),
    }
}

/// Credentials that end, kept until shortly before.
pub struct Provider {
    provider: SharedCredentialsProvider,
    kept: Mutex<Option<(Arc<Credentials>, Option<SystemTime>)>>,
}

impl fmt::Debug for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.provider.fmt(f)
    }
}

impl Provider {
    pub fn new(provider: SharedCredentialsProvider) -> Self {
        let kept = Mutex::default();
        Self { provider, kept }
    }

    /// `None` where there are none. Those that are about to end are used until then where there are no new ones.
    pub async fn credentials(&self) -> Option<Arc<Credentials>> {
        let mut kept = self.kept.lock().await;
        let now = SystemTime::now();
        let lasts =
            |ahead| move |ends: Option<SystemTime>| ends.is_none_or(|ends| ends > now + ahead);
        if let Some((credentials, ends)) = &*kept
            && lasts(AHEAD)(*ends)
        {
            return Some(credentials.clone());
        }
        let Ok(found) = self.provider.provide_credentials().await else {
            let last = kept
                .as_ref()
                .filter(|(_, ends)| lasts(Duration::ZERO)(*ends));
            return last.map(|(credentials, _)| credentials.clone());
        };
        let credentials = Arc::new(Credentials {
            access_key_id: found.access_key_id().to_owned(),
            secret_access_key: found.secret_access_key().to_owned(),
            session_token: found.session_token().map(str::to_owned),
        });
        *kept = Some((credentials.clone(), found.expiry()));
        Some(credentials)
    }
}

/// An SDK's error as a fault.
pub fn fault<E: ProvideErrorMetadata>(error: &SdkError<E, HttpResponse>) -> Fault {
    match error {
        SdkError::ConstructionFailure(_) => {
            Fault::permanent("BadRequest", "the request could not be built")
        }
        SdkError::TimeoutError(_) => Fault::timed_out(),
        SdkError::DispatchFailure(failure) if failure.is_user() => unsent(),
        SdkError::DispatchFailure(failure) if lacks_credentials(failure) => no_credentials(),
        SdkError::DispatchFailure(_) => unreachable(),
        SdkError::ResponseError(_) => {
            Fault::transient("BadResponse", "the response could not be read")
        }
        SdkError::ServiceError(service) => {
            let code = service.err().code().unwrap_or("Unknown");
            service_fault(
                code,
                service.err().message().unwrap_or_default(),
                service.raw().status().as_u16(),
            )
        }
        _ => Fault::transient("Unknown", "an unknown error"),
    }
}

/// Whether the request was not even signed.
fn lacks_credentials(failure: &DispatchFailure) -> bool {
    let mut cause = failure.as_connector_error().and_then(Error::source);
    while let Some(error) = cause {
        if error.is::<CredentialsError>() {
            return true;
        }
        cause = error.source();
    }
    false
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use aws_config::Region;
    use aws_credential_types::Credentials as SdkCredentials;
    use aws_credential_types::provider::future;

    use super::*;
    use crate::adapters::aws::services::{SECRETS_MANAGER, SFN};

    /// Gives credentials that end after as many seconds as it is told, one after the other; then none any more.
    #[derive(Debug)]
    struct Given {
        seconds: Vec<u64>,
        asked: AtomicU64,
    }

    impl ProvideCredentials for Given {
        fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
        where
            Self: 'a,
        {
            let number = self.asked.fetch_add(1, Ordering::SeqCst);
            let seconds = self.seconds.get(usize::try_from(number).unwrap());
            let given = seconds.map(|&seconds| {
                let ends = SystemTime::now() + Duration::from_secs(seconds);
                SdkCredentials::new(format!("key-{number}"), "secret", None, Some(ends), "test")
            });
            future::ProvideCredentials::ready(
                given.ok_or_else(|| CredentialsError::not_loaded("none")),
            )
        }
    }

    async fn keys(seconds: &[u64], times: usize) -> Vec<Option<String>> {
        let given = Given {
            seconds: seconds.to_vec(),
            asked: AtomicU64::new(0),
        };
        let provider = Provider::new(SharedCredentialsProvider::new(given));
        let mut keys = Vec::new();
        for _ in 0..times {
            let found = provider.credentials().await;
            keys.push(found.map(|found| found.access_key_id.clone()));
        }
        keys
    }

    #[tokio::test]
    async fn credentials_are_kept_until_shortly_before_they_end() {
        let key = |number| Some(format!("key-{number}"));
        assert_eq!(keys(&[3600], 2).await, [key(0), key(0)]);
        assert_eq!(keys(&[200, 3600], 3).await, [key(0), key(1), key(1)]);
        // Nobody gives new ones: the old ones serve until they end.
        assert_eq!(keys(&[200], 2).await, [key(0), key(0)]);
        assert_eq!(keys(&[0], 2).await, [key(0), None]);
        assert_eq!(keys(&[], 1).await, [None]);
    }

    #[test]
    fn an_sdks_settings_are_taken_over() {
        #[derive(Debug)]
        struct Own;
        impl aws_types::service_config::LoadServiceConfig for Own {
            fn load_config(&self, key: ServiceConfigKey<'_>) -> Option<String> {
                let names = (key.env(), key.service_id(), key.profile());
                (names == ("AWS_ENDPOINT_URL", "SECRETS_MANAGER", "endpoint_url"))
                    .then(|| "http://own".to_owned())
            }
        }
        let config = SdkConfig::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::from_static("eu-west-1"))
            .endpoint_url("http://all")
            .service_config(Own)
            .use_fips(true)
            .build();
        let aws = Aws::from(&config);
        assert_eq!(aws.region.as_deref(), Some("eu-west-1"));
        assert_eq!(aws.endpoints.set(SECRETS_MANAGER.id), Some("http://own"));
        assert_eq!(aws.endpoints.set(SFN.id), Some("http://all"));
        assert!(aws.endpoints.fips && !aws.endpoints.dual_stack);
    }
}
