//! A definition by the names of its states, which are unique across inner machines.

use std::collections::BTreeMap;

use serde_json::Value;

/// The states of a definition; empty without one.
#[derive(Debug, Default)]
pub struct Outline<'a>(BTreeMap<&'a str, Known<'a>>);

#[derive(Debug)]
pub struct Known<'a> {
    pub state: &'a Value,
    /// The enclosing Map or Parallel, and the branch.
    pub inside: Option<(&'a str, i64)>,
}

impl<'a> Outline<'a> {
    pub fn of(definition: &'a Value) -> Self {
        let mut outline = Self::default();
        outline.add(definition, None);
        outline
    }

    fn add(&mut self, machine: &'a Value, inside: Option<(&'a str, i64)>) {
        for (name, state) in machine["States"].as_object().into_iter().flatten() {
            self.0.entry(name).or_insert(Known { state, inside });
            let item = state.get("ItemProcessor").or_else(|| state.get("Iterator"));
            let branches = state["Branches"].as_array().into_iter().flatten();
            for (branch, machine) in (0..).zip(item.into_iter().chain(branches)) {
                self.add(machine, Some((name, branch)));
            }
        }
    }

    pub fn get(&self, name: &str) -> Option<&Known<'a>> {
        self.0.get(name)
    }

    pub fn iter(&self) -> impl Iterator<Item = (&'a str, &Known<'a>)> {
        self.0.iter().map(|(name, known)| (*name, known))
    }

    /// The enclosing states, innermost first.
    pub fn around(&self, name: &str) -> impl Iterator<Item = &'a str> {
        let outer = |name: &str| Some(self.get(name)?.inside?.0);
        std::iter::successors(outer(name), move |name| outer(name))
    }

    /// The branch of `outer` that has the state.
    pub fn branch(&self, outer: &str, name: &str) -> Option<i64> {
        let (state, branch) = self.get(name)?.inside?;
        (state == outer).then_some(branch)
    }

    /// The one Task inside `outer` with this resource.
    pub fn task(&self, outer: &str, resource: &str) -> Option<&'a str> {
        let mut found = self.iter().filter(|(name, known)| {
            known.state["Resource"] == resource && self.around(name).any(|around| around == outer)
        });
        match (found.next(), found.next()) {
            (Some((name, _)), None) => Some(name),
            _ => None,
        }
    }

    /// Whether the way from one state to another is only taken after an error.
    pub fn catches(&self, from: &str, to: &str) -> bool {
        let Some(Known { state, .. }) = self.get(from) else {
            return false;
        };
        let mut catches = state["Catch"].as_array().into_iter().flatten();
        state["Next"] != to && catches.any(|catch| catch["Next"] == to)
    }
}
