//! The Lambda binaries, built by the cargo that runs the command line, with the same features and profile.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context, Result, bail};
use serde::Deserialize;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::process::Command;

use super::process::{Guarded, command, last_lines};
use crate::tools::terminal::Progress;

/// Binary name to executable.
pub type Binaries = BTreeMap<String, PathBuf>;

/// The relevant part of cargo's `compiler-artifact` messages.
#[derive(Deserialize)]
struct Artifact {
    target: Target,
    executable: Option<PathBuf>,
}

#[derive(Deserialize)]
struct Target {
    name: String,
}

/// Builds `names` of the crate in `root`.
///
/// `cargo bridge` has just built this program with the feature `cli`. With the same features and profile, cargo compiles only
/// the binaries themselves.
pub async fn build(root: &Path, names: &[&str], progress: &Progress) -> Result<Binaries> {
    let step = progress.step("building the Lambda functions");
    let mut cargo = cargo(root);
    cargo.args(["--features", "cli"]);
    cargo.args(names.iter().flat_map(|name| ["--bin", name]));
    if !cfg!(debug_assertions) {
        cargo.arg("--release");
    }
    let binaries = run(cargo).await.with_context(|| {
        let names = names.join(" --bin ");
        format!("the Lambda functions do not build (`cargo build --features cli --bin {names}`)")
    })?;
    if let Some(missing) = names.iter().find(|name| !binaries.contains_key(**name)) {
        bail!("expected cargo to build the binary `{missing}`, found no executable of that name");
    }
    step.done("built the Lambda functions");
    Ok(binaries)
}

/// Builds the only binary of the package in `folder`, or the one named, into `target`.
///
/// # Errors
///
/// When it does not build, or has several binaries and none is named.
pub async fn build_own(folder: &Path, binary: Option<&str>, target: &Path) -> Result<PathBuf> {
    let mut cargo = cargo(folder);
    cargo.arg("--target-dir").arg(target);
    match binary {
        Some(binary) => cargo.args(["--bin", binary]),
        None => cargo.arg("--bins"),
    };
    let binaries = run(cargo).await?;
    let mut built = binaries.into_iter();
    match (built.next(), built.next()) {
        (Some((_, path)), None) => Ok(path),
        (None, _) => bail!(
            "expected a binary in the package `{}`, found none: add `src/main.rs`",
            folder.display()
        ),
        (Some((one, _)), Some((other, _))) => bail!(
            "expected one binary in the package `{}`, found `{one}` and `{other}`: name the function's in `Metadata.BuildProperties.Binary`",
            folder.display()
        ),
    }
}

/// `cargo build` in a folder, by the cargo that runs the command line.
fn cargo(folder: &Path) -> Command {
    let mut cargo = command(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo
        .current_dir(folder)
        .args([
            "build",
            "--quiet",
            "--message-format=json-render-diagnostics",
        ])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    // `cargo run` sets variables about its package. Build scripts that read them would run again, and everything that
    // depends on them would be compiled again, here and at the next `cargo run`.
    for (name, _) in std::env::vars_os() {
        if name.to_str().is_some_and(|name| {
            name.starts_with("CARGO_MANIFEST_") || name.starts_with("CARGO_PKG_")
        }) {
            cargo.env_remove(name);
        }
    }
    cargo
}

/// Runs a build; the executables by their names. The error has cargo's last lines.
async fn run(cargo: Command) -> Result<Binaries> {
    let mut child = Guarded::spawn(cargo)?;
    let (stdout, stderr) = (child.stdout(), child.stderr());
    let (Some(stdout), Some(mut stderr)) = (stdout, stderr) else {
        bail!("cannot read cargo's output");
    };
    let artifacts = async {
        let mut binaries = Binaries::new();
        let mut lines = BufReader::new(stdout).lines();
        while let Some(line) = lines.next_line().await? {
            if let Ok(Artifact {
                target,
                executable: Some(path),
            }) = serde_json::from_str(&line)
            {
                binaries.insert(target.name, path);
            }
        }
        anyhow::Ok(binaries)
    };
    let errors = async {
        let mut text = Vec::new();
        stderr.read_to_end(&mut text).await?;
        anyhow::Ok(String::from_utf8_lossy(&text).into_owned())
    };
    let (binaries, errors, status) =
        tokio::try_join!(artifacts, errors, child.wait()).context("cannot run cargo")?;
    if !status.success() {
        bail!("cargo failed:\n{}", last_lines(&errors, 40));
    }
    Ok(binaries)
}
