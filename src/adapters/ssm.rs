//! SSM Parameter Store, for a routes document that outgrows Lambda's 4 KB of environment.

use std::time::Duration;

use serde::Deserialize;
use serde_json::json;
use tokio::time::Instant;

use super::aws::services::SSM;
use super::aws::{Aws, Client};
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

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Found {
    parameter: Parameter,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Parameter {
    value: Option<String>,
}

/// Reads the routes from where `ROUTES` says they are.
///
/// # Errors
///
/// When the parameter cannot be read within 3 s, or the document has problems.
pub async fn load_routes(source: &RoutesSource, aws: &Aws) -> Result<Routes, RoutesError> {
    let name = match source {
        RoutesSource::Inline(document) => return Ok(Routes::parse(document)?),
        RoutesSource::Parameter(name) => name,
    };
    let client = Client::new(aws, &SSM);
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
        let input = json!({"Name": name, "WithDecryption": true});
        let Found { parameter } = client.call("GetParameter", &input).await?;
        parameter.value.ok_or_else(|| {
            Fault::permanent("NoValue", "expected a parameter with a value, found none")
        })
    })
}
