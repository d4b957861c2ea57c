//! Instructions per message, by valgrind's callgrind: the figure that is the same on a busy machine.

use std::fs;

use anyhow::{Context, Result};

use crate::builds;
use crate::figures::Instructions;
use crate::measure::{Place, World};
use crate::options::Options;
use crate::subject::Subject;

/// False, and says so, where there is no valgrind.
pub fn can_be_counted() -> bool {
    let found = builds::version("valgrind").is_some();
    if !found {
        eprintln!("`valgrind` is not on the PATH: instructions are left out; install it");
    }
    found
}

/// The difference between two runs over the difference of their messages, over plain HTTP. `None` for an interpreter, whose
/// compiler at run time makes such a difference mean nothing.
pub async fn count(
    world: &World,
    subject: &Subject,
    size: usize,
    options: &Options,
) -> Result<Option<Instructions>> {
    if subject.script.is_some() {
        return Ok(None);
    }
    eprintln!("instructions of {}, {size} bytes", subject.name);
    let [few, many] = options.counted();
    let least = all(world, subject, size, few).await?;
    let most = all(world, subject, size, many).await?;
    Ok(Some(Instructions {
        subject: subject.name,
        size,
        per_message: (most as f64 - least as f64) / (many - few) as f64,
    }))
}

/// The instructions of a whole run.
async fn all(world: &World, subject: &Subject, size: usize, messages: usize) -> Result<u64> {
    let log = builds::folder().join("callgrind.log");
    let wrapper = [
        "valgrind".to_owned(),
        "--tool=callgrind".to_owned(),
        "--callgrind-out-file=/dev/null".to_owned(),
        format!("--log-file={}", log.display()),
    ];
    let mut running = world.run(subject, Place::HTTP, &wrapper).await?;
    running.idle().await?;
    for _ in 0..messages {
        running.invoke(size).await?;
        running.idle().await?;
    }
    running.stop().await?;
    let text = fs::read_to_string(&log)?;
    let counted = text
        .lines()
        .find_map(|line| line.split_once("Collected : ")?.1.trim().parse().ok());
    counted.with_context(|| format!("expected `Collected : N` of callgrind, found {text}"))
}
