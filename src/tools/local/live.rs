//! Live edits: a running stack follows its files.
//!
//! `files` sees changed files; `source` checks and reads them; `change` finds the difference to the deployed template.
//! CloudFormation updates a stack: it knows the values of substitutions, changes a definition with UpdateStateMachine and
//! takes everything back when one resource fails. An edit with a new error is not deployed.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use serde_json::Value;
use tokio::sync::{mpsc, watch};
use tokio::task::{JoinSet, spawn_blocking};

use super::build;
use super::stack::{Stack, Workflow};
use crate::tools::check::Report;
use crate::tools::template;
use crate::tools::terminal::Progress;

mod change;
mod files;
mod source;

use files::Stamps;
use source::Source;

/// The time between two looks at the files. A change is complete once they are the same in two looks.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// The same for Rust sources, which an editor saves in several files.
const LOOK_AT_CODE_EVERY: Duration = Duration::from_secs(1);
/// The age of collected routes after which functions read them again.
const ROUTES_TTL: Duration = Duration::from_secs(1);
/// File names in a line, at most.
const MOST_NAMES: usize = 3;

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
    /// Not deployed, for this reason; the stack is as before.
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

struct Follower {
    stack: Arc<Stack>,
    sources: Vec<Source>,
    seen: Stamps,
    sender: mpsc::UnboundedSender<Edited>,
    findings: watch::Sender<Vec<Report>>,
    watched: Watched,
}

impl Follower {
    async fn run(mut self, mut asked: mpsc::UnboundedReceiver<()>) {
        // Without a stamp of before, each stack is compared with its files once.
        self.look(Instant::now()).await;
        let mut changing: Option<(Stamps, Instant)> = None;
        let mut code = Stamps::of(self.code());
        let mut code_changing: Option<(Stamps, Instant)> = None;
        let mut looked_at_code = Instant::now();
        loop {
            tokio::select! {
                () = tokio::time::sleep(LOOK_EVERY) => {}
                Some(()) = asked.recv() => {
                    self.build(Instant::now()).await;
                    code = Stamps::of(self.code());
                    continue;
                }
            }
            let now = self.seen.again();
            if let Some(began) = settled(&self.seen, now, &mut changing) {
                self.look(began).await;
            }
            if self.watched.code && looked_at_code.elapsed() >= LOOK_AT_CODE_EVERY {
                looked_at_code = Instant::now();
                let now = Stamps::of(self.code());
                if let Some(began) = settled(&code, now, &mut code_changing) {
                    code = Stamps::of(self.code());
                    self.build(began).await;
                }
            }
        }
    }

    fn code(&self) -> Vec<PathBuf> {
        match self.watched.code {
            true => files::sources(&self.watched.root),
            false => Vec::new(),
        }
    }

    /// Makes the changed files live.
    async fn look(&mut self, began: Instant) {
        let changed = self.seen.differing(&self.seen.again());
        // The stamps are older than what is read after them: a change in between is seen at the next look.
        let all = self.sources.iter_mut();
        let all: BTreeSet<PathBuf> = all.flat_map(|source| source.files().clone()).collect();
        let first = self.seen == Stamps::default();
        self.seen = Stamps::of(all);
        for index in 0..self.sources.len() {
            if first || self.sources[index].has_any(&changed) {
                let edited = self.follow(index, &changed, &BTreeSet::new(), began).await;
                let is_quiet = first && edited.outcome == Outcome::Nothing;
                if !is_quiet {
                    let _ = self.sender.send(edited);
                }
            }
        }
    }

    /// Checks a stack's files and updates the stack, if they or its functions differ.
    async fn follow(
        &mut self,
        index: usize,
        changed: &BTreeSet<PathBuf>,
        functions: &BTreeSet<String>,
        began: Instant,
    ) -> Edited {
        let source = self.sources[index].clone();
        let own = source.clone();
        let report = match spawn_blocking(move || own.check()).await {
            Ok(report) => report,
            Err(error) => {
                return self.edited(&source, changed, Outcome::Failed(error.to_string()), began);
            }
        };
        let had_findings = !self.findings.borrow()[index].findings.is_empty();
        let is_shown = had_findings || !report.findings.is_empty();
        let shown = is_shown.then(|| report.clone());
        self.findings
            .send_modify(|reports| reports[index] = report.clone());
        let outcome = match source.new_errors(&report) {
            0 => match self.update(&source, functions).await {
                Ok(Some(words)) => Outcome::Live(words),
                Ok(None) => Outcome::Nothing,
                Err(error) => Outcome::Failed(format!("{error:#}")),
            },
            errors => Outcome::Refused(errors),
        };
        if matches!(outcome, Outcome::Live(_) | Outcome::Nothing) {
            self.sources[index].accept(&report);
        }
        let edited = self.edited(&source, changed, outcome, began);
        Edited {
            report: shown,
            ..edited
        }
    }

    fn edited(
        &self,
        source: &Source,
        changed: &BTreeSet<PathBuf>,
        outcome: Outcome,
        began: Instant,
    ) -> Edited {
        let own = changed
            .iter()
            .filter(|file| source.has_any(&BTreeSet::from([(*file).clone()])));
        let names: Vec<_> = own
            .filter_map(|file| Some(file.file_name()?.to_string_lossy().into_owned()))
            .collect();
        let stack = match &source.workflow {
            None => self.stack.name().to_owned(),
            Some(name) => self.stack.stack_of(name),
        };
        Edited {
            stack: Some(stack),
            files: shortened(&names),
            outcome,
            took: began.elapsed(),
            report: None,
        }
    }

