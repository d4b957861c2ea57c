//! The emulator's Python environment: installed once, with pinned packages, and then used without a network.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use ring::digest::{SHA256, digest};

use super::process::{Guarded, command, last_lines};
use super::workspace::{Workspace, lock_file};
use crate::tools::terminal::Progress;

/// The environment's packages, with exact versions.
const REQUIREMENTS: &str = include_str!("emulator/requirements.txt");

/// The oldest Python for the pinned packages.
const OLDEST: (u32, u32) = (3, 11);

/// Tried in this order; the first one new enough is used.
const NAMES: [&str; 6] = [
    "python3",
    "python3.14",
    "python3.13",
    "python3.12",
    "python3.11",
    "python",
];

/// Prints an interpreter's identity, one part per line.
const IDENTIFY: &str = "import platform, sys; print(*sys.version_info[:2]); print(platform.machine()); print(sys.executable)";

/// A Python interpreter on this machine.
#[derive(Clone, Debug, PartialEq)]
struct Python {
    version: (u32, u32),
    /// An environment made for one architecture does not work on another that shares the folder.
    machine: String,
    executable: PathBuf,
}

/// The interpreter of a complete environment, which is installed at first use.
///
/// Two processes at once are safe: one installs, the other waits and uses the result. An interrupted installation never
/// looks complete.
pub async fn environment(workspace: &Workspace, progress: &Progress) -> Result<PathBuf> {
    let python = find().await?;
    let name = format!("venv-{}", fingerprint(&python, REQUIREMENTS));
    let interpreter = |folder: &Path| folder.join(&name).join("bin/python");
    let installed = workspace.installed();
    let mut installed = installed.iter().map(|folder| interpreter(folder));
    if let Some(interpreter) = installed.find(|one| one.exists()) {
        return Ok(interpreter);
    }

    let home = workspace.dir().join(&name);
    let interpreter = interpreter(workspace.dir());
    let place = match workspace.project() {
        Some(_) => ".workflow-bridge",
        None => "target/bridge",
    };
    let step = progress.step(&format!(
        "installing the AWS emulator into {place} (once, about a minute)"
    ));
    let lock = lock_file(&home.with_extension("lock"))?;
    let _lock = tokio::task::spawn_blocking(move || lock.lock().map(|()| lock))
        .await?
        .context("cannot lock the emulator's Python environment")?;
    if !interpreter.exists() {
        let draft = home.with_extension("new");
        for leftover in [&draft, &home] {
            if leftover.exists() {
                std::fs::remove_dir_all(leftover)
                    .with_context(|| format!("cannot remove `{}`", leftover.display()))?;
            }
        }
        install(&python.executable, &draft, REQUIREMENTS).await?;
        std::fs::rename(&draft, &home)
            .with_context(|| format!("cannot create `{}`", home.display()))?;
    }
    step.done(&format!("installed the AWS emulator into {place}"));
    Ok(interpreter)
}

/// The name of an environment, from its interpreter and its packages.
fn fingerprint(python: &Python, requirements: &str) -> String {
    let environment = format!("{python:?}\n{requirements}");
    let digest = digest(&SHA256, environment.as_bytes());
    hex::encode(&digest.as_ref()[..6])
}

/// An interpreter that is new enough, for tests.
#[cfg(test)]
pub async fn interpreter() -> Result<PathBuf> {
    Ok(find().await?.executable)
}

async fn find() -> Result<Python> {
    let mut old = None;
    for name in NAMES {
        let mut identify = command(name);
        identify.args(["-c", IDENTIFY]);
        // A missing program is an exit code of the guard (127), not an error.
        let done = Guarded::output(identify).await?;
        match parse(&done.output) {
            Some(python) if done.status.success() && python.version >= OLDEST => return Ok(python),
            Some(python) if done.status.success() => old = old.or(Some(python)),
            _ => {}
        }
    }
    let found = old.map_or("none".to_owned(), |python| {
        format!(
            "only {}.{} (`{}`)",
            python.version.0,
            python.version.1,
            python.executable.display()
        )
    });
    bail!(
        "the local AWS emulator needs Python {}.{} or newer: expected `python3` in PATH, found {found}; install it, for example with `apt install python3 python3-venv` or `brew install python3`",
        OLDEST.0,
        OLDEST.1
    )
}

fn parse(identity: &str) -> Option<Python> {
    let mut lines = identity.lines();
    let (major, minor) = lines.next()?.split_once(' ')?;
    Some(Python {
        version: (major.parse().ok()?, minor.parse().ok()?),
        machine: lines.next()?.to_owned(),
        executable: lines.next().filter(|line| !line.is_empty())?.into(),
    })
}

