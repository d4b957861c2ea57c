//! Child processes that cannot outlive this one.
//!
//! Each child runs in a process group of its own, under a small shell guard that holds one end of a pipe. When the other
//! end closes, because [`Guarded`] is dropped or this process is killed, the guard kills the whole group, grandchildren
//! included.

use std::ffi::OsStr;
use std::process::{ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::process::{Child, ChildStderr, ChildStdout, Command};

/// Runs `"$@"` and returns its exit code; kills its own group when its standard input ends.
///
/// A shell's background job reads from `/dev/null` by default, hence descriptor 3.
const GUARD: &str = r#"exec 3<&0
{ read -r line; kill -KILL 0; } <&3 3<&- &
"$@" 3<&-
code=$?
kill -KILL "$!"
wait "$!" 2>/dev/null
exit "$code"
"#;

/// How long a drop waits for the group's end.
const GONE_WITHIN: Duration = Duration::from_secs(3);

/// A command for [`Guarded::spawn`]. Its standard input is the pipe that keeps the child alive.
pub fn command(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new("/bin/sh");
    command
        .args(["-c", GUARD, "bridge-guard"])
        .arg(program)
        .process_group(0)
        .stdin(Stdio::piped());
    command
}

/// A command without a guard, for a program that ends itself and its children when its standard input ends.
pub fn watchful(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(program);
    command.process_group(0).stdin(Stdio::piped());
    command
}

/// A running child and all its descendants; dropping it ends them.
#[derive(Debug)]
pub struct Guarded {
    child: Child,
}

/// The result of a finished child.
#[derive(Debug)]
pub struct Finished {
    pub status: ExitStatus,
    /// Standard output and standard error, each in its order, one after the other.
    pub output: String,
}

impl Guarded {
    /// Starts a command of [`command`] or [`watchful`].
    pub fn spawn(mut command: Command) -> Result<Self> {
        let child = command
            .spawn()
            .with_context(|| format!("cannot start {:?}", command.as_std().get_program()))?;
        Ok(Self { child })
    }

    /// Runs a command to its end and collects its output.
    pub async fn output(mut command: Command) -> Result<Finished> {
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = Self::spawn(command)?;
        let (out, err) = (child.stdout(), child.stderr());
        let (mut output, errors, status) =
            tokio::try_join!(collect(out), collect(err), child.wait())?;
        output.push_str(&errors);
        Ok(Finished { status, output })
    }

    /// Standard output, once, when the command asked for a pipe.
    pub fn stdout(&mut self) -> Option<ChildStdout> {
        self.child.stdout.take()
    }

    /// Standard error, once, when the command asked for a pipe.
    pub fn stderr(&mut self) -> Option<ChildStderr> {
        self.child.stderr.take()
    }

    /// Waits for the child to end by itself. Safe to cancel.
    pub async fn wait(&mut self) -> Result<ExitStatus> {
        // `Child::wait` closes standard input first, which would end the child: hold it meanwhile.
        let pipe = self.child.stdin.take();
        let mut held = Held { child: self, pipe };
        let status = held.child.child.wait().await;
        held.pipe = None;
        status.context("cannot wait for a child process")
    }
}

/// Returns the pipe to its child when a wait is cancelled.
struct Held<'a> {
    child: &'a mut Guarded,
    pipe: Option<tokio::process::ChildStdin>,
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.child.child.stdin = self.pipe.take();
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let until = Instant::now() + GONE_WITHIN;
        while matches!(self.child.try_wait(), Ok(None)) && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(2));
        }
        // Only a child that does not watch the pipe is still there.
        let _ = self.child.start_kill();
    }
}

async fn collect(stream: Option<impl AsyncRead + Unpin>) -> Result<String> {
    let mut text = String::new();
    if let Some(stream) = stream {
        let mut reader = BufReader::new(stream);
        let mut line = Vec::new();
        while reader.read_until(b'\n', &mut line).await? > 0 {
            text.push_str(&String::from_utf8_lossy(&line));
            line.clear();
        }
    }
    Ok(text)
}

/// The last `count` lines of `text`, indented, for an error message.
pub fn last_lines(text: &str, count: usize) -> String {
    let lines: Vec<_> = text
        .lines()
        .filter(|line| !line.trim().is_empty())
        .collect();
    lines[lines.len().saturating_sub(count)..]
        .iter()
        .map(|line| format!("    {line}"))
        .collect::<Vec<_>>()
        .join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = command("sh");
        command.args(["-c", script]);
        command
    }

    #[tokio::test]
    async fn output_and_code_come_back() {
        let done = Guarded::output(shell("echo out; echo err >&2; exit 7"))
            .await
            .unwrap();
        assert_eq!(done.status.code(), Some(7));
        assert_eq!(done.output, "out\nerr\n");
    }

    /// Every member of the group holds the pipe's other end, so end of file proves that all of them are gone.
    #[tokio::test]
    async fn a_drop_ends_children_and_grandchildren() {
        let mut command = shell("sleep 1000 & echo ready; sleep 1000");
        command.stdout(Stdio::piped());
        let mut child = Guarded::spawn(command).unwrap();
        let mut lines = BufReader::new(child.stdout().unwrap()).lines();
        assert_eq!(lines.next_line().await.unwrap().as_deref(), Some("ready"));
        drop(child);
        assert_eq!(lines.next_line().await.unwrap(), None);
    }

    #[tokio::test]
    async fn a_cancelled_wait_leaves_the_child_running() {
        let mut command = shell("echo ready; sleep 1000");
        command.stdout(Stdio::piped());
        let mut child = Guarded::spawn(command).unwrap();
        let mut lines = BufReader::new(child.stdout().unwrap()).lines();
        assert_eq!(lines.next_line().await.unwrap().as_deref(), Some("ready"));
        let wait = tokio::time::timeout(Duration::from_millis(20), child.wait()).await;
        assert!(wait.is_err(), "{wait:?}");
        assert!(child.child.try_wait().unwrap().is_none());
        drop(child);
        assert_eq!(lines.next_line().await.unwrap(), None);
    }

    #[test]
    fn last_lines_skips_blank_ones() {
        assert_eq!(last_lines("a\n\nb\nc\n\n", 2), "    b\n    c");
        assert_eq!(last_lines("", 2), "");
    }
}
