//! The executions of a message.

use std::collections::{BTreeMap, BTreeSet};

use super::Gathering;
use crate::domain::inbound::arn::{execution_arn, unqualified};
use crate::domain::inbound::envelope::own_envelope;
use crate::domain::inbound::execution_name::{execution_name_of, is_named_after};
use crate::domain::inbound::message::TopicMessage;
use crate::domain::inbound::routes::Routes;
use crate::domain::outbound::ledger::ledger_id;
use crate::tools::letters::Origin;
use crate::tools::trace::assemble::{Known, assemble};
use crate::tools::trace::model::{Failure, Run};
use crate::tools::trace::sources::{Execution, Sources};
use crate::tools::trace::verdict::taken_by;

impl Gathering<'_> {
    /// Adds the executions that the lines name, and those that the routes must have started.
    pub(super) async fn runs(&mut self, known: &mut Known) {
        let mut arns: BTreeMap<String, Option<i64>> = BTreeMap::new();
        for line in &known.lines {
            if let Some(arn) = line.text("execution.arn") {
                arns.entry(arn.to_owned()).or_default();
            }
        }
        let (head, events) = assemble(known);
        let mut started: BTreeMap<&str, i64> = BTreeMap::new();
        for event in &events {
            for route in taken_by(event) {
                started.entry(route).or_insert(event.at);
            }
        }
        // The webhook's line names the executions of keys.
        let lines = known.lines.iter();
        let named = lines.filter_map(|line| line.text("executions"));
        for name in named.flat_map(str::split_whitespace) {
            for (_, machine) in self.machines(|route| is_named_after(name, route)) {
                arns.entry(execution_arn(&machine, name)).or_default();
            }
        }
        let routes = self.question.routes.into_iter().flat_map(Routes::iter);
        let keyed: BTreeSet<&str> = routes
            .filter(|route| route.key().is_some())
            .map(|route| route.name.as_str())
            .collect();
        let place = (head.topic.as_deref(), head.number, head.id.as_deref());
        if let (Some(topic), Some(number), Some(id)) = place {
            for (route, machine) in self.machines(|_| true) {
                if let Some(at) = started.get(&*route).filter(|_| !keyed.contains(&*route)) {
                    let name = execution_name_of(&route, topic, number, id);
                    arns.insert(execution_arn(&machine, &name), Some(*at));
                }
            }
        }
        for (arn, started_at) in arns {
            if !known.runs.iter().any(|(.., run)| run.arn == arn) {
                self.add_run(known, &arn, started_at).await;
            }
        }
    }

    /// Adds an execution, if it exists. `started_at` is set where a route is known to have started it.
    pub(super) async fn add_run(&mut self, known: &mut Known, arn: &str, started_at: Option<i64>) {
        let described = self.sources.workflows.execution(arn).await;
        let Some(described) = self.answered("Step Functions", described) else {
            return;
        };
        let name = arn.rsplit(':').next().unwrap_or(arn).to_owned();
        let Some(execution) = described else {
            if let Some(at) = started_at {
                self.add_express(known, arn, name, at).await;
            }
            return;
        };
        let Sources {
            workflows, ledger, ..
        } = self.sources;
        let states = workflows.states(arn, self.question.payloads).await;
        let states = self.answered("the history of the execution", states);
        let (states, failure) = states.unwrap_or_else(|| {
            let cause = execution.cause.as_deref();
            let cause = cause.filter(|_| execution.status != "ABORTED");
            (Vec::new(), cause.and_then(Failure::of_cause))
        });
        let entry = ledger.entry(&ledger_id(arn, execution.redrives)).await;
        let ledger = self.answered("the ledger", entry).flatten();
        let route = self.question.routes.and_then(|routes| {
            let machine = unqualified(&execution.state_machine);
            routes
                .of_execution(machine, &name)
                .map(|route| route.name.clone())
        });
        if let Some(message) = message(&name, &execution) {
            known.id = Some(message.id.to_string());
            known.origin.get_or_insert(Origin {
                cache: message.cache,
                topic: message.topic,
                number: message.topic_sequence_number,
                published_at: message.event_timestamp,
                token_id: message.token_id,
            });
        }
        let shows_cause = self.question.payloads || self.question.stack.local.is_some();
        let run = Run {
            arn: arn.to_owned(),
            name,
            failure,
            status: execution.status,
            stopped_at: execution.stopped_at,
            redrives: execution.redrives,
            error: execution.error,
            cause: execution.cause.filter(|_| shows_cause),
            states,
            ledger,
        };
        known.runs.push((route, execution.started_at, run));
    }

    /// Adds an execution of an EXPRESS state machine. Step Functions keeps no record of it.
    async fn add_express(&mut self, known: &mut Known, arn: &str, name: String, at: i64) {
        let machine = arn.replacen(":execution:", ":stateMachine:", 1);
        let Some((machine, _)) = machine.rsplit_once(':') else {
            return;
        };
        let express = self.sources.workflows.is_express(machine).await;
        if self.answered("the kind of the state machine", express) != Some(true) {
            return;
        }
        let route = self
            .machines(|_| true)
            .into_iter()
            .find(|(route, of)| unqualified(of) == machine && name.starts_with(route.as_str()));
        let run = Run {
            arn: arn.to_owned(),
            name,
            status: "EXPRESS".to_owned(),
            ..Run::default()
        };
        known.runs.push((route.map(|(route, _)| route), at, run));
    }
}

/// The message in an execution's input, if the bridge wrote it.
fn message(name: &str, execution: &Execution) -> Option<TopicMessage> {
    let envelope = own_envelope(name, execution.input.as_deref()?)?;
    Some(envelope.message)
}
