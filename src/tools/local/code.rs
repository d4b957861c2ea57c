//! The code of a template's functions: the bridge's binaries, and a workflow's own functions in Python, Node.js and Rust.
//!
//! Own functions are packed as `sam build` packs them. The emulator runs Python with its own interpreter and Node.js with the
//! `node` on the PATH, whatever version a runtime names.

mod packages;
mod syntax;

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use super::build::build_own;
use super::package::{Package, archive, files, pack, pack_folders};
use super::workspace::is_crate;
use crate::tools::template::{BINARIES, LocalCode, local_code};

/// The code of a function or of a layer.
#[derive(Clone, Debug, PartialEq)]
pub enum Code {
    /// A binary of the bridge, or of another crate in its place.
    Bridge(String),
    /// A Rust package, with the name of its binary where the template has one.
    Rust {
        folder: PathBuf,
        binary: Option<String>,
    },
    Python(PathBuf),
    Node(PathBuf),
    /// A layer, or a folder with a program `bootstrap`: packed as it is.
    Folder(PathBuf),
    /// A zip archive.
    Archive(PathBuf),
}

impl Code {
    /// The files whose change makes another package without a build; none for Rust.
    pub fn files(&self) -> Vec<PathBuf> {
        match self {
            Self::Bridge(_) | Self::Rust { .. } => Vec::new(),
            Self::Archive(path) => vec![path.clone()],
            Self::Python(folder) | Self::Node(folder) | Self::Folder(folder) => files(folder),
        }
    }

    /// Whether the file is one of [`files`](Self::files), or was one.
    pub fn has(&self, file: &Path) -> bool {
        match self {
            Self::Bridge(_) | Self::Rust { .. } => false,
            Self::Archive(path) | Self::Python(path) | Self::Node(path) | Self::Folder(path) => {
                file.starts_with(path)
            }
        }
    }
}

/// The functions and layers of a template with their logical ids; their places are relative to `folder`.
///
/// # Errors
///
/// When a function cannot run here: its runtime is not supported or not installed, or its handler's file is missing.
pub fn functions(template: &Value, folder: &Path) -> Result<Vec<(String, Code)>> {
    let found = local_code(template)?.into_iter().map(|code| {
        let read = read(&code, folder);
        let kind = if code.is_layer { "layer" } else { "function" };
        let read = read.with_context(|| format!("{kind} `{}`", code.id))?;
        Ok((code.id, read))
    });
    found.collect()
}

fn read(code: &LocalCode, folder: &Path) -> Result<Code> {
    let path = folder.join(&code.path);
    let is_rust = code.binary.is_some() || code.method.as_deref() == Some("rust-cargolambda");
    if let Some(binary) = code.binary.as_ref().filter(|binary| {
        let crate_of_its_own = path.join("Cargo.toml").is_file() && !is_crate(&path);
        is_crate(&path) || BINARIES.contains(&binary.as_str()) && !crate_of_its_own
    }) {
        return Ok(Code::Bridge(binary.clone()));
    }
    let shown = path.display();
    if path.is_file() {
        return Ok(Code::Archive(path));
    }
    if !path.is_dir() {
        bail!(
            "expected a folder with its code, found no `{shown}`: `CodeUri` is relative to the template"
        );
    }
    if code.is_layer {
        return match &code.method {
            Some(_) => bail!(
                "expected a layer without `BuildMethod`, which is packed as it is, found one: {BUILT}"
            ),
            None => Ok(Code::Folder(path)),
        };
    }
    let is = |runtime: &str| code.runtime.starts_with(runtime);
    if path.join("bootstrap").is_file() && is("provided") {
        return Ok(Code::Folder(path));
    }
    if is_rust {
        if !path.join("Cargo.toml").is_file() {
            bail!(
                "expected `Cargo.toml` in `{shown}`, found none: point `CodeUri` to the folder of its package"
            );
        }
        let binary = code.binary.clone();
        return Ok(Code::Rust {
            folder: path,
            binary,
        });
    }
    let (found, suffixes): (_, &[&str]) = if is("python") {
        (Code::Python(path.clone()), &[".py", "/__init__.py"])
    } else if is("nodejs") {
        on_path(
            "node",
            &code.runtime,
            "install Node.js, whose version should be the runtime's",
        )?;
        if needs_npm(&path)? {
            on_path(
                "npm",
                "the dependencies in package.json",
                "install npm, or run `npm install` where it is",
            )?;
        }
        (Code::Node(path.clone()), &[".js", ".mjs", ".cjs"])
    } else if is("provided") {
        bail!("expected a program `bootstrap` in `{shown}`, found none: {BUILT}");
    } else {
        bail!(
            "expected a runtime of Python, Node.js or `provided`, found `{}`: the local stack runs no others",
            code.runtime
        );
    };
    let Some((module, _)) = code.handler.rsplit_once('.') else {
        bail!(
            "expected a handler such as `app.handler`, found `{}`: name a file and a function in it",
            code.handler
        );
    };
    let module = match found {
        Code::Python(_) => module.replace('.', "/"),
        _ => module.to_owned(),
    };
    let files: Vec<_> = suffixes
        .iter()
        .map(|suffix| format!("{module}{suffix}"))
        .collect();
    if !files.iter().any(|file| path.join(file).is_file()) {
        let typescript = path.join(format!("{module}.ts")).is_file();
        let remedy = match typescript || code.method.is_some() {
            true => BUILT,
            false => "correct `Handler` or `CodeUri`",
        };
        bail!(
            "expected `{}` in `{shown}` for the handler `{}`, found none of them: {remedy}",
            files.join("` or `"),
            code.handler
        );
    }
    Ok(found)
}

