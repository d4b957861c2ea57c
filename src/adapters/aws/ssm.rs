//! SSM Parameter Store, for a routes document that outgrows Lambda's 4 KB of environment.

use std::time::Duration;

use aws_config::SdkConfig;
use aws_sdk_ssm::Client;
use tokio::time::Instant;

use super::fault::fault;
use crate::config::RoutesSource;
use crate::domain::fault::Fault;
use crate::domain::inbound::routes::{Problems, Routes};
use crate::domain::ports::Answer;
use crate::domain::retry::{RetryPolicy, retry};

/// Time limit for reading the document; Lambda allows the whole start of a function 10 s.
const LOAD_WITHIN: Duration = Duration::from_secs(3);

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
    let name = match source {
        RoutesSource::Inline(document) => return Ok(Routes::parse(document)?),
        RoutesSource::Parameter(name) => name,
    };
    let client = Client::new(config);
    let policy = RetryPolicy::until(Instant::now() + LOAD_WITHIN);
    let (found, _) = retry(policy, || value(&client, name)).await;
    let document = found.map_err(|fault| RoutesError::Parameter {
        name: name.clone(),
        fault,
    })?;
    Ok(Routes::parse(&document)?)
}

fn value<'a>(client: &'a Client, name: &'a str) -> Answer<'a, String> {
    Box::pin(async move {
        let call = client.get_parameter().name(name).with_decryption(true);
        let output = call.send().await.map_err(|e| fault(&e))?;
        let value = output.parameter.and_then(|parameter| parameter.value);
        value.ok_or_else(|| {
            Fault::permanent("NoValue", "expected a parameter with a value, found none")
        })
    })
}
