//! A history as visits of states.
//!
//! Each event continues the visit of the event before it. The local emulator links no events: there an event continues
//! the last open visit, and the tasks inside Map and Parallel are found by their resource.

mod ends;
mod tasks;

use std::collections::{BTreeMap, HashMap};

use serde_json::Value;

use super::event::Event;
use super::model::{Attempt, Ending, Items, Status, Step, Visit};
use super::outline::Outline;

/// The visits of an execution so far.
#[derive(Debug, Default)]
pub struct Visits {
    /// In the order in which the states were entered, across parallel branches.
    pub visits: Vec<Visit>,
    /// The innermost visit that failed the execution.
    pub failing: Option<usize>,
    pub status: Ending,
    pub error: Option<String>,
    pub cause: Option<String>,
    /// The visit of each event.
    pub visit_of: HashMap<i64, usize>,
}

/// The visits of the states of a definition; the outline may be empty.
pub fn visits(events: &[Event], outline: &Outline) -> Visits {
    let mut walk = Walk {
        linked: events.iter().any(|event| event.previous != 0),
        outline,
        found: Visits::default(),
        insides: Vec::new(),
        places: HashMap::new(),
        branches: HashMap::new(),
        ended: Vec::new(),
    };
    for event in events {
        walk.event(event);
    }
    let mut found = walk.found;
    for (visit, inside) in found.visits.iter_mut().zip(&walk.insides) {
        if visit.status == Status::Running && visit.waits() {
            visit.status = Status::Waiting;
            visit.token = visit.find_token(outline);
        }
        visit.retries = u32::try_from(visit.attempts.len().saturating_sub(1)).unwrap_or(u32::MAX);
        if inside.failing && visit.field.is_none() {
            visit.locate();
        }
    }
    // Events after the end contradict it.
    let visits = &found.visits;
    found.failing = found
        .failing
        .filter(|failing| visits[*failing].status == Status::Failed);
    found
}

/// A visit's place among the others.
#[derive(Clone, Debug, Default)]
struct Inside {
    /// The enclosing visits, outermost first, with the iteration or branch.
    path: Path,
    /// Whether an error came that is neither retried nor caught so far.
    failing: bool,
}

type Path = Vec<(usize, i64)>;

/// The place of an event.
#[derive(Clone, Debug, Default)]
struct Place {
    visit: Option<usize>,
    /// The path of a state that is entered next.
    path: Path,
    /// Whether a branch of `visit` begins here.
    branches: bool,
}

struct Walk<'a> {
    linked: bool,
    outline: &'a Outline<'a>,
    found: Visits,
    /// For each visit.
    insides: Vec<Inside>,
    places: HashMap<i64, Place>,
    /// The branches entered so far, of each Parallel.
    branches: HashMap<usize, i64>,
    /// The visits that the execution's end closed.
    ended: Vec<usize>,
}

