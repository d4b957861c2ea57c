//! Builds the subjects.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};

use crate::subject::{Name, Subject};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");
/// The newest LTS that Lambda offers, from its package.
const NODE: &str = "node/node_modules/node/bin/node";

/// The folder of all builds.
pub fn folder() -> PathBuf {
    Path::new(ROOT).join("target/peers")
}

/// Builds the subjects of these names; leaves out those on Node.js if it is missing.
pub fn all(names: &[Name]) -> Result<Vec<Subject>> {
    fs::create_dir_all(folder())?;
    let wants = |some: &[Name]| names.iter().any(|name| some.contains(name));
    if wants(&[Name::Webhook, Name::WebhookCollected, Name::Completion]) {
        let bins = ["--bin", "webhook", "--bin", "completion"];
        cargo("shipped", Path::new(ROOT), &bins)?;
    }
    for (package, some) in [
        ("floor", &[Name::Floor][..]),
        ("afternoon", &[Name::Afternoon, Name::AfternoonCompletion]),
    ] {
        if wants(some) {
            cargo(package, &peer(package), &[])?;
        }
    }
    let on_node = [Name::Node, Name::NodeCompletion];
    let has_node = wants(&on_node) && node()?;
    let names = names
        .iter()
        .filter(|name| has_node || !on_node.contains(name));
    names.map(|&name| subject(name)).collect()
}

/// The webhook in this file, built before a change.
pub fn before(program: &Path) -> Result<Subject> {
    let found = fs::metadata(program);
    let found = found.with_context(|| format!("cannot read {}", program.display()))?;
    Ok(Subject {
        name: Name::Before,
        bytes: found.len(),
        program: program.to_owned(),
        script: None,
    })
}

fn peer(name: &str) -> PathBuf {
    Path::new(ROOT).join("benches/peers").join(name)
}

fn subject(name: Name) -> Result<Subject> {
    let (program, script) = match name {
        Name::Webhook | Name::WebhookCollected | Name::Before => ("shipped/release/webhook", None),
        Name::Completion => ("shipped/release/completion", None),
        Name::Floor => ("floor/release/floor", None),
        Name::Afternoon => ("afternoon/release/webhook", None),
        Name::AfternoonCompletion => ("afternoon/release/completion", None),
        Name::Node => ("", Some("node/dist/webhook.mjs")),
        Name::NodeCompletion => ("", Some("node/dist/completion.mjs")),
    };
    let script = script.map(|script| folder().join(script));
    let program = match script {
        Some(_) => folder().join(NODE),
        None => folder().join(program),
    };
    let file = script.as_ref().unwrap_or(&program);
    let found = fs::metadata(file).with_context(|| format!("cannot read {}", file.display()))?;
    Ok(Subject {
        name,
        bytes: found.len(),
        program,
        script,
    })
}

/// Builds a package the way a deployment does: release profile, default features, as locked.
fn cargo(name: &str, package: &Path, more: &[&str]) -> Result<()> {
    eprintln!("building {name}");
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo
        .args(["build", "--release", "--locked", "--target-dir"])
        .arg(folder().join(name))
        .args(more)
        .current_dir(package);
    // `cargo bench` sets variables about its package; build scripts that read them would run again.
    for (variable, _) in std::env::vars_os() {
        if variable.to_str().is_some_and(|variable| {
            ["CARGO_MANIFEST_", "CARGO_PKG_", "CARGO_PROFILE_"]
                .iter()
                .any(|prefix| variable.starts_with(prefix))
        }) {
            cargo.env_remove(variable);
        }
    }
    run(&mut cargo, name)
}

/// Bundles the functions on Node.js; false where a tool is missing.
fn node() -> Result<bool> {
    if version("npm").is_none() {
        eprintln!("`npm` is not on the PATH: Node.js is left out; install it");
        return Ok(false);
    }
    eprintln!("building node");
    let (from, to) = (peer("node"), folder().join("node"));
    fs::create_dir_all(&to)?;
    for entry in fs::read_dir(&from)? {
        let path = entry?.path();
        if let Some(name) = path.file_name().filter(|_| path.is_file()) {
            fs::copy(&path, to.join(name))?;
        }
    }
    let npm = |arguments: &[&str]| {
        let mut npm = Command::new("npm");
        npm.args(arguments).current_dir(&to).stdout(Stdio::null());
        run(&mut npm, "node")
    };
    npm(&["ci", "--no-audit", "--no-fund", "--loglevel=error"])?;
    npm(&["run", "build", "--", "--log-level=error"])?;
    Ok(true)
}

fn run(command: &mut Command, name: &str) -> Result<()> {
    let status = command
        .status()
        .with_context(|| format!("cannot build {name}"))?;
    ensure!(
        status.success(),
        "cannot build {name}: {:?} ended with {status}; see above",
        command.get_program()
    );
    Ok(())
}

/// A tool's version, by its own output; `None` if it cannot be run.
pub fn version(tool: &str) -> Option<String> {
    let output = Command::new(tool).arg("--version").output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout);
    Some(text.lines().next()?.trim().to_owned())
}

/// The tools that made the subjects, in a sentence.
pub fn versions() -> String {
    let node = folder().join(NODE).display().to_string();
    let tools = [
        ("rustc", "rustc"),
        ("node", &node),
        ("valgrind", "valgrind"),
    ];
    let tools = tools.map(|(tool, program)| match version(program) {
        Some(version) if version.starts_with(tool) => version,
        Some(version) => format!("{tool} {version}"),
        None => format!("no {tool}"),
    });
    tools.join(", ")
}
