//! Queries the sources, each for as little as needed.

mod runs;

use std::collections::BTreeSet;

use futures_util::future::join_all;

use super::assemble::{Known, assemble};
use super::lines::{Line, is_same};
use super::model::{Part, Report, SCHEMA, Trace, Unanswered};
use super::question::{Context, Question};
use super::sources::{Sources, Window};
use super::subject::{Subject, executions_of_key};
use super::verdict::{open, verdicts};
use crate::domain::fault::Fault;
use crate::domain::inbound::arn::execution_arn;
use crate::domain::inbound::execution_name::{NAME_ID_DIGITS, id_in_name};
use crate::tools::letters::{Dead, DeadQueue};
use crate::tools::terminal::time;

/// The default range of logs, where neither the message nor `--since` sets it.
const LOOK_BACK_MS: i64 = 24 * 3_600_000;

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
        let routes = self.question.routes();
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
        let named = self.question.routes.into_iter();
        for (arn, name) in named.flat_map(|routes| executions_of_key(routes, key)) {
            let known = self.of_execution(Some(&arn), &name).await;
            found.extend((!known.runs.is_empty()).then_some(known));
        }
        found
    }

    /// One message for each id with this number in the webhook's log, or else in the dead letters.
    async fn of_number(&mut self, cache: &str, topic: &str, number: u64) -> Vec<Known> {
        let arrival = format!("message.sequence\":{number}");
        let found = self.sources.lines(Part::Webhook, &arrival, self.window);
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
        let looks = Part::LOGGING.map(|part| self.sources.lines(part, &piece, self.window));
        for (part, found) in Part::LOGGING.into_iter().zip(join_all(looks).await) {
            let lines = self.answered(&format!("the log of the {}", part.name()), found);
            let about = |line: &Line| line.is_about(known.id.as_deref(), name);
            let lines = lines.unwrap_or_default().into_iter().filter(about);
            known.lines.extend(lines);
        }
        self.runs(&mut known).await;
        let letters_seen = self.letters(&mut known).await;
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
        let mut parked = None;
        if parts.any(|part| matches!(part, Part::Webhook | Part::Redrive)) {
            let depth = self.sources.parked().await;
            parked = self.answered("the parking queue", depth);
        }
        let context = Context {
            question: self.question,
            parked,
            letters_seen,
        };
        Some(Trace {
            routes: verdicts(&head, &events, &known, &context),
            links: self.question.place.links(&head, &events),
            message: head,
            events,
        })
    }

    /// Searches the dead-letter queues that may have letters of the message. False where a search was incomplete.
    async fn letters(&mut self, known: &mut Known) -> bool {
        let (_, events) = assemble(known);
        let (messages, results) = open(&events, self.question);
        let Known {
            id, runs, letters, ..
        } = known;
        let same = |found: &str| {
            let id = id.as_deref().filter(|_| !found.is_empty());
            id.is_some_and(|id| is_same(id, found))
        };
        let mut seen = true;
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
                    let mut runs = runs.iter().filter_map(|event| event.run());
                    runs.any(|run| run.arn == *arn) || id_in_name(name).is_some_and(same)
                }
                None => queue == DeadQueue::Messages && same(&dead.id),
            };
            let found = self.sources.letters(queue, &is).await;
            let (found, all) = self.answered(source, found).unwrap_or_default();
            seen &= all;
            letters.extend(found);
        }
        seen
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
