//! `bridge publish`: one message to a topic.

use std::io::Read;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use clap::Args;
use momento::MomentoErrorCode;

use workflow_bridge::adapters::momento::fault;

use crate::connection::Connection;

/// Momento's hard limit of a topic message, in bytes.
const MAX_BYTES: usize = 4096;

/// The SDK's own deadline (15 s) does not bound connection set-up.
const WITHIN: Duration = Duration::from_secs(20);

/// Publish one message to a topic
///
/// Talks to the running local stack, or to Momento when MOMENTO_API_KEY and MOMENTO_ENDPOINT are set. A message holds at most 4096 bytes.
#[derive(Args)]
#[command(
    after_help = "Examples:\n  cargo bridge publish uppercase-in hello\n  echo '{\"kind\":\"order\"}' | cargo bridge publish orders -\n  cargo bridge publish --file photo.jpg --binary photos\n  MOMENTO_API_KEY=… MOMENTO_ENDPOINT=cell-4-us-west-2-1.prod.a.momentohq.com \\\n    cargo bridge publish --cache demo uppercase-in hello"
)]
pub struct Publish {
    /// Topic to publish to
    topic: String,

    /// Value to publish; `-` reads it from standard input, as it is
    #[arg(
        required_unless_present = "file",
        conflicts_with = "file",
        allow_hyphen_values = true
    )]
    value: Option<String>,

    /// Read the value from a file
    #[arg(long)]
    file: Option<PathBuf>,

    /// Publish the value as binary instead of text
    #[arg(long)]
    binary: bool,

    #[command(flatten)]
    connection: Connection,
}

impl Publish {
    pub async fn run(self) -> Result<i32> {
        let place = self.connection.place()?;
        let value = self.value().await?;
        let bytes = value.len();
        let client = place.client()?;
        let publish = async {
            if self.binary {
                client.publish(&place.cache, &self.topic, value).await
            } else {
                let text = String::from_utf8(value).map_err(|_| {
                    anyhow!("expected a value in UTF-8: pass `--binary` to publish other bytes")
                })?;
                client.publish(&place.cache, &self.topic, text).await
            }
            .map_err(|error| {
                let why = match error.error_code {
                    MomentoErrorCode::LimitExceededError if bytes > MAX_BYTES => format!(
                        "expected at most {MAX_BYTES} bytes, Momento's limit of a topic message, found {bytes}"
                    ),
                    // The SDK calls a broken connection a size limit.
                    MomentoErrorCode::LimitExceededError => fault(&error).text,
                    _ => error.message,
                };
                anyhow!(
                    "cannot publish to `{}` in cache `{}` at {}: {why}",
                    self.topic,
                    place.cache,
                    place.name,
                )
            })
        };
        tokio::time::timeout(WITHIN, publish)
            .await
            .with_context(|| {
                format!(
                    "no answer from {} within {} s",
                    place.name,
                    WITHIN.as_secs()
                )
            })??;
        eprintln!(
            "published {bytes} bytes to `{}` in cache `{}` at {}",
            self.topic, place.cache, place.name
        );
        Ok(0)
    }

    async fn value(&self) -> Result<Vec<u8>> {
        if let Some(file) = &self.file {
            return std::fs::read(file)
                .with_context(|| format!("cannot read `{}`", file.display()));
        }
        match self.value.as_deref() {
            Some("-") => read_stdin().await,
            value => Ok(value.unwrap_or_default().into()),
        }
    }
}

/// Everything on standard input.
pub async fn read_stdin() -> Result<Vec<u8>> {
    let read = tokio::task::spawn_blocking(|| {
        let mut bytes = Vec::new();
        std::io::stdin()
            .lock()
            .read_to_end(&mut bytes)
            .map(|_| bytes)
    });
    read.await?.context("cannot read standard input")
}
