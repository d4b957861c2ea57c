//! A schedule's invocations in, pages of lists out: the only place that decides on the order of state machines, and
//! whether the invocation failed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{join, join_all};
use tokio::time::Instant;

use crate::domain::inbound::live_routes::{LiveRoutes, Snapshot};
use crate::domain::inbound::routes::Routes;
use crate::domain::outbound::sweep::{
    Budget, Failed, Job, Phase, Reach, Run, SAVE_WITHIN, Step, Sweep, Tally,
};
use crate::telemetry::metrics::{Metric, Metrics};

/// Time reserved for the end of an invocation.
const ENDING: Duration = Duration::from_secs(1);

/// Time limit for reading the routes.
const ROUTES_WITHIN: Duration = Duration::from_secs(3);

/// Added to the end of an invocation for its lease: clocks differ.
const LEASE_MARGIN: Duration = Duration::from_secs(1);

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

/// A state machine with its job, unless another invocation has it, or the failure to load it.
type Loaded<'a> = (&'a str, Result<Option<Job>, Failed>);

/// Counts of the invocation so far.
#[derive(Default)]
struct Counts {
    tally: Tally,
    ends: Ends,
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
    /// Lists the executions of every routed state machine, a page of each in turn, so that a busy one delays no other. Lists
    /// without time left continue in the next invocation.
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
        let remaining = deadline.duration_since(began) + LEASE_MARGIN;
        let lease = i64::try_from(remaining.as_millis()).unwrap_or(i64::MAX / 2);
        let jobs = self.jobs(&machines, budget.began_ms() + lease);
        let (progress, jobs) = join(self.sweep.progress(&budget), jobs).await;
        let mut jobs = self.leased(jobs, &mut counts);
        let mut waiting = None;
        match progress {
            Ok((mut progress, unknown)) => {
                if let Some(failed) = unknown {
                    counts.failed += 1;
                    tracing::error!(error.text = %failed, "the depth of the completion's queue is unknown");
                }
                let mut run = Run {
                    budget: &mut budget,
                    progress: &mut progress,
                    tally: &mut counts.tally,
                };
                self.rounds(&mut jobs, &mut run, &mut counts.ends).await;
                waiting = Some((progress.waiting, progress.age(budget.now_ms())));
            }
            Err(failed) => {
                counts.failed += 1;
                tracing::error!(error.text = %failed, "the progress of the completion is unknown");
            }
        }
        let release = jobs.iter_mut().map(|job| self.sweep.release(job));
        for failed in join_all(release).await.into_iter().filter_map(Result::err) {
            tracing::warn!(error.text = %failed, "the lease of a state machine goes on until its end");
        }

