//! Queries the sources, each for as little as needed.

mod runs;

use std::collections::BTreeSet;

use futures_util::future::join_all;

use super::assemble::{Known, assemble};
use super::context::Context;
use super::lines::Line;
use super::links::Stack;
use super::model::{Part, Report, SCHEMA, Trace, Unanswered};
use super::sources::{Needle, Sources, Window};
use super::subject::{Subject, executions_of_key};
use super::verdict::verdicts;
use super::words::time;
use crate::domain::fault::Fault;
use crate::domain::inbound::arn::execution_arn;
use crate::domain::inbound::execution_name::{NAME_ID_DIGITS, id_in_name};
use crate::domain::inbound::routes::{Route, Routes, Target};
use crate::tools::letters::{Dead, DeadQueue, Origin};

/// The default range of logs, where neither the message nor `--since` sets it.
const LOOK_BACK_MS: i64 = 24 * 3_600_000;

/// The tolerated difference of clocks: a message may seem to arrive before its publication.
const CLOCKS_MS: i64 = 5 * 60_000;

/// A query about a message, and its stack.
pub struct Question<'a> {
    pub asked: &'a str,
    pub subject: Subject,
    /// Start of the logs' range, in ms since the epoch; none for the message's own time, or 24 hours.
    pub since: Option<i64>,
    pub now_ms: i64,
    /// Whether to include inputs, outputs and causes.
    pub payloads: bool,
    pub stack: &'a Stack,
    /// None where unreadable.
    pub routes: Option<&'a Routes>,
}

/// Queries all sources, and lists those that failed in the report.
pub async fn gather(question: &Question<'_>, sources: Sources<'_>) -> Report {
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
        stack: question.stack.name.clone(),
        since: gathering.window.since,
        until: gathering.window.until,
        messages,
        unanswered: gathering.unanswered.into_iter().collect(),
        nothing,
    }
}

struct Gathering<'a> {
    question: &'a Question<'a>,
    sources: Sources<'a>,
    window: Window,
    unanswered: BTreeSet<Unanswered>,
}

