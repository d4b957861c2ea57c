//! `bridge replay`: dead letters back on their path.

mod report;

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use std::time::Instant;

use anyhow::Result;
use clap::{ArgGroup, Args};
use terminal_size::terminal_size_of;
use workflow_bridge::tools::terminal::{Progress, Style, seconds};

use self::report::{MOST_PROBLEMS, Row, counts, grouped, line, summary, table};
use crate::Signals;
use crate::place::Where;
use workflow_bridge::tools::letters::{Dead, DeadQueue};
use workflow_bridge::tools::place::Place;
use workflow_bridge::tools::replay::choice::Choice;
use workflow_bridge::tools::replay::reading::HOLD;
use workflow_bridge::tools::replay::run::{Fate, Job, Tally};

/// Put dead letters back on their path
///
/// Messages go back to the parking queue and from there to their routes, results back to the queue of the results. Each letter is sent, then deleted, so an interruption loses nothing, and a repeated replay starts no execution of a STANDARD state machine twice. Letters in hand are hidden from others for ten minutes at most.
#[derive(Args)]
#[command(
    group = ArgGroup::new("queues").required(true).multiple(true),
    after_help = "Examples:\n  cargo bridge replay --dead-letters --dry-run             # list letters and reasons\n  cargo bridge replay --dead-letters --reason unavailable --since 2h\n  cargo bridge replay --results --route uppercase --limit 10\n  AWS_REGION=eu-west-1 cargo bridge replay --dead-letters --stack workflow-bridge\n\nOn AWS, region and credentials come from the environment (AWS_REGION, AWS_ACCESS_KEY_ID, …) or from a profile with plain keys; for every other way to sign in:\n  eval \"$(aws configure export-credentials --format env)\"\n\nIt may need: cloudformation:DescribeStacks on the stack; sqs:ReceiveMessage, sqs:DeleteMessage, sqs:ChangeMessageVisibility and sqs:GetQueueAttributes on the dead-letter queue; sqs:SendMessage on the queue that letters go back to.\n\nThe exit code is 0 when everything that matches is back on its path, 1 when anything could not be put back or came back, 128 and its number after a signal."
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
        let mut limit = self.limit;
        let mut failed = false;
        for (kind, wanted) in [
            (DeadQueue::Messages, self.dead_letters),
            (DeadQueue::Results, self.results),
        ] {
            if !wanted || stop.load(Ordering::Relaxed) {
                continue;
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
        let did = if self.dry_run { "reading" } else { "replaying" };
        let (name, at) = (kind.name(), &place.name);
        let doing = format!("{did} dead letters of {name} at {at}");
        // Lines for programs must not mix with a progress line.
        let step = Progress::unless(self.json).step(&doing);
        let job = Job {
            kind,
            choice: &self.choice,
            dry_run: self.dry_run,
            stop,
        };
        let (mut rows, mut more, mut broken) = (Vec::new(), 0_u64, None);
        let report = |tally: &Tally, what: Option<(&Dead, Fate)>| match what {
            Some((dead, fate)) if self.json => {
                let written = writeln!(std::io::stdout(), "{}", line(kind, dead, &fate));
                if let Err(error) = written {
                    // A closed pipe: stop as after a signal.
                    stop.store(true, Ordering::Relaxed);
                    broken.get_or_insert(error);
                }
            }
            Some((_, Fate::Replayed)) => {}
            Some((dead, fate)) if self.dry_run || rows.len() < MOST_PROBLEMS => {
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
            // None without a terminal.
            let width = terminal_size_of(&out).map(|(width, _)| width.0.into());
            write!(out, "{}", table(kind, rows, width, style))?;
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
        let (headline, hints) = summary(kind, self.dry_run, &tally);
        let took = style.dim(seconds(began.elapsed()));
        writeln!(out, "{}  {took}", colour(style, headline))?;
        for hint in hints {
            writeln!(out, "  {hint}")?;
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
