//! What the AWS clients of a Lambda function are made with.
//!
//! Lambda tells region and credentials in variables, so nothing else is looked for: no profile, no instance, no container. The
//! SDK's loader looks for all of them, and brings the clients of STS, SSO and the metadata services along.

use aws_config::environment::EnvironmentVariableCredentialsProvider;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_types::service_config::{LoadServiceConfig, ServiceConfigKey};

use super::aws::{connector, no_retries, timeouts};
use super::https::{Pool, RootsError};
use crate::config::{Lookup, environment};

/// The endpoint of all services; with `_SFN` and so on behind it, of one.
const ENDPOINT: &str = "AWS_ENDPOINT_URL";

/// Region, credentials and endpoints, from the variables that the AWS tools have for them.
///
/// # Errors
///
/// When a variable names trusted roots that cannot be read.
pub fn config() -> Result<SdkConfig, RootsError> {
    let is_on = |name| is_on(&environment, name);
    let region = ["AWS_REGION", "AWS_DEFAULT_REGION"]
        .into_iter()
        .find_map(environment)
        .map(Region::new);
    let credentials = EnvironmentVariableCredentialsProvider::new();
    let config = SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(region)
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .http_client(Pool(connector()?))
        .retry_config(no_retries())
        .timeout_config(timeouts())
        .service_config(Endpoints)
        .use_fips(is_on("AWS_USE_FIPS_ENDPOINT"))
        .use_dual_stack(is_on("AWS_USE_DUALSTACK_ENDPOINT"));
    Ok(config.build())
}

/// The endpoints that variables name.
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
    let service = service.replace([' ', '-'], "_").to_uppercase();
    lookup(&format!("{variable}_{service}")).or_else(|| lookup(variable))
}

fn is_on(lookup: Lookup<'_>, name: &str) -> bool {
    lookup(name).is_some_and(|value| value.trim().eq_ignore_ascii_case("true"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_endpoint_of_a_service_goes_before_the_one_of_all() {
        let lookup = |name: &str| match name {
            "AWS_ENDPOINT_URL" => Some("all".to_owned()),
            "AWS_ENDPOINT_URL_SECRETS_MANAGER" => Some("secrets".to_owned()),
            _ => None,
        };
        let of = |service| endpoint(&lookup, ENDPOINT, service);
        assert_eq!(of("Secrets Manager").as_deref(), Some("secrets"));
        assert_eq!(of("SFN").as_deref(), Some("all"));
        assert_eq!(endpoint(&|_| None, ENDPOINT, "SFN"), None);
    }

    #[test]
    fn endpoints_can_be_ignored() {
        let lookup = |name: &str| match name {
            "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS" => Some("True".to_owned()),
            _ => Some("named".to_owned()),
        };
        assert_eq!(endpoint(&lookup, ENDPOINT, "SFN"), None);
    }
}
