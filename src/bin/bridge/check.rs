//! `bridge check`: finds mistakes in templates before they are deployed, and in a deployed stack.

use std::io::Write;
use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::Args;
use workflow_bridge::adapters::aws::routes_table::RoutesTable;
use workflow_bridge::adapters::aws::ssm::load_routes;
use workflow_bridge::config::RoutesSource;
use workflow_bridge::domain::inbound::routes::Routes;
use workflow_bridge::tools::check::deployed::{self, Question, Sources, StepFunctionsMachines};
use workflow_bridge::tools::check::{Report, Severity, check_all, shown, to_json};
use workflow_bridge::tools::place::Place;
use workflow_bridge::tools::template::{STACK, bridge_of};
use workflow_bridge::tools::terminal::{Progress, Style};

use crate::place::Where;

const TEMPLATE: &str = "template.yaml";

/// Find mistakes in templates before they are deployed, and in a deployed stack
///
/// Checks the template of a bridge or of a workflow's stack, its routes and its state machines, as far as possible without an account. Prints one line per finding: file, line, column, code, expected, found and remedy. Compares several templates with each other. Takes a bare routes document, too: a JSON file with `routes`. With `--stack`, checks a deployed bridge: refused routes, missing state machines, open executions of removed workflows.
#[derive(Args)]
#[command(
    after_help = "Examples:\n  cargo bridge check                    # template.yaml of this folder\n  cargo bridge check template.yaml examples/*/template.yaml\n  cargo bridge check routes.json        # a routes document by itself\n  cargo bridge check --json | jq -r '.findings[].code'\n  AWS_REGION=eu-west-1 cargo bridge check --stack workflow-bridge\n\nThe exit code is 1 when there is an error, and 0 with warnings alone. Parameters have their defaults; values that depend on one without a default are not judged. docs/check.md explains each code.\n\nOn AWS, region and credentials come from the environment (AWS_REGION, AWS_ACCESS_KEY_ID, …) or from a profile with plain keys; for every other way to sign in:\n  eval \"$(aws configure export-credentials --format env)\"\n\n`--stack` needs: cloudformation:DescribeStacks; ssm:GetParameter on the routes; dynamodb:GetItem on the ledger; states:ListStateMachines, states:DescribeStateMachine and states:ListExecutions. It changes nothing."
)]
pub struct Check {
    /// Print the findings as JSON
    #[arg(long)]
    json: bool,

    /// Check this deployed CloudFormation stack of a bridge instead of files
    #[arg(
        long,
        visible_alias = "stack-name",
        value_name = "NAME",
        conflicts_with_all = ["local", "files"]
    )]
    stack: Option<String>,

    /// Check the running local stack instead of files
    #[arg(long, conflicts_with = "files")]
    local: bool,

    /// Templates, in YAML or JSON, their folders, or routes documents [default: template.yaml]
    #[arg(value_name = "FILE")]
    files: Vec<PathBuf>,
}

impl Check {
    pub async fn run(self) -> Result<i32> {
        if self.stack.is_some() || self.local {
            return self.deployed().await;
        }
        let files = match self.files.as_slice() {
            [] => vec![PathBuf::from(TEMPLATE)],
            files => files.to_vec(),
        };
        let in_folder = |file: PathBuf| match file.is_dir() {
            true => file.join(TEMPLATE),
            false => file,
        };
        let files: Vec<_> = files.into_iter().map(in_folder).collect();
        let reports = check_all(&files);
        let mut out = std::io::stdout().lock();
        if self.json {
            writeln!(out, "{:#}", to_json(&reports))?;
        } else {
            write!(out, "{}", shown(&reports, Style::for_stdout()))?;
        }
        let is_wrong = |report: &Report| report.count(Severity::Error) > 0;
        Ok(i32::from(reports.iter().any(is_wrong)))
    }

    async fn deployed(self) -> Result<i32> {
        let place = Where::of(self.stack).find().await?;
        let table = place.outputs.get("LedgerTableName").with_context(|| {
            format!(
                "expected an output `LedgerTableName` at {}, found none: name the stack of a bridge, and deploy this version's template.yaml",
                place.name
            )
        })?;
        let progress = Progress::unless(self.json);
        let step = progress.step(&format!("checking {}", place.name));
        let table = RoutesTable::new(&place.config, table.clone());
        let machines = StepFunctionsMachines::new(&place.config);
        let sources = Sources {
            table: &table,
            machines: &machines,
        };
        let question = Question {
            place: &place.name,
            stack: &stack_name(&place),
            base: base(&place).await,
        };
        let report = deployed::check(question, sources).await;
        drop(step);
        let mut out = std::io::stdout().lock();
        if self.json {
            writeln!(out, "{:#}", report.to_json())?;
        } else {
            write!(out, "{}", report.shown(Style::for_stdout()))?;
        }
        Ok(i32::from(report.count(Severity::Error) > 0))
    }
}

/// The stack's name: of the local stack, the one in the path of its routes.
fn stack_name(place: &Place) -> String {
    let path = place.outputs.get("RoutesPath");
    let bridge = path.and_then(|path| {
        let name = format!("{path}name");
        bridge_of(&name).map(str::to_owned)
    });
    let name = place.stack_name.clone().or(bridge);
    name.unwrap_or_else(|| STACK.to_owned())
}

/// The routes of the stack's own template.
async fn base(place: &Place) -> Result<Routes, String> {
    let parameter = place.outputs.get("RoutesParameter");
    let parameter = parameter.ok_or("no output `RoutesParameter`")?;
    let source = RoutesSource::Parameter(parameter.clone());
    let routes = load_routes(&source, &place.config).await;
    routes.map_err(|error| error.to_string())
}
