//! The table of the matrix in docs/reliability.md.

use std::collections::HashMap;
use std::path::Path;

use anyhow::{Context, Result};

use crate::cell::Finding;
use crate::scene::{Kind, Lasts, Scene};

/// Encloses the tables that the test writes.
const MARKER: &str = "<!-- matrix -->";
/// The remedy if the page is outdated.
pub const REWRITE: &str = "if that is meant, rewrite the page with `WRITE_RELIABILITY=1 cargo test --all-features --test matrix` and look at the difference";
const HEAD: &str = "| fault | lasts | the sender is answered | within ms | where the message is then | how it arrives |\n|---|---|---|--:|---|---|\n";
/// The index of the column that differs from run to run.
const MS: usize = 3;

struct Row {
    kinds: Vec<Kind>,
    lasts: Vec<Lasts>,
    found: [String; 3],
    ms: u128,
}

/// A heading and a table. Cells with the same outcome share a row.
pub fn of(scene: Scene, findings: &[(Kind, Lasts, Finding)]) -> String {
    let mut rows: Vec<Row> = Vec::new();
    for (kind, lasts, finding) in findings {
        let found = finding.row();
        let ms = finding.took.as_millis();
        let same = rows
            .iter_mut()
            .find(|row| row.kinds == [*kind] && row.found == found);
        match same {
            Some(row) => {
                row.lasts.push(*lasts);
                row.ms = row.ms.max(ms);
            }
            None => rows.push(Row {
                kinds: vec![*kind],
                lasts: vec![*lasts],
                found,
                ms,
            }),
        }
    }
    let mut merged: Vec<Row> = Vec::new();
    for row in rows {
        let same = merged
            .iter_mut()
            .find(|other| other.lasts == row.lasts && other.found == row.found);
        match same {
            Some(other) => {
                other.kinds.extend(row.kinds);
                other.ms = other.ms.max(row.ms);
            }
            None => merged.push(row),
        }
    }
    let mut text = format!("### {}\n\n{HEAD}", scene.title());
    for row in merged {
        let kinds: Vec<_> = row.kinds.iter().map(|kind| kind.title(scene)).collect();
        let lasts: Vec<_> = row.lasts.iter().map(|lasts| lasts.title()).collect();
        let [answer, place, end] = &row.found;
        text.push_str(&format!(
            "| {} | {} | {answer} | {} | {place} | {end} |\n",
            kinds.join(", "),
            lasts.join(", "),
            row.ms,
        ));
    }
    text
}

/// The rows of a page by cell.
pub type Page = HashMap<(Scene, Kind, Lasts), [String; 3]>;

/// Reads the tables of a page.
pub fn read(page: &Path) -> Result<Page> {
    let text = std::fs::read_to_string(page)?;
    let (_, tables, _) = parts(&text).context("expected two markers in the page")?;
    Ok(cells(tables))
}

fn cells(tables: &str) -> Page {
    let mut page = Page::new();
    let mut scene = None;
    for line in tables.lines() {
        if let Some(title) = line.strip_prefix("### ") {
            scene = Scene::ALL.into_iter().find(|scene| scene.title() == title);
        }
        let row = line
            .strip_prefix("| ")
            .and_then(|row| row.strip_suffix(" |"));
        let row: Vec<&str> = row.map_or(Vec::new(), |row| row.split(" | ").collect());
        let (Some(scene), [kinds, lasts, answer, _, place, end]) = (scene, &row[..]) else {
            continue;
        };
        let has = |list: &str, title: &str| list.split(", ").any(|one| one == title);
        let kinds = Kind::ALL
            .into_iter()
            .filter(|kind| has(kinds, kind.title(scene)));
        for kind in kinds {
            for all in Lasts::ALL.into_iter().filter(|all| has(lasts, all.title())) {
                let found = [answer, place, end].map(|text| (*text).to_owned());
                page.insert((scene, kind, all), found);
            }
        }
    }
    page
}

/// Puts the tables between the markers of the page, in place of those of the same scenes.
pub fn write(page: &Path, tables: &[String]) -> Result<()> {
    let text = std::fs::read_to_string(page)?;
    let (before, old, after) = parts(&text).context("expected two markers in the page")?;
    let tables = beside(old, tables);
    let text = format!("{before}{MARKER}\n\n{tables}\n{MARKER}{after}");
    Ok(std::fs::write(page, text)?)
}

