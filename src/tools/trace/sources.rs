//! The sources of a trace.

use super::lines::Line;
use super::model::{Entry, Part};
use crate::domain::fault::Fault;
use crate::tools::execution::{Event, Execution};
use crate::tools::letters::{Dead, DeadQueue};

/// A range of time, in ms since the epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    pub since: i64,
    pub until: i64,
}

/// Which letters a search returns.
pub type Wanted<'a> = &'a (dyn Fn(&Dead) -> bool + Send + Sync);

pub type Answer<T> = Result<T, Fault>;

/// The sources; each query fails by itself.
pub trait Sources: Sync {
    /// The lines in a part's log that contain the text; the result may hold other lines, too.
    fn lines(
        &self,
        part: Part,
        text: &str,
        window: Window,
    ) -> impl Future<Output = Answer<Vec<Line>>> + Send;

    /// None for an unknown or deleted execution.
    fn execution(&self, arn: &str) -> impl Future<Output = Answer<Option<Execution>>> + Send;

    /// The whole history of an execution, oldest event first.
    fn history(&self, arn: &str, payloads: bool)
    -> impl Future<Output = Answer<Vec<Event>>> + Send;

    fn is_express(&self, state_machine: &str) -> impl Future<Output = Answer<bool>> + Send;

    /// The ledger's entry; none for an end without one.
    fn entry(&self, id: &str) -> impl Future<Output = Answer<Option<Entry>>> + Send;

    /// The wanted letters of a dead-letter queue, which stay there, and whether the whole queue was searched.
    fn letters(
        &self,
        queue: DeadQueue,
        wanted: Wanted<'_>,
    ) -> impl Future<Output = Answer<(Vec<Dead>, bool)>> + Send;

    /// The approximate depth of the parking queue.
    fn parked(&self) -> impl Future<Output = Answer<u64>> + Send;
}