impl Walk<'_> {
    fn event(&mut self, event: &Event) {
        let before = self.places.get(&event.previous).cloned();
        let before = before.unwrap_or_default();
        let kind = event.kind.as_str();
        let mut place = Place {
            visit: None,
            ..before.clone()
        };
        if let Some(state) = kind.strip_suffix("StateEntered") {
            let index = self.enter(event, state, before);
            place = self.at(index);
        } else if kind.ends_with("StateExited") {
            let index = self.exit(event, &before);
            place = self.at(index);
        } else if let Some(what) = kind.strip_prefix("Execution") {
            // A redrive goes on from the state that failed.
            let failed = self.found.failing.filter(|_| what == "Redriven");
            self.execution(event, what, &before);
            if let Some(index) = failed {
                place = self.at(index);
            }
        } else if let Some(index) = self.of(event, &before) {
            place = self.at(index);
            if let Some(what) = kind.strip_prefix("MapIteration") {
                let iteration = event.number("index").unwrap_or(0);
                place.path.push((index, iteration));
                self.iteration(index, iteration, what, event.at);
            } else if kind == "ParallelStateStarted" {
                place.branches = true;
                self.insides[index].failing = false;
                self.found.visits[index].attempts.push(attempt(event.at));
            } else {
                self.inner(index, event);
            }
        }
        if let Some(index) = place.visit {
            self.found.visit_of.insert(event.id, index);
        }
        self.places.insert(event.id, place);
    }

    fn at(&self, index: usize) -> Place {
        Place {
            visit: Some(index),
            path: self.insides[index].path.clone(),
            branches: false,
        }
    }

    fn open(&self, index: usize) -> bool {
        self.found.visits[index].left_at.is_none()
    }

    fn enter(&mut self, event: &Event, kind: &str, before: Place) -> usize {
        let name = event.text("name").unwrap_or_default();
        let mut path = before.path;
        if let Some(parallel) = before.visit.filter(|_| before.branches) {
            let entered = self.branches.entry(parallel).or_default();
            let outer = &self.found.visits[parallel].name;
            let branch = self.outline.branch(outer, &name).unwrap_or(*entered);
            *entered += 1;
            path.push((parallel, branch));
        }
        if !self.linked {
            self.caught_before(&name);
        }
        let index = self.push(event, name, kind, path);
        self.found.visits[index].input = event.text("input");
        if kind == "Fail" {
            let known = self.outline.get(&self.found.visits[index].name);
            let text = |key: &str| {
                let text = known?.state[key].as_str()?;
                (!text.trim_start().starts_with("{%")).then(|| text.to_owned())
            };
            let (error, cause) = (text("Error"), text("Cause"));
            let visit = &mut self.found.visits[index];
            (visit.error, visit.cause) = (error, cause);
            self.insides[index].failing = true;
            self.close(index, Status::Failed, event.at);
        }
        index
    }

    fn push(&mut self, event: &Event, name: String, kind: &str, path: Path) -> usize {
        let step = |(index, at): &(usize, i64)| Step {
            state: self.found.visits[*index].name.clone(),
            index: *at,
        };
        self.found.visits.push(Visit {
            id: event.id,
            name,
            path: path.iter().map(step).collect(),
            kind: kind.to_owned(),
            entered_at: event.at,
            ..Visit::default()
        });
        let failing = false;
        self.insides.push(Inside { path, failing });
        self.found.visits.len() - 1
    }

    /// A Map or Parallel of the emulator says nothing of a caught error, but the next state does.
    fn caught_before(&mut self, next: &str) {
        let top = |visit: &&mut Visit| !visit.inferred;
        if let Some(last) = self.found.visits.iter_mut().rev().find(top)
            && last.status == Status::Succeeded
            && self.outline.catches(&last.name, next)
        {
            last.status = Status::Caught;
        }
    }

    fn exit(&mut self, event: &Event, before: &Place) -> usize {
        let name = event.text("name").unwrap_or_default();
        let wanted = |visit: &Visit| name.is_empty() || visit.name == name;
        let index = self.find(before, wanted).unwrap_or_else(|| {
            // The page with its entry was not read.
            let kind = event.kind.trim_end_matches("StateExited").to_owned();
            self.push(event, name, &kind, before.path.clone())
        });
        let status = match self.insides[index].failing {
            true => Status::Caught,
            false => Status::Succeeded,
        };
        self.close(index, status, event.at);
        let visit = &mut self.found.visits[index];
        visit.output = event.text("output");
        if let Some(Value::Object(variables)) = event.details.get("assignedVariables") {
            let text = |value: &Value| value.as_str().map_or(value.to_string(), str::to_owned);
            visit.variables = variables
                .iter()
                .map(|(name, value)| (name.clone(), text(value)))
                .collect::<BTreeMap<_, _>>();
        }
        index
    }

    /// The innermost open visit around an event that matches; the last one where events are not linked.
    fn find(&self, before: &Place, wanted: impl Fn(&Visit) -> bool) -> Option<usize> {
        let matches = |index: &usize| self.open(*index) && wanted(&self.found.visits[*index]);
        let around = before.path.iter().rev().map(|(index, _)| *index);
        let mut chain = before.visit.into_iter().chain(around);
        let unlinked = || {
            (0..self.found.visits.len())
                .rev()
                .find(|i| matches(i) && !self.found.visits[*i].inferred)
        };
        match before.visit {
            None if !self.linked => unlinked(),
            None if before.path.is_empty() => None,
            _ => chain.find(|index| matches(index)),
        }
    }

    /// The visit that an event within a state belongs to.
    fn of(&mut self, event: &Event, before: &Place) -> Option<usize> {
        let kind = event.kind.as_str();
        if kind.starts_with("MapIteration") {
            let name = event.text("name");
            return self.find(before, |visit| {
                visit.kind == "Map" && name.as_ref().is_none_or(|name| *name == visit.name)
            });
        }
        for compound in ["Map", "Parallel"] {
            if kind.starts_with(compound) {
                let fails = kind.ends_with("Failed");
                let found = self.find(before, |visit| visit.kind == compound)?;
                // Its own failure came before: this one is of the state around it.
                let again = fails && self.insides[found].failing && before.visit == Some(found);
                let outer = Place {
                    visit: None,
                    ..self.at(found)
                };
                return if again {
                    self.find(&outer, |visit| visit.kind == compound)
                } else {
                    Some(found)
                };
            }
        }
        if kind == "EvaluationFailed" {
            let name = event.text("state");
            let named = |visit: &Visit| name.as_ref().is_none_or(|name| *name == visit.name);
            return self.find(before, named);
        }
        if let Some(index) = before.visit {
            return Some(index);
        }
        let last = self.find(before, |_| true)?;
        match self.found.visits[last].kind.as_str() {
            "Map" | "Parallel" => self.inferred(event, last),
            _ => Some(last),
        }
    }

    /// Closes a visit.
    fn close(&mut self, index: usize, status: Status, at: i64) {
        let visit = &mut self.found.visits[index];
        visit.status = status;
        visit.left_at = Some(at);
        if let Some(attempt) = visit.attempts.last_mut() {
            attempt.ended_at.get_or_insert(at);
        }
        if status != Status::Failed && self.found.visits[index].kind != "Task" {
            self.settle(index);
        }
    }

    /// Inner tasks of the emulator that failed, in a state that went on, were retried or caught.
    fn settle(&mut self, outer: usize) {
        for (visit, inside) in self.found.visits.iter_mut().zip(&self.insides) {
            let inner = inside.path.iter().any(|(index, _)| *index == outer);
            if inner && visit.inferred && visit.status == Status::Failed {
                visit.status = Status::Caught;
            }
        }
    }

    fn iteration(&mut self, index: usize, iteration: i64, what: &str, at: i64) {
        let items = self.found.visits[index].items.get_or_insert_default();
        match what {
            "Started" => items.total = items.total.max(iteration + 1),
            "Succeeded" => items.succeeded += 1,
            "Failed" => items.failed += 1,
            "Aborted" => items.aborted += 1,
            _ => {}
        }
        if what == "Failed" || what == "Aborted" {
            self.close_inner(|path| path.contains(&(index, iteration)), at);
        }
    }

    /// Closes the open visits within a failed or aborted iteration or branch.
    fn close_inner(&mut self, within: impl Fn(&Path) -> bool, at: i64) {
        for index in 0..self.insides.len() {
            if self.open(index) && within(&self.insides[index].path) {
                let status = match self.insides[index].failing {
                    true => Status::Failed,
                    false => Status::Aborted,
                };
                self.close(index, status, at);
            }
        }
    }
}

fn attempt(at: i64) -> Attempt {
    Attempt {
        scheduled_at: at,
        ..Attempt::default()
    }
}

fn items(total: i64) -> Items {
    Items {
        total,
        ..Items::default()
    }
}
