//! The measured programs.

use std::fmt;
use std::path::PathBuf;

use clap::ValueEnum;
use serde::Serialize;
use tokio::process::Command;

/// The sizes of the texts, in bytes.
pub const SMALL: usize = 200;
pub const MIDDLE: usize = 4_000;
pub const LARGE: usize = 200_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Name {
    Webhook,
    /// The same, with a hundred routes of other stacks.
    WebhookCollected,
    /// A webhook built before a change.
    #[value(skip)]
    Before,
    Floor,
    Afternoon,
    Node,
    Completion,
    AfternoonCompletion,
    NodeCompletion,
}

impl Name {
    pub const ALL: [Self; 8] = [
        Self::Webhook,
        Self::WebhookCollected,
        Self::Floor,
        Self::Afternoon,
        Self::Node,
        Self::Completion,
        Self::AfternoonCompletion,
        Self::NodeCompletion,
    ];

    pub fn job(self) -> Job {
        match self {
            Self::Floor => Job::Nothing,
            Self::Webhook
            | Self::WebhookCollected
            | Self::Before
            | Self::Afternoon
            | Self::Node => Job::Start,
            Self::Completion | Self::AfternoonCompletion | Self::NodeCompletion => Job::Publish,
        }
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = self.to_possible_value();
        f.pad(value.as_ref().map_or("before", |value| value.get_name()))
    }
}

/// A subject's work on an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Job {
    Nothing,
    /// Verifies a message and starts an execution.
    Start,
    /// Publishes a value.
    Publish,
}

/// One program, ready to run.
#[derive(Clone, Debug, Serialize)]
pub struct Subject {
    pub name: Name,
    #[serde(skip)]
    pub program: PathBuf,
    /// The script, if the program is an interpreter.
    #[serde(skip)]
    pub script: Option<PathBuf>,
    /// Size of the deployed file: the binary, or the bundle without Node.js.
    pub bytes: u64,
}

impl Subject {
    pub fn sizes(&self) -> &'static [usize] {
        match self.name.job() {
            // A topic message has at most 4,096 bytes.
            Job::Publish => &[SMALL, MIDDLE],
            Job::Start | Job::Nothing => &[SMALL, MIDDLE, LARGE],
        }
    }

    /// The program under `wrapper`, if any.
    pub fn command(&self, wrapper: &[String]) -> Command {
        let mut command = match wrapper {
            [] => Command::new(&self.program),
            [program, arguments @ ..] => {
                let mut command = Command::new(program);
                command.args(arguments).arg(&self.program);
                command
            }
        };
        command.args(&self.script);
        command
    }
}