impl<'a> Gathering<'a> {
    /// The answer of a source; a failed source is recorded.
    fn answered<T>(&mut self, source: &str, answer: Result<T, Fault>) -> Option<T> {
        match answer {
            Ok(answer) => Some(answer),
            Err(fault) => {
                let (source, error) = (source.to_owned(), fault.to_string());
                self.unanswered.insert(Unanswered { source, error });
                None
            }
        }
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
        let arns = match arn {
            Some(arn) => vec![arn.to_owned()],
            None => self
                .machines(|route| name.starts_with(route))
                .into_iter()
                .map(|(_, machine)| execution_arn(&machine, name))
                .collect(),
        };
        for arn in arns {
            self.add_run(&mut known, &arn, None).await;
        }
        if self.question.since.is_none() {
            if let Some(origin) = &known.origin {
                self.window.since = origin.published_at - CLOCKS_MS;
            } else if let Some((_, started_at, _)) = known.runs.first() {
                self.window.since = self.window.since.min(started_at - LOOK_BACK_MS);
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
        let Sources { logs, letters, .. } = self.sources;
        let needle = Needle::Number(number);
        let found = logs.find(Part::Webhook, &needle, self.window).await;
        let lines = self.answered("the log of the webhook", found);
        let lines = lines.unwrap_or_default();
        let lines = lines.iter().filter(|line| line.is_of(cache, topic, number));
        let ids = lines.filter_map(|line| line.id()).map(ToOwned::to_owned);
        let mut ids: BTreeSet<String> = ids.collect();
        if ids.is_empty() {
            let is = |origin: &Origin| {
                (&*origin.cache, &*origin.topic, origin.number) == (cache, topic, number)
            };
            let wanted = |dead: &Dead| dead.message.as_ref().is_some_and(is);
            let found = letters.find(DeadQueue::Messages, &wanted).await;
            let found = self.answered("the dead letters", found).unwrap_or_default();
            ids.extend(found.letters.into_iter().map(|letter| letter.id));
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
        let needle = Needle::Text(digits.or(name)?.to_owned());
        let looks = Part::LOGGING.map(|part| self.sources.logs.find(part, &needle, self.window));
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
        let routes = known.runs.iter().filter_map(|(route, ..)| route.as_ref());
        let routes: BTreeSet<&String> = routes.collect();
        for event in &mut events {
            let of_results = event.part == Part::Sweep || event.part.is_of_results();
            if event.route.is_none() && of_results && routes.len() == 1 {
                event.route = routes.first().map(|route| (*route).clone());
            }
        }
        let mut parts = events.iter().map(|event| event.part);
        let mut context = self.context(letters_seen);
        if parts.any(|part| matches!(part, Part::Webhook | Part::Redrive)) {
            let depth = self.sources.letters.parked().await;
            context.parked = self.answered("the parking queue", depth);
        }
        Some(Trace {
            routes: verdicts(&head, &events, &known, &context),
            links: self.question.stack.links(&head, &events),
            message: head,
            events,
        })
    }

    /// Searches the dead-letter queues that may have letters of the message. False where a search was incomplete.
    async fn letters(&mut self, known: &mut Known) -> bool {
        let (_, events) = assemble(known);
        let open = super::verdict::open(&events, &self.context(false));
        let Known {
            id, runs, letters, ..
        } = known;
        let same = |found: &str| {
            let id = id.as_deref().filter(|_| !found.is_empty());
            id.is_some_and(|id| found.starts_with(id) || id.starts_with(found))
        };
        let mut seen = true;
        for (queue, wanted, source) in [
            (DeadQueue::Messages, open.message, "the dead letters"),
            (
                DeadQueue::Results,
                open.result,
                "the dead letters of results",
            ),
        ] {
            if !wanted {
                continue;
            }
            let is = |dead: &Dead| match &dead.execution {
                Some(arn) => {
                    let name = arn.rsplit(':').next().unwrap_or(arn);
                    runs.iter().any(|(.., run)| run.arn == *arn)
                        || id_in_name(name).is_some_and(same)
                }
                None => queue == DeadQueue::Messages && same(&dead.id),
            };
            let found = self.sources.letters.find(queue, &is).await;
            let found = self.answered(source, found).unwrap_or_default();
            seen &= found.all;
            letters.extend(found.letters);
        }
        seen
    }

    /// The input of verdicts, without the depth of the parking queue.
    fn context(&self, letters_seen: bool) -> Context<'a> {
        Context {
            routes: self.question.routes,
            now_ms: self.question.now_ms,
            parked: None,
            letters_seen,
            place: &self.question.stack.place,
        }
    }

    /// Routes to state machines, as names and ARNs.
    fn machines(&self, wanted: impl Fn(&str) -> bool) -> Vec<(String, String)> {
        let routes = self.question.routes.into_iter().flat_map(Routes::iter);
        let routes = routes.filter(|route| wanted(&route.name));
        let machine = |route: &Route| match &route.to {
            Target::StateMachine { arn, .. } => Some((route.name.clone(), arn.clone())),
            Target::EventBus { .. } | Target::Resume(_) | Target::Stop(_) => None,
        };
        routes.filter_map(machine).collect()
    }

    fn nothing(&self) -> String {
        let unanswered = match self.unanswered.is_empty() {
            true => String::new(),
            false => ", and not every source could be queried".to_owned(),
        };
        format!(
            "no trace found: expected lines, an execution or a dead letter of this message since {}, found none{unanswered}; \
             was it another stack or earlier (`--since 7d`)? Logs are kept for LogRetentionDays (30), executions for 90 days, \
             dead letters for 14. A message that Momento never delivered, or that was not signed, leaves no id",
            time(self.window.since)
        )
    }
}
