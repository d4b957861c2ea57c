//! Queries the sources, each for as little as needed.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::future::join_all;

use super::assemble::{Known, assemble};
use super::logs::{LOOK_BACK_MS, Window, is_same};
use super::model::{Event, Part, Report, Run, SCHEMA, State, Trace, Unanswered, What};
use super::sources::Sources;
use super::subject::{Question, Subject, execution_on, executions_of_key};
use super::verdict::{may_have_letters, took, verdicts};
use crate::domain::fault::Fault;
use crate::domain::inbound::arn::{execution_arn, unqualified};
use crate::domain::inbound::envelope::own_envelope;
use crate::domain::inbound::execution_name::{NAME_ID_DIGITS, id_in_name};
use crate::domain::outbound::ledger::end_id;
use crate::tools::execution::{Failure, visited};
use crate::tools::letters::{Dead, DeadQueue, Origin};
use crate::tools::terminal::time;

/// The tolerated difference of clocks: a message may seem to arrive before its publication.
const CLOCKS_MS: i64 = 5 * 60_000;

/// Queries all sources, and lists those that failed in the report.
pub async fn gather<S: Sources>(question: &Question<'_>, sources: &S) -> Report {
    let mut gathering = Gathering {
        question,
        sources,
        window: Window {
            since: question.since.unwrap_or(question.now_ms - LOOK_BACK_MS),
            until: question.now_ms,
        },
        unanswered: BTreeSet::new(),
    };
    let mut messages = Vec::new();
    for known in gathering.known().await {
        messages.extend(gathering.message(known).await);
    }
    messages.sort_by_key(|trace| {
        let first = trace.events.first().map(|event| event.at);
        std::cmp::Reverse(trace.message.published_at.or(first))
    });
    let nothing = messages.is_empty().then(|| gathering.nothing());
    Report {
        schema: SCHEMA,
        asked: question.asked.to_owned(),
        stack: question.place.name.clone(),
        since: gathering.window.since,
        until: gathering.window.until,
        messages,
        unanswered: gathering.unanswered.into_iter().collect(),
        nothing,
    }
}

struct Gathering<'a, S> {
    question: &'a Question<'a>,
    sources: &'a S,
    window: Window,
    unanswered: BTreeSet<Unanswered>,
}

impl<'a, S: Sources> Gathering<'a, S> {
    /// The answer of a source; a failed source is recorded.
    fn answered<T>(&mut self, source: &str, answer: Result<T, Fault>) -> Option<T> {
        let failed = |fault| self.unanswered.insert(Unanswered::new(source, fault));
        answer.map_err(failed).ok()
    }

    /// The messages of the query.
    async fn known(&mut self) -> Vec<Known> {
        match &self.question.subject {
            Subject::Id(id) => vec![Known::of(Some(id))],
            Subject::Execution { arn, name } => vec![self.of_execution(arn.as_deref(), name).await],
            Subject::Key(key) => self.of_key(key).await,
            Subject::Number {
                cache,
                topic,
                number,
            } => self.of_number(cache, topic, *number).await,
        }
    }

    /// The message of an execution, whose input has the time of the publication.
    async fn of_execution(&mut self, arn: Option<&str>, name: &str) -> Known {
        let mut known = Known::of(id_in_name(name));
        let routes = self.question.routes.iter();
        let named = routes.filter(|route| arn.is_none() && name.starts_with(&route.name));
        let machines = named.filter_map(|route| route.to.state_machine());
        let arns = machines.map(|machine| execution_arn(machine, name));
        for arn in arn.map(ToOwned::to_owned).into_iter().chain(arns) {
            self.add_run(&mut known, &arn, None).await;
        }
        if self.question.since.is_none() {
            if let Some(origin) = &known.origin {
                self.window.since = origin.published_at - CLOCKS_MS;
            } else if let Some(started) = known.runs.first() {
                self.window.since = self.window.since.min(started.at - LOOK_BACK_MS);
            }
        }
        known
    }

    /// The messages that started the executions of a key, one for each keyed route.
    async fn of_key(&mut self, key: &str) -> Vec<Known> {
        let mut found = Vec::new();
        for (arn, name) in executions_of_key(self.question.routes, key) {
            let known = self.of_execution(Some(&arn), &name).await;
            found.extend((!known.runs.is_empty()).then_some(known));
        }
        found
    }

    /// One message for each id with this number in the webhook's log, or else in the dead letters.
    async fn of_number(&mut self, cache: &str, topic: &str, number: u64) -> Vec<Known> {
        let arrival = format!("message.sequence\":{number}");
        let found = self.sources.find(Part::Webhook, &arrival, self.window);
        let lines = self.answered("the log of the webhook", found.await);
        let lines = lines.unwrap_or_default();
        let lines = lines.iter().filter(|line| line.is_of(cache, topic, number));
        let ids = lines.filter_map(|line| line.id()).map(ToOwned::to_owned);
        let mut ids: BTreeSet<String> = ids.collect();
        if ids.is_empty() {
            let wanted = |dead: &Dead| {
                let origin = dead.message.as_ref();
                origin
                    .is_some_and(|it| (&*it.cache, &*it.topic, it.number) == (cache, topic, number))
            };
            let found = self.sources.letters(DeadQueue::Messages, &wanted).await;
            let (letters, _) = self.answered("the dead letters", found).unwrap_or_default();
            ids.extend(letters.into_iter().map(|letter| letter.id));
        }
        ids.iter().map(|id| Known::of(Some(id))).collect()
    }

