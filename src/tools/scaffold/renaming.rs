//! Maps the names of a workflow to those of its copy.

use serde_json::Value;

use super::scalar;

/// Suffixes of topics beside a workflow's name.
const DIRECTIONS: [&str; 2] = ["-in", "-out"];

#[derive(Debug)]
pub struct Renaming {
    /// The workflow's name, and different names of its routes and topics; longest first.
    words: Vec<String>,
    like: String,
    name: String,
    /// The new name as a value of its own in YAML.
    scalar: String,
}

/// The kind of a text, for the names to replace in it.
#[derive(Clone, Copy, PartialEq)]
enum Kind {
    /// YAML: names wherever they stand alone or joined by `-`.
    Values,
    /// Comments and state machines: only names joined by `-`, since a plain word may be a key or a function, too.
    Words,
}

impl Renaming {
    pub fn new(name: &str, like: &str, template: &Value) -> Self {
        let mut words = vec![like.to_owned()];
        for route in routes(template) {
            for value in [&route["name"], &route["from"]["topic"]] {
                let mut word = value.as_str().unwrap_or_default();
                for direction in DIRECTIONS {
                    word = word.strip_suffix(direction).unwrap_or(word);
                }
                let known = |known: &String| {
                    let rest = word.strip_prefix(known.as_str());
                    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
                };
                let is_word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
                if !word.is_empty() && word.chars().all(is_word) && !words.iter().any(known) {
                    words.push(word.to_owned());
                }
            }
        }
        words.sort_by_key(|word| std::cmp::Reverse(word.len()));
        Self {
            words,
            like: like.to_owned(),
            name: name.to_owned(),
            scalar: scalar(name),
        }
    }

    /// A template under the new names. The logical ids stay: the stack has no others.
    pub fn template(&self, text: &str) -> String {
        let lines = text.split_inclusive('\n').map(|line| {
            let comment = match line.trim_start().starts_with('#') {
                true => 0,
                false => line.find(" #").unwrap_or(line.len()),
            };
            let (value, comment) = line.split_at(comment);
            self.renamed(value, Kind::Values) + &self.renamed(comment, Kind::Words)
        });
        lines.collect()
    }

    /// A state machine under the new names, and with a new comment at the top: the old one may not hold for the copy.
    pub fn definition(&self, text: &str) -> String {
        let mut first = true;
        let lines = text.split_inclusive('\n').map(|line| {
            let is_comment = first && line.starts_with("  \"Comment\": \"");
            first = first && !line.contains("\"States\"") && !is_comment;
            if is_comment && line.trim_end().ends_with("\",") {
                return format!(
                    "  \"Comment\": \"A copy of {}, made by `cargo bridge new`.\",\n",
                    self.like
                );
            }
            self.renamed(line, Kind::Words)
        });
        lines.collect()
    }

    fn renamed(&self, text: &str, kind: Kind) -> String {
        let mut renamed = String::new();
        let mut rest = text;
        let mut before = None;
        while let Some(c) = rest.chars().next() {
            let word = match begins_here(before, kind) {
                true => self.word_at(rest, before, kind),
                false => None,
            };
            let (old, after) = rest.split_at(word.map_or(c.len_utf8(), str::len));
            let ends = after.is_empty() || after.starts_with(['\n', ',', '}']);
            let is_value = kind == Kind::Values && renamed.ends_with(": ") && ends;
            renamed += match word {
                Some(_) if is_value => self.scalar.as_str(),
                Some(_) => self.name.as_str(),
                None => old,
            };
            before = old.chars().next_back();
            rest = after;
        }
        renamed
    }

    /// The old name at the beginning of `rest`.
    fn word_at(&self, rest: &str, before: Option<char>, kind: Kind) -> Option<&str> {
        let word = self.words.iter().find(|word| {
            let after = rest.strip_prefix(word.as_str());
            after.is_some_and(|after| {
                let next = after.chars().next();
                let joined = before == Some('-') || next == Some('-');
                !next.is_some_and(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '('))
                    && (joined || kind == Kind::Values)
            })
        });
        word.map(String::as_str)
    }
}

/// Whether a name may begin after this character.
fn begins_here(before: Option<char>, kind: Kind) -> bool {
    before.is_none_or(|c| {
        let field = kind == Kind::Words && c == '.';
        !(c.is_ascii_alphanumeric() || matches!(c, '_' | '$') || field)
    })
}

/// The routes in a template's parameters, alone or in a document.
fn routes(template: &Value) -> Vec<&Value> {
    let resources = template["Resources"].as_object().into_iter().flatten();
    let values =
        resources.map(|(_, resource)| &resource["Properties"]["Value"]["Fn::ToJsonString"]);
    let routes = values.flat_map(|value| match &value["routes"] {
        Value::Array(list) => list.as_slice(),
        _ => std::slice::from_ref(value),
    });
    routes.filter(|route| route["name"].is_string()).collect()
}
