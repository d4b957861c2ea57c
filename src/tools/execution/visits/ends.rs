//! The end of an execution, and its redrive.

use super::{Place, Walk};
use crate::tools::execution::event::Event;
use crate::tools::execution::model::{Ending, Status};

impl Walk<'_> {
    pub(super) fn execution(&mut self, event: &Event, what: &str, before: &Place) {
        match what {
            "Succeeded" => self.found.status = Ending::Succeeded,
            "Failed" => {
                self.found.status = Ending::Failed;
                self.ends(event, before);
            }
            "TimedOut" => {
                self.found.status = Ending::TimedOut;
                self.ends(event, before);
            }
            "Aborted" => {
                self.found.status = Ending::Aborted;
                self.ends(event, before);
            }
            "Redriven" => self.redrive(),
            _ => {}
        }
    }

    /// Closes all open visits: as failed along the way to the one that failed, else as aborted.
    fn ends(&mut self, event: &Event, before: &Place) {
        let timed_out = self.found.status == Ending::TimedOut;
        let default = timed_out.then(|| "States.Timeout".to_owned());
        self.found.error = event.text("error").or(default);
        self.found.cause = event.text("cause");
        let last_open = || {
            (0..self.insides.len())
                .rev()
                .find(|index| self.open(*index))
        };
        let last = before.visit.filter(|_| self.linked);
        let last = last
            .or_else(last_open)
            .or_else(|| self.insides.len().checked_sub(1));
        let failed = self.found.status != Ending::Aborted;
        if let Some(last) = self.named(event).or(last).filter(|_| failed) {
            let visit = &mut self.found.visits[last];
            if visit.error.is_none() {
                visit.error.clone_from(&self.found.error);
            }
            if visit.cause.is_none() {
                visit.cause.clone_from(&self.found.cause);
            }
            let around: Vec<_> = self.insides[last].path.iter().map(|(i, _)| *i).collect();
            for index in around.into_iter().chain([last]) {
                self.insides[index].failing = true;
            }
        }
        self.ended = (0..self.insides.len())
            .filter(|index| self.open(*index))
            .collect();
        for index in self.ended.clone() {
            let fails = failed && (timed_out || self.insides[index].failing);
            let status = if fails {
                Status::Failed
            } else {
                Status::Aborted
            };
            self.close(index, status, event.at);
        }
        self.found.failing = if failed { self.innermost() } else { None };
    }

    /// The visit that the cause names by the event of its entry.
    fn named(&self, event: &Event) -> Option<usize> {
        let cause = event.text("cause")?;
        let (_, rest) = cause.split_once("(entered at the event id #")?;
        let id: i64 = rest.split_once(')')?.0.parse().ok()?;
        self.found.visits.iter().position(|visit| visit.id == id)
    }

    /// From the last failed visit inwards, to the first that failed in its last attempt.
    fn innermost(&self) -> Option<usize> {
        let failed = |index: usize, depth: usize| {
            self.found.visits[index].status == Status::Failed
                && self.insides[index].path.len() == depth
        };
        let mut found = (0..self.insides.len())
            .rev()
            .find(|index| failed(*index, 0))?;
        while let Some(inner) = self
            .within(found)
            .filter(|index| failed(*index, self.insides[found].path.len() + 1))
            .min_by_key(|index| (self.found.visits[*index].left_at, *index))
        {
            found = inner;
        }
        Some(found)
    }

    /// The visits inside another, in its last attempt.
    fn within(&self, outer: usize) -> impl Iterator<Item = usize> {
        let since = self.found.visits[outer]
            .attempts
            .last()
            .map(|a| a.scheduled_at);
        (outer + 1..self.insides.len()).filter(move |index| {
            self.insides[*index]
                .path
                .iter()
                .any(|(around, _)| *around == outer)
                && since.is_none_or(|since| self.found.visits[*index].entered_at >= since)
        })
    }

    /// Opens again what the end closed, and what failed inside of it.
    fn redrive(&mut self) {
        self.found.status = Ending::Running;
        (self.found.error, self.found.cause) = (None, None);
        let mut again = self.found.failing.take().into_iter().collect::<Vec<_>>();
        for outer in std::mem::take(&mut self.ended) {
            again.push(outer);
            again.extend(self.within(outer));
        }
        for index in again {
            let visit = &mut self.found.visits[index];
            if matches!(visit.status, Status::Failed | Status::Aborted) {
                visit.status = Status::Running;
                visit.left_at = None;
                self.insides[index].failing = false;
            }
        }
    }
}
