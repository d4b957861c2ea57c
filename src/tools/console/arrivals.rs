//! Messages by the lines of the webhook's log, newest first.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::model::{Answered, Filter, Kind, Leg, Listed, PAGE, Ran, Row};
use crate::adapters::aws::sfn::StepFunctions;
use crate::domain::fault::Fault;
use crate::domain::inbound::routes::Routes;
use crate::domain::ports::{Listed as Execution, Listing};
use crate::tools::place::Place;
use crate::tools::terminal::{duration, time};
use crate::tools::trace::assemble::{Known, assemble};
use crate::tools::trace::logs::{LOOK_BACK_MS, Line, Logs, Window};
use crate::tools::trace::model::{Part, Target, Unanswered, What};
use crate::tools::trace::subject::{Subject, execution_on, executions_of_key};

/// The first range read; each further one is twice as long.
const FIRST_MS: i64 = 60_000;

/// Calls of ListExecutions for each state machine of a page: it allows a few a second.
const LISTINGS: usize = 3;

/// Places in one millisecond.
const IN_A_MS: u64 = 1_000;

/// The sources of a list.
pub struct Arrivals {
    pub logs: Arc<dyn Logs>,
    pub listing: Arc<dyn Listing>,
}

impl Arrivals {
    /// Those of a stack.
    pub fn of(place: &Place) -> Self {
        Self {
            logs: Arc::new(place.clone()),
            listing: Arc::new(StepFunctions::new(&place.config)),
        }
    }

    /// A page of the list. Logs are searched in ever longer ranges, from the newest backwards, until the page is full.
    ///
    /// # Errors
    ///
    /// When the log cannot be read, or `since` is no time.
    pub async fn list(
        &self,
        filter: &Filter,
        routes: &Routes,
        now_ms: i64,
    ) -> Result<Listed, Fault> {
        let since = filter.since(now_ms);
        let since = since.map_err(|text| Fault::permanent("BadFilter", text))?;
        let since = since.unwrap_or(now_ms - LOOK_BACK_MS);
        let newest = filter
            .before
            .map_or(now_ms, |before| (before / IN_A_MS) as i64);
        let text = match Subject::parse(&filter.q) {
            Ok(Subject::Id(id)) => id,
            _ => "message.sequence".to_owned(),
        };
        // The log has the names of the executions that keys lead to, not the keys.
        let key = filter.q.trim();
        let keyed = executions_of_key(routes, key).map(|(arn, _)| arn);
        let keyed: HashSet<String> = keyed.collect();
        let with_key = |mut row: Row| {
            let mut runs = row.legs.iter().filter_map(|leg| leg.run.as_ref());
            if runs.any(|run| keyed.contains(&run.arn)) {
                row.key = Some(key.to_owned());
            }
            row
        };
        let before = filter.before.unwrap_or(u64::MAX);
        let (mut rows, mut until, mut length, mut asked) = (Vec::new(), newest, FIRST_MS, 0);
        while rows.len() <= PAGE && until >= since {
            let window = Window {
                since: since.max(until - length),
                until,
            };
            let lines = self.logs.find(Part::Webhook, &text, window).await?;
            asked += 1;
            let found = self::rows(&lines, routes).into_iter().map(with_key);
            // Which executions a status needs is known once they are listed.
            let unstated = Filter {
                status: String::new(),
                ..filter.clone()
            };
            rows.extend(found.filter(|row| row.number < before && unstated.takes(row, None)));
            until = window.since - 1;
            length *= 2;
        }
        let full = rows.len() > PAGE;
        rows.truncate(PAGE);
        let mut unanswered = Vec::new();
        match self.statuses(&rows, routes).await {
            Ok(statuses) => {
                let runs = rows.iter_mut().flat_map(|row| &mut row.legs);
                for run in runs.filter_map(|leg| leg.run.as_mut()) {
                    if let Some(found) = statuses.get(&run.arn) {
                        run.status.clone_from(&found.status);
                        run.started_at = found.started_at;
                        run.stopped_at = found.stopped_at;
                    }
                }
            }
            Err(fault) => unanswered.push(Unanswered::new("the list of executions", fault)),
        }
        let more = rows.last().map(|row| row.number).filter(|_| full);
        let by_status =
            |row: &Row| filter.status.is_empty() || row.status().name() == filter.status;
        rows.retain(by_status);
        let note = format!(
            "From the webhook's log since {} ({}), read in {asked} steps of FilterLogEvents, with the states of ListExecutions. Texts are not in the logs: the search finds ids, topics, numbers and whole keys.",
            time(until.max(since)),
            duration(now_ms - until.max(since)),
        );
        Ok(Listed {
            rows,
            more,
            note,
            unanswered,
        })
    }

