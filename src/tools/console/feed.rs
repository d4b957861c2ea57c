//! The newest messages of the local stack, in memory.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::Deserialize;
use tokio::sync::broadcast;

use super::model::{Answered, Delivery, Filter, Kind, Leg, Listed, PAGE, Ran, Row};
use crate::domain::inbound::key;
use crate::domain::inbound::message::{Body, TopicMessage};
use crate::domain::inbound::routes::Routes;
use crate::tools::execution::Execution;
use crate::tools::local::flow::Answer;
use crate::tools::local::topics::broker::{Message, Value};

/// Messages kept, at most.
const MOST: usize = 10_000;

/// Bytes of kept messages, at most: some 6,000 of the largest.
const MOST_BYTES: usize = 32 * 1024 * 1024;

/// Bytes beside the value, roughly.
const OVERHEAD: usize = 600;

/// Changes buffered for each page that follows the list; a slower one is told to load again.
const CHANGES: usize = 4_096;

/// The newest messages. A full list forgets the oldest.
pub struct Feed {
    /// Whether a relay delivers, which numbers messages by page.
    relayed: bool,
    /// Messages and bytes, at most.
    most: (usize, usize),
    state: Mutex<State>,
    changes: broadcast::Sender<u64>,
}

#[derive(Default)]
struct State {
    entries: VecDeque<Entry>,
    /// The place of the next entry.
    next: u64,
    places: HashMap<String, u64>,
    bytes: usize,
    /// Events that came too fast to be seen.
    missed: u64,
}

struct Entry {
    row: Row,
    message: TopicMessage,
}

/// An execution to follow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Started {
    pub place: u64,
    pub arn: String,
}

impl Feed {
    pub fn new(relayed: bool) -> Self {
        Self::within(relayed, (MOST, MOST_BYTES))
    }

