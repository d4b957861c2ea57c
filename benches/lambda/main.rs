//! Lambda's figures: start, messages, CPU time, instructions and memory of the shipped functions, beside alternatives.
//!
//! ```sh
//! cargo bench --features cli --bench lambda                             # about ten minutes, and the builds before
//! cargo bench --features cli --bench lambda -- --quick --only webhook,floor
//! cargo bench --features cli --bench lambda -- --starts 30 --json figures.json
//! cargo bench --features cli --bench lambda -- --only webhook,webhook-collected       # the cost of collected routes
//! cargo bench --features cli --bench lambda -- --only webhook --before /tmp/webhook   # the effect of a change
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
//! The benchmark builds all of them itself, under `target/peers/`. Without `npm` or `valgrind` it leaves parts out, and names
//! them. There it also keeps callgrind's files, SUBJECT-SIZE.callgrind, for `callgrind_annotate`; they have the functions'
//! names if the binary has them, as one given with `--before` can.

mod aws;
mod builds;
mod events;
mod function;
mod instructions;
mod measure;
mod options;
#[path = "../shared/mod.rs"]
mod shared;
mod subject;
mod tables;

use anyhow::{Result, ensure};
use clap::Parser;

use function::World;
use options::Options;
use shared::{answers, figures, runtime_api, serving, usage};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let options = Options::parse();
    let subjects = builds::all(&options)?;
    ensure!(
        !subjects.is_empty(),
        "expected a measurable subject, found none"
    );
    let machine = format!("{}; {}", usage::machine(), builds::versions());
    let world = World::start().await?;
    let mut runs = measure::starts(&world, &subjects, &options).await?;
    runs.extend(measure::messages(&world, &subjects, &options).await?);
    runs.extend(instructions::count(&world, &subjects, options.quick).await?);

    let names: Vec<_> = subjects.iter().map(|subject| subject.name).collect();
    println!("{machine}\n\n{}", tables::all(&names, &runs));
    match options.json {
        Some(file) => figures::save(&file, &machine, &runs),
        None => Ok(()),
    }
}
