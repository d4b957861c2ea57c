//! `bridge draw`: pictures of state machines.

use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::Args;
use workflow_bridge::tools::drawing::{MARK, flowchart, placed};
use workflow_bridge::tools::local::workspace::Workspace;

/// Draw state machines into their pages
///
/// Draws each state machine as a Mermaid flowchart and writes it into docs/workflows/NAME.md, between the two lines
/// `<!-- drawing -->`. Prints the picture if there is no page; `--check` skips it then.
#[derive(Args)]
#[command(
    after_help = "Examples:\n  cargo bridge draw                                      # all of them\n  cargo bridge draw statemachines/uppercase.asl.json\n  cargo bridge draw --check                              # exit with 1 if any is outdated"
)]
pub struct Draw {
    /// Write nothing: name the pages with an outdated picture, and exit with 1 if there are any
    #[arg(long)]
    check: bool,

    /// State machines [default: statemachines/*.asl.json]
    #[arg(value_name = "FILE")]
    files: Vec<PathBuf>,
}

impl Draw {
    pub fn run(self) -> Result<i32> {
        let workspace = Workspace::find()?;
        let files = match self.files.is_empty() {
            true => all(&workspace.folder().join("statemachines"))?,
            false => self.files,
        };
        let mut out = std::io::stdout().lock();
        let mut stale = false;
        for file in &files {
            let shown = file
                .strip_prefix(workspace.folder())
                .unwrap_or(file)
                .display();
            let text =
                std::fs::read_to_string(file).with_context(|| format!("cannot read `{shown}`"))?;
            let drawn = flowchart(&text).with_context(|| format!("cannot draw `{shown}`"))?;
            let name = file.file_name().unwrap_or_default().to_string_lossy();
            let name = name.strip_suffix(".asl.json").unwrap_or(&name);
            let page = format!("docs/workflows/{name}.md");
            let path = workspace.folder().join(&page);
            let before = match std::fs::read_to_string(&path) {
                Ok(text) => text,
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                    if !self.check {
                        write!(out, "{drawn}")?;
                        eprintln!("(`{shown}` has no page `{page}` with the line `{MARK}` twice)");
                    }
                    continue;
                }
                Err(error) => return Err(error).with_context(|| format!("cannot read `{page}`")),
            };
            let after = placed(&before, &drawn).with_context(|| format!("`{page}`"))?;
            if after == before {
                continue;
            }
            if self.check {
                stale = true;
                writeln!(
                    out,
                    "{page}: expected the picture of {shown}, found another: run `cargo bridge draw`"
                )?;
            } else {
                std::fs::write(&path, after).with_context(|| format!("cannot write `{page}`"))?;
                writeln!(out, "drew {page}")?;
            }
        }
        Ok(i32::from(stale))
    }
}

/// The state machines of a folder, by name.
fn all(folder: &Path) -> Result<Vec<PathBuf>> {
    let read = || -> std::io::Result<Vec<PathBuf>> {
        let entries = std::fs::read_dir(folder)?;
        entries.map(|entry| Ok(entry?.path())).collect()
    };
    let mut files = read().with_context(|| format!("cannot list `{}`", folder.display()))?;
    files.retain(|file| file.to_string_lossy().ends_with(".asl.json"));
    files.sort();
    Ok(files)
}
