//! An execution with its definition and its history, read anew for each page.

use super::source::{History, Services};
use crate::domain::fault::Fault;
use crate::tools::execution::{Event, View, view};

/// The pages of a history that a run shows unless more are asked for, of a thousand events each.
pub const PAGES: usize = 2;

/// The longest history that Step Functions allows, in pages.
pub const MOST_PAGES: usize = 25;

/// An execution as pages show it.
pub struct Recorded {
    pub arn: String,
    pub view: View,
    pub events: Vec<Event>,
}

impl Recorded {
    pub fn new(arn: &str, history: History) -> Self {
        let History {
            definition,
            events,
            more,
        } = history;
        Self {
            arn: arn.to_owned(),
            view: view(&definition.unwrap_or_default(), &events, more),
            events,
        }
    }

    /// Reads an execution.
    ///
    /// # Errors
    ///
    /// When Step Functions does not answer.
    pub async fn read(services: &dyn Services, arn: &str, pages: usize) -> Result<Self, Fault> {
        let history = services.history(arn, pages.clamp(1, MOST_PAGES)).await?;
        Ok(Self::new(arn, history))
    }

    /// The execution's output.
    pub fn output(&self) -> Option<&str> {
        let ended = self
            .events
            .iter()
            .rev()
            .find(|one| one.kind == "ExecutionSucceeded")?;
        ended.details.get("output")?.as_str()
    }
}
