//! The scan of open executions, and changes of the watch list.

use std::collections::HashMap;

use super::cursor::TOKEN_AGE;
use super::watch::{self, Range, Scan, ScanPass, Watched};
use super::{Failed, Job, Run, Step, Sweep};

/// Chunks of the watch list in memory at once.
const CHUNKS: usize = 8;

/// A change of the watch list.
pub(super) struct Change<'a> {
    /// Names of open executions, with their redrives if known.
    open: HashMap<&'a str, Option<u32>>,
    /// A range of starts: watched executions of it that are not open have ended.
    range: Range,
    /// To be watched.
    new: &'a [Watched],
}

impl<'a> Change<'a> {
    /// Watches these, and compares nothing.
    pub(super) fn watching(new: &'a [Watched], range: Range) -> Self {
        let open = HashMap::new();
        Self { open, range, new }
    }
}

impl Sweep {
    /// A page of the open executions, compared with the watch list.
    ///
    /// # Errors
    ///
    /// As [`Sweep::list`].
    pub async fn scan(&self, job: &mut Job, run: &mut Run<'_>) -> Result<Step, Failed> {
        if !run.budget.list().await {
            return Ok(Step::Cut);
        }
        self.measure(run.progress, run.budget).await?;
        let now = run.budget.now_ms();
        let pass = job.state.scan.pass.clone();
        let pass = pass.filter(|pass| now - pass.listed_at < TOKEN_AGE);
        let token = pass.as_ref().map(|pass| pass.next_token.as_str());
        let page = match self.page(job, true, token, run).await? {
            Ok(page) => page,
            Err(step) => {
                if step == Step::Page {
                    job.state.scan.pass = None;
                }
                return Ok(step);
            }
        };
        let highest = pass.as_ref().map_or(i64::MAX, |pass| pass.last);
        let last = page.next_token.as_ref().and(page.executions.last());
        let last = last.map_or(i64::MIN, |last| last.started_at);
        let mut open = HashMap::new();
        for one in &page.executions {
            open.insert(one.name.as_str(), Some(one.redrive_count));
        }
        let carried = pass.iter().flat_map(|pass| &pass.names);
        let names_of_last = page.executions.iter().filter(|one| one.started_at == last);
        let names: Vec<String> = names_of_last.map(|one| one.name.clone()).collect();
        let lists_from = job.state.recent.lists_from();
        let new = page.executions.iter();
        let new: Vec<Watched> = new
            .filter(|one| one.started_at < lists_from)
            .map(Watched::new)
            .collect();
        // The last page may have had them, and entries of that start are compared with this page.
        for name in carried {
            open.entry(name).or_insert(None);
        }
        let range = Range(last, highest);
        let change = Change {
            open,
            range,
            new: &new,
        };
        // Including the last start, so that a new entry of it has a chunk.
        let chunks = Range(last.saturating_sub(1), highest);
        let done = match self.change(job, chunks, &change, run).await? {
            None => return Ok(Step::Cut),
            Some(done) => done,
        };
        let started_at = pass.as_ref().map_or(now, |pass| pass.started_at);
        match page.next_token {
            // The same page again, for the rest of its entries.
            _ if !done => {}
            Some(next_token) => {
                job.state.scan.pass = Some(ScanPass {
                    started_at,
                    listed_at: now,
                    next_token,
                    last,
                    names,
                });
            }
            None => {
                job.state.scan = Scan {
                    completed: Some(started_at),
                    pass: None,
                }
            }
        }
        self.save(job).await?;
        Ok(Step::Page)
    }

    /// Changes the watch list. `None` if the time was up before; false if entries of the range were left for another time.
    pub(super) async fn change(
        &self,
        job: &mut Job,
        chunks: Range,
        change: &Change<'_>,
        run: &mut Run<'_>,
    ) -> Result<Option<bool>, Failed> {
        let directory = match job.directory.take() {
            Some(directory) => directory,
            None => self.load_directory(job).await?,
        };
        let numbers = directory.covering(chunks);
        job.directory = Some(directory);
        let (mut left, mut settled) = (0, 0);
        for numbers in numbers.chunks(CHUNKS) {
            let before = self.load_chunks(job, numbers).await?;
            let directory = job.directory.clone().unwrap_or_default();
            let new = directory.covered(numbers, change.new);
            let entries = before
                .iter()
                .flat_map(|(_, entries)| entries.iter().cloned());
            let compared = watch::compare(entries, &change.open, change.range, new);
            let Some(resolved) = self.resolve(job, compared.gone, run).await? else {
                return Ok(None);
            };
            settled += resolved.settled;
            left += resolved.left;
            let entries = compared.kept.into_iter().chain(resolved.kept);
            let writes = directory.replace(&before, entries);
            for (number, entries) in &writes.chunks {
                self.save_chunk(job, *number, entries).await?;
            }
            if let Some(directory) = writes.directory {
                job.directory = Some(directory);
                self.save_directory(job).await?;
            }
        }
        Ok(Some(left == 0 || settled == 0))
    }
}
