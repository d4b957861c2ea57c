//! `bridge replay`: dead letters back on their path.

pub mod place;
mod report;

use std::io::{IsTerminal, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use std::time::Instant;

use anyhow::Result;
use clap::{ArgGroup, Args};
use workflow_bridge::tools::terminal::{Progress, Style, seconds};

use self::place::Where;
use self::report::{MOST_PROBLEMS, Row, counts, grouped, line, summary, table};
use crate::Signals;
use workflow_bridge::tools::letters::{Dead, DeadQueue, Record};
use workflow_bridge::tools::place::Place;
use workflow_bridge::tools::replay::choice::Choice;
use workflow_bridge::tools::replay::run::{Fate, HOLD, Job, Tally};

/// Put dead letters back on their path
///
/// Messages go back to the parking queue and from there to their routes, results back to the queue of the results. Each letter is sent, then deleted, so an interruption loses nothing and a replay may be repeated: a message delivered twice starts one execution. Letters in hand are hidden from others for ten minutes at most.
#[derive(Args)]
#[command(
    group = ArgGroup::new("queues").required(true).multiple(true),
    after_help = "Examples:\n  cargo bridge replay --dead-letters --dry-run             # list letters and reasons\n  cargo bridge replay --dead-letters --reason unavailable --since 2h\n  cargo bridge replay --results --route uppercase --limit 10\n  AWS_REGION=eu-west-1 cargo bridge replay --dead-letters --stack workflow-bridge\n\nOn AWS, region and credentials come from the environment (AWS_REGION, AWS_ACCESS_KEY_ID, …) or from a profile with plain keys; for every other way to sign in:\n  eval \"$(aws configure export-credentials --format env)\"\n\nIt may need: cloudformation:DescribeStacks on the stack; sqs:ReceiveMessage, sqs:DeleteMessage, sqs:ChangeMessageVisibility and sqs:GetQueueAttributes on the dead-letter queue; sqs:SendMessage on the queue that letters go back to.\n\nThe exit code is 0 when everything that matches is back on its path, 1 when anything could not be put back or came back, 130 or 143 after a signal."
)]
pub struct Replay {
    /// Undeliverable messages
    #[arg(long, group = "queues")]
    dead_letters: bool,

    /// Unpublished results
    #[arg(long, group = "queues")]
    results: bool,

    #[command(flatten)]
    choice: Choice,

    /// Stop after this many matching letters
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    limit: Option<u64>,

    /// List the matching letters, and change nothing
    #[arg(long)]
    dry_run: bool,

    /// Print a JSON object for each letter, and one with the counts of each queue
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    place: Where,
}

impl Replay {
    pub async fn run(self) -> Result<i32> {
        let place = self.place.find().await?;
        let (stop, code) = stop_in_order()?;
        let kinds = [
            (DeadQueue::Messages, self.dead_letters),
            (DeadQueue::Results, self.results),
        ];
        let mut limit = self.limit;
        let mut failed = false;
        for (kind, _) in kinds.into_iter().filter(|(_, wanted)| *wanted) {
            if stop.load(Ordering::Relaxed) {
                break;
            }
            failed |= self.one(&place, kind, &mut limit, &stop).await?.failed();
        }
        Ok(match code.load(Ordering::Relaxed) {
            0 => i32::from(failed),
            code => code,
        })
    }

    async fn one(
        &self,
        place: &Place,
        kind: DeadQueue,
        limit: &mut Option<u64>,
        stop: &AtomicBool,
    ) -> Result<Tally> {
        let began = Instant::now();
        let queues = place.queues(kind)?;
        let depth = queues.depth().await;
        let doing = format!(
            "{} dead letters of {} at {}",
            if self.dry_run { "reading" } else { "replaying" },
            kind.name(),
            place.name
        );
        // Lines for programs must not mix with a progress line.
        let progress = if self.json {
            Progress::silent()
        } else {
            Progress::shown()
        };
        let step = progress.step(&doing);
        let job = Job {
            kind,
            choice: &self.choice,
            dry_run: self.dry_run,
            stop,
        };
        let (mut rows, mut more, mut broken) = (Vec::new(), 0_u64, None);
        let report = |tally: &Tally, what: Option<(&Record, &Dead, Fate)>| match what {
            Some((_, dead, fate)) if self.json => {
                let written = writeln!(std::io::stdout(), "{}", line(kind, dead, &fate));
                if let Err(error) = written {
                    // A closed pipe: stop as after a signal.
                    stop.store(true, Ordering::Relaxed);
                    broken.get_or_insert(error);
                }
            }
            Some((_, _, Fate::Replayed)) => {}
            Some((_, dead, fate)) if self.dry_run || rows.len() < MOST_PROBLEMS => {
                rows.push(Row::new(dead, &fate));
            }
            Some(_) => more += 1,
            None => {
                let about = depth.map_or(String::new(), |depth| {
                    format!(" of about {}", grouped(depth.visible.max(tally.found)))
                });
                step.update(&format!("{doing}: {}{about}", grouped(tally.found)));
            }
        };
        let tally = job.run(&queues, limit, report).await;
        drop(step);
        if let Some(error) = broken {
            return Err(error.into());
        }
        let mut out = std::io::stdout().lock();
        if self.json {
            writeln!(out, "{}", counts(kind, self.dry_run, &tally))?;
            return Ok(tally);
        }
        let style = Style::for_stdout();
        if !rows.is_empty() {
            write!(out, "{}", table(kind, rows, width(), style))?;
            if more > 0 {
                writeln!(out, "… and {} more", grouped(more))?;
            }
            writeln!(out)?;
        }
        let colour = match (tally.failed(), tally.replayed) {
            (true, _) => Style::bad,
            (false, 0) => Style::bold,
            (false, _) => Style::good,
        };
        for (index, text) in summary(kind, self.dry_run, &tally).into_iter().enumerate() {
            if index == 0 {
                let took = style.dim(seconds(began.elapsed()));
                writeln!(out, "{}  {took}", colour(style, text))?;
            } else {
                writeln!(out, "{text}")?;
            }
        }
        if let Some(held) = depth.map(|depth| depth.held).filter(|held| *held > 0) {
            writeln!(
                out,
                "  about {} more were held by another reader; records held by a replay show again within {} min",
                grouped(held),
                HOLD.as_secs() / 60
            )?;
        }
        Ok(tally)
    }
}

/// From now on the first signal sets the exit code and the flag; a second one ends the process at once.
fn stop_in_order() -> Result<(Arc<AtomicBool>, Arc<AtomicI32>)> {
    let (stop, code) = (Arc::<AtomicBool>::default(), Arc::<AtomicI32>::default());
    let mut signals = Signals::new()?;
    let (set, exit) = (Arc::clone(&stop), Arc::clone(&code));
    tokio::spawn(async move {
        exit.store(signals.next().await, Ordering::Relaxed);
        set.store(true, Ordering::Relaxed);
    });
    crate::ENDS_IN_ORDER.store(true, Ordering::Relaxed);
    Ok((stop, code))
}

/// The terminal's width in characters; `None` without a terminal on standard output.
fn width() -> Option<usize> {
    let stdout = std::io::stdout();
    let size = terminal_size::terminal_size_of(&stdout).filter(|_| stdout.is_terminal());
    size.map(|(width, _)| usize::from(width.0))
}
