//! Live edits: a running stack follows its files.
//!
//! `files` sees changed files, those of functions in Python and Node.js included; `source` checks and reads them; `change` finds the difference to the deployed template.
//! CloudFormation updates a stack: it knows the values of substitutions, changes a definition with UpdateStateMachine and
//! takes everything back when one resource fails. An edit with a new error is not deployed.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use serde_json::Value;
use tokio::sync::{mpsc, watch};
use tokio::task::{JoinSet, spawn_blocking};

use super::stack::{Stack, Workflow};
use crate::tools::check::Report;
use crate::tools::terminal::Progress;

mod change;
mod files;
mod follower;
mod looks;
mod source;

use files::Stamps;
use follower::Follower;
use source::Source;

/// The age of collected routes after which functions read them again.
const ROUTES_TTL: Duration = Duration::from_secs(1);
/// What to watch.
#[derive(Clone, Debug)]
pub struct Watched {
    /// The template of the bridge.
    pub template: PathBuf,
    /// The directories of workflows.
    pub with: Vec<PathBuf>,
    /// The change to the bridge's template with which the stack was started.
    pub edit: fn(&mut Value) -> Result<()>,
    /// The crate of the functions.
    pub root: PathBuf,
    /// Whether changed Rust code is built and swapped without a request.
    pub code: bool,
    pub progress: Progress,
}

/// The result of one edit on one stack.
#[derive(Clone, Debug)]
pub struct Edited {
    /// None where it concerns all stacks.
    pub stack: Option<String>,
    /// The changed files or functions, by name.
    pub files: String,
    pub outcome: Outcome,
    /// Since the change was seen.
    pub took: Duration,
    /// The findings of `bridge check`, where there are some, or were some before.
    pub report: Option<Report>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// In use now: the changed parts in words.
    Live(String),
    /// Without an effect on the stack.
    Nothing,
    /// Not deployed, for this number of new errors.
    Refused(usize),
    /// Not deployed, or not in use, for this reason.
    Failed(String),
}

/// Lets functions read collected routes again that are a second old, so that an edited route is in use soon.
pub fn read_routes_often(template: &mut Value) -> Result<()> {
    let variables = template.pointer_mut("/Globals/Function/Environment/Variables");
    if let Some(variables) = variables.and_then(Value::as_object_mut) {
        let seconds = ROUTES_TTL.as_secs().to_string();
        variables.insert("ROUTES_TTL_SECONDS".to_owned(), seconds.into());
    }
    Ok(())
}

/// Follows the files of a stack until it is dropped.
pub struct Edits {
    edited: mpsc::UnboundedReceiver<Edited>,
    findings: watch::Receiver<Vec<Report>>,
    builds: mpsc::UnboundedSender<()>,
    _following: JoinSet<()>,
}

impl Edits {
    /// Follows from now on. An edit since the stack's start counts, too.
    ///
    /// # Errors
    ///
    /// When a directory of a workflow cannot be read.
    pub async fn of(stack: Arc<Stack>, watched: Watched) -> Result<Self> {
        let mut sources = vec![Source::new(None, watched.template.clone(), watched.edit)];
        for directory in &watched.with {
            let name = Workflow::read(directory)?.name;
            sources.push(Source::new(Some(name), Workflow::file(directory)?, |_| {
                Ok(())
            }));
        }
        let mut reports = Vec::new();
        for source in &mut sources {
            let checked = source.clone();
            let report = spawn_blocking(move || checked.check()).await?;
            source.accept(&report);
            reports.push(report);
        }
        let (sender, edited) = mpsc::unbounded_channel();
        let (findings, known) = watch::channel(reports);
        let (builds, asked) = mpsc::unbounded_channel();
        let follower = Follower {
            stack,
            sources,
            seen: Stamps::default(),
            sender,
            findings,
            watched,
        };
        let mut following = JoinSet::new();
        following.spawn(follower.run(asked));
        Ok(Self {
            edited,
            findings: known,
            builds,
            _following: following,
        })
    }

    /// The next result.
    pub async fn next(&mut self) -> Option<Edited> {
        self.edited.recv().await
    }

    /// The latest findings of each template, the bridge's first.
    pub fn findings(&self) -> watch::Receiver<Vec<Report>> {
        self.findings.clone()
    }

    /// Asks for a build of the functions; each send starts one.
    pub fn builds(&self) -> mpsc::UnboundedSender<()> {
        self.builds.clone()
    }
}
