//! A child process of the bench, from the bench's side.

use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde::de::DeserializeOwned;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use crate::child::KEY_VARIABLE;
use crate::protocol::{Ready, Report, Request};

/// Deadline for opening all subscriptions, and for an immediate answer.
const ANSWERS_WITHIN: Duration = Duration::from_secs(30);
/// Deadline for a child's end.
const ENDS_WITHIN: Duration = Duration::from_secs(2);

/// A child. It ends with the bench, even after a crash: its standard input closes. Dropping this kills it.
pub struct Worker {
    child: Child,
    input: ChildStdin,
    output: Lines<BufReader<ChildStdout>>,
    pub pid: u32,
    pub ready: Ready,
}

impl Worker {
    /// Starts this program again with `arguments` and waits until it is ready.
    pub async fn start(arguments: &[String], key: &str) -> Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        command
            .args(arguments)
            .env_clear()
            .env(KEY_VARIABLE, key)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true);
        let mut child = command.spawn().context("cannot start a subject")?;
        let pid = child.id().context("expected a process, found its end")?;
        let (input, output) = (child.stdin.take(), child.stdout.take());
        let (input, output) = input.zip(output).context("expected pipes, found none")?;
        let mut output = BufReader::new(output).lines();
        let ready = read(&mut output, ANSWERS_WITHIN).await?;
        Ok(Self {
            child,
            input,
            output,
            pid,
            ready,
        })
    }

    /// Waits until the child has received this many messages, for `within` at most; the report has the number.
    pub async fn reach(&mut self, messages: u64, within: Duration) -> Result<Report> {
        let within_ms = within.as_millis().try_into()?;
        let request = Request::Reach {
            messages,
            within_ms,
        };
        self.send(&request, within + ANSWERS_WITHIN).await
    }

    pub async fn latencies(&mut self) -> Result<Report> {
        self.send(&Request::Latencies, ANSWERS_WITHIN).await
    }

    async fn send(&mut self, request: &Request, within: Duration) -> Result<Report> {
        let mut line = serde_json::to_vec(request)?;
        line.push(b'\n');
        self.input.write_all(&line).await?;
        read(&mut self.output, within).await
    }

    /// Ends the process and waits, so that it takes no CPU time from the next one.
    pub async fn stop(mut self) -> Result<()> {
        drop(self.input);
        if tokio::time::timeout(ENDS_WITHIN, self.child.wait())
            .await
            .is_err()
        {
            self.child.kill().await?;
        }
        Ok(())
    }
}

async fn read<T: DeserializeOwned>(
    output: &mut Lines<BufReader<ChildStdout>>,
    within: Duration,
) -> Result<T> {
    let line = tokio::time::timeout(within, output.next_line()).await;
    let Ok(line) = line else {
        bail!("expected an answer of the subject within {within:?}, found none");
    };
    let line = line?.context("expected an answer of the subject, found its end")?;
    serde_json::from_str(&line).context("expected an answer of the subject, found something else")
}
