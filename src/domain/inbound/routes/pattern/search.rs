//! Searches an event for values of all fields, no two of them in different elements of one list.
//!
//! Fields are taken in the order of their paths, as in AWS's engine: a field that may be absent depends on the elements
//! picked by the fields before it. A failed search returns the lists that it depended on, so that only choices in those
//! are tried again; this keeps the usual search linear in the size of the event.

use super::event::Index;
use super::matcher::Scalar;
use super::{Event, Field, Pattern, Steps, Undecided};
use std::rc::Rc;
use std::sync::Arc;

/// Bytes of text that a wildcard scans in a step.
const BYTES_A_STEP: usize = 4;

/// Steps for comparing a value with the picks.
const STEPS_A_CHOICE: usize = 10;

pub(super) struct Search<'e, 's> {
    event: &'e Index<'e>,
    /// By a field's number.
    known: Vec<Option<Known>>,
    /// Lists with their picked elements; the latest last.
    picked: Vec<(u32, u32)>,
    steps: &'s mut Steps,
}

/// A field by itself.
#[derive(Clone)]
enum Known {
    /// None of its values is in a list of objects or lists: the result is independent of the picks.
    Free(bool),
    /// The positions of its matching values.
    Candidates(Rc<[u32]>),
}

enum Outcome {
    /// Every field has a value, or is absent where permitted.
    Met,
    /// No match with the picks of these lists.
    Unmet(Vec<u32>),
}

impl<'e, 's> Search<'e, 's> {
    pub(super) fn new(pattern: &Pattern, event: &'e Event<'e>, steps: &'s mut Steps) -> Self {
        Self {
            event: &event.0,
            known: vec![None; pattern.lists],
            picked: Vec::new(),
            steps,
        }
    }

    /// Whether these fields are met together. If so, their picks stay.
    pub(super) fn meets(&mut self, fields: &[Arc<Field>]) -> Result<bool, Undecided> {
        self.picked.clear();
        let mut choices = Vec::new();
        for field in fields {
            match self.known(field)? {
                Known::Free(true) => {}
                Known::Free(false) => return Ok(false),
                Known::Candidates(candidates) if candidates.is_empty() && !field.absent => {
                    return Ok(false);
                }
                Known::Candidates(candidates) => choices.push((field.as_ref(), candidates)),
            }
        }
        Ok(matches!(self.rest(&choices)?, Outcome::Met))
    }

    /// Whether some choice of elements meets this field.
    pub(super) fn can_meet(&mut self, field: &Field) -> Result<bool, Undecided> {
        self.picked.clear();
        match self.known(field)? {
            Known::Free(met) => return Ok(met),
            Known::Candidates(candidates) if !candidates.is_empty() => return Ok(true),
            Known::Candidates(_) => {}
        }
        let always_there = |position| self.lists_around(position).is_empty();
        let values = self.event.under(&field.path);
        Ok(field.absent && !values.iter().copied().any(always_there))
    }

    fn known(&mut self, field: &Field) -> Result<Known, Undecided> {
        if let Some(known) = &self.known[field.number] {
            return Ok(known.clone());
        }
        let event = self.event;
        let values = event.under(&field.path);
        let in_lists = |position: &u32| event.value_at(*position).is_in_a_list();
        let known = if values.iter().any(in_lists) {
            let mut matching = Vec::new();
            for &position in values {
                if self.matches(field, position)? {
                    matching.push(position);
                }
            }
            Known::Candidates(matching.into())
        } else {
            let mut met = field.absent && values.is_empty();
            for &position in values {
                met = met || self.matches(field, position)?;
            }
            Known::Free(met)
        };
        self.known[field.number] = Some(known.clone());
        Ok(known)
    }

    fn matches(&mut self, field: &Field, position: u32) -> Result<bool, Undecided> {
        let value = &self.event.value_at(position).scalar;
        let bytes = match value {
            Scalar::Text(text) => text.len(),
            _ => 0,
        };
        let steps = field.entries + field.wildcards * (bytes / BYTES_A_STEP);
        self.steps.take(steps)?;
        Ok(field.matchers.iter().any(|matcher| matcher.matches(value)))
    }