    /// The executions of these rows, by ARN.
    async fn statuses(
        &self,
        rows: &[Row],
        routes: &Routes,
    ) -> Result<HashMap<String, Execution>, Fault> {
        let mut found = HashMap::new();
        let Some(oldest) = rows.iter().map(|row| row.at).min() else {
            return Ok(found);
        };
        let mut machines: Vec<&str> = rows
            .iter()
            .flat_map(|row| &row.legs)
            .filter(|leg| leg.run.is_some())
            .filter_map(|leg| routes.enabled(&leg.route)?.to.state_machine())
            .collect();
        machines.sort_unstable();
        machines.dedup();
        for machine in machines {
            let mut token: Option<String> = None;
            for _ in 0..LISTINGS {
                let page = self.listing.list(machine, token.as_deref()).await;
                // An EXPRESS state machine has no list.
                let page = match page {
                    Err(fault) if fault.code == "StateMachineTypeNotSupported" => break,
                    page => page?,
                };
                let last = page.executions.last().map(|one| one.started_at);
                let listed = page.executions.into_iter();
                found.extend(listed.map(|one| (one.execution_arn.clone(), one)));
                token = page.next_token;
                if token.is_none() || last.is_some_and(|last| last < oldest) {
                    break;
                }
            }
        }
        Ok(found)
    }
}

/// The rows of arrivals, newest first. Lines of one millisecond have an order by their ids, so that pages do not overlap.
fn rows(lines: &[Line], routes: &Routes) -> Vec<Row> {
    let rows = lines.iter().filter_map(|line| row(line, routes));
    let mut rows: Vec<Row> = rows.collect();
    rows.sort_by(|a, b| (b.number, &b.id).cmp(&(a.number, &a.id)));
    // Lambda delivers log lines at least once.
    rows.dedup_by(|a, b| (a.number, &a.id) == (b.number, &b.id));
    let mut before = (0, 0);
    for row in rows.iter_mut().rev() {
        before = match row.number == before.0 {
            true => (before.0, before.1 + 1),
            false => (row.number, 0),
        };
        row.number += before.1.min(IN_A_MS - 1);
    }
    rows
}

/// The row of an arrival, with the executions that its line and the routes name; none for another line.
fn row(line: &Line, routes: &Routes) -> Option<Row> {
    let keyed: Vec<_> = line.keyed().collect();
    let (head, events) = assemble(&Known {
        lines: vec![line.clone()],
        ..Known::default()
    });
    let answered = events.into_iter().find_map(|event| match event.what {
        What::Answered(answer) => Some((event.at, answer)),
        _ => None,
    });
    let (at, answer) = answered?;
    let run = |target: &Target| {
        // The redrive may start a parked one later.
        let outcome = target.outcome.as_str();
        let starts = matches!(outcome, "started" | "duplicate" | "parked");
        let route = routes.iter().find(|route| route.name == target.route)?;
        let arn = execution_on(route, &head, &keyed).filter(|_| starts)?;
        Some(Ran {
            arn,
            started_at: at,
            ..Ran::default()
        })
    };
    let legs = answer.targets.into_iter().map(|target| Leg {
        run: run(&target),
        route: target.route,
        outcome: target.outcome,
    });
    Some(Row {
        number: u64::try_from(line.at_ms).ok()?.checked_mul(IN_A_MS)?,
        legs: legs.collect(),
        id: head.id?,
        cache: head.cache?,
        topic: head.topic?,
        sequence: head.number?,
        at,
        kind: Kind::In,
        answer: Some(Answered {
            status: answer.status.and_then(|n| n.try_into().ok()),
            code: answer.code,
            took_ms: answer.took_ms.unwrap_or_default(),
        }),
        ..Row::default()
    })
}

#[cfg(test)]
mod tests;
