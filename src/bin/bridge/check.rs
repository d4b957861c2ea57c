//! `bridge check`: finds mistakes in a template before it is deployed.

use std::io::Write;
use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use workflow_bridge::tools::check::{Severity, check};
use workflow_bridge::tools::console::Style;

/// Find mistakes in a template before it is deployed
///
/// Checks the template, its routes and its state machines, as far as possible without an account. Prints one line per finding:
/// file, line, column, code, expected, found and remedy. Takes a bare routes document, too: a JSON file with `routes`.
#[derive(Args)]
#[command(
    after_help = "Examples:\n  cargo bridge check                    # template.yaml of this folder\n  cargo bridge check my/template.yaml\n  cargo bridge check routes.json        # a routes document by itself\n  cargo bridge check --json | jq -r '.findings[].code'\n\nThe exit code is 1 when there is an error, and 0 with warnings alone. Parameters have their defaults; values that depend on one without a default are not judged. docs/check.md explains each code."
)]
pub struct Check {
    /// Print the findings as JSON
    #[arg(long)]
    json: bool,

    /// Template, in YAML or JSON, or routes document
    #[arg(value_name = "FILE", default_value = "template.yaml")]
    file: PathBuf,
}

impl Check {
    pub fn run(self) -> Result<i32> {
        let report = check(&self.file);
        let mut out = std::io::stdout().lock();
        if self.json {
            writeln!(out, "{:#}", report.to_json())?;
        } else {
            write!(out, "{}", report.shown(Style::for_stdout()))?;
        }
        Ok(i32::from(report.count(Severity::Error) > 0))
    }
}
