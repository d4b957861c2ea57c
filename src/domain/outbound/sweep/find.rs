//! Looks up ended executions in the ledger, and queues the unknown ones for the completion.

use std::collections::{BTreeMap, HashSet};

use futures_util::future::join_all;
use ring::digest::{SHA256, digest};
use serde_json::json;

use super::cursor::OLDEST_END;
use super::watch::Watched;
use super::{Budget, DESCRIBED, Failed, Job, Run, Sweep, with_retries};
use crate::domain::fault::FaultKind;
use crate::domain::inbound::arn::execution_arn;
use crate::domain::inbound::execution_name::id_in_name;
use crate::domain::outbound::ledger::end_id;
use crate::domain::ports::Listed;
use crate::telemetry::metrics::Metric;

/// Most keys of a BatchGetItem.
const LOOKED_UP_AT_ONCE: usize = 100;
const SENT_AT_ONCE: usize = 10;

/// The rest of the watched executions that are no longer open.
pub(super) struct Resolved {
    /// To be looked at again by a later scan.
    pub kept: Vec<Watched>,
    /// How many of them were left for lack of time.
    pub left: usize,
    /// How many need no further look.
    pub settled: usize,
}

impl Sweep {
    /// Queues ends unknown to the ledger; false if the time was up.
    pub(super) async fn look_up(
        &self,
        job: &Job,
        ended: &[&Listed],
        run: &mut Run<'_>,
    ) -> Result<bool, Failed> {
        let id = |end: &Listed| end_id(&end.execution_arn, end.redrive_count);
        let ends: BTreeMap<String, &Listed> = ended.iter().map(|end| (id(end), *end)).collect();
        let ids: Vec<String> = ends.keys().cloned().collect();
        let Some(known) = self.known(&ids, run.budget).await? else {
            return Ok(false);
        };
        let lost: Vec<&String> = ids.iter().filter(|id| !known.contains(*id)).collect();
        for lost in lost.chunks(SENT_AT_ONCE) {
            let sent = lost
                .iter()
                .map(|id| self.send(job, id, ends[*id], run.budget));
            let sent = join_all(sent).await;
            for (id, _) in (lost.iter().zip(&sent)).filter(|(_, sent)| matches!(sent, Ok(true))) {
                count(job, ends[*id], run);
            }
            for sent in sent {
                if !sent? {
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }

    /// Looks up watched executions that are no longer open; `None` if the time was up before.
    pub(super) async fn resolve(
        &self,
        job: &mut Job,
        gone: Vec<Watched>,
        run: &mut Run<'_>,
    ) -> Result<Option<Resolved>, Failed> {
        let mut resolved = Resolved {
            kept: Vec::new(),
            left: 0,
            settled: 0,
        };
        let machine = job.state_machine.clone();
        let id = |one: &Watched| end_id(&execution_arn(&machine, &one.name), one.redrives);
        let ids: Vec<String> = gone.iter().map(id).collect();
        let Some(known) = self.known(&ids, run.budget).await? else {
            return Ok(None);
        };
        // All of them were open then.
        let last_scan = job.state.scan.completed.unwrap_or(i64::MIN);
        let mut described = 0;
        for (one, id) in gone.into_iter().zip(ids) {
            if known.contains(&id) {
                resolved.settle(job, &one);
                continue;
            }
            let now = run.budget.now_ms();
            let cutoff = run.progress.cutoff(now, self.grace);
            // If the end was after the cutoff in any case, its event may be on its way.
            if one.ended_by.unwrap_or(last_scan) > cutoff {
                let ended_by = Some(one.ended_by.unwrap_or(now));
                resolved.kept.push(Watched { ended_by, ..one });
                continue;
            }
            if described == DESCRIBED || !run.budget.describe().await {
                resolved.left += 1;
                resolved.kept.push(one);
                continue;
            }
            described += 1;
            run.tally.described += 1;
            let arn = execution_arn(&machine, &one.name);
            let found = with_retries(run.budget, || self.listing.look(&arn)).await;
            let found = match found {
                Some(Err(fault)) if fault.kind == FaultKind::Permanent => {
                    return Err(Failed::Describe(fault));
                }
                None | Some(Err(_)) => {
                    resolved.left += 1;
                    resolved.kept.push(one);
                    continue;
                }
                Some(Ok(found)) => found,
            };
            // Step Functions keeps an execution for 90 days.
            let Some(found) = found else {
                resolved.settle(job, &one);
                continue;
            };
            match found.ended_at() {
                Some(at) if at < now - OLDEST_END => resolved.settle(job, &one),
                Some(at) if at <= cutoff => {
                    if !self.look_up(job, &[&found], run).await? {
                        return Ok(None);
                    }
                    resolved.settle(job, &one);
                }
                // Within the grace; or open: the list is eventually consistent, or it was redriven.
                _ => resolved.kept.push(Watched::new(&found)),
            }
        }
        Ok(Some(resolved))
    }

    /// The ids in the ledger; `None` if the time was up before.
    async fn known(
        &self,
        ids: &[String],
        budget: &Budget,
    ) -> Result<Option<HashSet<String>>, Failed> {
        let look = async |ids| with_retries(budget, || self.register.known(ids)).await;
        let mut known = HashSet::new();
        // A page at a time.
        for ids in ids.chunks(10 * LOOKED_UP_AT_ONCE) {
            for some in join_all(ids.chunks(LOOKED_UP_AT_ONCE).map(look)).await {
                match some {
                    None => return Ok(None),
                    Some(some) => known.extend(some.map_err(Failed::Table)?),
                }
            }
        }
        Ok(Some(known))
    }

    async fn send(
        &self,
        job: &Job,
        id: &str,
        end: &Listed,
        budget: &Budget,
    ) -> Result<bool, Failed> {
        let event = event(&job.state_machine, id, end);
        match with_retries(budget, || self.completions.send(&event)).await {
            None => return Ok(false),
            Some(sent) => sent.map_err(Failed::Queue)?,
        }
        tracing::warn!(
            execution.arn = end.execution_arn,
            execution.status = end.status,
            redrives = end.redrive_count,
            route = job.route_of(&end.name),
            correlation_id = id_in_name(&end.name),
            "an execution ended without an event; queued one"
        );
        match with_retries(budget, || self.register.mark(id)).await {
            None => Ok(false),
            Some(marked) => marked.map(|()| true).map_err(Failed::Table),
        }
    }
}

fn count(job: &Job, end: &Listed, run: &mut Run<'_>) {
    run.tally.found += 1;
    let route = job.route_of(&end.name);
    run.tally.measured.count_route(Metric::SweepFound, route);
}

impl Resolved {
    /// Extends the next far pass down to its start: it may have failed, and be redriven.
    fn settle(&mut self, job: &mut Job, one: &Watched) {
        self.settled += 1;
        let far = job.far();
        far.floor = far.floor.min(one.started_at);
    }
}

/// EventBridge's event without input and output, which the completion then fetches.
fn event(state_machine: &str, id: &str, end: &Listed) -> String {
    let digest = hex::encode(digest(&SHA256, id.as_bytes()));
    json!({
        "version": "0",
        "id": format!("sweep-{}", &digest[..32]),
        "source": "aws.states",
        "detail-type": "Step Functions Execution Status Change",
        "resources": [end.execution_arn],
        "detail": {
            "executionArn": end.execution_arn,
            "stateMachineArn": state_machine,
            "name": end.name,
            "status": end.status,
            "startDate": end.started_at,
            "stopDate": end.stopped_at,
            "redriveCount": end.redrive_count,
            "input": null,
            "inputDetails": {"included": false},
            "output": null,
            "outputDetails": {"included": false},
            "error": null,
            "cause": null,
        },
    })
    .to_string()
}
