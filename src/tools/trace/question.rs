//! A query about a message, and its stack.

use super::subject::Subject;
use crate::domain::inbound::routes::{Route, Routes};
use crate::tools::place::Place;

pub struct Question<'a> {
    pub asked: &'a str,
    pub subject: Subject,
    /// Start of the logs' range, in ms since the epoch; none for the message's own time, or 24 hours.
    pub since: Option<i64>,
    pub now_ms: i64,
    /// Whether to include inputs, outputs and causes.
    pub payloads: bool,
    pub place: &'a Place,
    /// None where unreadable.
    pub routes: Option<&'a Routes>,
}

impl<'a> Question<'a> {
    pub fn routes(&self) -> impl Iterator<Item = &'a Route> + use<'a> {
        self.routes.into_iter().flat_map(Routes::iter)
    }
}

/// The input of verdicts beside the events.
pub struct Context<'a> {
    pub question: &'a Question<'a>,
    /// The approximate depth of the parking queue, where known.
    pub parked: Option<u64>,
    /// Whether all dead letters were searched.
    pub letters_seen: bool,
}