    fn within(relayed: bool, most: (usize, usize)) -> Self {
        Self {
            relayed,
            most,
            state: Mutex::default(),
            changes: broadcast::Sender::new(CHANGES),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a published message, and returns its id.
    pub fn published(&self, message: &Message, routes: &Routes) -> Option<String> {
        let message = self.as_delivered(message)?;
        let enabled = || routes.iter().filter(|route| route.enabled);
        let (cache, topic) = (&message.cache, &message.topic);
        let kind = if enabled().any(|route| route.from.covers(cache, topic)) {
            Kind::In
        } else if enabled().any(|route| route.may_reply_to(cache, topic))
            || self.is_of_a_run(&message)
        {
            Kind::Result
        } else {
            Kind::Other
        };
        let mut row = Row::of(&message, kind);
        row.key = routes
            .matching(&message)
            .into_iter()
            .find_map(|route| key::of(&message, route.key()?).ok());
        let id = row.id.clone();
        let place = self.state().add(Entry { row, message }, self.most);
        let _ = self.changes.send(place);
        Some(id)
    }

    /// Whether a workflow published it, as far as its text tells: it has the `id` of a message here.
    fn is_of_a_run(&self, message: &TopicMessage) -> bool {
        #[derive(Deserialize)]
        struct Named {
            id: String,
        }
        let named: Option<Named> = message
            .json()
            .and_then(|json| serde_json::from_str(json).ok());
        named.is_some_and(|named| self.state().places.contains_key(&named.id))
    }

    /// The message with the id that the webhook gives it.
    fn as_delivered(&self, message: &Message) -> Option<TopicMessage> {
        let (text, binary) = match &message.value {
            Value::Text(text) => (Some(text.clone()), None),
            Value::Binary(bytes) => {
                use base64::Engine as _;
                let engine = base64::engine::general_purpose::STANDARD;
                (None, Some(engine.encode(bytes)))
            }
        };
        let at = i64::try_from(message.at_ms).unwrap_or(i64::MAX);
        TopicMessage::of(Body {
            cache: message.cache.clone(),
            topic: message.topic.clone(),
            topic_sequence_number: message.sequence,
            sequence_page: self.relayed.then_some(message.page),
            event_timestamp: at,
            publish_timestamp: at,
            token_id: message.token_id.clone(),
            text,
            binary,
        })
        .ok()
    }

    /// The id of a published message.
    pub fn id_of(&self, message: &Message) -> Option<String> {
        self.as_delivered(message).map(|one| one.id.to_string())
    }

    /// Records the webhook's answer to the message with this id; the executions that it started.
    pub fn answered(
        &self,
        id: &str,
        answer: &Result<(u16, String), String>,
        took: Duration,
        routes: &Routes,
    ) -> Vec<Started> {
        let mut state = self.state();
        let Some(entry) = state.entry(id) else {
            return Vec::new();
        };
        let (status, code, targets) = match answer {
            Err(reason) => (None, reason.clone(), Vec::new()),
            Ok((status, body)) => {
                let answer: Answer = serde_json::from_str(body).unwrap_or_default();
                (Some(*status), answer.code, answer.targets)
            }
        };
        let took_ms = i64::try_from(took.as_millis()).unwrap_or(i64::MAX);
        entry.row.answer = Some(Answered {
            status,
            code,
            took_ms,
        });
        let started_at = entry.row.at + took_ms;
        for target in targets {
            let started = matches!(target.outcome.as_str(), "started" | "duplicate");
            let row = &entry.row;
            let arn = target.execution(routes, &row.topic, row.sequence, &row.id);
            let run = arn.filter(|_| started).map(|arn| Ran {
                arn,
                started_at,
                ..Ran::default()
            });
            let leg = Leg {
                route: target.route,
                outcome: target.outcome,
                run,
            };
            entry.row.legs.push(leg);
        }
        let place = entry.row.number;
        let runs = entry.row.legs.iter().filter_map(|leg| leg.run.as_ref());
        let started = runs.map(|run| Started {
            place,
            arn: run.arn.clone(),
        });
        let started = started.collect();
        drop(state);
        let _ = self.changes.send(place);
        started
    }

    /// Records the present state of an execution.
    pub fn ran(&self, started: &Started, execution: &Execution) {
        let mut state = self.state();
        let Some(entry) = state.at(started.place) else {
            return;
        };
        let runs = entry.row.legs.iter_mut().filter_map(|leg| leg.run.as_mut());
        let mut changed = false;
        for run in runs.filter(|run| run.arn == started.arn) {
            changed |= run.status != execution.status;
            run.status.clone_from(&execution.status);
            run.started_at = execution.started_at;
            run.stopped_at = execution.stopped_at;
            run.error.clone_from(&execution.error);
        }
        drop(state);
        if changed {
            let _ = self.changes.send(started.place);
        }
    }

    /// Counts events that came too fast to be seen.
    pub fn missed(&self, events: u64) {
        self.state().missed += events;
    }

    pub fn changes(&self) -> broadcast::Receiver<u64> {
        self.changes.subscribe()
    }

    pub fn list(&self, filter: &Filter, now_ms: i64) -> Result<Listed, String> {
        let since = filter.since(now_ms)?.unwrap_or(i64::MIN);
        let state = self.state();
        let before = filter.before.unwrap_or(u64::MAX);
        let entries = state.entries.iter().rev();
        let mut matching = entries.filter(|entry| {
            entry.row.number < before
                && entry.row.at >= since
                && filter.takes(&entry.row, entry.message.text())
        });
        let rows: Vec<Row> = matching
            .by_ref()
            .take(PAGE)
            .map(|entry| entry.row.clone())
            .collect();
        let more = matching.next().and(rows.last()).map(|row| row.number);
        let kept = state.entries.len();
        let mut note = match state.next > kept as u64 {
            true => format!("the newest {kept} of {} messages are kept", state.next),
            false => String::new(),
        };
        if state.missed > 0 {
            note = format!("{note} {} events were missed", state.missed);
        }
        Ok(Listed {
            rows,
            more,
            note: note.trim().to_owned(),
            unanswered: Vec::new(),
        })
    }

    pub fn at(&self, place: u64) -> Option<(Row, Option<String>)> {
        let mut state = self.state();
        let entry = state.at(place)?;
        Some((
            entry.row.clone(),
            entry.message.text().map(ToOwned::to_owned),
        ))
    }

    pub fn find(&self, id: &str) -> Option<Row> {
        self.state().entry(id).map(|entry| entry.row.clone())
    }

    pub fn delivery(&self, id: &str) -> Option<Delivery> {
        let mut state = self.state();
        state.entry(id).map(|entry| Delivery(entry.message.clone()))
    }

    /// Texts on these topics (`cache/topic`), oldest first.
    pub fn on(&self, topics: &[String], since: i64) -> Vec<(Row, String)> {
        let state = self.state();
        let newest = state.entries.iter().rev();
        let newest = newest.take_while(|entry| entry.row.at >= since);
        let mut found: Vec<_> = newest
            .filter(|entry| topics.contains(&format!("{}/{}", entry.row.cache, entry.row.topic)))
            .filter_map(|entry| Some((entry.row.clone(), entry.message.text()?.to_owned())))
            .collect();
        found.reverse();
        found
    }

    pub fn last_seen(&self, route: &str) -> Option<i64> {
        let state = self.state();
        let mut newest = state.entries.iter().rev();
        let is = |entry: &&Entry| entry.row.legs.iter().any(|leg| leg.route == route);
        newest.find(is).map(|entry| entry.row.at)
    }
}

impl State {
    fn add(&mut self, mut entry: Entry, most: (usize, usize)) -> u64 {
        let place = self.next;
        self.next += 1;
        entry.row.number = place;
        self.bytes += entry.bytes();
        self.places.insert(entry.row.id.clone(), place);
        self.entries.push_back(entry);
        while self.entries.len() > most.0 || self.bytes > most.1 {
            let Some(oldest) = self.entries.pop_front() else {
                break;
            };
            self.bytes -= oldest.bytes();
            if self.places.get(&oldest.row.id) == Some(&oldest.row.number) {
                self.places.remove(&oldest.row.id);
            }
        }
        place
    }

    fn at(&mut self, place: u64) -> Option<&mut Entry> {
        let first = self.entries.front()?.row.number;
        let index = usize::try_from(place.checked_sub(first)?).ok()?;
        self.entries.get_mut(index)
    }

    /// By the whole id, or by its beginning.
    fn entry(&mut self, id: &str) -> Option<&mut Entry> {
        let place = match self.places.get(id) {
            Some(place) => *place,
            None if id.len() < 16 => return None,
            None => {
                let mut newest = self.entries.iter().rev();
                newest
                    .find(|entry| entry.row.id.starts_with(id))?
                    .row
                    .number
            }
        };
        self.at(place)
    }
}

impl Entry {
    /// Of the message alone, which does not change.
    fn bytes(&self) -> usize {
        let message = &self.message;
        OVERHEAD
            + message.value.as_str().len()
            + 2 * (message.cache.len() + message.topic.len())
            + message.token_id.as_ref().map_or(0, String::len)
    }
}

#[cfg(test)]
mod tests;
