//! The report of a run, with the causes of its duplicates.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use serde_json::Value;

use super::Sent;
use super::weather::Weather;
use crate::faulty::{Dependency, FaultyStack};

/// The completion's largest batch; a killed process repeats all of it.
const BATCH: usize = 10;

#[derive(Debug, Default)]
pub struct Report {
    pub seed: u64,
    pub messages: u64,
    pub sent: Sent,
    pub executions: usize,
    pub published: usize,
    /// Keys of accepted messages, executions with a key, and their publications.
    pub keyed: (usize, usize, usize),
    /// Results published only by the sweep.
    pub swept: usize,
    /// Events on the bus, and distinct messages among them.
    pub events: (usize, usize),
    pub weather: Weather,
    /// Publications whose answer may have been lost.
    pub lost_answers: usize,
    pub logs: Logs,
    /// Published again after a lost answer or a kill.
    pub unheard: usize,
    /// Published again after a failed write to the ledger.
    pub unrecorded: usize,
    pub duration: Duration,
    pub problems: Vec<String>,
}

/// Counts from the completion's log.
#[derive(Debug, Default)]
pub struct Logs {
    /// Publications that a process confirmed, by the name of the execution.
    published: BTreeMap<String, usize>,
    /// Failed writes to the ledger.
    unrecorded: usize,
}

/// Publications whose answer may have been lost.
pub fn lost_answers(stack: &FaultyStack) -> usize {
    let counters = stack.proxy(Dependency::Momento).counters();
    let publish = counters.of("/cache_client.pubsub.Pubsub/Publish");
    (publish.reached + publish.faulted).saturating_sub(publish.seen)
}

impl Logs {
    /// Reads lines of `<log group>: <JSON>`.
    pub fn read(text: &str) -> Self {
        let mut logs = Self::default();
        for line in text.lines() {
            let Some((_, json)) = line.split_once(": ") else {
                continue;
            };
            let line: Value = serde_json::from_str(json).unwrap_or_default();
            match line["message"].as_str() {
                Some("an execution ended") => {
                    let arn = line["execution.arn"].as_str().unwrap_or_default();
                    let name = arn.rsplit(':').next().unwrap_or_default();
                    *logs.published.entry(name.to_owned()).or_default() += 1;
                }
                Some("published, but the ledger was not updated") => logs.unrecorded += 1,
                _ => {}
            }
        }
        logs
    }
}

impl Report {
    /// Counts the publications of one result after the first, by cause.
    pub fn count_duplicates(&mut self, execution: &str, times: usize) {
        let known = self.logs.published.get(execution).copied().unwrap_or(0);
        let unheard = times.saturating_sub(known.max(1));
        self.unheard += unheard;
        self.unrecorded += times - 1 - unheard;
    }

    pub fn duplicates(&self) -> usize {
        self.unheard + self.unrecorded
    }

    /// The number of duplicates that faults and kills explain.
    pub fn may_be_duplicates(&self) -> usize {
        let kills = self.weather.kills.get("CompletionFunction");
        let killed = kills.copied().unwrap_or(0) * BATCH;
        self.lost_answers + self.logs.unrecorded + killed
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sent = &self.sent;
        let refused: usize = sent.refused.values().sum();
        writeln!(f, "chaos: seed {}, {:.0?}", self.seed, self.duration)?;
        writeln!(
            f,
            "  messages    {}: {} taken, {refused} refused (by status, 0 for no answer: {:?}); slowest answer {:.1?}",
            self.messages,
            sent.taken.len(),
            sent.refused,
            sent.slowest
        )?;
        writeln!(f, "  outcomes    {:?}", sent.outcomes)?;
        writeln!(
            f,
            "  executions  {}, {} of them of refused messages",
            self.executions,
            self.executions.saturating_sub(sent.taken.len())
        )?;
        writeln!(
            f,
            "  published   {}, {} of them found by the sweep",
            self.published, self.swept
        )?;
        let (keys, executions, published) = self.keyed;
        writeln!(
            f,
            "  keys        {keys}, {executions} executions, {published} published"
        )?;
        writeln!(
            f,
            "  duplicates  {}: {} after a lost answer or a kill, {} after a failed ledger write (at most {} are explained: {} lost answers, {} failed ledger writes, {BATCH} for each killed completion)",
            self.duplicates(),
            self.unheard,
            self.unrecorded,
            self.may_be_duplicates(),
            self.lost_answers,
            self.logs.unrecorded
        )?;
        writeln!(
            f,
            "  events      {} of {} messages",
            self.events.0, self.events.1
        )?;
        writeln!(f, "  kills       {:?}", self.weather.kills)?;
        writeln!(
            f,
            "  silences    {}, {} storms, {} rotations, {} forged requests",
            self.weather.silences, self.weather.storms, self.weather.rotations, self.sent.forged.0
        )?;
        for dependency in Dependency::ALL {
            let faults = self.weather.faults.iter();
            let own: Vec<String> = faults
                .filter(|((of, _), _)| *of == dependency)
                .map(|((_, kind), count)| format!("{kind} {count}"))
                .collect();
            writeln!(f, "  faults      {dependency:?}: {}", own.join(", "))?;
        }
        write!(f, "  problems    {}", self.problems.len())
    }
}
