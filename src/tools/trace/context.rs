//! The input of verdicts beside the events.

use crate::domain::inbound::routes::Routes;

pub struct Context<'a> {
    pub routes: Option<&'a Routes>,
    pub now_ms: i64,
    /// The approximate depth of the parking queue, where known.
    pub parked: Option<u64>,
    /// Whether all dead letters were searched.
    pub letters_seen: bool,
    /// The option that selects this stack in `bridge replay`, such as ` --stack-name NAME`.
    pub place: &'a str,
}
