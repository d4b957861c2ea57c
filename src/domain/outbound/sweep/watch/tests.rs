use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

fn entry(started_at: i64, number: usize) -> Watched {
    Watched {
        started_at,
        name: format!("e{number:03}"),
        redrives: 0,
        ended_by: None,
    }
}

/// A watch list in memory.
#[derive(Default)]
struct Table {
    directory: Directory,
    chunks: BTreeMap<u32, Vec<Watched>>,
}

impl Table {
    /// Replaces the entries in a range, three chunks at a time.
    fn set(&mut self, range: Range, entries: &[Watched]) {
        for numbers in self.directory.covering(range).chunks(3) {
            let chunk = |number: &u32| self.chunks.get(number).cloned().unwrap_or_default();
            let before: Vec<_> = numbers.iter().map(|n| (*n, chunk(n))).collect();
            let open = HashMap::new();
            let covered = self.directory.covered(numbers, entries);
            let old = before.iter().flat_map(|(_, entries)| entries.clone());
            let kept = compare(old, &open, range, []).kept;
            let covered = covered.into_iter().cloned();
            let writes = self
                .directory
                .replace(&before, kept.into_iter().chain(covered));
            self.chunks.extend(writes.chunks);
            if let Some(directory) = writes.directory {
                self.directory = directory;
            }
        }
    }

    fn all(&self) -> Vec<Watched> {
        let chunks = self.directory.0.iter();
        let entries = chunks.filter_map(|chunk| self.chunks.get(&chunk.number));
        entries.flatten().cloned().collect()
    }
}

proptest! {
    #[test]
    fn chunks_split_and_join_without_a_loss(
        changes in prop::collection::vec((0_i64..300, 0_i64..300, 0_usize..400), 1..12),
    ) {
        let mut table = Table::default();
        let mut model: Vec<Watched> = Vec::new();
        let mut number = 0;
        for (one, other, count) in changes {
            let range = Range(one.min(other) - 1, one.max(other));
            let width = range.1 - range.0;
            let starts = (0..count as i64).map(|i| range.1 - i * 7 % width);
            let entries: Vec<_> = starts.map(|start| { number += 1; entry(start, number) }).collect();
            table.set(range, &entries);
            model.retain(|entry| !range.has(entry.started_at));
            model.extend(entries);
            model.sort_by(|a, b| (b.started_at, &b.name).cmp(&(a.started_at, &a.name)));
            prop_assert_eq!(&table.all(), &model);
        }
        for (chunk, next) in table.directory.0.iter().zip(&table.directory.0[1..]) {
            prop_assert!(chunk.lowest > next.lowest);
            let entries = &table.chunks[&chunk.number];
            // Entries of one start stay together.
            let last = entries.last().map_or(0, |entry| entry.started_at);
            let above = entries.iter().filter(|entry| entry.started_at > last);
            prop_assert!(above.count() < CHUNK);
        }
    }
}

#[test]
fn a_change_of_entries_is_written_in_place() {
    let mut table = Table::default();
    let entries: Vec<_> = (0..350).map(|i| entry(1000 - i, i as usize)).collect();
    table.set(Range(0, 2000), &entries);
    let numbers = table.directory.covering(Range(0, 2000));
    assert_eq!(numbers.len(), 4);
    let before = [(numbers[1], table.chunks[&numbers[1]].clone())];
    let unchanged = table.directory.replace(&before, before[0].1.clone());
    assert!(unchanged.chunks.is_empty() && unchanged.directory.is_none());
    let fewer = table.directory.replace(&before, before[0].1[1..].to_vec());
    assert_eq!((fewer.chunks.len(), fewer.chunks[0].0), (1, numbers[1]));
    assert!(fewer.directory.is_none());
}

#[test]
fn a_page_shows_what_ended_in_its_range_only() {
    let entries = [entry(30, 1), entry(20, 2), entry(20, 3), entry(10, 4)];
    let redriven = Watched {
        ended_by: Some(25),
        ..entry(30, 1)
    };
    let open = HashMap::from([("e001", Some(1)), ("e003", None)]);
    let new = [entry(20, 3), entry(15, 5)];
    let compared = compare(
        [
            redriven,
            entries[1].clone(),
            entries[2].clone(),
            entries[3].clone(),
        ],
        &open,
        Range(10, 30),
        &new,
    );
    assert_eq!(compared.gone, [entry(20, 2)]);
    let first = Watched {
        redrives: 1,
        ..entry(30, 1)
    };
    assert_eq!(
        compared.kept,
        [first, entry(20, 3), entry(10, 4), entry(15, 5)]
    );
}

#[test]
fn entries_are_short() {
    let text = serde_json::to_string(&entry(1_704_296_470_000, 1)).unwrap();
    assert_eq!(text, r#"{"s":1704296470000,"n":"e001"}"#);
}
