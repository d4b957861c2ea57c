//! An emulator's function processes, found by their environment.

use std::process::Command;

use anyhow::{Context, Result};

/// Kills (SIGKILL) the processes of the function `name` of an account of the emulator at `endpoint`; returns their number. The
/// next invocation starts a new process.
pub(super) fn kill(endpoint: &str, account: &str, name: &str) -> Result<usize> {
    let marks = [
        format!("AWS_ENDPOINT_URL={endpoint}"),
        format!("AWS_ACCESS_KEY_ID={account}"),
        format!("AWS_LAMBDA_FUNCTION_NAME={name}"),
    ];
    let mut killed = 0;
    for pid in running(&marks)? {
        let done = Command::new("kill")
            .args(["-KILL", &pid.to_string()])
            .output()
            .context("cannot run `kill`")?;
        // A process that ended in between does not count, and is not a failure.
        killed += usize::from(done.status.success());
    }
    Ok(killed)
}

/// The processes with all of these in their environment.
#[cfg(target_os = "linux")]
fn running(marks: &[String]) -> Result<Vec<u32>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc").context("cannot list `/proc`")? {
        let entry = entry.context("cannot list `/proc`")?;
        let Some(pid) = entry
            .file_name()
            .to_str()
            .and_then(|name| name.parse().ok())
        else {
            continue;
        };
        // Processes of other users cannot be read, and those just ending are empty.
        let Ok(environment) = std::fs::read(entry.path().join("environ")) else {
            continue;
        };
        let has = |mark: &String| {
            environment
                .split(|byte| *byte == 0)
                .any(|one| one == mark.as_bytes())
        };
        if marks.iter().all(has) {
            found.push(pid);
        }
    }
    Ok(found)
}

/// The processes with all of these in their environment.
#[cfg(not(target_os = "linux"))]
fn running(marks: &[String]) -> Result<Vec<u32>> {
    // With `-E` and `-ww`, the whole environment follows the command, separated by spaces.
    let done = Command::new("ps")
        .args(["-axEww", "-o", "pid=,command="])
        .output()
        .context("cannot run `ps`")?;
    if !done.status.success() {
        anyhow::bail!("expected `ps` to list the processes, found {}", done.status);
    }
    let list = String::from_utf8_lossy(&done.stdout);
    let with_all = list.lines().filter(|line| {
        let has = |mark: &String| line.split_whitespace().any(|word| word == mark);
        marks.iter().all(has)
    });
    Ok(with_all
        .filter_map(|line| line.split_whitespace().next()?.parse().ok())
        .collect())
}

#[cfg(test)]
mod tests {
    use std::process::{Child, Stdio};

    use super::*;

    fn function(endpoint: &str, account: &str, name: &str) -> Child {
        Command::new("sleep")
            .arg("1000")
            .env("AWS_ENDPOINT_URL", endpoint)
            .env("AWS_ACCESS_KEY_ID", account)
            .env("AWS_LAMBDA_FUNCTION_NAME", name)
            .stdin(Stdio::null())
            .spawn()
            .unwrap()
    }

    /// Each run of these tests has an endpoint of its own.
    #[test]
    fn kills_all_processes_of_the_function_and_no_other() {
        let endpoint = format!("http://127.0.0.1:0/{}", std::process::id());
        let mine = || function(&endpoint, "1", "webhook");
        let mut wanted = [mine(), mine()];
        let mut others = [
            function(&endpoint, "1", "webhook2"),
            function(&endpoint, "2", "webhook"),
            function("http://127.0.0.1:0/", "1", "webhook"),
        ];
        let killed = kill(&endpoint, "1", "webhook");
        let left = others.each_mut().map(|child| child.try_wait().unwrap());
        for child in wanted.iter_mut().chain(&mut others) {
            child.kill().unwrap();
        }
        assert_eq!(killed.unwrap(), 2);
        for child in &mut wanted {
            assert!(!child.wait().unwrap().success());
        }
        assert_eq!(left, [None; 3]);
        for child in &mut others {
            child.wait().unwrap();
        }
        assert_eq!(kill(&endpoint, "1", "webhook").unwrap(), 0);
    }
}
