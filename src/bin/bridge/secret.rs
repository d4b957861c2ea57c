//! The signing secret: from a variable, a file or the running local stack, never from the command line, where every user
//! of the machine could read it.

use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use clap::Args;
use workflow_bridge::adapters::files::without_line_break;

use crate::connection::running_stack;

/// Options of the commands that sign.
#[derive(Args)]
pub struct SecretSource {
    /// Variable that holds the signing secret
    #[arg(long, value_name = "VARIABLE", conflicts_with = "secret_file")]
    secret_env: Option<String>,

    /// File that holds the signing secret; a line break at its end does not count
    #[arg(long, value_name = "FILE")]
    secret_file: Option<PathBuf>,
}

impl SecretSource {
    /// The secret that the options name, if they name one.
    pub fn named(&self) -> Result<Option<String>> {
        let (secret, place) = if let Some(variable) = &self.secret_env {
            let secret = std::env::var(variable).with_context(|| {
                format!("expected the signing secret in the variable `{variable}`")
            })?;
            (secret, variable.clone())
        } else if let Some(file) = &self.secret_file {
            let place = file.display().to_string();
            let text = std::fs::read_to_string(file)
                .with_context(|| format!("cannot read the signing secret from `{place}`"))?;
            (without_line_break(text), place)
        } else {
            return Ok(None);
        };
        if secret.is_empty() {
            bail!("expected the signing secret in `{place}`, found nothing");
        }
        Ok(Some(secret))
    }

    /// The secret that the options name, else that of the running local stack.
    pub fn get(&self) -> Result<String> {
        match self.named()? {
            Some(secret) => Ok(secret),
            None => Ok(running_stack()
                .context(
                    "no `--secret-env` or `--secret-file`, so the local stack's secret is used",
                )?
                .signing_secret),
        }
    }
}