async fn install(python: &Path, home: &Path, requirements: &str) -> Result<()> {
    let mut venv = command(python);
    venv.args(["-m", "venv"]).arg(home);
    let done = Guarded::output(venv).await?;
    if !done.status.success() {
        if done.output.contains("ensurepip") || done.output.contains("No module named venv") {
            bail!(
                "`{}` cannot make virtual environments: expected the modules `venv` and `ensurepip`, found them missing; install them, on Debian and Ubuntu with `apt install python3-venv`",
                python.display()
            );
        }
        bail!(
            "`{} -m venv` failed:\n{}",
            python.display(),
            last_lines(&done.output, 10)
        );
    }

    let list = home.join("requirements.txt");
    std::fs::write(&list, requirements)
        .with_context(|| format!("cannot write `{}`", list.display()))?;
    // The script `pip` names its interpreter in its first line, which breaks on a space and after the rename.
    let mut pip = command(home.join("bin/python"));
    pip.args([
        "-m",
        "pip",
        "install",
        "--disable-pip-version-check",
        "--no-input",
        "--progress-bar=off",
        "-r",
    ])
    .arg(&list);
    let done = Guarded::output(pip).await?;
    if !done.status.success() {
        bail!("{}", explain_pip(&done.output));
    }
    Ok(())
}

/// Explains pip's failure and shows its last lines.
fn explain_pip(output: &str) -> String {
    const UNREACHABLE: [&str; 4] = [
        "Failed to establish a new connection",
        "Temporary failure in name resolution",
        "Connection broken",
        "Read timed out",
    ];
    let meaning = if UNREACHABLE.iter().any(|sign| output.contains(sign)) {
        "the AWS emulator could not be downloaded: the package index cannot be reached. It is needed once; check the network, or set `PIP_INDEX_URL` to a mirror, and run the same command again"
    } else {
        "pip could not install the AWS emulator; run the same command again once the cause below is gone"
    };
    format!("{meaning}\n{}", last_lines(output, 10))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::scratch::Scratch;

    fn python() -> Python {
        Python {
            version: (3, 11),
            machine: "x86_64".into(),
            executable: "/usr/bin/python3".into(),
        }
    }

    #[test]
    fn an_interpreters_identity_is_parsed() {
        assert_eq!(parse("3 11\nx86_64\n/usr/bin/python3\n"), Some(python()));
        for broken in [
            "",
            "3\n",
            "3 x\nx86_64\n/p\n",
            "3 11\nx86_64\n\n",
            "sh: python3: not found\n",
        ] {
            assert_eq!(parse(broken), None, "{broken:?}");
        }
    }

    #[test]
    fn another_python_or_another_list_is_another_environment() {
        let one = fingerprint(&python(), "a==1");
        let newer = Python {
            version: (3, 12),
            ..python()
        };
        assert_eq!(one, fingerprint(&python(), "a==1"));
        assert_ne!(one, fingerprint(&python(), "a==2"));
        assert_ne!(one, fingerprint(&newer, "a==1"));
    }

    #[test]
    fn pip_failures_are_explained() {
        let offline =
            explain_pip("WARNING: Retrying\nFailed to establish a new connection: [Errno -3]\n");
        assert!(
            offline.contains("cannot be reached") && offline.contains("Errno -3"),
            "{offline}"
        );
        let other = explain_pip("ERROR: No matching distribution found for x==9\n");
        assert!(other.contains("No matching distribution"), "{other}");
    }

    /// An existing interpreter marks a complete environment, so nothing is installed.
    #[tokio::test]
    async fn a_complete_environment_is_used_as_it_is() {
        let scratch = Scratch::new();
        let workspace = Workspace::new(scratch.path(), scratch.path()).unwrap();
        let found = find().await.unwrap();
        let home = scratch
            .path()
            .join(format!("venv-{}", fingerprint(&found, REQUIREMENTS)));
        std::fs::create_dir_all(home.join("bin")).unwrap();
        std::fs::write(home.join("bin/python"), "").unwrap();
        let interpreter = environment(&workspace, &Progress::silent()).await.unwrap();
        assert_eq!(interpreter, home.join("bin/python"));
    }

    /// An empty list exercises the whole installation without a network.
    #[tokio::test]
    async fn an_installation_cut_short_does_not_count() {
        let scratch = Scratch::new();
        let draft = scratch.path().join("with space");
        std::fs::create_dir_all(&draft).unwrap();
        let found = find().await.unwrap();
        install(&found.executable, &draft, "").await.unwrap();
        let failed = install(&found.executable, &draft, "-r missing.txt")
            .await
            .unwrap_err();
        assert!(failed.to_string().contains("missing.txt"), "{failed}");
    }
}
