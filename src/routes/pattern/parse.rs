//! From JSON to a checked pattern, with all that is wrong with it at once.

use super::matcher::Matcher;
use super::operators::OPERATORS;
use super::{Fields, MAX_COMBINATIONS, MAX_DEPTH, Node, PatternProblem};
use serde_json::{Map, Value};
use std::sync::Arc;

const OR: &str = "$or";

/// Longest piece of the user's text that a message repeats, in characters.
const SHOWN: usize = 60;

pub(super) fn parse(value: &Value, fields: &[&str]) -> Result<Vec<Fields>, Vec<PatternProblem>> {
    let mut parser = Parser {
        fields,
        problems: Vec::new(),
    };
    let root = Place {
        path: String::new(),
        depth: 1,
        outermost: true,
        inside_or: false,
    };
    let alternatives = match value {
        Value::Object(object) => parser.object(object, &root),
        other => {
            let message = format!(
                "expected an object of field names, found {}; write for example `{{\"{}\": [\"…\"]}}`",
                found(other),
                fields.first().unwrap_or(&"name"),
            );
            parser.refuse(&root.path, message);
            Vec::new()
        }
    };
    if parser.problems.is_empty() {
        Ok(alternatives)
    } else {
        Err(parser.problems)
    }
}

/// Where in the pattern an object stands.
struct Place {
    path: String,
    depth: usize,
    /// Its names are the event's own, not those inside a field.
    outermost: bool,
    inside_or: bool,
}

impl Place {
    fn field(&self, name: &str) -> Self {
        Self {
            path: below(&self.path, name),
            depth: self.depth + 1,
            outermost: false,
            inside_or: self.inside_or,
        }
    }

