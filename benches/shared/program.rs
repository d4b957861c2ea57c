//! A child process that prints JSON documents, one a line.

use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result};
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

/// Deadline for each document.
const WITHIN: Duration = Duration::from_secs(60);

/// Killed when dropped.
pub struct Program {
    child: Child,
    input: ChildStdin,
    /// `None` once it is discarded.
    output: Option<Lines<BufReader<ChildStdout>>>,
    pub pid: u32,
}

impl Program {
    pub fn start(command: &mut Command) -> Result<Self> {
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let child = command.kill_on_drop(true).spawn();
        let mut child = child.with_context(|| format!("cannot start {:?}", command.as_std()))?;
        let output = child.stdout.take().context("expected a pipe, found none")?;
        Ok(Self {
            pid: child.id().context("expected a process, found its end")?,
            input: child.stdin.take().context("expected a pipe, found none")?,
            output: Some(BufReader::new(output).lines()),
            child,
        })
    }

    pub async fn next<T: DeserializeOwned>(&mut self) -> Result<T> {
        let output = self.output.as_mut().context("the output is discarded")?;
        let line = tokio::time::timeout(WITHIN, output.next_line()).await;
        let line = line.with_context(|| format!("expected a line within {WITHIN:?}"))??;
        let line = line.context("expected a line of the process, found its end")?;
        serde_json::from_str(&line).with_context(|| format!("expected JSON, found `{line}`"))
    }

    /// Sends a line; returns the next document.
    pub async fn ask<T: DeserializeOwned>(&mut self, line: &str) -> Result<T> {
        let line = format!("{line}\n");
        self.input.write_all(line.as_bytes()).await?;
        self.next().await
    }

    /// The address of a server, from its log. Discards the rest of the log, so that the pipe does not fill up.
    pub async fn address(&mut self) -> Result<String> {
        loop {
            let line: Value = self.next().await?;
            if let Some(address) = line["server.address"].as_str() {
                if let Some(mut rest) = self.output.take() {
                    tokio::spawn(async move { while let Ok(Some(_)) = rest.next_line().await {} });
                }
                return Ok(address.to_owned());
            }
        }
    }

    /// Kills the process, and waits until it is gone.
    pub async fn stop(mut self) -> Result<()> {
        Ok(self.child.kill().await?)
    }
}
