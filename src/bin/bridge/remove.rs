//! `bridge remove`: the folder of a workflow goes.

use std::io::Write;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use clap::Args;
use workflow_bridge::tools::scaffold::{Left, removal};
use workflow_bridge::tools::terminal::Style;

use crate::new::below;

/// Remove the files that `new` made
///
/// Removes the files of the folder NAME that `cargo bridge new NAME` wrote, and the folder once it is empty. Changed files are
/// an error, and nothing is removed then. Stacks on AWS stay: `sam delete` removes them.
#[derive(Args)]
#[command(
    after_help = "Examples:\n  cargo bridge remove shout\n  cargo bridge remove orders --dir workflows\n  cargo bridge remove shout --dry-run\n  cargo bridge remove shout --force      # changed files, too"
)]
pub struct Remove {
    /// The name given to `new`
    #[arg(value_name = "NAME")]
    name: String,

    /// Folder that has NAME, at or below the current one
    #[arg(long, value_name = "DIR", default_value = ".")]
    dir: PathBuf,

    /// Remove changed files, too
    #[arg(long)]
    force: bool,

    /// Print the names of the files, and remove nothing
    #[arg(long)]
    dry_run: bool,
}

impl Remove {
    pub fn run(self) -> Result<i32> {
        let here = std::env::current_dir().and_then(|here| here.canonicalize());
        let here = here.context("cannot find the current folder")?;
        let folder = below(&here, &self.dir)?.join(&self.name);
        let shown = folder.display();
        if folder.is_symlink() {
            bail!("expected a folder `{shown}`, found a symbolic link: remove it yourself");
        }
        let removal = removal(&self.name, &folder)?;
        if !removal.changed.is_empty() && !self.force {
            bail!(
                "expected the files in `{shown}` as `new` wrote them, found changes in `{}`: keep them, or pass `--force`",
                removal.changed.join("`, `")
            );
        }
        let mut out = std::io::stdout().lock();
        let style = Style::for_stdout();
        if self.dry_run {
            writeln!(out, "# in {}", here.display())?;
            for file in removal.files() {
                writeln!(out, "# would remove {shown}/{file}")?;
            }
        } else {
            let left = removal.run(&folder)?;
            writeln!(out, "In {}:", here.display())?;
            for file in removal.files() {
                writeln!(out, "  {} {shown}/{file}", style.bad("-"))?;
            }
            if left == Left::Nothing {
                writeln!(out, "  {} {shown}", style.bad("-"))?;
            }
        }
        for file in &removal.others {
            writeln!(out, "  {shown}/{file} stays: `new` did not write it")?;
        }
        Ok(0)
    }
}
