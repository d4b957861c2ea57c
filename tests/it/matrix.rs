//! Each fault at each dependency, once, for a while and for good: what the sender is answered, where the message is
//! then, and that it arrives. The table of it is in docs/reliability.md.

mod cell;
mod lane;
mod scene;
mod table;
mod template;

use std::sync::Arc;
use std::time::Instant;

use futures_util::future::{join_all, try_join_all};
use workflow_bridge::local::Emulator;
use workflow_bridge::local::console::Progress;
use workflow_bridge::local::workspace::Workspace;

use self::cell::{Finding, Late, play};
use self::lane::Lane;
use self::scene::{Kind, Lasts, Scene};
use self::table::{Page, REWRITE};
use crate::deployed::RUNTIME;

/// Writes the table instead of comparing it.
const WRITE: &str = "WRITE_RELIABILITY";
/// Plays only what has this in its name, such as `ledger hang`, and compares nothing.
const ONLY: &str = "MATRIX_ONLY";

/// How often a cell is played at most.
const ATTEMPTS: u32 = 3;

/// What came of the cells of a scene.
struct Played {
    scene: Scene,
    findings: Vec<(Kind, Lasts, Finding)>,
    failures: Vec<String>,
}

/// Plays the cells of a scene one after the other. One that is late, or not as the page has it, is played again: a busy
/// machine makes an answer later, and another one. A broken promise is none of these.
async fn play_all(lane: Lane, cells: Vec<(Kind, Lasts)>, page: Option<&Page>) -> Played {
    let mut played = Played {
        scene: lane.scene,
        findings: Vec::new(),
        failures: Vec::new(),
    };
    if let Err(error) = lane.first().await {
        let failure = format!("{}: without any fault: {error:#}", lane.scene.name());
        played.failures.push(failure);
        return played;
    }
    for (kind, lasts) in cells {
        let name = name(lane.scene, kind, lasts);
        let expected = page.and_then(|page| page.get(&(lane.scene, kind, lasts)));
        for attempt in 1..=ATTEMPTS {
            let began = Instant::now();
            let result = play(&lane, kind, lasts, attempt).await;
            let found = match &result {
                Ok(finding) => format!("{finding:?}"),
                Err(error) => format!("{error:#}"),
            };
            println!("{name}: {found}, played in {:.1?}", began.elapsed());
            let is_last = attempt == ATTEMPTS;
            match result {
                Ok(finding) => match expected.filter(|row| **row != finding.row()) {
                    None => {
                        played.findings.push((kind, lasts, finding));
                        break;
                    }
                    Some(row) if is_last => {
                        let (row, found) = (row.join(" | "), finding.row().join(" | "));
                        let failure = format!(
                            "{name}: expected `{row}` as in docs/reliability.md, found `{found}`; {REWRITE}"
                        );
                        played.failures.push(failure);
                    }
                    Some(_) => {}
                },
                Err(error) => {
                    let cleaned = lane.clean().await;
                    if error.is::<Late>() && !is_last && cleaned.is_ok() {
                        continue;
                    }
                    let mut failure = format!("{name}: {error:#}");
                    if let Err(error) = cleaned {
                        failure.push_str(&format!("; then it could not be cleaned up: {error:#}"));
                    }
                    played.failures.push(failure);
                    break;
                }
            }
        }
    }
    played
}

fn name(scene: Scene, kind: Kind, lasts: Lasts) -> String {
    format!("{} {}", scene.name(), slug(kind, lasts))
}

fn slug(kind: Kind, lasts: Lasts) -> String {
    format!("{}-{}", kind.slug(), lasts.slug())
}

#[test]
fn whatever_fails_the_sender_is_told_the_truth_in_time_and_the_message_arrives() {
    RUNTIME.block_on(async {
        let only = std::env::var(ONLY).ok();
        let writing = std::env::var_os(WRITE).is_some();
        let workspace = Workspace::find().unwrap();
        let file = workspace.root().join("docs/reliability.md");
        let page = (!writing).then(|| table::read(&file).unwrap());
        // One of its own: dozens of hanging functions would be in the way of other tests.
        let emulator = Emulator::start(&workspace, 0, &Progress::silent()).await;
        let emulator = Arc::new(emulator.unwrap());
        let wanted = |scene: &Scene| -> Vec<_> {
            let cells = scene.cells().filter(|(kind, lasts)| {
                let name = name(*scene, *kind, *lasts);
                only.as_ref().is_none_or(|only| name.contains(only))
            });
            cells.collect()
        };
        let scenes = Scene::ALL.into_iter();
        let scenes = scenes.filter(|scene| !wanted(scene).is_empty());
        // All stacks before the first message: whoever deploys a function ends the processes of those of the same name
        // in the emulator's other accounts.
        let lanes = scenes.map(|scene| Lane::start(Arc::clone(&emulator), scene));
        let lanes = try_join_all(lanes)
            .await
            .unwrap_or_else(|error| panic!("a stack does not start: {error:#}"));
        let lanes = lanes.into_iter().map(|lane| {
            let cells = wanted(&lane.scene);
            play_all(lane, cells, page.as_ref())
        });
        let played = join_all(lanes).await;
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
        if only.is_some() {
            return;
        }
        let tables: Vec<_> = played
            .iter()
            .map(|one| table::of(one.scene, &one.findings))
            .collect();
        if writing {
            table::write(&file, &tables.join("\n")).unwrap();
        } else {
            table::compare(&file, &tables.join("\n")).unwrap_or_else(|text| panic!("{text}"));
        }
    });
}
