//! Follows the files of a running stack, and makes their changes live.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use serde_json::Value;
use tokio::sync::{mpsc, watch};
use tokio::task::spawn_blocking;

use super::change;
use super::files::{self, Stamps};
use super::looks::{Looks, settled};
use super::source::Source;
use super::{Edited, Outcome, ROUTES_TTL, Watched};
use crate::tools::check::Report;
use crate::tools::local::build;
use crate::tools::local::code::{self, Code};
use crate::tools::local::stack::Stack;

/// The time between two looks at the files. A change is complete once they are the same in two looks.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// The same for Rust sources, which an editor saves in several files.
const LOOK_AT_CODE_EVERY: Duration = Duration::from_secs(1);
/// The same for the code of functions in Python and Node.js, whose folders are listed again.
const LOOK_AT_OWN_EVERY: Duration = Duration::from_millis(300);
/// File names in a line, at most.
const MOST_NAMES: usize = 3;

/// The code to swap with an update.
enum Swap {
    Nothing,
    /// Of own functions, where it changed.
    Own,
    /// After a build: these binaries of the bridge, and own functions as before.
    Built(BTreeSet<String>),
}

/// Follows the files of all stacks.
pub struct Follower {
    pub stack: Arc<Stack>,
    pub sources: Vec<Source>,
    pub seen: Stamps,
    pub sender: mpsc::UnboundedSender<Edited>,
    pub findings: watch::Sender<Vec<Report>>,
    pub watched: Watched,
}

impl Follower {
    pub async fn run(mut self, mut asked: mpsc::UnboundedReceiver<()>) {
        // Without a stamp of before, each stack is compared with its files once.
        self.look(Instant::now()).await;
        let mut changing: Option<(Stamps, Instant)> = None;
        let mut code = Looks::new(LOOK_AT_CODE_EVERY, self.code());
        let mut own = Looks::new(LOOK_AT_OWN_EVERY, self.own_code());
        loop {
            tokio::select! {
                () = tokio::time::sleep(LOOK_EVERY) => {}
                Some(()) = asked.recv() => {
                    self.build(Instant::now()).await;
                    code = Looks::new(LOOK_AT_CODE_EVERY, self.code());
                    continue;
                }
            }
            let now = self.seen.again();
            if let Some(began) = settled(&self.seen, now, &mut changing) {
                self.look(began).await;
            }
            if let Some((changed, began)) = own.changed(|| self.own_code()) {
                self.swap_own(&changed, began).await;
            }
            if let Some((_, began)) = code.changed(|| self.code()) {
                self.build(began).await;
            }
        }
    }

    fn code(&self) -> Vec<PathBuf> {
        match self.watched.code {
            true => files::sources(&self.watched.root),
            false => Vec::new(),
        }
    }

    /// The files of the code of all own functions.
    fn own_code(&self) -> Vec<PathBuf> {
        let sources = self.sources.iter();
        sources.flat_map(Source::code_files).collect()
    }

    /// Makes changed code of own functions live. A file that its interpreter refuses leaves the running code as it is.
    async fn swap_own(&mut self, changed: &BTreeSet<PathBuf>, began: Instant) {
        let files: Vec<_> = changed.iter().cloned().collect();
        for index in 0..self.sources.len() {
            let source = self.sources[index].clone();
            let mut refused = None;
            let codes = source.code_of(changed);
            for code in &codes {
                let workshop = self.stack.emulator().workshop();
                refused = refused.or(workshop.check(code, &files).await.err());
            }
            let edited = match refused {
                _ if codes.is_empty() => continue,
                Some(error) => {
                    let outcome = Outcome::Failed(format!("{error:#}"));
                    self.edited(&source, changed, outcome, began)
                }
                None => self.follow(index, changed, &Swap::Own, began).await,
            };
            // An edit of a template in the folder of the code was reported as such.
            if edited.outcome != Outcome::Nothing {
                let _ = self.sender.send(edited);
            }
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
                let edited = self.follow(index, &changed, &Swap::Nothing, began).await;
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
        swap: &Swap,
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
            0 => match self.update(&source, swap).await {
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
        let own = changed.iter().filter(|file| source.has(file));
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

    /// Updates the stack, if its template or the code to swap differs; the changed parts in words.
    async fn update(&self, source: &Source, swap: &Swap) -> Result<Option<String>> {
        let template = source.read()?;
        let of_bridge = of_bridge(&template)?;
        let built = self.stack.binaries();
        let mut of_bridge_now = of_bridge.iter();
        if let Some((id, binary)) = of_bridge_now.find(|(_, binary)| !built.contains_key(binary)) {
            bail!(
                "the function `{id}` runs the binary `{binary}`, which is not built: press `r` and Enter to build it, or restart `bridge local`"
            );
        }
        let workflow = source.workflow.as_deref();
        let deployed = self.stack.template(workflow).unwrap_or_default();
        let mut swapped: Vec<_> = match swap {
            Swap::Built(names) => {
                let swapped = of_bridge.into_iter().map(|(_, binary)| binary);
                swapped.filter(|binary| names.contains(binary)).collect()
            }
            Swap::Nothing | Swap::Own => Vec::new(),
        };
        if !matches!(swap, Swap::Nothing) {
            swapped.extend(self.stack.changed_own(&template).await?);
        }
        let swapped = swapped.iter().map(|name| format!("code of {name}"));
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
                let own = of_bridge(&template).unwrap_or_default();
                names.extend(own.into_iter().map(|(_, binary)| binary));
            }
        }
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let built = build::build(&self.watched.root, &names, &self.watched.progress).await?;
        self.stack.set_binaries(built);
        let swap = Swap::Built(self.stack.changed_binaries().await?);
        let mut is_any = false;
        for index in 0..self.sources.len() {
            let no_files = BTreeSet::new();
            let edited = self.follow(index, &no_files, &swap, began).await;
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

/// The functions that run a binary of the bridge, with its name.
fn of_bridge(template: &Value) -> Result<Vec<(String, String)>> {
    let all = code::functions(template, Path::new(""))?.into_iter();
    let of_bridge = all.filter_map(|(id, code)| match code {
        Code::Bridge(binary) => Some((id, binary)),
        _ => None,
    });
    Ok(of_bridge.collect())
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
    fn many_names_are_cut() {
        let names = |count: usize| -> Vec<String> { (0..count).map(|n| n.to_string()).collect() };
        assert_eq!(shortened(&names(0)), "");
        assert_eq!(shortened(&names(3)), "0, 1, 2");
        assert_eq!(shortened(&names(5)), "0, 1, 2 and 2 more");
    }
}