    /// Updates the stack, if its template or one of these functions differs; the changed parts in words.
    async fn update(
        &self,
        source: &Source,
        functions: &BTreeSet<String>,
    ) -> Result<Option<String>> {
        let template = source.read()?;
        let own = template::functions(&template)?;
        let built = self.stack.binaries();
        if let Some((id, binary)) = own.iter().find(|(_, binary)| !built.contains_key(binary)) {
            bail!(
                "the function `{id}` runs the binary `{binary}`, which is not built: press `r` and Enter to build it, or restart `bridge local`"
            );
        }
        let workflow = source.workflow.as_deref();
        let deployed = self.stack.template(workflow).unwrap_or_default();
        let swapped = own.iter().filter(|(_, binary)| functions.contains(binary));
        let swapped = swapped.map(|(_, binary)| format!("code of {binary}"));
        let words: Vec<_> = change::between(&deployed, &template)
            .into_iter()
            .chain(swapped)
            .collect();
        if words.is_empty() {
            return Ok(None);
        }
        match workflow {
            None => self.stack.update_bridge(&template).await?,
            Some(name) => {
                self.stack.update(name, &template).await?;
            }
        }
        if self.stack.collects() {
            let before = self.stack.routes();
            self.stack.collected().await?;
            if !Arc::ptr_eq(&before, &self.stack.routes()) {
                // A warm function knows the routes of its last read.
                tokio::time::sleep(ROUTES_TTL).await;
            }
        }
        Ok(Some(words.join(", ")))
    }

    /// Builds the functions, and swaps those that changed. Edits that wait for a new function are made live, too.
    async fn build(&mut self, began: Instant) {
        if let Err(error) = self.swap(began).await {
            let _ = self.sender.send(Edited {
                stack: None,
                files: "functions".to_owned(),
                outcome: Outcome::Failed(format!("{error:#}")),
                took: began.elapsed(),
                report: None,
            });
        }
    }

    async fn swap(&mut self, began: Instant) -> Result<()> {
        let mut names: BTreeSet<String> = self.stack.binaries().into_keys().collect();
        for source in &self.sources {
            // A broken file is reported when it is edited.
            if let Ok(template) = source.read() {
                let own = template::functions(&template).unwrap_or_default();
                names.extend(own.into_iter().map(|(_, binary)| binary));
            }
        }
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let built = build::build(&self.watched.root, &names, &self.watched.progress).await?;
        self.stack.set_binaries(built);
        let changed = self.stack.changed_binaries().await?;
        let mut is_any = false;
        for index in 0..self.sources.len() {
            let no_files = BTreeSet::new();
            let edited = self.follow(index, &no_files, &changed, began).await;
            let edited = Edited {
                files: "functions".to_owned(),
                ..edited
            };
            if edited.outcome != Outcome::Nothing {
                is_any = true;
                let _ = self.sender.send(edited);
            }
        }
        if !is_any {
            let _ = self.sender.send(Edited {
                stack: None,
                files: "functions".to_owned(),
                outcome: Outcome::Nothing,
                took: began.elapsed(),
                report: None,
            });
        }
        Ok(())
    }
}

/// When a change began that is complete: the files differ from the known ones, and are the same in two looks.
fn settled(
    known: &Stamps,
    now: Stamps,
    changing: &mut Option<(Stamps, Instant)>,
) -> Option<Instant> {
    if *known == now {
        *changing = None;
        return None;
    }
    match changing.take() {
        Some((before, began)) if before == now => Some(began),
        Some((_, began)) => {
            *changing = Some((now, began));
            None
        }
        None => {
            *changing = Some((now, Instant::now()));
            None
        }
    }
}

/// `a, b, c and 4 more`
fn shortened(names: &[String]) -> String {
    match names.len().checked_sub(MOST_NAMES) {
        None | Some(0) => names.join(", "),
        Some(more) => format!("{} and {more} more", names[..MOST_NAMES].join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_counts_once_the_files_stay_the_same() {
        let file = std::env::temp_dir().join("bridge-live-nothing");
        let known = Stamps::default();
        let now = Stamps::of([file.clone()]);
        let later = Stamps::of([file, std::env::temp_dir()]);
        let mut changing = None;
        assert_eq!(settled(&known, known.clone(), &mut changing), None);
        assert_eq!(settled(&known, now.clone(), &mut changing), None);
        assert_eq!(settled(&known, later.clone(), &mut changing), None);
        let began = changing.as_ref().unwrap().1;
        assert_eq!(settled(&known, later, &mut changing), Some(began));
        // Taken back before it was complete.
        assert_eq!(settled(&known, now, &mut changing), None);
        assert_eq!(settled(&known, known.clone(), &mut changing), None);
        assert!(changing.is_none());
    }

    #[test]
    fn many_names_are_cut() {
        let names = |count: usize| -> Vec<String> { (0..count).map(|n| n.to_string()).collect() };
        assert_eq!(shortened(&names(0)), "");
        assert_eq!(shortened(&names(3)), "0, 1, 2");
        assert_eq!(shortened(&names(5)), "0, 1, 2 and 2 more");
    }
}
