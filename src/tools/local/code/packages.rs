//! The packages that a function's code names: installed once, beside each other, and never into the folder of the code.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use ring::digest::{SHA256, digest};
use tokio::process::Command;

use crate::tools::local::process::{Guarded, command, last_lines};

const REQUIREMENTS: &str = "requirements.txt";

/// The folder with the packages of `requirements.txt` for this interpreter; `None` without any.
pub async fn python(code: &Path, python: &Path, folder: &Path) -> Result<Option<PathBuf>> {
    let file = code.join(REQUIREMENTS);
    // The output of `sam build` has its packages in it.
    let is_built = code.components().any(|part| part.as_os_str() == ".aws-sam");
    if is_built || !file.is_file() {
        return Ok(None);
    }
    let text = fs::read_to_string(&file);
    let text = text.with_context(|| format!("cannot read `{}`", file.display()))?;
    let names = |line: &str| !line.trim().is_empty() && !line.trim_start().starts_with('#');
    if !text.lines().any(names) {
        return Ok(None);
    }
    let home = home(folder, "python", &[&text, &python.to_string_lossy()]);
    install(&home, &file, |draft| {
        let mut pip = command(python);
        pip.args([
            "-m",
            "pip",
            "install",
            "--disable-pip-version-check",
            "--no-input",
            "--progress-bar=off",
        ]);
        pip.arg("--target")
            .arg(draft)
            .arg("-r")
            .arg(&file)
            .current_dir(code);
        pip
    })
    .await?;
    Ok(Some(home))
}

/// The folder with the `node_modules` of `package.json`, without those for development.
pub async fn node(code: &Path, folder: &Path) -> Result<PathBuf> {
    let names = ["package.json", "package-lock.json", ".npmrc"];
    let texts = names.map(|name| fs::read_to_string(code.join(name)).unwrap_or_default());
    let home = home(folder, "node", &texts.each_ref().map(String::as_str));
    let install_or_ci = if texts[1].is_empty() { "install" } else { "ci" };
    for (name, text) in names
        .iter()
        .zip(&texts)
        .filter(|(_, text)| !text.is_empty())
    {
        let draft = draft(&home);
        fs::create_dir_all(&draft)
            .and_then(|()| fs::write(draft.join(name), text))
            .with_context(|| format!("cannot write `{}`", draft.join(name).display()))?;
    }
    install(&home, &code.join(names[0]), |draft| {
        let mut npm = command("npm");
        npm.args([install_or_ci, "--omit=dev", "--no-audit", "--no-fund"]);
        npm.current_dir(draft);
        npm
    })
    .await?;
    Ok(home)
}

/// The place of an installation, named by all that it depends on.
fn home(folder: &Path, kind: &str, parts: &[&str]) -> PathBuf {
    let digest = digest(&SHA256, parts.join("\0").as_bytes());
    folder.join(format!("{kind}-{}", hex::encode(&digest.as_ref()[..8])))
}

fn draft(home: &Path) -> PathBuf {
    home.with_extension("new")
}

/// Runs an installation unless it was done before. An interrupted one never looks complete.
async fn install(home: &Path, file: &Path, make: impl FnOnce(&Path) -> Command) -> Result<()> {
    if home.is_dir() {
        return Ok(());
    }
    let draft = draft(home);
    fs::create_dir_all(&draft).with_context(|| format!("cannot create `{}`", draft.display()))?;
    let done = Guarded::output(make(&draft)).await?;
    if !done.status.success() {
        let _ = fs::remove_dir_all(&draft);
        bail!(
            "the packages of `{}` cannot be installed:\n{}",
            file.display(),
            last_lines(&done.output, 15)
        );
    }
    fs::rename(&draft, home).with_context(|| format!("cannot create `{}`", home.display()))
}
