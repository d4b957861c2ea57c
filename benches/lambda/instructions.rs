//! Instructions per message, by valgrind's callgrind: the figure that a busy machine does not change.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use crate::builds;
use crate::figures::Instructions;
use crate::measure::World;
use crate::options::Options;
use crate::place::Place;
use crate::subject::Subject;

/// Of each subject and each size, over plain HTTP: the difference between two runs over the difference of their messages, so
/// that the start drops out. Leaves out interpreted subjects, whose difference would include their compiler's work.
///
/// With `--profile`, keeps callgrind's output of the longer runs. Prints a note if there is no valgrind.
pub async fn of(
    world: &World,
    subjects: &[Subject],
    options: &Options,
) -> Result<Vec<Instructions>> {
    let mut counted = Vec::new();
    if builds::version("valgrind").is_none() {
        eprintln!("`valgrind` is not on the PATH: instructions are left out; install it");
        return Ok(counted);
    }
    if let Some(folder) = &options.profile {
        fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    }
    for subject in subjects.iter().filter(|subject| subject.script.is_none()) {
        for &size in subject.sizes() {
            eprintln!("instructions of {}, {size} bytes", subject.name);
            let [few, many] = options.counted(size);
            let kept = options.profile.as_ref().map(|folder| {
                let name = format!("{}-{size}.callgrind", subject.name);
                folder.join(name)
            });
            let least = all(world, subject, size, few, None).await?;
            let most = all(world, subject, size, many, kept.as_deref()).await?;
            counted.push(Instructions {
                subject: subject.name,
                size,
                per_message: (most as f64 - least as f64) / (many - few) as f64,
            });
        }
    }
    Ok(counted)
}

/// The instructions of a whole run, by function in the file `kept`.
async fn all(
    world: &World,
    subject: &Subject,
    size: usize,
    messages: usize,
    kept: Option<&Path>,
) -> Result<u64> {
    let log = builds::folder().join("callgrind.log");
    let kept = kept.unwrap_or(Path::new("/dev/null"));
    let wrapper = [
        "valgrind".to_owned(),
        "--tool=callgrind".to_owned(),
        format!("--callgrind-out-file={}", kept.display()),
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