        let now = budget.now_ms();
        let listed = jobs
            .iter()
            .filter(|job| !counts.ends.unlisted.contains(&job.state_machine));
        let lag = listed
            .map(|job| job.lag(budget.began_ms(), now))
            .max()
            .unwrap_or(0);
        let failed = counts.failed + counts.ends.failed;
        tracing::info!(
            machines = machines.len(),
            pages = counts.tally.pages,
            executions = counts.tally.executions,
            described = counts.tally.described,
            found = counts.tally.found,
            backlog = waiting.and_then(|(waiting, _)| waiting),
            backlog_ms = waiting.map(|(_, age)| age),
            postponed = counts.ends.postponed.len(),
            failed,
            lag_ms = lag,
            "swept for executions that ended without an event"
        );
        counts.tally.measured.add(Metric::SweepLag, lag, None, None);
        self.metrics.write(counts.tally.measured);
        match failed {
            0 => Ok(()),
            failed => Err(format!(
                "expected no failure in the sweep of {} state machines, found {failed}; the log has an error with a remedy for each, and the next invocation continues from here",
                machines.len()
            )),
        }
    }

    /// The job of each state machine; takes a few times [`SAVE_WITHIN`] at most.
    async fn jobs<'a>(&self, machines: &Machines<'a>, lease_until: i64) -> Vec<Loaded<'a>> {
        let now = (self.now_ms)();
        let load = async |(machine, routes): (&&'a str, &Vec<String>)| {
            let job = self.sweep.job(machine, routes, now, lease_until).await;
            (*machine, job)
        };
        join_all(machines.iter().map(load)).await
    }

    /// The jobs of this invocation, the longest waiting first.
    fn leased(&self, loaded: Vec<Loaded<'_>>, counts: &mut Counts) -> Vec<Job> {
        let mut jobs = Vec::new();
        for (machine, job) in loaded {
            match job {
                Ok(Some(job)) => jobs.push(job),
                Ok(None) => tracing::info!(
                    state_machine.arn = machine,
                    "another invocation sweeps a state machine"
                ),
                Err(failed) => counts.ends.fail(machine, &failed),
            }
        }
        jobs.sort_by_key(|job| job.state.recent.completed);
        jobs
    }

    /// Recent passes and scans, a page of each state machine in turn, and then due far passes.
    async fn rounds(&self, jobs: &mut [Job], run: &mut Run<'_>, ends: &mut Ends) {
        let began = run.budget.began_ms();
        let mut left: Vec<&mut Job> = jobs.iter_mut().collect();
        while !left.is_empty() {
            let mut next = Vec::new();
            for job in left {
                let step = match job.phase(began) {
                    None => continue,
                    Some(Phase::Recent) => self.sweep.list(job, Reach::Recent, run).await,
                    Some(Phase::Scan) => self.sweep.scan(job, run).await,
                };
                // Its recent passes need no description.
                let only_scan = matches!(step, Err(Failed::Describe(_)));
                job.scan_failed |= only_scan;
                if ends.goes_on(job, step) || only_scan {
                    next.push(job);
                }
            }
            left = next;
        }
        let now = run.budget.now_ms();
        let is_done = |ends: &Ends, job: &Job| {
            ends.failures.contains(&job.state_machine)
                || ends.postponed.contains(&job.state_machine)
                || ends.unlisted.contains(&job.state_machine)
        };
        let due =
            |job: &Job| (job.state.far.as_ref()).is_none_or(|far| Reach::Far.is_due(far, now));
        let mut left: Vec<&mut Job> = (jobs.iter_mut())
            .filter(|job| !is_done(ends, job) && due(job))
            .collect();
        while !left.is_empty() {
            let mut next = Vec::new();
            for job in left {
                let step = self.sweep.list(job, Reach::Far, run).await;
                let has_pass = job.state.far.as_ref().is_some_and(|far| far.pass.is_some());
                // A far pass may take many invocations, and is not late.
                let goes_on = !matches!(step, Ok(Step::Cut)) && ends.goes_on(job, step);
                if goes_on && has_pass {
                    next.push(job);
                }
            }
            left = next;
        }
    }
}

/// The state machines without a further step, by their ARNs.
#[derive(Default)]
struct Ends {
    postponed: BTreeSet<String>,
    unlisted: BTreeSet<String>,
    failures: BTreeSet<String>,
    failed: usize,
}

impl Ends {
    /// Whether the state machine has another step in this invocation.
    fn goes_on(&mut self, job: &Job, step: Result<Step, Failed>) -> bool {
        let machine = &job.state_machine;
        match step {
            Ok(Step::Page) => return true,
            Ok(Step::Cut) => {
                self.postponed.insert(machine.clone());
            }
            Ok(Step::Throttled(fault)) => {
                self.postponed.insert(machine.clone());
                tracing::warn!(state_machine.arn = machine, error.code = fault.code, error.text = %fault, "a sweep goes on later");
            }
            Ok(Step::Unlisted) => {
                tracing::debug!(
                    state_machine.arn = machine,
                    "an EXPRESS state machine lists no executions"
                );
                self.unlisted.insert(machine.clone());
            }
            Err(failed) => self.fail(machine, &failed),
        }
        false
    }

    fn fail(&mut self, state_machine: &str, failed: &Failed) {
        self.failed += 1;
        self.failures.insert(state_machine.to_owned());
        tracing::error!(state_machine.arn = state_machine, error.text = %failed, "a state machine was not swept");
    }
}

#[cfg(test)]
mod tests;
