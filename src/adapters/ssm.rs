//! SSM Parameter Store, for a routes document that outgrows Lambda's 4 KB of environment.

use aws_config::SdkConfig;

use super::aws::fault;
use crate::config::RoutesSource;
use crate::ports::Fault;
use crate::routes::{Problems, Routes};

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
/// When the parameter cannot be read, or the document has problems.
pub async fn load_routes(source: &RoutesSource, config: &SdkConfig) -> Result<Routes, RoutesError> {
    let name = match source {
        RoutesSource::Inline(document) => return Ok(Routes::parse(document)?),
        RoutesSource::Parameter(name) => name,
    };
    let client = aws_sdk_ssm::Client::new(config);
    let call = client.get_parameter().name(name).with_decryption(true);
    let found = match call.send().await {
        Ok(output) => output
            .parameter
            .and_then(|parameter| parameter.value)
            .ok_or_else(|| {
                Fault::permanent("NoValue", "expected a parameter with a value, found none")
            }),
        Err(e) => Err(fault(&e)),
    };
    let document = found.map_err(|fault| RoutesError::Parameter {
        name: name.clone(),
        fault,
    })?;
    Ok(Routes::parse(&document)?)
}
