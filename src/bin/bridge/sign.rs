//! `bridge sign`: the signature header of a body.

use std::io::Write;
use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::Args;
use workflow_bridge::domain::inbound::signature;

use crate::publish::read_stdin;
use crate::secret::SecretSource;

/// Print the `momento-signature` header of a body
///
/// The value is the lower-case hex of HMAC-SHA3-256 over the body's bytes, a line break at their end included.
#[derive(Args)]
#[command(
    after_help = "Examples:\n  cargo bridge sign body.json                              # with the running local stack's secret\n  printf '{\"text\":\"x\"}' | cargo bridge sign --secret-env SIGNING_SECRET\n  curl -H \"momento-signature: $(cargo bridge sign body.json)\" --data-binary @body.json \"$URL\""
)]
pub struct Sign {
    /// File with the body [default: standard input, as with `-`]
    #[arg(value_name = "FILE")]
    body: Option<PathBuf>,

    #[command(flatten)]
    secret: SecretSource,
}

impl Sign {
    pub async fn run(self) -> Result<i32> {
        let secret = self.secret.get()?;
        let body = match &self.body {
            Some(file) if file.as_os_str() != "-" => {
                std::fs::read(file).with_context(|| format!("cannot read `{}`", file.display()))?
            }
            _ => read_stdin().await?,
        };
        writeln!(std::io::stdout(), "{}", signature::sign(&secret, &body))?;
        Ok(0)
    }
}