    fn alternative(&self, n: usize) -> Self {
        Self {
            path: format!("{}[{n}]", below(&self.path, OR)),
            depth: self.depth + 1,
            outermost: self.outermost,
            inside_or: true,
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

/// What to say of a value: its type, and its text when it is short enough to be any help.
pub(super) fn found(value: &Value) -> String {
    match value {
        Value::Null => "null".into(),
        Value::Bool(value) => format!("`{value}`"),
        Value::Number(value) => format!("the number `{value}`"),
        Value::String(value) => format!("the string `{}`", shorten(value)),
        Value::Array(list) if list.is_empty() => "an empty list".into(),
        Value::Array(_) => "a list".into(),
        Value::Object(object) if object.is_empty() => "an empty object".into(),
        Value::Object(_) => "an object".into(),
    }
}

pub(super) fn shorten(text: &str) -> String {
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

pub(super) fn quoted<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    let names: Vec<_> = names
        .into_iter()
        .map(|name| format!("`{}`", shorten(name)))
        .collect();
    names.join(", ")
}

/// Adds the fields of `other` that must match as well; the error is the path of a list that is already there.
fn merge(into: &mut Fields, other: &Fields, path: &str) -> Result<(), String> {
    for (name, node) in other {
        let mut same = into
            .iter_mut()
            .filter(|(n, _)| n == name)
            .map(|(_, node)| node);
        let clash = same.find(|there| {
            matches!(
                (there, node),
                (Node::Leaf(_), Node::Leaf(_)) | (Node::Object(_), Node::Object(_))
            )
        });
        match (clash, node) {
            (Some(Node::Object(there)), Node::Object(more)) => {
                merge(there, more, &below(path, name))?
            }
            (Some(_), _) => return Err(below(path, name)),
            (None, _) => into.push((name.clone(), node.clone())),
        }
    }
    Ok(())
}

pub(super) struct Parser<'a> {
    fields: &'a [&'a str],
    pub(super) problems: Vec<PatternProblem>,
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

    /// The alternatives of an object; none only where there is a problem.
    fn object(&mut self, object: &Map<String, Value>, place: &Place) -> Vec<Fields> {
        if place.depth > MAX_DEPTH {
            self.refuse(
                &place.path,
                format!("expected at most {MAX_DEPTH} objects inside one another, found more; match a field further out"),
            );
            return Vec::new();
        }
        if object.is_empty() {
            self.refuse(
                &place.path,
                "expected at least one field, found an empty object; name a field, or leave this out to accept everything",
            );
            return Vec::new();
        }
        let mut all = vec![Fields::new()];
        for (name, value) in object {
            let alternatives = if name == OR {
                self.or(value, place)
            } else {
                let nodes = self.field(name, value, place);
                nodes
                    .into_iter()
                    .map(|node| vec![(name.clone(), node)])
                    .collect()
            };
            all = self.combine(all, &alternatives, place);
        }
        all
    }

    /// Every way to take one from each side.
    fn combine(&mut self, all: Vec<Fields>, with: &[Fields], place: &Place) -> Vec<Fields> {
        if !self.within_limit(all.len().saturating_mul(with.len()), place) {
            return all;
        }
        let Some((last, others)) = with.split_last() else {
            return all;
        };
        let mut combined = Vec::with_capacity(all.len() * with.len());
        for mut fields in all {
            for more in others {
                let mut copy = fields.clone();
                self.merge(&mut copy, more, place);
                combined.push(copy);
            }
            self.merge(&mut fields, last, place);
            combined.push(fields);
        }
        combined
    }

    fn merge(&mut self, into: &mut Fields, more: &Fields, place: &Place) {
        if let Err(path) = merge(into, more, &place.path) {
            self.refuse(
                &path,
                "expected one list for this field, found another one that `$or` combines with it; keep only one of the two",
            );
        }
    }

    fn within_limit(&mut self, combinations: usize, place: &Place) -> bool {
        let fits = combinations <= MAX_COMBINATIONS;
        if !fits {
            self.refuse(
                &place.path,
                format!(
                    "expected at most {MAX_COMBINATIONS} combinations of `$or` alternatives, found {combinations} or more; \
                     split the pattern over several routes"
                ),
            );
        }
        fits
    }

    fn or(&mut self, value: &Value, place: &Place) -> Vec<Fields> {
        let path = below(&place.path, OR);
        let Value::Array(list) = value else {
            let message = format!(
                "expected a list of at least two objects, found {}; write `\"$or\": [{{…}}, {{…}}]`",
                found(value)
            );
            self.refuse(&path, message);
            return Vec::new();
        };
        if list.len() < 2 {
            let message = format!(
                "expected at least two objects to choose from, found {}; put the fields of a single one beside the others",
                list.len()
            );
            self.refuse(&path, message);
        }
        let mut all = Vec::new();
        for (n, alternative) in list.iter().enumerate() {
            let here = place.alternative(n);
            match alternative {
                Value::Object(object) => all.append(&mut self.object(object, &here)),
                other => {
                    let message = format!(
                        "expected an object of field names, found {}; `$or` chooses between objects such as `{{\"name\": [\"…\"]}}`",
                        found(other)
                    );
                    self.refuse(&here.path, message);
                }
            }
        }
        if self.within_limit(all.len(), place) {
            all
        } else {
            Vec::new()
        }
    }

    fn field(&mut self, name: &str, value: &Value, place: &Place) -> Vec<Node> {
        let here = place.field(name);
        if place.inside_or && OPERATORS.contains(&name) {
            let message = format!(
                "expected a field name, found the operator `{name}`, which is no name inside `$or`; a list already means or: `[{{\"{name}\": …}}, …]`"
            );
            self.refuse(&here.path, message);
            return Vec::new();
        }
        if place.outermost && !self.fields.contains(&name) {
            let nested = name
                .split_once('.')
                .filter(|(outer, _)| self.fields.contains(outer));
            let remedy = match nested {
                Some((outer, inner)) => {
                    format!("write `\"{outer}\": {{\"{}\": …}}`", shorten(inner))
                }
                None => "use one of these names".to_owned(),
            };
            let message = format!(
                "expected one of {}, found `{}`; {remedy}",
                quoted(self.fields.iter().copied().chain([OR])),
                shorten(name),
            );
            self.refuse(&here.path, message);
        }
        match value {
            Value::Object(object) => self
                .object(object, &here)
                .into_iter()
                .map(Node::Object)
                .collect(),
            Value::Array(list) => self.leaf(list, &here.path).into_iter().collect(),
            scalar => {
                let remedy = if OPERATORS.contains(&name) {
                    format!(
                        "an operator stands in a list: `[{{\"{name}\": {}}}]`",
                        shorten(&scalar.to_string())
                    )
                } else {
                    format!("write `[{}]`", shorten(&scalar.to_string()))
                };
                let message = format!(
                    "expected a list of values or an object of fields, found {}; {remedy}",
                    found(scalar)
                );
                self.refuse(&here.path, message);
                Vec::new()
            }
        }
    }

    fn leaf(&mut self, list: &[Value], path: &str) -> Option<Node> {
        if list.is_empty() {
            self.refuse(path, "expected at least one value, found an empty list; write `[{\"exists\": true}]` for any value");
            return None;
        }
        let before = self.problems.len();
        let mut matchers = Vec::with_capacity(list.len());
        for (n, value) in list.iter().enumerate() {
            let here = format!("{path}[{n}]");
            match value {
                Value::Object(object) => matchers.extend(self.operator(object, &here)),
                Value::Array(_) => {
                    self.refuse(&here, "expected a value or an operator, found a list; write its values directly in the outer list");
                }
                scalar => matchers.extend(Matcher::exact(scalar)),
            }
        }
        (self.problems.len() == before).then(|| Node::Leaf(Arc::from(matchers)))
    }
}
