//! SSM Parameter Store, for a routes document that outgrows Lambda's 4 KB of environment.

use std::time::Duration;

use aws_config::SdkConfig;
use aws_sdk_ssm::Client;
use tokio::time::Instant;

use super::aws::fault::fault;
use crate::config::RoutesSource;
use crate::ports::{Answer, Fault};
use crate::retry::{Patience, retry};
use crate::routes::{Problems, Routes};

/// Bound of reading the document; Lambda allows the whole start of a function 10 s.
const LOAD_WITHIN: Duration = Duration::from_secs(3);

/// Why there are no routes.
#[derive(Debug, thiserror::Error)]
pub enum RoutesError {
    #[error("could not read the parameter `{name}` that `ROUTES` names: {fault}")]
    Parameter { name: String, fault: Fault },
    #[error(transparent)]
    Problems(#[from] Problems),
}

/// Reads the routes from where `ROUTES` says they are.
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
    let patience = Patience::until(Instant::now() + LOAD_WITHIN);
    let (found, _) = retry(patience, || value(&client, name)).await;
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
