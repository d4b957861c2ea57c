//! The configuration that all AWS clients of a process share.
//!
//! The SDKs sign, resolve endpoints, parse errors and hold credentials. Their retries and time-outs are off:
//! [`crate::domain::retry`] repeats calls, since it knows the deadline and reads the failures that a 200 may hide.

use std::sync::LazyLock;

use aws_config::environment::EnvironmentVariableCredentialsProvider;
use aws_config::identity::IdentityCache;
use aws_config::retry::RetryConfig;
use aws_config::stalled_stream_protection::StalledStreamProtectionConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_types::service_config::{LoadServiceConfig, ServiceConfigKey};

pub mod dynamodb;
pub mod eventbridge;
pub mod fault;
mod http;
pub mod objects;
mod opener;
mod race;
mod roots;
pub mod routes_table;
pub mod secrets;
pub mod sfn;
pub mod sqs;
pub mod ssm;

use crate::environment::{Lookup, environment};
pub use http::HttpClient;
pub use opener::opening;
pub use roots::RootsError;

/// The endpoint of all services; with `_SFN` and so on behind it, of one.
const ENDPOINT: &str = "AWS_ENDPOINT_URL";

/// Configuration of a Lambda function: region, credentials and endpoints from the variables of Lambda and the AWS tools. The
/// SDK's own loader would also look for profiles, containers and instances, and link the clients of STS and SSO.
///
/// # Errors
///
/// When a variable names an unreadable file of trusted roots.
pub fn of_function() -> Result<SdkConfig, RootsError> {
    let is_on = |name| is_on(&environment, name);
    let region = ["AWS_REGION", "AWS_DEFAULT_REGION"];
    let region = region.into_iter().find_map(environment).map(Region::new);
    let credentials = EnvironmentVariableCredentialsProvider::new();
    let config = SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(region)
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        // Lambda sets the credentials once, so there is nothing to refresh.
        .identity_cache(IdentityCache::no_cache())
        .http_client(HttpClient::new(roots::compiled_in(&environment)?))
        .retry_config(RetryConfig::disabled())
        .timeout_config(TimeoutConfig::disabled())
        // It adds a timer to each body; an attempt has a deadline already.
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
        .service_config(Endpoints)
        .use_fips(is_on("AWS_USE_FIPS_ENDPOINT"))
        .use_dual_stack(is_on("AWS_USE_DUALSTACK_ENDPOINT"));
    Ok(config.build())
}

/// Configuration of any other program: region, credentials and endpoints from all sources of the AWS tools.
///
/// # Errors
///
/// As [`of_function`].
#[cfg(feature = "cli")]
pub async fn of_machine() -> Result<SdkConfig, RootsError> {
    let loader = aws_config::defaults(BehaviorVersion::latest())
        .http_client(HttpClient::new(roots::of_system(&environment)?))
        .retry_config(RetryConfig::disabled())
        .timeout_config(TimeoutConfig::disabled())
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled());
    Ok(loader.load().await)
}

/// A client made at its first call, for services that few messages need. Making one parses the SDK's list of partitions.
type OnDemand<C> = LazyLock<C, Box<dyn FnOnce() -> C + Send>>;

fn on_demand<C: 'static>(aws: &SdkConfig, client: fn(&SdkConfig) -> C) -> OnDemand<C> {
    let aws = aws.clone();
    LazyLock::new(Box::new(move || client(&aws)))
}

/// Endpoints from variables.
#[derive(Debug)]
struct Endpoints;

impl LoadServiceConfig for Endpoints {
    fn load_config(&self, key: ServiceConfigKey<'_>) -> Option<String> {
        endpoint(&environment, key.env(), key.service_id())
    }
}

fn endpoint(lookup: Lookup<'_>, variable: &str, service: &str) -> Option<String> {
    if variable == ENDPOINT && is_on(lookup, "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS") {
        return None;
    }
    let found = |name: &str| lookup(name).filter(|url| !url.is_empty());
    let service = service.replace([' ', '-'], "_").to_uppercase();
    found(&format!("{variable}_{service}")).or_else(|| found(variable))
}

fn is_on(lookup: Lookup<'_>, name: &str) -> bool {
    lookup(name).is_some_and(|value| value.trim().eq_ignore_ascii_case("true"))
}

#[cfg(test)]
mod tests;
