//! The command line.

use std::path::PathBuf;

use clap::Parser;

use crate::subject::Name;

/// Texts over this size are measured with a tenth of the invocations.
const LARGE: usize = 100_000;

#[derive(Parser)]
#[command(
    name = "lambda",
    about = "Lambda's figures: the shipped functions beside alternatives"
)]
pub struct Options {
    /// Cold starts of each subject in each place; 40 by default
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    starts: Option<u16>,

    /// Invocations in each of seven runs; a tenth of it for large texts; 2000 by default
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(20..))]
    invocations: Option<u32>,

    /// The subjects, or none, for `--before` alone; the ratios refer to `afternoon`, `afternoon-completion` and the ones on
    /// Node.js
    #[arg(long, value_name = "NAME,…", value_delimiter = ',', num_args = 0.., value_enum,
          default_values_t = Name::ALL)]
    pub only: Vec<Name>,

    /// A webhook built before a change, to be measured as `before` in the same run
    #[arg(long, value_name = "BINARY")]
    pub before: Option<PathBuf>,

    /// Few starts and invocations, in one round: a check that everything works, not for figures
    #[arg(long)]
    quick: bool,

    /// Also write all figures to a file
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,

    /// Keep callgrind's output of each subject and size, for `callgrind_annotate`, as SUBJECT-SIZE.callgrind; it has the
    /// functions' names if the binary has them, as one given with `--before` can
    #[arg(long, value_name = "FOLDER")]
    pub profile: Option<PathBuf>,

    /// Measure nothing, but compare the ratios in two files of `--json`, and fail beyond 15 %
    #[arg(long, value_name = "FILE", num_args = 2)]
    pub compare: Option<Vec<PathBuf>>,

    /// Added by `cargo bench`
    #[arg(long, hide = true)]
    bench: bool,
}

impl Options {
    pub fn starts(&self) -> usize {
        let default = if self.quick { 2 } else { 40 };
        self.starts.map_or(default, usize::from)
    }

    pub fn rounds(&self) -> usize {
        if self.quick { 1 } else { 7 }
    }

    pub fn invocations(&self, size: usize) -> usize {
        let default = if self.quick { 300 } else { 2000 };
        let all = self.invocations.unwrap_or(default) as usize;
        if size > LARGE { all / 10 } else { all }
    }

    /// The two numbers of invocations whose difference counts instructions.
    pub fn counted(&self, size: usize) -> [usize; 2] {
        match (self.quick, size > LARGE) {
            (true, _) => [20, 60],
            (false, true) => [10, 50],
            (false, false) => [50, 250],
        }
    }
}
