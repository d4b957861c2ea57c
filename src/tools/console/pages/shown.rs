//! An execution on the page of its message.

use crate::tools::console::app::App;
use crate::tools::console::recorded::Recorded;
use crate::tools::trace::model::{Event, Run};

/// An execution of a page.
pub struct Shown<'a> {
    pub app: &'a App,
    /// The message's id.
    pub run_id: &'a str,
    /// Its number on the page, which keeps the fragments of several executions apart.
    pub number: usize,
    pub event: &'a Event,
    pub run: &'a Run,
    pub recorded: Option<&'a Recorded>,
}

impl Shown<'_> {
    /// The begin of this execution's fragments.
    pub fn prefix(&self) -> String {
        format!("e{}-", self.number)
    }
}
