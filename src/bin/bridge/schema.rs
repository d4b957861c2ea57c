//! `bridge schema`: the JSON Schema of the routes document.

use std::io::Write;

use anyhow::Result;
use clap::Args;
use workflow_bridge::tools::schema;

/// Print the JSON Schema of the routes document
///
/// The schema (draft 2020-12) is in docs/routes.schema.json as well. With it, an editor completes and explains keys and marks mistakes in a document; see docs/routes.md.
#[derive(Args)]
#[command(after_help = "Example:\n  cargo bridge schema > docs/routes.schema.json")]
pub struct Schema;

impl Schema {
    pub fn run(self) -> Result<i32> {
        let schema = serde_json::to_string_pretty(&schema::schema())?;
        writeln!(std::io::stdout(), "{schema}")?;
        Ok(0)
    }
}
