//! Parses JSON into a checked pattern, reporting all problems at once.

use super::json::{Json, found, quoted, shorten};
use super::matcher::Matcher;
use super::operators::{OPERATORS, RESERVED};
use super::{Field, MAX_COMBINATIONS, MAX_DEPTH, MAX_FIELDS, PatternProblem};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

const OR: &str = "$or";

/// One way through the `$or`s: the list of each path. A later list replaces an earlier one, as in AWS's engine, which also
/// orders them by their paths in UTF-16.
type Way = BTreeMap<Rc<[u16]>, Arc<Field>>;

pub(super) fn parse(
    json: &str,
    fields: &[&str],
) -> Result<Vec<Vec<Arc<Field>>>, Vec<PatternProblem>> {
    let mut parser = Parser {
        fields,
        problems: Vec::new(),
        lists: 0,
        too_many: false,
    };
    let root = Place {
        path: String::new(),
        names: Vec::new(),
        depth: 1,
        inside_or: false,
    };
    let mut ways = vec![Way::new()];
    match Json::new(json) {
        Json::Object(object) => parser.object(&object, &root, &mut ways),
        other => {
            let message = format!(
                "expected an object of field names, found {}; write for example `{{\"{}\": [\"…\"]}}`",
                found(&other),
                fields.first().unwrap_or(&"name"),
            );
            parser.refuse(&root.path, message);
        }
    }
    if parser.problems.is_empty() {
        let in_order = |way: Way| way.into_values().collect();
        Ok(ways.into_iter().map(in_order).collect())
    } else {
        Err(parser.problems)
    }
}

/// The place of an object in the pattern.
struct Place {
    path: String,
    /// Of the fields around it; empty for the event itself.
    names: Vec<String>,
    depth: usize,
    inside_or: bool,
}

impl Place {
    fn field(&self, name: &str) -> Self {
        let mut names = self.names.clone();
        names.push(name.to_owned());
        Self {
            path: below(&self.path, name),
            names,
            depth: self.depth + 1,
            inside_or: self.inside_or,
        }
    }

    fn alternative(&self, n: usize) -> Self {
        Self {
            path: format!("{}[{n}]", below(&self.path, OR)),
            names: self.names.clone(),
            depth: self.depth + 1,
            inside_or: true,
        }
    }

    /// The dotted names, which are a field's identity in AWS's engine.
    fn dotted(&self) -> String {
        match self.names.split_last() {
            // A single empty name around a field leaves no trace.
            Some((last, [only])) if only.is_empty() => last.clone(),
            _ => self.names.join("."),
        }
    }
}

pub(super) fn below(path: &str, name: &str) -> String {
    let name = shorten(name);
    let plain = !name.is_empty()
        && name
            .chars()
            .all(|c| c.is_alphanumeric() || "_-$".contains(c));
    match (plain, path.is_empty()) {
        (true, true) => name,
        (true, false) => format!("{path}.{name}"),
        (false, _) => format!("{path}[{name:?}]"),
    }
}

pub(super) struct Parser<'a> {
    fields: &'a [&'a str],
    pub(super) problems: Vec<PatternProblem>,
    lists: usize,
    /// Too many combinations, already reported.
    too_many: bool,
}

