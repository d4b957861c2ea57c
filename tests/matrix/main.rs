//! Each fault at each dependency, once, for a while and for good: the sender's answer, the place of the message, and its
//! arrival. docs/reliability.md has the table.
//!
//! A separate binary, so that cargo runs it while no other test uses the processor.

#![cfg(feature = "cli")]

mod cell;
mod lane;
mod scene;
#[path = "../shared/mod.rs"]
#[expect(dead_code, reason = "part of it is for the other test binary")]
mod shared;
mod table;
mod template;

use std::sync::Arc;
use std::time::Instant;

use futures_util::future::{join_all, try_join_all};
use workflow_bridge::tools::local::workspace::Workspace;
use workflow_bridge::tools::local::{Emulator, Port};
use workflow_bridge::tools::terminal::Progress;

use self::cell::{Finding, Late, play};
use self::lane::Lane;
use self::scene::{Kind, Lasts, Scene};
use self::shared::RUNTIME;
use self::table::{Page, REWRITE};

/// Writes the table instead of comparing it.
const WRITE: &str = "WRITE_RELIABILITY";
/// Plays only cells with this in their name, such as `ledger hang`, and compares these. With [`WRITE`], plays and writes all
/// cells of their scenes.
const ONLY: &str = "MATRIX_ONLY";

/// The largest number of attempts at a cell: two beside other scenes, the others alone.
const ATTEMPTS: u32 = 5;
const BESIDE_OTHERS: u32 = 2;

type Cell = (Kind, Lasts);

/// The results of a scene's cells.
#[derive(Default)]
struct Played {
    findings: Vec<(Kind, Lasts, Finding)>,
    failures: Vec<String>,
    /// Cells to play again while no other scene is played.
    again: Vec<Cell>,
}

/// Plays the cells of a scene in order: the attempts beside other scenes, or those alone.
async fn play_all(lane: &Lane, cells: &[Cell], page: Option<&Page>, alone: bool) -> Played {
    let mut played = Played::default();
    if !alone && let Err(error) = lane.first().await {
        let failure = format!("{}: without any fault: {error:#}", lane.scene.name());
        played.failures.push(failure);
        return played;
    }
    let (first, last) = if alone {
        (BESIDE_OTHERS + 1, ATTEMPTS)
    } else {
        (1, BESIDE_OTHERS)
    };
    for &(kind, lasts) in cells {
        let expected = page.and_then(|page| page.get(&(lane.scene, kind, lasts)));
        for attempt in first..=last {
            let outcome = attempt_at(lane, kind, lasts, expected, attempt).await;
            match outcome {
                Outcome::Found(finding) => {
                    played.findings.push((kind, lasts, finding));
                    break;
                }
                Outcome::Broken(failure) => {
                    played.failures.push(failure);
                    break;
                }
                Outcome::Differs(_) if attempt < last => {}
                Outcome::Differs(_) if !alone => played.again.push((kind, lasts)),
                Outcome::Differs(failure) => played.failures.push(failure),
            }
        }
    }
    played
}

/// The outcome of one attempt at a cell.
enum Outcome {
    Found(Finding),
    /// Late, or a row other than the page's, as on a busy machine: retried.
    Differs(String),
    /// A broken guarantee: not retried.
    Broken(String),
}

