//! The watch list: executions that were open when a sweep saw them, and that no pass by start lists again.
//!
//! A list of open executions, page by page, shows which of them have ended meanwhile. The watch list is sorted by start like
//! that list, and kept in chunks, one item each, so a page needs only the chunks of its range: the memory is bounded by the
//! page. A chunk with changed entries is written in place. Chunks are split and joined under new numbers, and the directory
//! of the numbers is written last, so a crash in between loses nothing.

use std::collections::{HashMap, HashSet};

use serde::{Deserialize, Serialize};

use crate::domain::ports::Listed;

/// Most entries of a chunk: about 10 KB, so that the end of one execution rewrites little.
pub(super) const CHUNK: usize = 100;

/// A watched execution.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct Watched {
    #[serde(rename = "s")]
    pub started_at: i64,
    #[serde(rename = "n")]
    pub name: String,
    #[serde(rename = "r", default, skip_serializing_if = "is_zero")]
    pub redrives: u32,
    /// It ended at this time, or earlier.
    #[serde(rename = "e", default, skip_serializing_if = "Option::is_none")]
    pub ended_by: Option<i64>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn is_zero(count: &u32) -> bool {
    *count == 0
}

impl Watched {
    pub(super) fn new(listed: &Listed) -> Self {
        Self {
            started_at: listed.started_at,
            name: listed.name.clone(),
            redrives: listed.redrive_count,
            ended_by: listed.ended_at(),
        }
    }
}

/// The chunks of a watch list, the latest starts first. Each one covers the starts from its lowest to the chunk before.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub(super) struct Directory(Vec<Chunk>);

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
struct Chunk {
    #[serde(rename = "l")]
    lowest: i64,
    #[serde(rename = "i")]
    number: u32,
}

impl Default for Directory {
    /// One empty chunk for all starts.
    fn default() -> Self {
        Self(vec![Chunk {
            lowest: i64::MIN,
            number: 0,
        }])
    }
}

pub(super) fn directory_key(state_machine: &str) -> String {
    format!("sweep-open#{state_machine}")
}

pub(super) fn chunk_key(state_machine: &str, number: u32) -> String {
    format!("sweep-open#{state_machine}#{number}")
}

/// Starts after `0`, up to `1`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Range(pub i64, pub i64);

impl Range {
    pub fn has(self, start: i64) -> bool {
        self.0 < start && start <= self.1
    }
}

/// The writes after a change of some chunks.
#[derive(Debug, Default)]
pub(super) struct Writes {
    /// By number.
    pub chunks: Vec<(u32, Vec<Watched>)>,
    /// The new directory, to be written after the chunks.
    pub directory: Option<Directory>,
}

impl Directory {
    /// The numbers of the chunks that cover starts in the range, in order.
    pub fn covering(&self, range: Range) -> Vec<u32> {
        let mut before = i64::MAX;
        let mut numbers = Vec::new();
        for chunk in &self.0 {
            if chunk.lowest <= range.1 && before > range.0 {
                numbers.push(chunk.number);
            }
            before = chunk.lowest.saturating_sub(1);
        }
        numbers
    }

