//! A schedule's invocations in, one turn for each state machine out: the only place that decides on the order of turns, and
//! whether the invocation failed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{join_all, join3};
use tokio::time::Instant;

use crate::domain::inbound::live_routes::{LiveRoutes, Snapshot};
use crate::domain::inbound::routes::Routes;
use crate::domain::outbound::sweep::{Budget, Failed, Job, Reach, SAVE_WITHIN, Sweep, Tally, Turn};
use crate::telemetry::metrics::Metrics;

/// Time reserved for the end of an invocation.
const ENDING: Duration = Duration::from_secs(1);

/// Time limit for reading the routes.
const ROUTES_WITHIN: Duration = Duration::from_secs(3);

/// The sweep behind its schedule.
pub struct Sweeper {
    pub routes: Arc<LiveRoutes>,
    pub sweep: Sweep,
    pub metrics: Metrics,
    /// Milliseconds since the epoch.
    pub now_ms: fn() -> i64,
}

/// Names of the routes by their state machine.
type Machines<'a> = BTreeMap<&'a str, Vec<String>>;

/// A state machine with its job, or the failure to load it.
type Loaded<'a> = (&'a str, Result<Job, Failed>);

/// Counts of the invocation so far.
#[derive(Default)]
struct Counts {
    tally: Tally,
    postponed: usize,
    failed: usize,
}

/// All state machines of routes, with these routes' names. Disabled routes count, since they may have executions under way.
fn state_machines(routes: &Routes) -> Machines<'_> {
    let mut machines = Machines::new();
    for route in routes.iter() {
        if let Some(machine) = route.to.state_machine() {
            machines
                .entry(machine)
                .or_default()
                .push(route.name.clone());
        }
    }
    machines
}

impl Sweeper {
    /// Gives every routed state machine a turn, the longest waiting first. Turns without time left continue in the next
    /// invocation.
    ///
    /// `deadline` is the end of the invocation.
    ///
    /// # Errors
    ///
    /// When a state machine was not swept, for a lasting reason; the others were.
    pub async fn handle(&self, deadline: Instant) -> Result<(), String> {
        let began = Instant::now();
        let end = deadline.checked_sub(SAVE_WITHIN + ENDING).unwrap_or(began);
        let mut budget = Budget::new((self.now_ms)(), end);
        let mut counts = Counts::default();
        let reading = began + ROUTES_WITHIN;
        let Snapshot {
            routes, complete, ..
        } = self.routes.fresh(reading, Duration::ZERO).await;
        if !complete {
            return Err(format!(
                "cannot read the routes of other stacks: {}; the next invocation tries again",
                Snapshot::fault()
            ));
        }
        let machines = state_machines(&routes);

        // Concurrently, each with a time limit of its own, so that a hanging table leaves time to report it.
        let recent = self.jobs(&machines, Reach::Recent);
        let far = self.jobs(&machines, Reach::Far);
        let (waiting, recent, far) = join3(self.sweep.waiting(), recent, far).await;
        let mut recent = self.due(recent, &mut counts);
        let mut far = self.due(far, &mut counts);
        let waiting = waiting.map_err(|failed| {
            counts.failed += 1;
            tracing::error!(error.text = %failed, "the depth of the completion's queue is unknown");
        });
        let waiting = waiting.ok();
        let grace = self.sweep.grace(waiting);
        // A third of the time is reserved for the far passes.
        if !far.is_empty() {
            budget.deadline = end.min(Instant::now() + end.duration_since(began) * 2 / 3);
        }
        let unlisted = self
            .turns(&mut recent, grace, &mut budget, &mut counts)
            .await;
        budget.deadline = end;
        recent.retain(|job| !unlisted.contains(&job.state_machine));
        far.retain(|job| !unlisted.contains(&job.state_machine));
        self.turns(&mut far, grace, &mut budget, &mut counts).await;

        let now = budget.now_ms();
        let swept = recent
            .iter()
            .map(|job| job.cursor.completed.unwrap_or(job.cursor.began));
        tracing::info!(
            machines = machines.len(),
            pages = counts.tally.pages,
            executions = counts.tally.executions,
            found = counts.tally.found,
            backlog = waiting,
            postponed = counts.postponed,
            failed = counts.failed,
            lag_ms = swept.min().map(|at| now - at),
            "swept for executions that ended without an event"
        );
        self.metrics.write(counts.tally.measured);
        match counts.failed {
            0 => Ok(()),
            failed => Err(format!(
                "expected no failure in the sweep of {} state machines, found {failed}; the log has an error with a remedy for each, and the next invocation continues from here",
                machines.len()
            )),
        }
    }

    /// The job of each state machine; takes twice [`SAVE_WITHIN`] at most.
    async fn jobs<'a>(&self, machines: &Machines<'a>, reach: Reach) -> Vec<Loaded<'a>> {
        let now = (self.now_ms)();
        let load = async |(machine, routes): (&&'a str, &Vec<String>)| {
            (*machine, self.sweep.job(machine, routes, reach, now).await)
        };
        join_all(machines.iter().map(load)).await
    }

    /// The due jobs, the longest waiting first.
    fn due(&self, loaded: Vec<Loaded<'_>>, counts: &mut Counts) -> Vec<Job> {
        let now = (self.now_ms)();
        let mut jobs = Vec::new();
        for (machine, job) in loaded {
            match job {
                Ok(job) if job.reach.is_due(&job.cursor, now) => jobs.push(job),
                Ok(_) => {}
                Err(failed) => counts.fail(machine, &failed),
            }
        }
        jobs.sort_by_key(|job| job.cursor.completed);
        jobs
    }

    /// A turn for each job; returns the state machines without a list.
    async fn turns(
        &self,
        jobs: &mut [Job],
        grace: Duration,
        budget: &mut Budget,
        counts: &mut Counts,
    ) -> BTreeSet<String> {
        let mut unlisted = BTreeSet::new();
        for job in jobs {
            match self.sweep.turn(job, grace, budget, &mut counts.tally).await {
                Ok(Turn::Complete) => {}
                Ok(Turn::Cut) => counts.postponed += 1,
                Ok(Turn::Throttled(fault)) => {
                    counts.postponed += 1;
                    tracing::warn!(state_machine.arn = job.state_machine, error.code = fault.code, error.text = %fault, "a sweep goes on later");
                }
                Ok(Turn::Unlisted) => {
                    tracing::debug!(
                        state_machine.arn = job.state_machine,
                        "an EXPRESS state machine lists no executions"
                    );
                    unlisted.insert(job.state_machine.clone());
                }
                Err(failed) => counts.fail(&job.state_machine, &failed),
            }
        }
        unlisted
    }
}

impl Counts {
    fn fail(&mut self, state_machine: &str, failed: &Failed) {
        self.failed += 1;
        tracing::error!(state_machine.arn = state_machine, error.text = %failed, "a state machine was not swept");
    }
}

#[cfg(test)]
mod tests;
