//! Lambda's figures: start, messages, CPU time, instructions and memory of the shipped functions, beside alternatives.
//!
//! ```sh
//! cargo bench --features cli --bench lambda                             # about ten minutes, and the builds before
//! cargo bench --features cli --bench lambda -- --quick --only webhook,floor
//! cargo bench --features cli --bench lambda -- --starts 30 --json figures.json
//! cargo bench --features cli --bench lambda -- --only webhook,webhook-collected       # the cost of collected routes
//! cargo bench --features cli --bench lambda -- --only webhook --before /tmp/webhook   # the effect of a change
//! cargo bench --features cli --bench lambda -- --compare one.json other.json          # whether two runs agree
//! cargo bench --features cli --bench lambda -- --only --before /tmp/webhook --quick --profile /tmp/profile
//! ```
//!
//! A subject is a process of its own under an emulated Runtime API, against stubs of AWS and this project's own Topics server;
//! all of these are in this process, in one thread, on loopback. Subjects take turns, so that other load on the machine hits
//! all of them.
//!
//! | subject | is |
//! |---|---|
//! | `webhook`, `completion` | the shipped functions, built as by SAM |
//! | `webhook-collected` | the same, with a hundred routes of other stacks in its table; its ratios refer to `webhook` |
//! | `floor` | a Lambda function in Rust that does nothing |
//! | `afternoon`, `afternoon-completion` | the same jobs done plainly, with default features and the default profile |
//! | `node`, `node-completion` | the same on Node.js, bundled with esbuild |
//!
//! The benchmark builds all of them itself, under `target/peers/`. Without `node` and `npm`, `valgrind` or `openssl`, it
//! leaves parts out, and names them.

mod builds;
mod compare;
mod events;
mod figures;
mod instructions;
#[path = "../shared/markdown.rs"]
mod markdown;
mod measure;
mod options;
mod place;
mod runtime_api;
mod series;
mod serving;
#[path = "../shared/statistics.rs"]
mod statistics;
mod stubs;
mod subject;
mod table;
mod targets;
mod tls;
// The current memory is not needed here.
#[allow(dead_code)]
#[path = "../relay/usage.rs"]
mod usage;

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result, bail, ensure};
use clap::Parser;
use serde_json::json;

use figures::Figures;
use measure::World;
use options::Options;
use place::Place;
use series::Series;
use subject::{LARGE, MIDDLE, SMALL, Subject};

/// Turns of each subject in a series of messages: seconds of other load on the machine hit all of them.
const TURNS: usize = 10;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<ExitCode> {
    let options = Options::parse();
    if let Some(files) = &options.compare {
        return compare(files);
    }
    let all = tokio::task::LocalSet::new();
    all.run_until(bench(options)).await?;
    Ok(ExitCode::SUCCESS)
}

/// Fails if the two files' ratios differ.
fn compare(files: &[PathBuf]) -> Result<ExitCode> {
    let read = |file: &PathBuf| {
        fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))
    };
    let texts = files.iter().map(read).collect::<Result<Vec<_>>>()?;
    let [one, other] = &texts[..] else {
        bail!("expected two files, found {}", texts.len());
    };
    let (table, all_agree) = compare::runs(one, other)?;
    print!("{table}");
    Ok(match all_agree {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    })
}

async fn bench(options: Options) -> Result<()> {
    let mut subjects = builds::all(&options.only)?;
    if let Some(program) = &options.before {
        subjects.push(builds::before(program)?);
    }
    ensure!(
        !subjects.is_empty(),
        "expected a measurable subject, found none"
    );
    let machine = format!("{}; {}", usage::machine(), builds::versions());
    let tls = tls::Authority::create(&builds::folder())?;
    let world = World::new(tls).await?;
    let mut figures = Figures::default();

    starts(&world, &subjects, &options, &mut figures).await?;
    messages(&world, &subjects, &options, &mut figures).await?;
    figures.instructions = instructions::of(&world, &subjects, &options).await?;

    println!("{machine}\n\n{}", table::all(&subjects, &figures));
    if let Some(file) = &options.json {
        let document = json!({
            "machine": machine,
            "subjects": subjects,
            "figures": figures,
            "targets": targets::all(&subjects, &figures),
        });
        let text = serde_json::to_string_pretty(&document)?;
        fs::write(file, text).with_context(|| format!("cannot write {}", file.display()))?;
    }
    Ok(())
}

/// Cold starts, everywhere, with the smallest text.
async fn starts(
    world: &World,
    subjects: &[Subject],
    options: &Options,
    figures: &mut Figures,
) -> Result<()> {
    for round in 0..options.starts() {
        eprintln!("start {} of {}", round + 1, options.starts());
        for place in world.places() {
            for subject in in_turn(subjects, round) {
                figures.starts.push(world.start(subject, place).await?);
            }
        }
    }
    Ok(())
}

/// Messages one after the other, of each size, where AWS answers at once.
async fn messages(
    world: &World,
    subjects: &[Subject],
    options: &Options,
    figures: &mut Figures,
) -> Result<()> {
    for round in 0..options.rounds() {
        eprintln!("messages, round {} of {}", round + 1, options.rounds());
        for place in world.places().into_iter().filter(Place::answers_at_once) {
            for size in [SMALL, MIDDLE, LARGE] {
                let mut all = Vec::new();
                for subject in in_turn(subjects, round) {
                    if subject.sizes().contains(&size) {
                        all.push(Series::start(world, subject, place, size).await?);
                    }
                }
                let mut left = options.invocations(size);
                let turn = left.div_ceil(TURNS);
                while left > 0 {
                    let count = turn.min(left);
                    for series in &mut all {
                        series.more(count).await?;
                    }
                    left -= count;
                }
                for series in all {
                    figures.messages.push(series.end().await?);
                }
            }
        }
    }
    Ok(())
}

/// In an order that differs between rounds, and is the same in each run: no subject is always first, or always behind the same
/// one.
fn in_turn(subjects: &[Subject], round: usize) -> Vec<&Subject> {
    let mut all: Vec<_> = subjects.iter().collect();
    fastrand::Rng::with_seed(round as u64).shuffle(&mut all);
    all
}
