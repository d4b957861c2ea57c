//! Instructions per message, by valgrind's callgrind: the figure that a busy machine does not change.

use std::collections::BTreeMap;
use std::fs;

use anyhow::{Context, Result};

use crate::builds;
use crate::figures::Run;
use crate::function::{Function, World};
use crate::subject::{LARGE, SIZES, Subject, folder};

/// Of each subject and each size, over plain HTTP: the difference between two runs over the difference of their messages, so
/// that the start drops out. Leaves out interpreted subjects, whose difference would include their compiler's work. Prints a
/// note if there is no valgrind.
pub async fn count(world: &World, subjects: &[Subject], quick: bool) -> Result<Vec<Run>> {
    let mut runs = Vec::new();
    if builds::version("valgrind").is_none() {
        eprintln!("`valgrind` is not on the PATH: instructions are left out; install it");
        return Ok(runs);
    }
    for subject in subjects.iter().filter(|subject| subject.command.len() == 1) {
        let mut figures = BTreeMap::new();
        for (size, name) in subject.sizes() {
            eprintln!("instructions of {}, {name}", subject.name);
            let [few, many] = match quick || size == LARGE {
                true => [10, 50],
                false => [50, 250],
            };
            let least = all(world, subject, size, few).await?;
            let most = all(world, subject, size, many).await?;
            figures.insert(name, (most - least) / (many - few) as f64);
        }
        let [(small, small_name), _, (large, large_name)] = SIZES;
        if let (Some(least), Some(most)) = (figures.get(small_name), figures.get(large_name)) {
            let per_byte = (most - least) / (large - small) as f64;
            figures.insert("per byte", per_byte);
        }
        runs.push(Run {
            setting: Vec::new(),
            subject: subject.name.to_owned(),
            round: 0,
            figures,
        });
    }
    Ok(runs)
}

/// The instructions of a whole run. Their functions remain in a file for `callgrind_annotate`.
async fn all(world: &World, subject: &Subject, size: usize, messages: usize) -> Result<f64> {
    let file = format!("{}-{size}.callgrind", subject.name);
    let file = folder().join(file);
    let out = format!("--callgrind-out-file={}", file.display());
    let wrapper = ["valgrind", "--tool=callgrind", &out];
    let mut function = Function::start(world, subject, &world.places[0], &wrapper).await?;
    for number in 0..messages {
        function.invoke(subject.event(number, size)).await?;
    }
    function.stop().await?;
    let text = fs::read_to_string(&file)?;
    let total = text.lines().find_map(|line| line.strip_prefix("totals: "));
    let total = total.and_then(|total| total.parse().ok());
    total.with_context(|| format!("expected `totals: N` in {}", file.display()))
}
