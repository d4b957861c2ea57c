//! The command line.

use std::path::PathBuf;

use clap::Parser;
use clap::builder::PossibleValuesParser;

use crate::subject::SUBJECTS;

#[derive(Parser)]
#[command(
    name = "lambda",
    about = "Lambda's figures: the shipped functions beside alternatives"
)]
pub struct Options {
    /// Cold starts of each subject in each place
    #[arg(long, value_name = "N", default_value = "40", default_value_if("quick", "true", "2"),
          value_parser = clap::value_parser!(u16).range(1..))]
    pub starts: u16,

    /// Invocations in each of seven runs; a tenth of it for large texts
    #[arg(long, value_name = "N", default_value = "2000", default_value_if("quick", "true", "300"),
          value_parser = clap::value_parser!(u32).range(20..))]
    pub invocations: u32,

    /// The subjects, or none, for `--before` alone; the ratios refer to `afternoon`, `afternoon-completion` and the ones on
    /// Node.js
    #[arg(long, value_name = "NAME,…", value_delimiter = ',', num_args = 0..,
          value_parser = PossibleValuesParser::new(names()), default_values = names())]
    pub only: Vec<String>,

    /// A webhook built before a change, to be measured as `before` in the same run
    #[arg(long, value_name = "BINARY")]
    pub before: Option<PathBuf>,

    /// Few starts and invocations, in one round: a check that everything works, not for figures
    #[arg(long)]
    pub quick: bool,

    /// Also write all figures to a file
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,

    /// Added by `cargo bench`
    #[arg(long, hide = true)]
    bench: bool,
}

fn names() -> [&'static str; 8] {
    SUBJECTS.map(|(name, _)| name)
}
