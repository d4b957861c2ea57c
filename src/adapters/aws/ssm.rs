//! SSM Parameter Store: a routes document that outgrows Lambda's 4 KB of environment, and the routes of other stacks.

use std::time::Duration;

use aws_config::SdkConfig;
use aws_sdk_ssm::Client;
use aws_sdk_ssm::types::ParameterType;
use tokio::time::Instant;

use super::fault::fault;
use crate::config::RoutesSource;
use crate::domain::fault::Fault;
use crate::domain::inbound::routes::{Problems, Routes};
use crate::domain::ports::{Answer, Parameter, ParameterPage, RouteParameters, RoutesDocument};
use crate::domain::retry::{RetryPolicy, retry};

/// Time limit for reading the document; Lambda allows the whole start of a function 10 s.
const LOAD_WITHIN: Duration = Duration::from_secs(3);

/// Parameters in a page of GetParametersByPath, at most.
const PAGE: i32 = 10;

/// A failure to load the routes.
#[derive(Debug, thiserror::Error)]
pub enum RoutesError {
    #[error("could not read the parameter `{name}` that `ROUTES` names: {fault}")]
    Parameter { name: String, fault: Fault },
    #[error(transparent)]
    Problems(#[from] Problems),
}

/// Loads the routes from the source in `ROUTES`.
///
/// # Errors
///
/// When the parameter cannot be read within 3 s, or the document has problems.
pub async fn load_routes(source: &RoutesSource, config: &SdkConfig) -> Result<Routes, RoutesError> {
    Ok(Routes::parse(&document(source, config).await?)?)
}

/// Loads the routes document from the source in `ROUTES`.
///
/// # Errors
///
/// When the parameter cannot be read within 3 s.
pub async fn document(source: &RoutesSource, config: &SdkConfig) -> Result<String, RoutesError> {
    let name = match source {
        RoutesSource::Inline(document) => return Ok(document.clone()),
        RoutesSource::Parameter(name) => name,
    };
    let parameter = SsmParameter::new(config, name.clone());
    let policy = RetryPolicy::until(Instant::now() + LOAD_WITHIN);
    let (found, _) = retry(policy, || parameter.read()).await;
    found.map_err(|fault| RoutesError::Parameter {
        name: name.clone(),
        fault,
    })
}

/// A parameter with a routes document.
pub struct SsmParameter {
    client: Client,
    name: String,
}

impl SsmParameter {
    pub fn new(config: &SdkConfig, name: String) -> Self {
        let client = Client::new(config);
        Self { client, name }
    }
}

impl RoutesDocument for SsmParameter {
    fn read(&self) -> Answer<'_, String> {
        Box::pin(async move {
            let call = self.client.get_parameter().name(&self.name);
            let output = call.with_decryption(true).send().await;
            let output = output.map_err(|e| fault(&e))?;
            let value = output.parameter.and_then(|parameter| parameter.value);
            value.ok_or_else(|| {
                Fault::permanent("NoValue", "expected a parameter with a value, found none")
            })
        })
    }
}

/// The parameters under a path that ends in `/`.
pub struct SsmParameters {
    client: Client,
    path: String,
}

impl SsmParameters {
    pub fn new(config: &SdkConfig, path: String) -> Self {
        let client = Client::new(config);
        Self { client, path }
    }
}

impl RouteParameters for SsmParameters {
    fn page(&self, token: Option<String>) -> Answer<'_, ParameterPage> {
        Box::pin(async move {
            let call = self
                .client
                .get_parameters_by_path()
                .path(&self.path)
                .recursive(true)
                .max_results(PAGE)
                .set_next_token(token);
            let output = call.send().await.map_err(|e| fault(&e))?;
            let parameters = output.parameters.unwrap_or_default().into_iter();
            let parameters = parameters.map(|parameter| Parameter {
                is_secure: parameter.r#type == Some(ParameterType::SecureString),
                name: parameter.name.unwrap_or_default(),
                version: parameter.version,
                value: parameter.value.unwrap_or_default(),
            });
            Ok(ParameterPage {
                parameters: parameters.collect(),
                next_token: output.next_token.filter(|token| !token.is_empty()),
            })
        })
    }
}
