//! `bridge new`: the stack of a new workflow.

use std::fs;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::{Args, ValueEnum};
use workflow_bridge::domain::inbound::arn::unqualified;
use workflow_bridge::tools::scaffold::{
    BRIDGE, Language, Scaffold, Source, TEMPLATE, deployment, scaffold,
};
use workflow_bridge::tools::terminal::Style;

/// Make the stack of a workflow of your own
///
/// Writes the folder NAME, in the folder that it is started in: template.yaml with the workflow, its permissions and its
/// route, and its definition. The result deploys at once and does the same as the original, on topics of its own.
#[derive(Args)]
#[command(
    after_help = "Examples:\n  cargo bridge new shout                            # a copy of uppercase\n  cargo bridge new orders --like order\n  cargo bridge new orders --dir workflows           # makes workflows/orders\n  cargo bridge new orders --arn arn:aws:states:eu-west-1:123456789012:stateMachine:Orders\n  cargo bridge new orders --function python        # with a Lambda function\n  cargo bridge new orders --dry-run\n\ndocs/workflows/README.md shows the purpose of each workflow. `cargo bridge remove NAME` undoes it; `cargo bridge init DIR` makes a project outside of the clone."
)]
pub struct New {
    /// Its name: 1 to 32 letters, digits, `-` and `_`
    #[arg(value_name = "NAME")]
    name: String,

    /// The workflow to copy
    #[arg(long, value_name = "WORKFLOW", default_value = "uppercase")]
    like: String,

    /// Copy `enrich-with-lambda`, with its function in this language
    #[arg(long, value_name = "LANGUAGE", conflicts_with = "like")]
    function: Option<FunctionLanguage>,

    /// Make a route to this existing state machine, version or alias instead
    #[arg(long, value_name = "ARN", conflicts_with_all = ["like", "function"])]
    arn: Option<String>,

    /// Folder to make NAME in, at or below the current one
    #[arg(long, value_name = "DIR", default_value = ".")]
    dir: PathBuf,

    /// Print the files, and write nothing
    #[arg(long)]
    dry_run: bool,
}

/// The language of a function.
#[derive(Clone, Copy, ValueEnum)]
pub enum FunctionLanguage {
    Python,
    Node,
}

impl FunctionLanguage {
    pub fn source(self) -> Source<'static> {
        Source::Function(match self {
            Self::Python => Language::Python,
            Self::Node => Language::Node,
        })
    }
}

impl New {
    pub fn run(self) -> Result<i32> {
        let source = match (&self.arn, self.function) {
            (Some(arn), _) => Source::Existing(arn),
            (None, Some(language)) => language.source(),
            (None, None) => Source::Like(&self.like),
        };
        let made = scaffold(&self.name, source)?;
        let here = std::env::current_dir().and_then(|here| here.canonicalize());
        let here = here.context("cannot find the current folder")?;
        let folder = below(&here, &self.dir)?.join(&self.name);
        let mut out = std::io::stdout().lock();
        if self.dry_run {
            writeln!(out, "# in {}", here.display())?;
            for (file, text) in &made.files {
                writeln!(out, "# would write {}/{file}:\n{text}", folder.display())?;
            }
            return Ok(0);
        }
        write_all(&folder, &made)?;
        writeln!(out, "In {}:", here.display())?;
        self.explain(&mut out, &folder.display().to_string(), &made)?;
        Ok(0)
    }

    /// Prints the files in `folder`, and the next commands.
    fn explain(&self, out: &mut impl Write, folder: &str, made: &Scaffold) -> Result<()> {
        let style = Style::for_stdout();
        for (file, _) in &made.files {
            writeln!(out, "  {} {folder}/{file}", style.good("+"))?;
        }
        if self.arn.is_none() {
            let file = made.definition().unwrap_or(TEMPLATE);
            writeln!(out, "\nEdit {folder}/{file}, then check it:")?;
            let check = format_args!("cargo bridge check {folder}/{TEMPLATE}");
            writeln!(out, "  {}", style.bold(check))?;
            let mut commands = vec![format!("local --with {folder}")];
            let outbound = made.outbound.iter();
            commands.extend(outbound.map(|topic| format!("tail {topic}")));
            let inbound = made.inbound.first();
            commands.extend(inbound.map(|topic| format!("publish {topic} {}", made.sample)));
            writeln!(
                out,
                "\nOn this machine, each in a terminal of its own, in a clone of workflow-bridge:"
            )?;
            for command in commands {
                let command = style.bold(format_args!("cargo bridge {command}"));
                writeln!(out, "  {command}")?;
            }
        }
        writeln!(
            out,
            "\nOn AWS, beside a bridge whose stack is `{BRIDGE}` (`--parameter-overrides Bridge=STACK` for another):\n  {}",
            style.bold(deployment(folder, &self.name))
        )?;
        match &self.arn {
            Some(arn) => outside(out, unqualified(arn)),
            None => Ok(()),
        }
    }
}

/// `dir` relative to `here`, which it lies in.
pub fn below(here: &Path, dir: &Path) -> Result<PathBuf> {
    let shown = dir.display();
    let full = here.join(dir).canonicalize();
    let full = full.with_context(|| {
        format!("expected an existing folder for `--dir`, found `{shown}`: make it first")
    })?;
    match full.strip_prefix(here) {
        Ok(below) => Ok(below.to_owned()),
        Err(_) => bail!(
            "expected a folder in `{}` for `--dir`, found `{shown}`: start the command in a folder above it",
            here.display()
        ),
    }
}

/// What the bridge's stack needs for a state machine without its prefix.
fn outside(out: &mut impl Write, machine: &str) -> Result<()> {
    let name = machine.rsplit(':').next().unwrap_or_default();
    if name.starts_with(&format!("{BRIDGE}_")) {
        return Ok(());
    }
    let executions = machine.replacen(":stateMachine:", ":execution:", 1);
    writeln!(
        out,
        r#"
The bridge has permissions and a rule only for state machines named `<its stack>_…`. For this one, add to the bridge's
template.yaml, as statements of the roles:

  # WebhookRole and RedriveRole
  - {{Effect: Allow, Action: states:StartExecution, Resource: "{machine}"}}
  # CompletionRole
  - {{Effect: Allow, Action: states:DescribeExecution, Resource: "{executions}:*"}}
  # SweepRole
  - {{Effect: Allow, Action: states:ListExecutions, Resource: "{machine}"}}
  - {{Effect: Allow, Action: states:DescribeExecution, Resource: "{executions}:*"}}

and in the rule WorkflowEnds, to the list at stateMachineArn:

  "{machine}""#
    )?;
    Ok(())
}

/// Writes all files into a new folder. A failure removes it.
fn write_all(folder: &Path, made: &Scaffold) -> Result<()> {
    let shown = folder.display();
    match fs::create_dir(folder) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            bail!("expected no `{shown}` in this folder, found one: choose another name")
        }
        made => made.with_context(|| format!("cannot create `{shown}`"))?,
    }
    write_files(folder, &made.files).inspect_err(|_| {
        let _ = fs::remove_dir_all(folder);
    })
}

/// Writes files into a folder, and the folders in their names.
pub fn write_files(folder: &Path, files: &[(String, String)]) -> Result<()> {
    for (file, text) in files {
        let path = folder.join(file);
        let made = path.parent().map_or(Ok(()), fs::create_dir_all);
        made.and_then(|()| fs::write(&path, text))
            .with_context(|| format!("cannot write `{}`", path.display()))?;
    }
    Ok(())
}
