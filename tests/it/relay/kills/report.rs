//! The report of a run, and the check of its counts.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::ops::Range;
use std::time::Duration;

use aws_sdk_sfn::types::ExecutionStatus;
use aws_smithy_types::DateTime;
use aws_smithy_types::date_time::Format;
use serde_json::Value;
use workflow_bridge::domain::inbound::execution_name::sequence_in_name;
use workflow_bridge::tools::local::Stack;

use super::super::deployed::{MACHINE, REMEMBERED};
use super::{Life, Published, TOPICS, of_topic};
use crate::messages::{drain, executions, until};

/// Messages reported missing.
#[derive(Debug)]
pub struct Gap {
    topic: String,
    numbers: Range<u64>,
    /// The time of the log line, in ms since the epoch; 0 for an event.
    at_ms: i64,
}

#[derive(Debug, Default)]
pub struct Report {
    pub seed: u64,
    pub messages: u64,
    pub kills: usize,
    /// Faults of the webhook.
    pub faults: usize,
    pub executed: usize,
    pub missing: usize,
    /// Executed and reported missing: killed before the cursor was saved.
    pub both: usize,
    pub gaps: usize,
    /// Messages reported missing more than once.
    pub again: usize,
    pub took: Duration,
    pub problems: Vec<String>,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "kills: seed {}, {:.0?}", self.seed, self.took)?;
        writeln!(
            f,
            "  messages    {}, with {} kills and {} faults of the webhook",
            self.messages, self.kills, self.faults
        )?;
        writeln!(f, "  executed    {}, each once", self.executed)?;
        writeln!(
            f,
            "  missing     {}, reported in {} gaps",
            self.missing, self.gaps
        )?;
        writeln!(
            f,
            "  in both     {}: delivered, killed before the cursor was saved, dropped by the server before the restart",
            self.both
        )?;
        write!(
            f,
            "  again       {}: killed between reporting a gap and saving the cursor",
            self.again
        )
    }
}

impl Gap {
    /// Reads a log line.
    pub fn logged(line: &Value) -> Self {
        assert_eq!(line["gap.exact"], true, "{line}");
        let number = |end: &str| line[end].as_u64().unwrap();
        let numbers = number("gap.from.sequence") - 1..number("gap.until.sequence") - 1;
        assert_eq!(number("gap.missed"), numbers.end - numbers.start, "{line}");
        let at = DateTime::from_str(line["timestamp"].as_str().unwrap(), Format::DateTime);
        Self {
            topic: line["message.topic"].as_str().unwrap().to_owned(),
            numbers,
            at_ms: at.unwrap().to_millis().unwrap(),
        }
    }

    /// Reads an event.
    fn put(event: &Value) -> Self {
        let detail = &event["detail"];
        let number = |end: &str| detail[end]["topic_sequence_number"].as_u64().unwrap();
        Self {
            topic: detail["topic"].as_str().unwrap().to_owned(),
            numbers: number("from") - 1..number("until") - 1,
            at_ms: 0,
        }
    }
}

/// The numbers of a topic in `gaps`.
fn missing<'a>(gaps: impl Iterator<Item = &'a Gap>, topic: &str) -> BTreeSet<u64> {
    let of_topic = gaps.filter(|gap| gap.topic == topic);
    of_topic.flat_map(|gap| gap.numbers.clone()).collect()
}

/// Compares executions and gaps with the published messages.
pub async fn check(report: &mut Report, stack: &Stack, lives: &[Life], published: &Published) {
    until("ended executions", async || {
        let executions = executions(stack, MACHINE).await;
        let mut statuses = executions.iter().map(|one| &one.status);
        statuses.all(|status| *status == ExecutionStatus::Succeeded)
    })
    .await;
    let executions = executions(stack, MACHINE).await;
    let events: Vec<Gap> = drain(stack, "GapQueue")
        .await
        .iter()
        .map(Gap::put)
        .collect();
    let gaps = || lives.iter().flat_map(|life| &life.gaps);
    let mut problems = Vec::new();
    for (index, topic) in TOPICS.into_iter().enumerate() {
        let mut times: BTreeMap<u64, usize> = BTreeMap::new();
        for one in &executions {
            if let Some(number) = sequence_in_name(&one.name, topic) {
                *times.entry(number - 1).or_default() += 1;
            }
        }
        times
            .iter()
            .filter(|(_, times)| **times > 1)
            .for_each(|(number, times)| {
                problems.push(format!("{topic}#{number} was executed {times} times"));
            });
        let executed: BTreeSet<u64> = times.into_keys().collect();
        // A cursor passes a gap only after both the log line and the event.
        for (how, reported) in [
            ("log", missing(gaps(), topic)),
            ("bus", missing(events.iter(), topic)),
        ] {
            let all: BTreeSet<u64> = (0..of_topic(report.messages, index as u64)).collect();
            let accounted: BTreeSet<u64> = executed.union(&reported).copied().collect();
            let lost: Vec<_> = all.difference(&accounted).collect();
            let invented: Vec<_> = accounted.difference(&all).collect();
            if !lost.is_empty() || !invented.is_empty() {
                problems.push(format!("{topic}, {how}: neither executed nor reported: {lost:?}; never published: {invented:?}"));
            }
        }
        let reported = missing(gaps(), topic);
        report.executed += executed.len();
        report.missing += reported.difference(&executed).count();
        report.both += reported.intersection(&executed).count();
        for life in lives {
            unexplained(life, topic, &executed, &published[topic], &mut problems);
        }
    }
    report.gaps = gaps().count();
    let reported: u64 = gaps().map(|gap| gap.numbers.end - gap.numbers.start).sum();
    report.again = reported as usize - report.missing - report.both;
    if report.executed + report.missing != report.messages as usize {
        problems.push("the counts do not add up".to_owned());
    }
    // A short run may meet no fault.
    let long = report.messages >= 2_000;
    if report.executed == 0 || (long && (report.missing == 0 || report.kills == 0)) {
        problems.push("no fault occurred: the run proves nothing".to_owned());
    }
    report.problems = problems;
}

/// A reported message must have left the server's history and must not be known as delivered.
fn unexplained(
    life: &Life,
    topic: &str,
    executed: &BTreeSet<u64>,
    published: &[i64],
    problems: &mut Vec<String>,
) {
    let found = life.found[topic];
    let gaps = life.gaps.iter().filter(|gap| gap.topic == topic);
    for (index, Gap { numbers, at_ms, .. }) in gaps.enumerate() {
        let by_then = published.partition_point(|at| at <= at_ms) as u64;
        let forgotten = by_then.saturating_sub(REMEMBERED as u64);
        // The server resumes a position older than its history with the latest messages.
        if numbers.start >= forgotten {
            problems.push(format!(
                "{topic}: {numbers:?} was reported while the server still had {forgotten} and later ones"
            ));
        }
        // Only the first gap may contain delivered messages: those that the previous life did not save.
        let delivered: Vec<_> = numbers
            .clone()
            .filter(|number| executed.contains(number))
            .collect();
        if numbers.start < found || (index > 0 && !delivered.is_empty()) {
            problems.push(format!("{topic}: {numbers:?} was reported with the cursor at {found} and {delivered:?} executed"));
        }
    }
}
