//! Builds the subjects.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};

use crate::options::Options;
use crate::subject::{SUBJECTS, Subject, folder, node};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");
/// Variables of `cargo bench` about its package; build scripts that read them would run again.
const OF_THIS_PACKAGE: [&str; 3] = ["CARGO_MANIFEST_", "CARGO_PKG_", "CARGO_PROFILE_"];
/// The shipped functions, which abort on a panic: cargo-lambda, and so SAM, builds them in this way.
const SHIPPED: [&str; 3] = [
    "--bin=webhook",
    "--bin=completion",
    "--config=profile.release.panic=\"abort\"",
];

/// Builds the chosen subjects; leaves out those on Node.js without npm.
pub fn all(options: &Options) -> Result<Vec<Subject>> {
    fs::create_dir_all(folder())?;
    let mut chosen = SUBJECTS.to_vec();
    chosen.retain(|(name, _)| options.only.iter().any(|other| other == name));
    for package in ["shipped", "floor", "afternoon", "node"] {
        let is_of_it = |file: &str| file.split('/').next() == Some(package);
        if !chosen.iter().any(|(_, file)| is_of_it(file)) {
            continue;
        }
        eprintln!("building {package}");
        let peer = Path::new(ROOT).join("benches/peers").join(package);
        match package {
            "shipped" => cargo(package, Path::new(ROOT), &SHIPPED)?,
            "node" if version("npm").is_none() => {
                eprintln!("`npm` is not on the PATH: Node.js is left out; install it");
                chosen.retain(|(_, file)| !is_of_it(file));
            }
            "node" => bundle(&peer)?,
            _ => cargo(package, &peer, &[])?,
        }
    }
    let chosen = chosen.into_iter();
    let chosen = chosen.map(|(name, file)| Subject::new(name, &folder().join(file)));
    let before = options.before.iter();
    let before = before.map(|program| Subject::new("before", program));
    chosen.chain(before).collect()
}

/// Builds a package the way a deployment does: release profile, default features, as locked.
fn cargo(name: &str, package: &Path, more: &[&str]) -> Result<()> {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo
        .args(["build", "--release", "--locked", "--target-dir"])
        .arg(folder().join(name))
        .args(more)
        .current_dir(package);
    for (variable, _) in std::env::vars_os() {
        let name = variable.to_string_lossy();
        if OF_THIS_PACKAGE.iter().any(|start| name.starts_with(start)) {
            cargo.env_remove(&variable);
        }
    }
    run(&mut cargo)
}

/// Bundles the functions on Node.js.
fn bundle(from: &Path) -> Result<()> {
    let to = folder().join("node");
    fs::create_dir_all(&to)?;
    for entry in fs::read_dir(from)? {
        let path = entry?.path();
        if let Some(name) = path.file_name().filter(|_| path.is_file()) {
            fs::copy(&path, to.join(name))?;
        }
    }
    for arguments in [
        "ci --no-audit --no-fund --loglevel=error",
        "run build -- --log-level=error",
    ] {
        let mut npm = Command::new("npm");
        npm.args(arguments.split(' ')).current_dir(&to);
        run(npm.stdout(Stdio::null()))?;
    }
    Ok(())
}

fn run(command: &mut Command) -> Result<()> {
    let status = command.status();
    let status = status.with_context(|| format!("cannot run {command:?}"))?;
    ensure!(
        status.success(),
        "{command:?} ended with {status}; see above"
    );
    Ok(())
}

/// A tool's version, by its own output; `None` if it cannot be run.
pub fn version(tool: impl AsRef<Path>) -> Option<String> {
    let output = Command::new(tool.as_ref()).arg("--version").output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout);
    Some(text.lines().next()?.trim().to_owned())
}

/// The tools that made the subjects, in a sentence.
pub fn versions() -> String {
    let of = |tool: &Path| version(tool).unwrap_or("missing".to_owned());
    let (rustc, valgrind) = (of(Path::new("rustc")), of(Path::new("valgrind")));
    format!("{rustc}, Node.js {}, valgrind {valgrind}", of(&node()))
}
