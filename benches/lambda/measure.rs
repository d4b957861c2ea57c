//! Starts and messages.

use anyhow::Result;
use fastrand::Rng;

use crate::aws::Place;
use crate::figures::{Run, percentile};
use crate::function::{Function, World};
use crate::options::Options;
use crate::subject::{LARGE, SIZES, Subject};
use crate::tables::{BINARY, FIRST, P50, PEAK};
use crate::usage::{self, Usage};

/// Turns of each subject in a series of messages: seconds of other load on the machine hit all of them.
const TURNS: usize = 10;

/// Cold starts, everywhere, with the smallest text.
pub async fn starts(world: &World, subjects: &[Subject], options: &Options) -> Result<Vec<Run>> {
    let mut runs = Vec::new();
    let (smallest, _) = SIZES[0];
    for round in 0..usize::from(options.starts) {
        eprintln!("start {} of {}", round + 1, options.starts);
        for place in &world.places {
            for subject in in_turn(subjects, round) {
                let event = subject.event(0, smallest);
                let mut function = Function::start(world, subject, place, &[]).await?;
                let (first, _) = function.invoke(event).await?;
                runs.push(Run {
                    setting: vec![place.name.clone()],
                    subject: subject.name.to_owned(),
                    round,
                    figures: [
                        (BINARY, subject.bytes as f64 / 1e3),
                        ("init ms", function.init.as_secs_f64() * 1e3),
                        (FIRST, first.as_secs_f64() * 1e3),
                    ]
                    .into(),
                });
                function.stop().await?;
            }
        }
    }
    Ok(runs)
}

/// Messages one after the other, of each size, where AWS answers at once.
pub async fn messages(world: &World, subjects: &[Subject], options: &Options) -> Result<Vec<Run>> {
    let mut runs = Vec::new();
    let rounds = if options.quick { 1 } else { 7 };
    for round in 0..rounds {
        eprintln!("messages, round {} of {rounds}", round + 1);
        for place in world.places.iter().filter(|place| place.service_ms == 0) {
            for (size, size_name) in SIZES {
                let mut all = Vec::new();
                for subject in in_turn(subjects, round) {
                    if subject.sizes().any(|(own, _)| own == size) {
                        all.push(Series::start(world, subject, place, size).await?);
                    }
                }
                let mut left = options.invocations as usize;
                if size == LARGE {
                    left /= 10;
                }
                let turn = left.div_ceil(TURNS);
                while left > 0 {
                    let count = turn.min(left);
                    for series in &mut all {
                        series.more(count).await?;
                    }
                    left -= count;
                }
                for series in all {
                    let setting = vec![place.name.clone(), size_name.to_owned()];
                    runs.push(series.end(setting, round).await?);
                }
            }
        }
    }
    Ok(runs)
}

/// Messages to one function.
struct Series<'a> {
    function: Function<'a>,
    subject: &'a Subject,
    size: usize,
    before: Usage,
    samples_us: Vec<f64>,
}

impl<'a> Series<'a> {
    /// Starts a subject, and invokes it with a first message, which does not count.
    async fn start(
        world: &'a World,
        subject: &'a Subject,
        place: &Place,
        size: usize,
    ) -> Result<Self> {
        let mut function = Function::start(world, subject, place, &[]).await?;
        function.invoke(subject.event(0, size)).await?;
        Ok(Self {
            before: usage::of(function.pid()?)?,
            function,
            subject,
            size,
            samples_us: Vec::new(),
        })
    }

    async fn more(&mut self, count: usize) -> Result<()> {
        for _ in 0..count {
            let event = self.subject.event(1 + self.samples_us.len(), self.size);
            let (_, took) = self.function.invoke(event).await?;
            self.samples_us.push(took.as_secs_f64() * 1e6);
        }
        Ok(())
    }

    async fn end(mut self, setting: Vec<String>, round: usize) -> Result<Run> {
        let after = usage::of(self.function.pid()?)?;
        self.function.stop().await?;
        let cpu_us = (after.cpu_seconds - self.before.cpu_seconds) * 1e6;
        let count = self.samples_us.len() as f64;
        let mut percentile = |percent| percentile(&mut self.samples_us, percent);
        Ok(Run {
            setting,
            subject: self.subject.name.to_owned(),
            round,
            figures: [
                (P50, percentile(50)),
                ("p90", percentile(90)),
                ("p99", percentile(99)),
                ("max", percentile(100)),
                ("CPU µs", cpu_us / count),
                (PEAK, after.peak_mb),
            ]
            .into(),
        })
    }
}

/// In an order that differs between rounds, and is the same in each run: no subject is always first, or always behind the same
/// one.
fn in_turn(subjects: &[Subject], round: usize) -> Vec<&Subject> {
    let mut all: Vec<_> = subjects.iter().collect();
    Rng::with_seed(round as u64).shuffle(&mut all);
    all
}
