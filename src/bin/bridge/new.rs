//! `bridge new`: a new workflow from an existing one.

use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Write};
use std::path::Path;

use anyhow::{Context, Result, bail};
use clap::Args;
use workflow_bridge::tools::console::Style;
use workflow_bridge::tools::local::workspace::Workspace;
use workflow_bridge::tools::scaffold::{Scaffold, scaffold};

const TEMPLATE: &str = "template.yaml";

/// The routes' part of a function's environment of 4 KB, beside its other variables.
const ROUTES_BYTES: usize = 3_100;

/// Make a workflow of your own from an existing one
///
/// Writes the state machine statemachines/NAME.asl.json, its piece of template.yaml and its route. The result deploys
/// at once and does the same as the original, on topics of its own.
#[derive(Args)]
#[command(
    after_help = "Examples:\n  cargo bridge new shout                            # a copy of uppercase\n  cargo bridge new orders --like express-enrich\n  cargo bridge new orders --dry-run\n\ndocs/workflows/README.md shows the purpose of each workflow. To undo it, delete the state machine, the piece in template.yaml and its line in `Routes`; or let git restore them."
)]
pub struct New {
    /// Its name: lower-case letters and digits, with `-` between words
    #[arg(value_name = "NAME")]
    name: String,

    /// The workflow to copy
    #[arg(long, value_name = "WORKFLOW", default_value = "uppercase")]
    like: String,

    /// Print the changes, and write nothing
    #[arg(long)]
    dry_run: bool,
}

impl New {
    pub fn run(self) -> Result<i32> {
        let workspace = Workspace::find()?;
        let root = workspace.root();
        let template = root.join(TEMPLATE);
        let text = read(&template, TEMPLATE)?;
        let made = scaffold(&text, &self.name, &self.like, |file| {
            read(&root.join(file), file)
        })
        .with_context(|| format!("`{TEMPLATE}` and the workflow `{}`", self.name))?;
        if let Some((file, _)) = &made.definition
            && root.join(file).try_exists()?
        {
            bail!(
                "expected a new name, found `{}`: there is a file `{file}` already; choose another",
                self.name
            );
        }
        let mut out = std::io::stdout().lock();
        if self.dry_run {
            return would_write(&mut out, &made);
        }
        write_all(root, &template, &made)?;
        self.explain(&mut out, &made)?;
        Ok(0)
    }

    fn explain(&self, out: &mut impl Write, made: &Scaffold) -> Result<()> {
        let style = Style::for_stdout();
        let name = &self.name;
        if let Some((file, _)) = &made.definition {
            writeln!(out, "  {} {file}", style.good("+"))?;
        }
        let routes = made.named.join(", ");
        writeln!(
            out,
            "  {} {TEMPLATE}: the piece `workflow: {name}`, and {routes} in `Routes`\n",
            style.good("+")
        )?;
        writeln!(
            out,
            "It deploys as it is:\n  {}",
            style.bold("cargo bridge local")
        )?;
        writeln!(out, "and in other terminals:")?;
        for topic in &made.outbound {
            writeln!(
                out,
                "  {}",
                style.bold(format_args!("cargo bridge tail {topic}"))
            )?;
        }
        if let Some(topic) = made.inbound.first() {
            writeln!(
                out,
                "  {}",
                style.bold(format_args!("cargo bridge publish {topic} hello"))
            )?;
        }
        match &made.definition {
            Some((file, _)) => writeln!(
                out,
                "\nThen make {file} do what you need; `cargo bridge draw {file}` shows it."
            )?,
            None => writeln!(
                out,
                "\nThen change the piece in {TEMPLATE} to what you need."
            )?,
        }
        writeln!(
            out,
            "The piece has the workflow's permissions, too: AWS enforces them, the local stack does not."
        )?;
        if made.routes_bytes > ROUTES_BYTES {
            writeln!(
                out,
                "\n{} all routes together have about {} bytes, and a function's environment ends at 4096 with all else in it: see the comment at `Routes` in {TEMPLATE}",
                style.bad("note:"),
                made.routes_bytes
            )?;
        }
        Ok(())
    }
}

fn read(path: &Path, shown: &str) -> Result<String> {
    fs::read_to_string(path).with_context(|| format!("cannot read `{shown}`"))
}

fn would_write(out: &mut impl Write, made: &Scaffold) -> Result<i32> {
    if let Some((file, text)) = &made.definition {
        writeln!(out, "# would write {file}:\n{text}")?;
    }
    writeln!(out, "# would add to {TEMPLATE}:\n{}", made.piece)?;
    writeln!(out, "# would name in `Routes`: {}", made.named.join(", "))?;
    Ok(0)
}

/// Writes the template last: it names the state machine. A failure removes the new file.
fn write_all(root: &Path, template: &Path, made: &Scaffold) -> Result<()> {
    if let Some((file, text)) = &made.definition {
        let path = root.join(file);
        let new = OpenOptions::new().write(true).create_new(true).open(&path);
        let mut new = match new {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                bail!("expected no file `{file}`, found one: choose another name")
            }
            new => new.with_context(|| format!("cannot create `{file}`"))?,
        };
        if let Err(error) = new.write_all(text.as_bytes()) {
            let _ = fs::remove_file(&path);
            return Err(error).with_context(|| format!("cannot write `{file}`"));
        }
    }
    let written = fs::write(template, &made.template);
    if let (Err(_), Some((file, _))) = (&written, &made.definition) {
        let _ = fs::remove_file(root.join(file));
    }
    written.with_context(|| format!("cannot write `{TEMPLATE}`"))
}
