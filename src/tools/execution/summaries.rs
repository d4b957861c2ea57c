//! The states of a definition over all their visits.

use std::collections::{BTreeMap, BTreeSet};

use super::model::{Reach, Status, Step, Summary, Visit};
use super::outline::Outline;
use super::visits::Visits;

/// A summary for each state of the definition, and for each other state that was visited.
pub(super) fn summaries(
    found: &Visits,
    outline: &Outline,
    linked: bool,
) -> BTreeMap<String, Summary> {
    let mut of: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (index, visit) in found.visits.iter().enumerate() {
        of.entry(&visit.name).or_default().push(index);
    }
    let mut silent = BTreeSet::new();
    for visit in &found.visits {
        if matches!(visit.kind.as_str(), "Map" | "Parallel") && (!linked || visit.map_run.is_some())
        {
            silent.insert(visit.name.as_str());
        }
    }
    let names: BTreeSet<&str> = outline
        .iter()
        .map(|(name, _)| name)
        .chain(of.keys().copied())
        .collect();
    let summary = |name: &str| match of.get(name) {
        Some(visits) => visited(visits, found),
        None => {
            let recorded = !outline.around(name).any(|outer| silent.contains(outer));
            let (reach, words) = match recorded {
                true => (Reach::NotReached, "not reached"),
                false => (Reach::NotRecorded, "not recorded"),
            };
            Summary {
                reach,
                words: words.to_owned(),
                short: words.to_owned(),
                ..Summary::default()
            }
        }
    };
    names
        .into_iter()
        .map(|name| (name.to_owned(), summary(name)))
        .collect()
}

fn visited(visits: &[usize], found: &Visits) -> Summary {
    let visit = |index: usize| &found.visits[index];
    // The last visit in each iteration.
    let mut last: BTreeMap<&[Step], &Visit> = BTreeMap::new();
    for index in visits {
        last.insert(&visit(*index).path, visit(*index));
    }
    let statuses: Vec<Status> = last.values().map(|visit| visit.status).collect();
    let worst = statuses.iter().copied().max().unwrap_or_default();
    let open = found.failing.filter(|failing| visits.contains(failing));
    let of_worst = || {
        visits
            .iter()
            .rev()
            .find(|index| visit(**index).status == worst)
    };
    Summary {
        reach: Reach::Reached(worst),
        visits: u32::try_from(visits.len()).unwrap_or(u32::MAX),
        retries: visits
            .iter()
            .map(|index| visit(*index).retries)
            .fold(0, u32::saturating_add),
        open: open.or_else(|| of_worst().copied()),
        words: words(&statuses, worst),
        short: match statuses.len() {
            1 => worst.word().to_owned(),
            all => {
                let count = statuses.iter().filter(|status| **status == worst).count();
                format!("{count} of {all} {}", worst.word())
            }
        },
    }
}

/// `succeeded`, or `3 of 5 succeeded, 1 failed, 1 running`.
fn words(statuses: &[Status], worst: Status) -> String {
    let [_, _, ..] = statuses else {
        return worst.word().to_owned();
    };
    let mut counts: BTreeMap<Status, usize> = BTreeMap::new();
    for status in statuses {
        *counts.entry(*status).or_default() += 1;
    }
    let mut parts = Vec::new();
    for (status, count) in counts {
        let of = match parts.is_empty() {
            true => format!(" of {}", statuses.len()),
            false => String::new(),
        };
        parts.push(format!("{count}{of} {}", status.word()));
    }
    parts.join(", ")
}
