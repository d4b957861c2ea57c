//! `bridge new`: the stack of a new workflow.

use std::fs;
use std::io::{ErrorKind, Write};
use std::path::Path;

use anyhow::{Context, Result, bail};
use clap::Args;
use workflow_bridge::tools::console::Style;
use workflow_bridge::tools::scaffold::{Scaffold, Source, TEMPLATE, scaffold};

/// Make the stack of a workflow of your own
///
/// Writes the folder NAME, in the folder that it is started in: template.yaml with the workflow, its permissions and its
/// route, and its definition. The result deploys at once and does the same as the original, on topics of its own.
#[derive(Args)]
#[command(
    after_help = "Examples:\n  cargo bridge new shout                            # a copy of uppercase\n  cargo bridge new orders --like order\n  cargo bridge new orders --arn arn:aws:states:eu-west-1:123456789012:stateMachine:Orders\n  cargo bridge new orders --dry-run\n\ndocs/workflows/README.md shows the purpose of each workflow. To undo it, delete the folder."
)]
pub struct New {
    /// Its name: lower-case letters and digits, with `-` between words
    #[arg(value_name = "NAME")]
    name: String,

    /// The workflow to copy
    #[arg(long, value_name = "WORKFLOW", default_value = "uppercase")]
    like: String,

    /// Make a route to this existing state machine, version or alias instead
    #[arg(long, value_name = "ARN", conflicts_with = "like")]
    arn: Option<String>,

    /// Print the files, and write nothing
    #[arg(long)]
    dry_run: bool,
}

impl New {
    pub fn run(self) -> Result<i32> {
        let source = match &self.arn {
            Some(arn) => Source::Existing(arn),
            None => Source::Like(&self.like),
        };
        let made = scaffold(&self.name, source)?;
        let mut out = std::io::stdout().lock();
        if self.dry_run {
            for (file, text) in &made.files {
                writeln!(out, "# would write {}/{file}:\n{text}", self.name)?;
            }
            return Ok(0);
        }
        write_all(Path::new(&self.name), &made)?;
        self.explain(&mut out, &made)?;
        Ok(0)
    }

    fn explain(&self, out: &mut impl Write, made: &Scaffold) -> Result<()> {
        let style = Style::for_stdout();
        let name = &self.name;
        for (file, _) in &made.files {
            writeln!(out, "  {} {name}/{file}", style.good("+"))?;
        }
        let mut command = |text: String| writeln!(out, "  {}", style.bold(text));
        if self.arn.is_none() {
            command(String::new())?;
            command(format!("cargo bridge local --with {name}"))?;
            for topic in &made.outbound {
                command(format!("cargo bridge tail {topic}"))?;
            }
            if let Some(topic) = made.inbound.first() {
                command(format!("cargo bridge publish {topic} hello"))?;
            }
        }
        writeln!(
            out,
            "\nBeside a bridge on AWS, whose stack is `workflow-bridge`:"
        )?;
        let deploy = [
            format!("sam build -t {name}/{TEMPLATE}"),
            format!(
                "sam deploy --stack-name workflow-bridge-{name} --resolve-s3 --capabilities CAPABILITY_IAM CAPABILITY_AUTO_EXPAND"
            ),
        ];
        for text in deploy {
            writeln!(out, "  {}", style.bold(text))?;
        }
        match (made.definition(), &self.arn) {
            (Some(file), _) => writeln!(
                out,
                "\nThen make {name}/{file} do what you need; `cargo bridge draw {name}/{file}` shows it."
            )?,
            (None, None) => writeln!(out, "\nThen change {name}/{TEMPLATE} to what you need.")?,
            (None, Some(arn)) => outside(out, arn)?,
        }
        Ok(())
    }
}

/// What the bridge's stack needs for a state machine without its prefix.
fn outside(out: &mut impl Write, arn: &str) -> Result<()> {
    let machine = arn.split(':').take(7).collect::<Vec<_>>().join(":");
    let executions = machine.replacen(":stateMachine:", ":execution:", 1);
    writeln!(
        out,
        "\nUnless the state machine's name begins with the bridge's stack and `_`, add to template.yaml:\n\
         - WebhookRole, RedriveRole: states:StartExecution on {machine}\n\
         - CompletionRole: states:DescribeExecution on {executions}:*\n\
         - SweepRole: states:ListExecutions on {machine}\n\
         - the rule WorkflowEnds, at stateMachineArn: {machine}"
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
    for (file, text) in &made.files {
        if let Err(error) = fs::write(folder.join(file), text) {
            let _ = fs::remove_dir_all(folder);
            return Err(error).with_context(|| format!("cannot write `{shown}/{file}`"));
        }
    }
    Ok(())
}