async fn attempt_at(
    lane: &Lane,
    kind: Kind,
    lasts: Lasts,
    expected: Option<&[String; 3]>,
    attempt: u32,
) -> Outcome {
    let name = name(lane.scene, kind, lasts);
    let began = Instant::now();
    let result = play(lane, kind, lasts, attempt).await;
    let found = match &result {
        Ok(finding) => format!("{finding:?}"),
        Err(error) => format!("{error:#}"),
    };
    println!("{name}: {found}, played in {:.1?}", began.elapsed());
    match result {
        Ok(finding) => match expected.filter(|row| **row != finding.row()) {
            None => Outcome::Found(finding),
            Some(row) => {
                let (row, found) = (row.join(" | "), finding.row().join(" | "));
                Outcome::Differs(format!(
                    "{name}: expected `{row}` as in docs/reliability.md, found `{found}`; {REWRITE}"
                ))
            }
        },
        Err(error) => {
            let failure = format!("{name}: {error:#}");
            match lane.clean().await {
                Ok(()) if error.is::<Late>() => Outcome::Differs(failure),
                Ok(()) => Outcome::Broken(failure),
                Err(dirt) => Outcome::Broken(format!(
                    "{failure}; then it could not be cleaned up: {dirt:#}"
                )),
            }
        }
    }
}

fn name(scene: Scene, kind: Kind, lasts: Lasts) -> String {
    format!("{} {}", scene.name(), slug(kind, lasts))
}

fn slug(kind: Kind, lasts: Lasts) -> String {
    format!("{}-{}", kind.slug(), lasts.slug())
}

#[test]
fn each_fault_gives_a_true_answer_in_time_and_the_message_arrives() {
    RUNTIME.block_on(async {
        let only = std::env::var(ONLY).ok();
        let writing = std::env::var_os(WRITE).is_some();
        let workspace = Workspace::find().unwrap();
        let file = workspace.root().join("docs/reliability.md");
        let page = (!writing).then(|| table::read(&file).unwrap());
        // An emulator of its own: dozens of hanging functions would block other tests.
        let emulator = Emulator::start(&workspace, Port::Free, &Progress::silent()).await;
        let emulator = Arc::new(emulator.unwrap());
        let wanted = |scene: &Scene| -> Vec<_> {
            let cells = scene.cells().filter(|(kind, lasts)| {
                let name = name(*scene, *kind, *lasts);
                only.as_ref().is_none_or(|only| name.contains(only))
            });
            let wanted: Vec<_> = cells.collect();
            match writing && !wanted.is_empty() {
                true => scene.cells().collect(),
                false => wanted,
            }
        };
        let scenes = Scene::ALL.into_iter();
        let scenes = scenes.filter(|scene| !wanted(scene).is_empty());
        // Deploy all stacks before the first message: deploying a function ends the processes of functions with the same
        // name in the emulator's other accounts.
        let lanes = scenes.map(|scene| Lane::start(Arc::clone(&emulator), scene));
        let lanes = try_join_all(lanes)
            .await
            .unwrap_or_else(|error| panic!("a stack does not start: {error:#}"));
        let page = page.as_ref();
        let first_pass = lanes.iter().map(async |lane| {
            let cells = wanted(&lane.scene);
            play_all(lane, &cells, page, false).await
        });
        let mut played = join_all(first_pass).await;
        for (lane, played) in lanes.iter().zip(&mut played) {
            let again = std::mem::take(&mut played.again);
            let mut alone = play_all(lane, &again, page, true).await;
            played.findings.append(&mut alone.findings);
            let order = |kind, lasts| lane.scene.cells().position(|cell| cell == (kind, lasts));
            played
                .findings
                .sort_by_key(|(kind, lasts, _)| order(*kind, *lasts));
            played.failures.append(&mut alone.failures);
        }
        let failures: Vec<_> = played.iter().flat_map(|one| &one.failures).collect();
        assert!(
            failures.is_empty(),
            "{} cells of the matrix failed:\n{}",
            failures.len(),
            failures
                .iter()
                .map(|failure| format!("- {failure}\n"))
                .collect::<String>()
        );
        if only.is_some() && !writing {
            return;
        }
        let tables: Vec<_> = lanes
            .iter()
            .zip(&played)
            .map(|(lane, played)| table::of(lane.scene, &played.findings))
            .collect();
        if writing {
            table::write(&file, &tables).unwrap();
        } else {
            table::compare(&file, &tables.join("\n")).unwrap_or_else(|text| panic!("{text}"));
        }
    });
}
