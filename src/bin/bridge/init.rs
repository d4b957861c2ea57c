//! `bridge init`: a project outside of the clone.

use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::Args;
use workflow_bridge::tools::local::workspace::{Workspace, is_crate};
use workflow_bridge::tools::scaffold::{Scaffold, Source, TEMPLATE, alias, project, scaffold};
use workflow_bridge::tools::terminal::Style;

use crate::new::{FunctionLanguage, write_files};

/// Make a project of your own, outside of the clone
///
/// Writes the folder DIR: the stack of a workflow as `new` makes it, a README and a .gitignore. Two more files, not for commits,
/// connect it with this clone, so that `cargo bridge` works there: .workflow-bridge/clone and .cargo/config.toml. In a folder that
/// has a template.yaml already, only these two are written.
#[derive(Args)]
#[command(
    after_help = "Examples:\n  cargo bridge init ../greet                       # a copy of uppercase\n  cargo bridge init ../orders --function python    # with a Lambda function\n  cargo bridge init ../orders --like order\n  cargo bridge init ../orders --dry-run\n\nThen, in the project: cargo bridge local"
)]
pub struct Init {
    /// A new or empty folder, or a project from another machine
    #[arg(value_name = "DIR")]
    dir: PathBuf,

    /// Name of its workflow: 1 to 32 letters, digits, `-` and `_` [default: the folder's]
    #[arg(long, value_name = "NAME")]
    name: Option<String>,

    /// The workflow to copy
    #[arg(long, value_name = "WORKFLOW", default_value = "uppercase")]
    like: String,

    /// Copy `enrich-with-lambda`, with its function in this language
    #[arg(long, value_name = "LANGUAGE", conflicts_with = "like")]
    function: Option<FunctionLanguage>,

    /// Print the files, and write nothing
    #[arg(long)]
    dry_run: bool,
}

impl Init {
    pub fn run(self) -> Result<i32> {
        let workspace = Workspace::find()?;
        let clone = workspace.root();
        let full = std::path::absolute(&self.dir).context("cannot find the current folder")?;
        let full = full.canonicalize().unwrap_or_else(|_| tidy(&full));
        let shown = self.dir.display();
        if full.ancestors().any(is_crate) {
            bail!(
                "expected a folder outside of the clone, found `{shown}`: `cargo bridge new NAME` makes a workflow in it"
            );
        }
        let made = match full.join(TEMPLATE).is_file() {
            true => None,
            false => Some(self.make(&full)?),
        };
        let files = made.as_ref().map_or(&[][..], |made| &made.files);
        let machine = connection(clone, &full)?;
        let mut out = std::io::stdout().lock();
        if self.dry_run {
            writeln!(out, "# in {}", full.display())?;
            for (file, text) in files.iter().chain(&machine) {
                writeln!(out, "# would write {file}:\n{text}")?;
            }
            return Ok(0);
        }
        write_files(&full, files)?;
        write_files(&full, &machine)?;
        let style = Style::for_stdout();
        writeln!(
            out,
            "In {}, with the clone {}:",
            full.display(),
            clone.display()
        )?;
        for (file, _) in files {
            writeln!(out, "  {} {file}", style.good("+"))?;
        }
        for (file, _) in &machine {
            writeln!(
                out,
                "  {} {file}  (for this machine, not for commits)",
                style.good("+")
            )?;
        }
        let mut commands = vec!["cargo bridge local".to_owned()];
        if let Some(made) = &made {
            let outbound = made.outbound.iter().take(1);
            commands.extend(outbound.map(|topic| format!("cargo bridge tail {topic}")));
            let inbound = made.inbound.iter().take(1);
            commands.extend(
                inbound.map(|topic| format!("cargo bridge publish {topic} {}", made.sample)),
            );
        }
        writeln!(out, "\nIn that folder, each in a terminal of its own:")?;
        for command in commands {
            writeln!(out, "  {}", style.bold(command))?;
        }
        Ok(0)
    }

    /// The files of a new project.
    fn make(&self, full: &Path) -> Result<Scaffold> {
        let shown = self.dir.display();
        let entries = std::fs::read_dir(full).into_iter().flatten().flatten();
        let mut names = entries.map(|entry| entry.file_name());
        if let Some(name) = names.find(|name| name != ".git") {
            bail!(
                "expected a new or empty folder, found `{}` in `{shown}`: choose another, or make the workflow inside of it with `cargo bridge new`",
                name.display()
            );
        }
        let name = match &self.name {
            Some(name) => name.clone(),
            None => full
                .file_name()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned(),
        };
        let source = match self.function {
            Some(language) => language.source(),
            None => Source::Like(&self.like),
        };
        let made = scaffold(&name, source);
        let made = made.with_context(|| {
            format!("cannot make the workflow of `{shown}` (`--name` gives it another name)")
        })?;
        Ok(project(&name, made))
    }
}

/// The files that connect a project with a clone on this machine.
fn connection(clone: &Path, full: &Path) -> Result<Vec<(String, String)>> {
    let file = ".cargo/config.toml";
    let (before, after) = (std::fs::read_to_string(full.join(file)), alias(clone));
    // One of another clone gives way.
    let beginning = after.lines().next().unwrap_or_default();
    if before.is_ok_and(|before| !before.starts_with(beginning)) {
        bail!(
            "expected no `{file}` in the project, or one made by `init`, found another: move it, and add its content afterwards"
        );
    }
    let clone = format!("{}\n", clone.display());
    Ok(vec![
        (Workspace::CONNECTION.to_owned(), clone),
        (file.to_owned(), after),
    ])
}

/// An absolute path of a folder to make, with `..` resolved.
fn tidy(path: &Path) -> PathBuf {
    let mut tidy = PathBuf::new();
    for part in path.components() {
        match part {
            std::path::Component::ParentDir => {
                tidy.pop();
            }
            part => tidy.push(part),
        }
    }
    tidy
}
