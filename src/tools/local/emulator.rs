//! The local AWS emulator: a MiniStack process that `emulator/start.py` starts, with the corrections and stand-ins beside
//! that file.

use std::collections::HashMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result, anyhow, bail};
use serde::Deserialize;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::sync::Mutex;

use super::code::Workshop;
use super::package::{self, Stored};
use super::port::{Port, is_free};
use super::process::{Guarded, last_lines, watchful};
use super::python;
use super::workspace::{RunFolder, Workspace};
use crate::tools::terminal::Progress;

/// The program that starts the emulator, and its modules.
const PROGRAM: [(&str, &str); 17] = [
    ("start.py", include_str!("emulator/start.py")),
    ("stand_ins.py", include_str!("emulator/stand_ins.py")),
    (
        "corrections/__init__.py",
        include_str!("emulator/corrections/__init__.py"),
    ),
    (
        "corrections/event_bridge.py",
        include_str!("emulator/corrections/event_bridge.py"),
    ),
    (
        "corrections/executions.py",
        include_str!("emulator/corrections/executions.py"),
    ),
    (
        "corrections/expressions.py",
        include_str!("emulator/corrections/expressions.py"),
    ),
    (
        "corrections/functions.py",
        include_str!("emulator/corrections/functions.py"),
    ),
    (
        "corrections/histories.py",
        include_str!("emulator/corrections/histories.py"),
    ),
    (
        "corrections/logs.py",
        include_str!("emulator/corrections/logs.py"),
    ),
    (
        "corrections/metrics.py",
        include_str!("emulator/corrections/metrics.py"),
    ),
    (
        "corrections/parameters.py",
        include_str!("emulator/corrections/parameters.py"),
    ),
    (
        "corrections/queues.py",
        include_str!("emulator/corrections/queues.py"),
    ),
    (
        "corrections/runtimes.py",
        include_str!("emulator/corrections/runtimes.py"),
    ),
    (
        "corrections/step_functions.py",
        include_str!("emulator/corrections/step_functions.py"),
    ),
    (
        "corrections/tables.py",
        include_str!("emulator/corrections/tables.py"),
    ),
    (
        "corrections/tasks.py",
        include_str!("emulator/corrections/tasks.py"),
    ),
    (
        "corrections/templates.py",
        include_str!("emulator/corrections/templates.py"),
    ),
];

/// The emulator is ready within about two seconds; a busy machine needs longer.
const READY_WITHIN: Duration = Duration::from_secs(60);

/// A running emulator. Dropping it ends the emulator, the functions it runs, and removes its folder.
#[derive(Debug)]
pub struct Emulator {
    // Before the folder: fields are dropped in this order.
    process: Mutex<Guarded>,
    endpoint: String,
    port: u16,
    log: PathBuf,
    /// By program and the time of its last change.
    packages: Mutex<HashMap<(PathBuf, SystemTime), Stored>>,
    workshop: Workshop,
    run: RunFolder,
}

impl Emulator {
    /// Starts an emulator on 127.0.0.1 and waits until it answers.
    pub async fn start(workspace: &Workspace, port: Port, progress: &Progress) -> Result<Self> {
        let python = python::environment(workspace, progress).await?;
        let run = workspace.run_folder()?;
        let step = progress.step("starting the AWS emulator");
        let (process, port) = match port {
            Port::Free => launch(&python, run.path(), 0).await?,
            Port::Exact(port) => launch(&python, run.path(), port).await?,
            Port::Preferred(port) if !is_free(port) => launch(&python, run.path(), 0).await?,
            // Another process may have taken it in between, or tried it for a moment as `is_free` does.
            Port::Preferred(port) => match launch(&python, run.path(), port).await {
                Ok(launched) => launched,
                Err(_) => launch(&python, run.path(), 0).await?,
            },
        };
        step.done("started the AWS emulator");
        Ok(Self {
            process: Mutex::new(process),
            endpoint: format!("http://127.0.0.1:{port}"),
            port,
            log: log_path(run.path()),
            packages: Mutex::default(),
            workshop: Workshop {
                python,
                folder: workspace.dir().join("functions"),
            },
            run,
        })
    }

    /// `http://127.0.0.1:<port>`
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// The folder of this run.
    pub fn run(&self) -> &RunFolder {
        &self.run
    }