/// The new tables, and the old ones of all other scenes, in the scenes' order.
fn beside(old: &str, new: &[String]) -> String {
    let old = old.split("### ").skip(1);
    let old: Vec<_> = old
        .map(|table| format!("### {}\n", table.trim_end()))
        .collect();
    let tables = Scene::ALL.iter().filter_map(|scene| {
        let head = format!("### {}\n", scene.title());
        new.iter()
            .chain(&old)
            .find(|table| table.starts_with(&head))
    });
    tables.cloned().collect::<Vec<_>>().join("\n")
}

/// # Errors
///
/// When the page has other tables; milliseconds are not compared.
pub fn compare(page: &Path, tables: &str) -> Result<(), String> {
    let text = std::fs::read_to_string(page).map_err(|e| format!("{}: {e}", page.display()))?;
    let (_, old, _) =
        parts(&text).ok_or_else(|| format!("expected `{MARKER}` twice in {}", page.display()))?;
    let (old, new) = (timeless(old), timeless(tables));
    let only = |these: &[String], others: &[String], sign: char| -> String {
        let mine = these.iter().filter(|line| !others.contains(line));
        mine.map(|line| format!("{sign} {line}\n")).collect()
    };
    if old == new {
        return Ok(());
    }
    Err(format!(
        "docs/reliability.md differs from this run (- there, + here):\n{}{}{REWRITE}",
        only(&old, &new, '-'),
        only(&new, &old, '+'),
    ))
}

/// The text before, between and after the markers.
fn parts(text: &str) -> Option<(&str, &str, &str)> {
    let (before, rest) = text.split_once(MARKER)?;
    let (between, after) = rest.split_once(MARKER)?;
    Some((before, between, after))
}

/// The lines without milliseconds.
fn timeless(tables: &str) -> Vec<String> {
    let line = |line: &str| {
        let cells = line.split(" | ").enumerate();
        let cells = cells.filter(|(index, _)| *index != MS);
        cells.map(|(_, cell)| cell).collect::<Vec<_>>().join(" | ")
    };
    let lines = tables.lines().filter(|line| !line.trim().is_empty());
    lines.map(line).collect()
}

#[test]
fn equal_outcomes_share_a_row_and_milliseconds_are_ignored() {
    let finding = |answer: &str, ms| Finding {
        answer: answer.to_owned(),
        took: std::time::Duration::from_millis(ms),
        place: "p".to_owned(),
        end: "e".to_owned(),
    };
    let table = |ms| {
        let findings = [
            (Kind::Hang, Lasts::Once, finding("a", 1)),
            (Kind::Hang, Lasts::AWhile, finding("a", ms)),
            (Kind::Hang, Lasts::ForGood, finding("b", 5)),
            (Kind::Broken, Lasts::Once, finding("a", 3)),
            (Kind::Broken, Lasts::AWhile, finding("a", 4)),
            (Kind::Broken, Lasts::ForGood, finding("c", 6)),
        ];
        of(Scene::Bus, &findings)
    };
    let text = table(9);
    assert!(
        text.contains("| hangs, 500 | once, a while | a | 9 | p | e |\n"),
        "{text}"
    );
    assert_eq!(text.lines().count(), 7, "{text}");
    let page = cells(&text);
    assert_eq!(page.len(), 6);
    let hangs = &page[&(Scene::Bus, Kind::Hang, Lasts::ForGood)];
    assert_eq!(*hangs, finding("b", 0).row());
    assert_eq!(timeless(&table(9)), timeless(&table(10)));
    assert_ne!(timeless(&text), timeless(&text.replace(" b ", " d ")));
}

#[test]
fn a_table_is_written_in_place_of_the_old_one_of_its_scene() {
    let table = |scene: Scene, row: &str| format!("### {}\n\n{HEAD}{row}\n", scene.title());
    let old = [table(Scene::Target, "| a |"), table(Scene::Ledger, "| b |")];
    let new = [table(Scene::Ledger, "| c |"), table(Scene::Bus, "| d |")];
    let expected = [&old[0], &new[1], &new[0]].map(String::clone).join("\n");
    assert_eq!(beside(&format!("\n\n{}\n", old.join("\n")), &new), expected);
}