    /// The trace of one message; none without any event.
    async fn message(&mut self, mut known: Known) -> Option<Trace> {
        let name = match &self.question.subject {
            Subject::Execution { name, .. } => Some(name.as_str()),
            _ => None,
        };
        let id = known.id.as_deref();
        let digits = id.map(|id| id.get(..NAME_ID_DIGITS).unwrap_or(id));
        let piece = digits.or(name)?.to_owned();
        let looks = Part::LOGGING.map(|part| self.sources.find(part, &piece, self.window));
        for (part, found) in Part::LOGGING.into_iter().zip(join_all(looks).await) {
            let lines = self.answered(&format!("the log of the {}", part.name()), found);
            for line in lines.unwrap_or_default() {
                // Lambda delivers log lines at least once.
                if line.is_about(known.id.as_deref(), name) && !known.lines.contains(&line) {
                    known.lines.push(line);
                }
            }
        }
        known.lines.sort_by_key(|line| line.at_ms);
        self.runs(&mut known).await;
        self.letters(&mut known).await;
        let (head, mut events) = assemble(&known);
        if events.is_empty() {
            return None;
        }
        // An event of a result without a route has that of its execution.
        let routes = known.runs.iter().filter_map(|run| run.route.as_ref());
        let routes: BTreeSet<&String> = routes.collect();
        for event in &mut events {
            let of_results = event.part == Part::Sweep || event.part.is_of_results();
            if event.route.is_none() && of_results && routes.len() == 1 {
                event.route = routes.first().map(|route| (*route).clone());
            }
        }
        let mut parts = events.iter().map(|event| event.part);
        if parts.any(|part| matches!(part, Part::Webhook | Part::Redrive)) {
            let depth = self.sources.parked().await;
            known.parked = self.answered("the parking queue", depth);
        }
        Some(Trace {
            routes: verdicts(&head, &events, &known, self.question),
            links: self.question.place.links(&head, &events),
            message: head,
            events,
        })
    }

    /// Adds the executions that the lines name, and those that the routes must have started.
    async fn runs(&mut self, known: &mut Known) {
        let lines = known.lines.iter();
        let named = lines.filter_map(|line| line.text("execution.arn"));
        let mut arns: BTreeMap<String, Option<i64>> =
            named.map(|arn| (arn.to_owned(), None)).collect();
        let (head, events) = assemble(known);
        let keyed: Vec<_> = known.lines.iter().flat_map(|line| line.keyed()).collect();
        for route in self.question.routes.iter() {
            let at = match route.key() {
                Some(_) => None,
                None => match events.iter().find(|event| took(event, &route.name)) {
                    Some(event) => Some(event.at),
                    None => continue,
                },
            };
            if let Some(arn) = execution_on(route, &head, &keyed) {
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
    async fn add_run(&mut self, known: &mut Known, arn: &str, started_at: Option<i64>) {
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
        let machine = unqualified(&execution.state_machine);
        self.add(known, execution.started_at, machine, run);
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
        let run = Run {
            arn: arn.to_owned(),
            name,
            status: "EXPRESS".to_owned(),
            ..Run::default()
        };
        self.add(known, at, machine, run);
    }

    fn add(&self, known: &mut Known, at: i64, machine: &str, run: Run) {
        let route = self.question.routes.of_execution(machine, &run.name);
        let route = route.map(|route| &*route.name);
        let ran = What::Ran(Box::new(run));
        known.runs.push(Event::new(at, Part::Workflow, route, ran));
    }

    /// Searches the dead-letter queues that may have letters of the message.
    async fn letters(&mut self, known: &mut Known) {
        let (_, events) = assemble(known);
        let (messages, results) = may_have_letters(&events, self.question);
        let same = |found: &str| {
            let id = known.id.as_deref().filter(|_| !found.is_empty());
            id.is_some_and(|id| is_same(id, found))
        };
        known.letters_seen = true;
        for (wanted, queue, source) in [
            (messages, DeadQueue::Messages, "the dead letters"),
            (results, DeadQueue::Results, "the dead letters of results"),
        ] {
            if !wanted {
                continue;
            }
            let is = |dead: &Dead| match &dead.execution {
                Some(arn) => {
                    let name = arn.rsplit(':').next().unwrap_or(arn);
                    let mut runs = known.runs.iter().filter_map(Event::run);
                    runs.any(|run| run.arn == *arn) || id_in_name(name).is_some_and(same)
                }
                None => queue == DeadQueue::Messages && same(&dead.id),
            };
            let found = self.sources.letters(queue, &is).await;
            let (found, all) = self.answered(source, found).unwrap_or_default();
            known.letters_seen &= all;
            known.letters.extend(found);
        }
    }

    fn nothing(&self) -> String {
        let keeps = match self.question.place.is_local() {
            true => "a local stack forgets everything when it stops",
            false => {
                "logs are kept for LogRetentionDays (30), executions for 90 days, dead letters for 14"
            }
        };
        let unanswered = match self.unanswered.is_empty() {
            true => "",
            false => ", and not every source could be queried",
        };
        format!(
            "no trace found: expected lines, an execution or a dead letter of this message since {}, found none{unanswered}; \
             was it another stack or earlier (`--since 7d`)? {keeps}. A message that Momento never delivered, or that was not signed, leaves no id",
            time(self.window.since)
        )
    }
}