/// The remedy for what only SAM builds.
const BUILT: &str = "run `sam build`, then start with `--with .aws-sam/build`";

/// Refuses a missing program. `purpose` is a runtime or another reason.
fn on_path(program: &str, purpose: &str, remedy: &str) -> Result<()> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    if is_on(&path, program) {
        return Ok(());
    }
    bail!("expected `{program}` on the PATH for {purpose}, found none: {remedy}")
}

fn is_on(path: &OsStr, program: &str) -> bool {
    std::env::split_paths(path).any(|folder| folder.join(program).is_file())
}

/// Whether a folder has a package.json with dependencies that are not installed.
fn needs_npm(folder: &Path) -> Result<bool> {
    let file = folder.join("package.json");
    if !file.is_file() || folder.join("node_modules").is_dir() {
        return Ok(false);
    }
    let text = fs::read_to_string(&file);
    let text = text.with_context(|| format!("cannot read `{}`", file.display()))?;
    let package: Value = serde_json::from_str(&text)
        .with_context(|| format!("expected JSON in `{}`", file.display()))?;
    let dependencies = package["dependencies"].as_object();
    Ok(dependencies.is_some_and(|all| !all.is_empty()))
}

/// Makes packages.
#[derive(Debug)]
pub(super) struct Workshop {
    /// The interpreter that runs the functions.
    pub python: PathBuf,
    /// For installed packages and builds, kept for later starts.
    pub folder: PathBuf,
}

impl Workshop {
    /// Checks the syntax of changed files of a function.
    ///
    /// # Errors
    ///
    /// When one is not valid.
    pub async fn check(&self, code: &Code, files: &[PathBuf]) -> Result<()> {
        syntax::check(code, &self.python, files).await
    }

    /// The package of an own function or a layer.
    pub async fn package(&self, code: &Code) -> Result<Package> {
        let mut folders = vec![];
        match code {
            Code::Bridge(binary) => bail!("the binary `{binary}` is built with the bridge"),
            Code::Rust { folder, binary } => {
                let target = self.folder.join("cargo");
                return pack(&build_own(folder, binary.as_deref(), &target).await?);
            }
            Code::Archive(path) => return archive(path),
            Code::Folder(folder) => folders.push((folder.clone(), "")),
            Code::Python(folder) => {
                folders.push((folder.clone(), ""));
                let installed = packages::python(folder, &self.python, &self.folder).await?;
                folders.extend(installed.map(|installed| (installed, "")));
            }
            Code::Node(folder) => {
                folders.push((folder.clone(), ""));
                if needs_npm(folder)? {
                    let installed = packages::node(folder, &self.folder).await?;
                    folders.push((installed.join("node_modules"), "node_modules/"));
                }
            }
        }
        let pack = move || {
            let folders: Vec<_> = folders
                .iter()
                .map(|(one, prefix)| (one.as_path(), *prefix))
                .collect();
            pack_folders(&folders)
        };
        tokio::task::spawn_blocking(pack).await?
    }
}

#[cfg(test)]
mod tests;
