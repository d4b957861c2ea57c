//! The command line.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser};

use crate::child::Child;
use crate::subject::Subject;

#[derive(Parser)]
#[command(
    name = "relay",
    about = "The cost of subscribing to topics, over gRPC and by long-poll, and of the relay"
)]
pub struct Cli {
    #[command(flatten)]
    pub options: Options,

    #[command(subcommand)]
    pub child: Option<Child>,
}

#[derive(Args)]
pub struct Options {
    /// Numbers of topics, one set of runs for each
    #[arg(long, value_name = "N,…", value_delimiter = ',', default_value = "1,100,1000",
          value_parser = clap::value_parser!(u16).range(1..=5_000))]
    pub topics: Vec<u16>,

    /// The subjects; the ratios refer to `grpc`
    #[arg(long, value_name = "NAME,…", value_delimiter = ',', value_enum,
          default_values_t = Subject::ALL)]
    pub subjects: Vec<Subject>,

    /// One round and short runs: a check that everything works, not for figures
    #[arg(long)]
    quick: bool,

    /// Also write all figures to a file
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,

    /// Added by `cargo bench`
    #[arg(long, hide = true)]
    bench: bool,
}

impl Options {
    pub fn rounds(&self) -> usize {
        if self.quick { 1 } else { 3 }
    }

    pub fn effort(&self) -> Effort {
        match self.quick {
            true => Effort {
                paced: Duration::from_secs(1),
                full: Duration::from_secs(1),
                most: 20_000,
            },
            false => Effort {
                paced: Duration::from_secs(4),
                full: Duration::from_secs(4),
                most: 1_000_000,
            },
        }
    }
}

/// Length of a run.
#[derive(Clone, Copy)]
pub struct Effort {
    /// Publishing at a low rate.
    pub paced: Duration,
    /// Publishing as fast as the subject reads, at most.
    pub full: Duration,
    /// Messages published at full speed, at most.
    pub most: u64,
}