    /// Waits until the emulator ends unexpectedly, and returns the reason. Safe to cancel.
    pub async fn ended(&self) -> anyhow::Error {
        match self.process.lock().await.wait().await {
            Ok(status) => anyhow!(
                "the AWS emulator ended unexpectedly ({status}); its last words:\n{}",
                tail(&self.log)
            ),
            Err(error) => error,
        }
    }

    /// The last lines of the emulator's own log, indented.
    pub fn last_words(&self) -> String {
        tail(&self.log)
    }

    /// The deployment package of a program, packed once for all stacks until the program is built again. The packages are files
    /// of this run, since those of debug builds have 60 MB each.
    pub(super) async fn package(&self, program: &Path) -> Result<Stored> {
        let built = fs::metadata(program).and_then(|file| file.modified());
        let built = built
            .with_context(|| format!("cannot read the Lambda binary `{}`", program.display()))?;
        let version = (program.to_owned(), built);
        let mut packages = self.packages.lock().await;
        if let Some(package) = packages.get(&version) {
            return Ok(package.clone());
        }
        packages.retain(|(of, _), _| of != program);
        let (path, folder) = (program.to_owned(), self.run.path().to_owned());
        let packing = move || package::pack(&path)?.stored(&folder);
        let package = tokio::task::spawn_blocking(packing).await??;
        packages.insert(version, package.clone());
        Ok(package)
    }

    /// Makes the packages of a workflow's own functions.
    pub(super) fn workshop(&self) -> &Workshop {
        &self.workshop
    }
}

/// The output of `start.py` once the emulator is ready.
#[derive(Deserialize)]
struct Ready {
    port: u16,
}

/// Starts the process and waits for its line on standard output.
async fn launch(python: &Path, folder: &Path, port: u16) -> Result<(Guarded, u16)> {
    let script = unpack(folder)?;
    let log = log_path(folder);
    let errors = File::create(&log).with_context(|| format!("cannot write `{}`", log.display()))?;
    let mut start = watchful(python);
    start
        .arg(&script)
        .arg("--state")
        .arg(folder)
        .current_dir(folder)
        .stdout(Stdio::piped())
        .stderr(errors);
    if port != 0 {
        start.args(["--port", &port.to_string()]);
    }
    let mut process = Guarded::spawn(start)?;
    let stdout = process
        .stdout()
        .context("cannot read the emulator's output")?;
    let line = tokio::time::timeout(READY_WITHIN, BufReader::new(stdout).lines().next_line()).await;
    let Ok(line) = line else {
        bail!(
            "expected the AWS emulator to be ready within {} s, it is not; its last words:\n{}",
            READY_WITHIN.as_secs(),
            tail(&log)
        );
    };
    let Some(line) = line.context("cannot read the emulator's output")? else {
        bail!(
            "the AWS emulator ended while it started; its last words:\n{}",
            tail(&log)
        );
    };
    let ready: Ready = serde_json::from_str(&line)
        .with_context(|| format!("expected the emulator's port, found `{line}`"))?;
    Ok((process, ready.port))
}

/// Writes the program into `folder` and returns the path of its `start.py`.
fn unpack(folder: &Path) -> Result<PathBuf> {
    let write = |path: &Path, text| {
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)?;
        }
        fs::write(path, text)
    };
    for (name, text) in PROGRAM {
        let path = folder.join(name);
        write(&path, text).with_context(|| format!("cannot write `{}`", path.display()))?;
    }
    Ok(folder.join(PROGRAM[0].0))
}

fn log_path(folder: &Path) -> PathBuf {
    folder.join("emulator.log")
}

fn tail(log: &Path) -> String {
    let text = fs::read(log).unwrap_or_default();
    match last_lines(&String::from_utf8_lossy(&text), 15) {
        lines if lines.is_empty() => "    (it printed nothing)".to_owned(),
        lines => lines,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A module forgotten here would be missing on machines without the sources.
    #[test]
    fn all_of_the_program_is_in_the_binary() {
        let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/tools/local/emulator");
        let modules = fs::read_dir(sources.join("corrections")).unwrap();
        let mut found: Vec<_> = modules
            .map(|entry| format!("corrections/{}", entry.unwrap().file_name().display()))
            .chain(["start.py".to_owned(), "stand_ins.py".to_owned()])
            .collect();
        found.sort();
        let mut embedded = PROGRAM.map(|(name, _)| name.to_owned());
        embedded.sort();
        assert_eq!(found, embedded);
    }
}
