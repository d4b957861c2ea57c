//! The executions of a message.

use std::collections::BTreeMap;

use super::Gathering;
use crate::domain::inbound::arn::unqualified;
use crate::domain::inbound::envelope::own_envelope;
use crate::domain::outbound::ledger::end_id;
use crate::tools::execution::{Failure, visited};
use crate::tools::letters::Origin;
use crate::tools::trace::assemble::{Known, assemble};
use crate::tools::trace::model::{Event, Part, Run, State, What};
use crate::tools::trace::sources::Sources;
use crate::tools::trace::subject::execution_on;
use crate::tools::trace::verdict::taken_by;

impl<S: Sources> Gathering<'_, S> {
    /// Adds the executions that the lines name, and those that the routes must have started.
    pub(super) async fn runs(&mut self, known: &mut Known) {
        let lines = known.lines.iter();
        let named = lines.filter_map(|line| line.text("execution.arn"));
        let mut arns: BTreeMap<String, Option<i64>> =
            named.map(|arn| (arn.to_owned(), None)).collect();
        let (head, events) = assemble(known);
        let mut started: BTreeMap<&str, i64> = BTreeMap::new();
        for event in &events {
            for route in taken_by(event) {
                started.entry(route).or_insert(event.at);
            }
        }
        let keyed = known.lines.iter().flat_map(|line| line.keyed());
        let keyed: Vec<_> = keyed.map(str::to_owned).collect();
        let place = (head.topic.as_deref(), head.number, head.id.as_deref());
        for route in self.question.routes() {
            let at = match route.key() {
                Some(_) => None,
                None => match started.get(&*route.name) {
                    Some(at) => Some(*at),
                    None => continue,
                },
            };
            if let Some((arn, _)) = execution_on(route, place, &keyed) {
                arns.insert(arn, at);
            }
        }
        for (arn, started_at) in arns {
            let is = |event: &Event| event.run().is_some_and(|run| run.arn == arn);
            if !known.runs.iter().any(is) {
                self.add_run(known, &arn, started_at).await;
            }
        }
    }

    /// Adds an execution, if it exists. `started_at` is set where a route is known to have started it.
    pub(super) async fn add_run(&mut self, known: &mut Known, arn: &str, started_at: Option<i64>) {
        let found = self.sources.execution(arn).await;
        let Some(found) = self.answered("Step Functions", found) else {
            return;
        };
        let name = arn.rsplit(':').next().unwrap_or(arn).to_owned();
        let Some(execution) = found else {
            if let Some(at) = started_at {
                self.add_express(known, arn, name, at).await;
            }
            return;
        };
        let payloads = self.question.payloads;
        let history = self.sources.history(arn, payloads).await;
        let (visits, failure) = match self.answered("the history of the execution", history) {
            Some(events) => visited(&events),
            None if execution.status == "ABORTED" => (Vec::new(), None),
            None => {
                let cause = execution.cause.as_deref();
                (Vec::new(), cause.and_then(Failure::of_cause))
            }
        };
        let id = end_id(arn, execution.redrives);
        let entry = self.sources.entry(&id).await;
        let ledger = self.answered("the ledger", entry).flatten();
        let input = execution.input.as_deref();
        if let Some(envelope) = input.and_then(|input| own_envelope(&name, input)) {
            let message = envelope.message;
            known.id = Some(message.id.to_string());
            known.origin.get_or_insert(Origin {
                cache: message.cache,
                topic: message.topic,
                number: message.topic_sequence_number,
                published_at: message.event_timestamp,
                token_id: message.token_id,
            });
        }
        let routes = self.question.routes;
        let machine = unqualified(&execution.state_machine);
        let route = routes.and_then(|routes| routes.of_execution(machine, &name));
        let states = visits.into_iter().map(|visit| State::of(visit, payloads));
        let states = states.collect();
        let shows_cause = payloads || self.question.place.is_local();
        let run = Run {
            arn: arn.to_owned(),
            name,
            status: execution.status,
            stopped_at: execution.stopped_at,
            redrives: execution.redrives,
            error: execution.error,
            failure,
            cause: execution.cause.filter(|_| shows_cause),
            states,
            ledger,
        };
        known.ran(execution.started_at, route.map(|route| &*route.name), run);
    }

    /// Adds an execution of an EXPRESS state machine. Step Functions keeps no record of it.
    async fn add_express(&mut self, known: &mut Known, arn: &str, name: String, at: i64) {
        let machine = arn.replacen(":execution:", ":stateMachine:", 1);
        let Some((machine, _)) = machine.rsplit_once(':') else {
            return;
        };
        let express = self.sources.is_express(machine).await;
        if self.answered("the kind of the state machine", express) != Some(true) {
            return;
        }
        let route = self.question.routes().find(|route| {
            route.to.state_machine() == Some(machine) && name.starts_with(&route.name)
        });
        let run = Run {
            arn: arn.to_owned(),
            name,
            status: "EXPRESS".to_owned(),
            ..Run::default()
        };
        known.ran(at, route.map(|route| &*route.name), run);
    }
}

impl Known {
    fn ran(&mut self, at: i64, route: Option<&str>, run: Run) {
        let ran = What::Ran(Box::new(run));
        self.runs.push(Event::new(at, Part::Workflow, route, ran));
    }
}
