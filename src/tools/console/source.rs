//! The sources of the console: the same for the local stack and for one on AWS, and fakes in tests.

use std::sync::Arc;

use serde_json::Value;
use tokio::sync::broadcast;

use super::alarms::Alarm;
use super::gaps::Gaps;
use super::model::{Delivery, Filter, Listed, Row};
use crate::adapters::aws::sqs;
use crate::domain::inbound::routes::Routes;
use crate::domain::ports::{Answer, Verdict};
use crate::tools::execution::Event;
use crate::tools::letters::{Dead, DeadQueue};
use crate::tools::replay::choice::Choice;
use crate::tools::replay::run::Tally;
use crate::tools::trace::model::{Report, Unanswered};

/// The messages of a stack, and its topics.
pub trait Messages: Send + Sync {
    /// A page of the list.
    fn list<'a>(&'a self, filter: &'a Filter) -> Answer<'a, Listed>;

    /// The places of new and changed rows; none where the list is not live.
    fn changes(&self) -> Option<broadcast::Receiver<u64>>;

    /// The row at a place, with the whole text of its message.
    fn at(&self, place: u64) -> Option<(Row, Option<String>)>;

    /// The row of a message by its id, or the first 16 digits of it, where it is in memory.
    fn find(&self, id: &str) -> Option<Row>;

    /// The message of an id as it was delivered, where it is in memory.
    fn delivery(&self, id: &str) -> Option<Delivery>;

    /// Messages in memory on one of these topics (`cache/topic`), published from `since` on, in ms since the epoch.
    fn published(&self, topics: &[String], since: i64) -> Vec<(Row, String)>;

    /// When a message that a route takes was last seen, for each route by name; in ms since the epoch.
    fn last_seen(&self, route: &str) -> Option<i64>;

    fn routes(&self) -> Answer<'_, (Arc<Routes>, Vec<Unanswered>)>;

    /// The gaps that a relay reported lately.
    fn gaps(&self) -> Answer<'_, Gaps>;

    /// The known caches, for suggestions.
    fn caches(&self) -> Vec<String>;

    /// Publishes a text; the message's id where it is known.
    fn publish<'a>(
        &'a self,
        cache: &'a str,
        topic: &'a str,
        text: &'a str,
    ) -> Answer<'a, Option<String>>;

    /// Posts a body, signed, to the webhook: status and answer.
    fn deliver(&self, body: Vec<u8>) -> Answer<'_, (u16, String)>;

    /// The value of a claim, if the text is one.
    fn claimed<'a>(&'a self, text: &'a str) -> Answer<'a, Option<String>>;
}

/// A queue with its depth.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Depth {
    pub name: &'static str,
    pub about: &'static str,
    pub now: sqs::Depth,
    /// Of its oldest message, in ms; none for an empty queue, or where it is unknown.
    pub age: Option<i64>,
    /// A page of AWS's console.
    pub page: Option<String>,
}

/// The queues, and the alarms of the stack.
#[derive(Clone, Debug, Default)]
pub struct Queues {
    pub depths: Vec<Depth>,
    pub alarms: Vec<Alarm>,
    /// The ages or the alarms, where CloudWatch refused them.
    pub unread: Vec<Unanswered>,
}

/// A definition with its history.
#[derive(Clone, Debug, Default)]
pub struct History {
    /// None where it is unknown.
    pub definition: Option<Value>,
    /// Oldest first.
    pub events: Vec<Event>,
    /// Whether there are more events.
    pub more: bool,
}

/// Services of AWS, or of the local emulator.
pub trait Services: Send + Sync {
    /// The history of a message; `subject` as `bridge trace` takes it.
    fn report<'a>(
        &'a self,
        subject: &'a str,
        routes: &'a Routes,
        payloads: bool,
    ) -> Answer<'a, Report>;

    /// An execution's definition, and up to so many pages of its history.
    fn history<'a>(&'a self, execution: &'a str, pages: usize) -> Answer<'a, History>;

    /// The input of an execution; none where it is unknown.
    fn input<'a>(&'a self, execution: &'a str) -> Answer<'a, Option<String>>;

    fn queues(&self) -> Answer<'_, Queues>;

    /// Letters that match, about `most`, and whether the whole queue was read.
    fn letters<'a>(
        &'a self,
        queue: DeadQueue,
        choice: &'a Choice,
        most: usize,
    ) -> Answer<'a, (Vec<Dead>, bool)>;

    /// Puts matching letters back, or counts them.
    fn put_back<'a>(
        &'a self,
        queue: DeadQueue,
        choice: &'a Choice,
        dry_run: bool,
    ) -> Answer<'a, Tally>;

    fn stop<'a>(&'a self, execution: &'a str) -> Answer<'a, ()>;

    /// Lets a failed execution go on from its failed state.
    fn redrive<'a>(&'a self, execution: &'a str) -> Answer<'a, ()>;

    /// Answers a task that waits for a token.
    fn answer<'a>(&'a self, token: &'a str, verdict: &'a Verdict) -> Answer<'a, ()>;
}
