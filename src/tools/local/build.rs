//! The Lambda binaries, built by the cargo that runs the command line, with the same features and profile.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context, Result, bail};
use serde::Deserialize;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};

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
    let mut cargo = command(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo
        .current_dir(root)
        .args([
            "build",
            "--quiet",
            "--features",
            "cli",
            "--message-format=json-render-diagnostics",
        ])
        .args(names.iter().flat_map(|name| ["--bin", name]))
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
    if !cfg!(debug_assertions) {
        cargo.arg("--release");
    }
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
        bail!(
            "the Lambda functions do not build (`cargo build --features cli --bin {}`):\n{}",
            names.join(" --bin "),
            last_lines(&errors, 40)
        );
    }
    if let Some(missing) = names.iter().find(|name| !binaries.contains_key(**name)) {
        bail!("expected cargo to build the binary `{missing}`, found no executable of that name");
    }
    step.done("built the Lambda functions");
    Ok(binaries)
}