    /// Of new entries, those that the chunks of these numbers cover.
    pub fn covered<'a>(&self, numbers: &[u32], entries: &'a [Watched]) -> Vec<&'a Watched> {
        let is_covered = |entry: &&Watched| {
            let above = |chunk: &Chunk| chunk.lowest > entry.started_at;
            let chunk = self.0.get(self.0.partition_point(above));
            chunk.is_some_and(|chunk| numbers.contains(&chunk.number))
        };
        entries.iter().filter(is_covered).collect()
    }

    /// Replaces the entries of adjacent chunks, given as they were, in order. Large ones are split, small ones joined.
    pub fn replace(
        &self,
        before: &[(u32, Vec<Watched>)],
        entries: impl IntoIterator<Item = Watched>,
    ) -> Writes {
        let Some(first) = (self.0.iter())
            .position(|chunk| before.first().is_some_and(|(n, _)| *n == chunk.number))
        else {
            return Writes::default();
        };
        let mut parts: Vec<(Vec<Chunk>, Vec<Watched>)> = Vec::new();
        let chunks = &self.0[first..first + before.len()];
        parts.extend(chunks.iter().map(|chunk| (vec![*chunk], Vec::new())));
        for entry in entries {
            let at = chunks
                .iter()
                .position(|chunk| chunk.lowest <= entry.started_at);
            if let Some(at) = at {
                parts[at].1.push(entry);
            }
        }
        let mut joined: Vec<(Vec<Chunk>, Vec<Watched>)> = Vec::new();
        for (chunk, mut entries) in parts {
            entries.sort_by(|a, b| (b.started_at, &b.name).cmp(&(a.started_at, &a.name)));
            match joined.last_mut() {
                Some((chunks, last)) if last.len() + entries.len() <= CHUNK / 2 => {
                    chunks.extend(chunk);
                    last.extend(entries);
                }
                _ => joined.push((chunk, entries)),
            }
        }
        let mut used: HashSet<u32> = self.0.iter().map(|chunk| chunk.number).collect();
        let mut free = || {
            let number = (0..)
                .find(|number| !used.contains(number))
                .unwrap_or_default();
            used.insert(number);
            number
        };
        let mut writes = Writes::default();
        let mut after: Vec<Chunk> = self.0[..first].to_vec();
        let mut restructured = false;
        for (chunks, mut entries) in joined {
            let lowest = chunks.last().map_or(i64::MIN, |chunk| chunk.lowest);
            if let [chunk] = chunks[..]
                && entries.len() <= CHUNK
            {
                after.push(chunk);
                let old = before.iter().find(|(number, _)| *number == chunk.number);
                if old.is_none_or(|(_, old)| *old != entries) {
                    writes.chunks.push((chunk.number, entries));
                }
                continue;
            }
            restructured = true;
            while entries.len() > CHUNK {
                // Entries of one start stay together.
                let cut = entries[CHUNK - 1].started_at;
                let end = entries.partition_point(|entry| entry.started_at >= cut);
                if end == entries.len() {
                    break;
                }
                let rest = entries.split_off(end);
                let (number, lowest) = (free(), cut);
                after.push(Chunk { lowest, number });
                writes
                    .chunks
                    .push((number, std::mem::replace(&mut entries, rest)));
            }
            let number = free();
            after.push(Chunk { lowest, number });
            writes.chunks.push((number, entries));
        }
        after.extend_from_slice(&self.0[first + before.len()..]);
        if restructured {
            writes.directory = Some(Self(after));
        }
        writes
    }
}

/// The list of open executions between two pages. Times are ms since the epoch.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
pub struct Scan {
    /// When the last complete list began.
    pub completed: Option<i64>,
    pub pass: Option<ScanPass>,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct ScanPass {
    pub started_at: i64,
    pub listed_at: i64,
    pub next_token: String,
    /// The last start of the page, and the names of that start: the next page may begin with it.
    pub last: i64,
    pub names: Vec<String>,
}

/// The watched entries of a page's range, compared with the page.
pub(super) struct Compared {
    /// Open, newly watched, or outside of the range.
    pub kept: Vec<Watched>,
    /// Missing from the page.
    pub gone: Vec<Watched>,
}

/// Compares the entries with open executions and their redrives, if known. `new` ones are added unless they are watched.
pub(super) fn compare<'a>(
    entries: impl IntoIterator<Item = Watched>,
    open: &HashMap<&str, Option<u32>>,
    range: Range,
    new: impl IntoIterator<Item = &'a Watched>,
) -> Compared {
    let (mut kept, mut gone) = (Vec::new(), Vec::new());
    let mut names = HashSet::new();
    for mut entry in entries {
        names.insert(entry.name.clone());
        if let Some(redrives) = open.get(entry.name.as_str()) {
            (entry.redrives, entry.ended_by) = (redrives.unwrap_or(entry.redrives), None);
            kept.push(entry);
        } else if range.has(entry.started_at) {
            gone.push(entry);
        } else {
            kept.push(entry);
        }
    }
    let new = new.into_iter().filter(|entry| !names.contains(&entry.name));
    kept.extend(new.cloned());
    Compared { kept, gone }
}

#[cfg(test)]
mod tests;
