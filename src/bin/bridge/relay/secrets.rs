//! The sources of the relay's secrets: the signing secret and the API key.
//!
//! Options for the same secret read no variables through clap, where the variable of one would beat the other option.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use clap::Args;
use workflow_bridge::domain::ports::Secrets;
use workflow_bridge::environment::environment;
use workflow_bridge::service::files::{SecretFile, SecretText};

use super::LazyAws;

/// The source of the API key.
#[derive(Args)]
#[group(multiple = false)]
pub struct KeyOptions {
    /// Secrets Manager secret with the API key [default: the variables MOMENTO_SECRET_ID, MOMENTO_API_KEY_FILE, MOMENTO_API_KEY]
    #[arg(long, value_name = "ID")]
    momento_secret_id: Option<String>,

    /// File with the API key
    #[arg(long, value_name = "FILE")]
    momento_key_file: Option<PathBuf>,
}

/// The source of the signing secret.
#[derive(Args)]
#[group(multiple = false)]
pub struct SigningOptions {
    /// Secrets Manager secret with the signing secret [default: the variables SIGNING_SECRET_ID, SIGNING_SECRET_FILE]
    #[arg(long, value_name = "ID")]
    signing_secret_id: Option<String>,

    /// File with the signing secret; one trailing line break is ignored
    #[arg(long, value_name = "FILE")]
    secret_file: Option<PathBuf>,

    /// Variable with the signing secret
    #[arg(long, value_name = "VARIABLE")]
    secret_env: Option<String>,
}

/// A variable with a value.
fn variable(name: &str) -> Option<String> {
    environment(name).filter(|value| !value.is_empty())
}

impl SigningOptions {
    pub async fn store(&self, aws: &LazyAws) -> Result<Arc<dyn Secrets>> {
        Ok(match self {
            Self {
                signing_secret_id: Some(id),
                ..
            } => aws.secret(id).await?,
            Self {
                secret_file: Some(file),
                ..
            } => Arc::new(SecretFile(file.clone())),
            Self {
                secret_env: Some(name),
                ..
            } => {
                let secret = std::env::var(name).ok().filter(|secret| !secret.is_empty());
                let secret = secret.with_context(|| {
                    format!("expected the signing secret in the variable `{name}`, found none")
                })?;
                Arc::new(SecretText(secret))
            }
            _ => match (
                variable("SIGNING_SECRET_ID"),
                variable("SIGNING_SECRET_FILE"),
            ) {
                (Some(id), _) => aws.secret(&id).await?,
                (None, Some(file)) => Arc::new(SecretFile(file.into())),
                (None, None) => bail!(
                    "expected the signing secret, found none: name it with `--signing-secret-id`, `--secret-file` or `--secret-env`"
                ),
            },
        })
    }
}

impl KeyOptions {
    pub async fn store(&self, aws: &LazyAws) -> Result<Arc<dyn Secrets>> {
        Ok(match (&self.momento_secret_id, &self.momento_key_file) {
            (Some(id), _) => aws.secret(id).await?,
            (_, Some(file)) => Arc::new(SecretFile(file.clone())),
            (None, None) => {
                let file = variable("MOMENTO_API_KEY_FILE");
                match (
                    variable("MOMENTO_SECRET_ID"),
                    file,
                    variable("MOMENTO_API_KEY"),
                ) {
                    (Some(id), ..) => aws.secret(&id).await?,
                    (_, Some(file), _) => Arc::new(SecretFile(file.into())),
                    (.., Some(key)) => Arc::new(SecretText(key)),
                    _ => bail!(
                        "expected a Momento API key, found none: name it with `--momento-secret-id` or `--momento-key-file`, or set MOMENTO_API_KEY"
                    ),
                }
            }
        })
    }
}
