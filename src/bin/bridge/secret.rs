//! The signing secret: from a variable, a file or the running local stack, never from the command line, which every user of
//! the machine can read.

use std::env::VarError;
use std::path::PathBuf;

use anyhow::{Context, Result, anyhow, bail};
use clap::Args;
use workflow_bridge::service::files::without_line_break;

use crate::connection::running_stack;

/// Options of the commands that sign.
#[derive(Args)]
pub struct SecretSource {
    /// Variable with the signing secret [default: the running local stack's secret]
    #[arg(long, value_name = "VARIABLE", conflicts_with = "secret_file")]
    secret_env: Option<String>,

    /// File with the signing secret; one trailing line break is ignored
    #[arg(long, value_name = "FILE")]
    secret_file: Option<PathBuf>,
}

impl SecretSource {
    /// The secret named by the options, if any.
    pub fn named(&self) -> Result<Option<String>> {
        let (secret, place) = if let Some(variable) = &self.secret_env {
            // The error's own text would show the value.
            let secret = std::env::var(variable).map_err(|error| {
                let found = match error {
                    VarError::NotPresent => "no such variable",
                    VarError::NotUnicode(_) => "invalid UTF-8",
                };
                anyhow!(
                    "expected the signing secret in the variable `{variable}`, found {found}: export it first, or name another variable or a file"
                )
            })?;
            (secret, variable.clone())
        } else if let Some(file) = &self.secret_file {
            let place = file.display().to_string();
            let text = std::fs::read_to_string(file).with_context(|| {
                format!("expected the signing secret in the file `{place}`, and cannot read it")
            })?;
            (without_line_break(text), place)
        } else {
            return Ok(None);
        };
        if secret.is_empty() {
            bail!("expected the signing secret in `{place}`, found nothing: put it there first");
        }
        Ok(Some(secret))
    }

    /// The secret named by the options, or the running local stack's.
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