    fn rest(&mut self, choices: &[(&Field, Rc<[u32]>)]) -> Result<Outcome, Undecided> {
        let Some(((field, candidates), rest)) = choices.split_first() else {
            return Ok(Outcome::Met);
        };
        let mut hangs_on = Vec::new();
        let mut at = 0;
        while let Some(&position) = candidates.get(at) {
            self.steps.take(STEPS_A_CHOICE)?;
            if let Some((list, jump)) = self.conflict(position) {
                add(&mut hangs_on, [list]);
                at = first_from(candidates, jump);
                continue;
            }
            let before = self.picked.len();
            self.pick(position);
            let lists = match self.rest(rest)? {
                Outcome::Met => return Ok(Outcome::Met),
                Outcome::Unmet(lists) => lists,
            };
            self.picked.truncate(before);
            let reach = self.reach(&lists, candidates);
            if reach.is_empty() {
                return Ok(Outcome::Unmet(lists));
            }
            at = match self.same_choice(position, &reach) {
                Some(end) => first_from(candidates, end),
                None => at + 1,
            };
            add(&mut hangs_on, lists);
        }
        if field.absent {
            match self.present(field)? {
                Some(position) => add(&mut hangs_on, self.lists_around(position)),
                None => match self.rest(rest)? {
                    Outcome::Met => return Ok(Outcome::Met),
                    Outcome::Unmet(lists) => add(&mut hangs_on, lists),
                },
            }
        }
        Ok(Outcome::Unmet(hangs_on))
    }

    /// The outermost list with another pick than the value's element, and the first position after the values excluded by
    /// it.
    fn conflict(&self, position: u32) -> Option<(u32, u32)> {
        let around = self.event.around(position).filter_map(|element| {
            let list = self.event.element(element).list;
            let picked = self.picked_of(list)?;
            (picked != element).then_some((list, picked))
        });
        let (list, picked) = around.last()?;
        let start = self.event.element(picked).values.start;
        let jump = if position < start {
            start
        } else {
            self.event.list(list).end
        };
        Some((list, jump))
    }

    fn picked_of(&self, list: u32) -> Option<u32> {
        let mut picked = self.picked.iter();
        picked.find_map(|(from, element)| (*from == list).then_some(*element))
    }

    /// Picks the elements around a value.
    fn pick(&mut self, position: u32) {
        let event = self.event;
        for element in event.around(position) {
            let list = event.element(element).list;
            if self.picked_of(list).is_none() {
                self.picked.push((list, element));
            }
        }
    }

    /// Those of the lists without a pick, from which one of these candidates would pick.
    fn reach(&self, lists: &[u32], candidates: &[u32]) -> Vec<u32> {
        let reached = |list: &&u32| {
            let values = self.event.list(**list);
            let first = candidates.get(first_from(candidates, values.start));
            self.picked_of(**list).is_none() && first.is_some_and(|first| *first < values.end)
        };
        lists.iter().filter(reached).copied().collect()
    }

    /// End of the values with the same picks from these lists as this one; `None` if it picks nothing from one of them.
    fn same_choice(&self, position: u32, lists: &[u32]) -> Option<u32> {
        let mut around = self.event.around(position);
        let innermost =
            around.find(|element| lists.contains(&self.event.element(*element).list))?;
        let picks = self.lists_around(position);
        let all = lists.iter().all(|list| picks.contains(list));
        all.then(|| self.event.element(innermost).values.end)
    }

    /// The first value under a field's path that agrees with the picks.
    pub(super) fn present(&mut self, field: &Field) -> Result<Option<u32>, Undecided> {
        let values = self.event.under(&field.path);
        let mut at = 0;
        while let Some(&position) = values.get(at) {
            self.steps.take(STEPS_A_CHOICE)?;
            match self.conflict(position) {
                None => return Ok(Some(position)),
                Some((_, jump)) => at = first_from(values, jump),
            }
        }
        Ok(None)
    }

    pub(super) fn value_at(&self, position: u32) -> serde_json::Value {
        self.event.value_at(position).scalar.to_json()
    }

    fn lists_around(&self, position: u32) -> Vec<u32> {
        let around = self.event.around(position);
        around
            .map(|element| self.event.element(element).list)
            .collect()
    }
}

/// The index of the first position at or after this one.
fn first_from(positions: &[u32], from: u32) -> usize {
    positions.partition_point(|position| *position < from)
}

fn add(lists: &mut Vec<u32>, more: impl IntoIterator<Item = u32>) {
    for list in more {
        if !lists.contains(&list) {
            lists.push(list);
        }
    }
}