impl Parser<'_> {
    pub(super) fn refuse(&mut self, path: &str, message: impl Into<String>) {
        let problem = PatternProblem {
            path: path.to_owned(),
            message: message.into(),
        };
        if !self.problems.contains(&problem) {
            self.problems.push(problem);
        }
    }

    /// Adds the fields of an object to every way.
    fn object(&mut self, object: &[(Cow<str>, Json)], place: &Place, ways: &mut Vec<Way>) {
        if place.depth > MAX_DEPTH {
            self.refuse(
                &place.path,
                format!("expected at most {MAX_DEPTH} objects inside one another, found more; match a field further out"),
            );
            return;
        }
        if object.is_empty() {
            self.refuse(
                &place.path,
                "expected at least one field, found an empty object; name a field, or leave this out to accept everything",
            );
        }
        for (name, value) in object {
            match name.as_ref() {
                OR => self.or(value, place, ways),
                name => self.field(name, value, place, ways),
            }
        }
    }

    /// Extends each way by every alternative.
    fn or(&mut self, value: &Json, place: &Place, ways: &mut Vec<Way>) {
        let path = below(&place.path, OR);
        let Json::List(list) = value else {
            let message = format!(
                "expected a list of at least two objects, found {}; write `\"$or\": [{{…}}, {{…}}]`",
                found(value)
            );
            self.refuse(&path, message);
            return;
        };
        if list.len() < 2 {
            let message = format!(
                "expected at least two objects to choose from, found {}; put the fields of a single one beside the others",
                list.len()
            );
            self.refuse(&path, message);
        }
        let before = std::mem::take(ways);
        let mut combinations = 0;
        for (n, alternative) in list.iter().enumerate() {
            let here = place.alternative(n);
            let Json::Object(object) = alternative else {
                let message = format!(
                    "expected an object of field names, found {}; `$or` chooses between objects such as `{{\"name\": [\"…\"]}}`",
                    found(alternative)
                );
                self.refuse(&here.path, message);
                continue;
            };
            let mut more = before.clone();
            self.object(object, &here, &mut more);
            combinations += more.len();
            if ways.len() + more.len() <= MAX_COMBINATIONS {
                ways.append(&mut more);
            }
        }
        if combinations > MAX_COMBINATIONS && !self.too_many {
            self.too_many = true;
            let message = format!(
                "expected at most {MAX_COMBINATIONS} combinations of `$or` alternatives, found {combinations} or more; \
                 split the pattern over several routes"
            );
            self.refuse(&place.path, message);
        }
        if self.too_many {
            // The rest is checked for its own problems only.
            ways.truncate(1);
        }
    }

    fn field(&mut self, name: &str, value: &Json, place: &Place, ways: &mut Vec<Way>) {
        let here = place.field(name);
        if place.inside_or && OPERATORS.contains(&name) {
            let message = format!(
                "expected a field name, found the operator `{name}`, which is no name inside `$or`; a list already means or: `[{{\"{name}\": …}}, …]`"
            );
            self.refuse(&here.path, message);
            return;
        }
        if place.inside_or && RESERVED.contains(&name) {
            let message = format!(
                "expected a field name, found `{name}`, which AWS keeps for itself inside `$or`; write the object around it in every alternative's place, without `$or`"
            );
            self.refuse(&here.path, message);
            return;
        }
        let first = name.split('.').next().unwrap_or_default();
        if place.names.is_empty() && !self.fields.contains(&first) {
            let message = format!(
                "expected one of {}, found `{}`; use one of these names",
                quoted(self.fields.iter().copied().chain([OR])),
                shorten(name),
            );
            self.refuse(&here.path, message);
        }
        match value {
            Json::Object(object) => self.object(object, &here, ways),
            Json::List(list) => self.list(list, &here, ways),
            scalar => {
                let written = shorten(&scalar.to_string());
                let remedy = match OPERATORS.contains(&name) {
                    true => format!("an operator stands in a list: `[{{\"{name}\": {written}}}]`"),
                    false => format!("write `[{written}]`"),
                };
                let message = format!(
                    "expected a list of values or an object of fields, found {}; {remedy}",
                    found(scalar)
                );
                self.refuse(&here.path, message);
            }
        }
    }

    fn list(&mut self, list: &[Json], place: &Place, ways: &mut [Way]) {
        let path = &place.path;
        if list.is_empty() {
            self.refuse(path, "expected at least one value, found an empty list; write `[{\"exists\": true}]` for any value");
            return;
        }
        let before = self.problems.len();
        let mut matchers = Vec::with_capacity(list.len());
        for (n, value) in list.iter().enumerate() {
            let here = format!("{path}[{n}]");
            match value {
                Json::Object(object) => matchers.extend(self.operator(object, &here)),
                Json::List(_) => {
                    self.refuse(&here, "expected a value or an operator, found a list; write its values directly in the outer list");
                }
                scalar => matchers.extend(Matcher::exact(scalar)),
            }
        }
        if self.problems.len() != before {
            return;
        }
        let dotted = place.dotted();
        let field = Arc::new(Field {
            number: self.lists,
            path: dotted.split('.').map(str::to_owned).collect(),
            shown: (place.names.iter()).fold(String::new(), |path, name| below(&path, name)),
            absent: matchers.contains(&Matcher::Absent),
            entries: matchers.iter().map(|m| m.each().count()).sum(),
            wildcards: (matchers.iter().flat_map(Matcher::each))
                .filter(|m| matches!(m, Matcher::Wildcard(_)))
                .count(),
            matchers,
        });
        self.lists += 1;
        let order: Rc<[u16]> = dotted.encode_utf16().collect();
        for way in &mut *ways {
            way.insert(order.clone(), field.clone());
        }
        if ways.iter().any(|way| way.len() > MAX_FIELDS) {
            let message = format!(
                "expected at most {MAX_FIELDS} fields that must all match, found more; split the pattern over several routes"
            );
            self.refuse("", message);
        }
    }
}
