//! A child process of the bench, from the bench's side.

use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde::de::DeserializeOwned;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use crate::child::KEY_VARIABLE;
use crate::protocol::{Ask, Ready, Report};

/// How long a child has to open all its subscriptions, and to answer what it can answer at once.
const ANSWERS_WITHIN: Duration = Duration::from_secs(30);
/// How long it has to end.
const ENDS_WITHIN: Duration = Duration::from_secs(2);

/// Ends with the bench, however that ends: its standard input closes. Dropping this kills it.
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

    /// Waits until it has received so many messages, or for `within`; the report says which.
    pub async fn reach(&mut self, messages: u64, within: Duration) -> Result<Report> {
        let within_ms = within.as_millis().try_into()?;
        let ask = Ask::Reach {
            messages,
            within_ms,
        };
        self.ask(&ask, within + ANSWERS_WITHIN).await
    }

    pub async fn latencies(&mut self) -> Result<Report> {
        self.ask(&Ask::Latencies, ANSWERS_WITHIN).await
    }

    async fn ask(&mut self, ask: &Ask, within: Duration) -> Result<Report> {
        let mut line = serde_json::to_vec(ask)?;
        line.push(b'\n');
        self.input.write_all(&line).await?;
        read(&mut self.output, within).await
    }

    /// Waits until the process is gone, so that it takes no time from the next one.
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
    let line = line?.context("expected an answer of the subject, found that it ended")?;
    serde_json::from_str(&line).context("expected an answer of the subject, found something else")
}
