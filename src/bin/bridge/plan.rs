//! `bridge plan`: what a number of messages needs and costs.

use std::io::Write;

use anyhow::{Context, Result};
use clap::{Args, ValueEnum};
use workflow_bridge::plan::{self, Architecture, Question, RegionClass};

/// How wide the output is where nobody looks at it.
const COLUMNS: usize = 120;

/// Say which quotas a number of messages meets, in which order, and what it costs
///
/// Arithmetic only: nothing is asked of AWS or of Momento. docs/scaling.md has the model and the sources of its numbers.
#[derive(Args)]
#[command(
    after_help = "Examples:\n  cargo bridge plan --messages-per-day 1000000 --transitions 3\n  cargo bridge plan --messages-per-second 50 --transitions 8 --peak 10 --region eu-central-1\n  cargo bridge plan --messages-per-day 1e9 --express --workflow-seconds 0.5 --json"
)]
pub struct Plan {
    #[command(flatten)]
    rate: Rate,

    /// State transitions of an execution: the states it enters, retries included
    #[arg(long, value_name = "T", default_value_t = 3)]
    transitions: u32,

    /// The busiest second's messages, as a multiple of the mean
    #[arg(long, value_name = "RATIO", default_value_t = 3.0)]
    peak: f64,

    /// Bytes of a message's text
    #[arg(long, value_name = "BYTES", default_value_t = 200)]
    text_bytes: u32,

    /// Bytes of a workflow's result
    #[arg(long, value_name = "BYTES", default_value_t = 200)]
    result_bytes: u32,

    /// Subscribers of each reply topic
    #[arg(long, value_name = "COUNT", default_value_t = 1)]
    subscribers: u32,

    /// Routes with results: each has metrics of its own
    #[arg(long, value_name = "COUNT", default_value_t = 1)]
    routes: u32,

    /// How long a workflow runs, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 1.0)]
    workflow_seconds: f64,

    /// EXPRESS state machines, which answer with a `Topic Publish` event, instead of STANDARD ones
    #[arg(long)]
    express: bool,

    /// Region, for its quotas (prices are those of us-east-1) [default: us-east-1]
    #[arg(long, value_name = "NAME", conflicts_with = "region_class")]
    region: Option<String>,

    /// Size of a region's quotas: `large` is us-east-1, us-west-2 and eu-west-1
    #[arg(long, value_name = "CLASS")]
    region_class: Option<Class>,

    /// Processor of the functions
    #[arg(long, value_name = "NAME", default_value = "arm64")]
    architecture: Processor,

    /// Memory of each function in MB
    #[arg(long, value_name = "MB", default_value_t = 128)]
    memory_mb: u32,

    /// Billed for an invocation of the webhook, in ms; the default was measured in the local stack (docs/scaling.md): put your own `Duration` here
    #[arg(long, value_name = "MS", default_value_t = plan::model::WEBHOOK_MS)]
    webhook_ms: f64,

    /// Billed for an invocation of the completion with ten results, in ms; from the same measurement
    #[arg(long, value_name = "MS", default_value_t = plan::model::COMPLETION_MS)]
    completion_ms: f64,

    /// Take off what AWS gives for nothing each month
    #[arg(long)]
    free_tier: bool,

    /// Print everything as JSON, each number with its source
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
#[group(required = true, multiple = false)]
struct Rate {
    /// Messages a second, in the mean of a month
    #[arg(long, value_name = "N")]
    messages_per_second: Option<f64>,

    /// The same by the day: 1000000, or 1e9
    #[arg(long, value_name = "N")]
    messages_per_day: Option<f64>,
}

#[derive(Clone, Copy, ValueEnum)]
enum Class {
    Large,
    Other,
}

#[derive(Clone, Copy, ValueEnum)]
enum Processor {
    Arm64,
    #[value(name = "x86_64")]
    X86,
}

impl Plan {
    pub fn run(self) -> Result<i32> {
        let a_day = self.rate.messages_per_day.map(|day| day / 86_400.0);
        let rate = self.rate.messages_per_second.or(a_day).unwrap_or_default();
        let region = match (self.region_class, &self.region) {
            (Some(Class::Large), _) | (None, None) => RegionClass::Large,
            (Some(Class::Other), _) => RegionClass::Other,
            (None, Some(region)) => RegionClass::of(region).with_context(|| {
                format!("expected a region such as `eu-central-1`, found `{region}`")
            })?,
        };
        let plan = plan::plan(Question {
            peak: self.peak,
            transitions: self.transitions,
            text_bytes: self.text_bytes,
            result_bytes: self.result_bytes,
            subscribers: self.subscribers,
            routes: self.routes,
            region,
            architecture: match self.architecture {
                Processor::Arm64 => Architecture::Arm64,
                Processor::X86 => Architecture::X86,
            },
            memory_mb: self.memory_mb,
            webhook_ms: self.webhook_ms,
            completion_ms: self.completion_ms,
            workflow_seconds: self.workflow_seconds,
            express: self.express,
            free_tier: self.free_tier,
            ..Question::new(rate)
        })?;
        let mut out = std::io::stdout();
        if self.json {
            writeln!(out, "{}", serde_json::to_string_pretty(&plan)?)?;
        } else {
            let terminal = terminal_size::terminal_size_of(&out);
            let columns = terminal.map_or(COLUMNS, |(width, _)| width.0.into());
            write!(out, "{}", plan.text(columns))?;
        }
        Ok(0)
    }
}
