//! The pieces of a template: the text between two double lines.

use std::collections::BTreeSet;

use anyhow::{Context, Result, bail};

/// The beginning of a double line, and the titles of a workflow and of the end.
const LINE: &str = "# ====";
const WORKFLOW: &str = "workflow: ";
const END: &str = "end of the workflows";

/// A workflow's piece.
#[derive(Debug)]
pub struct Piece<'a> {
    pub name: &'a str,
    /// From its double line to the next one.
    text: &'a str,
    ids: BTreeSet<String>,
}

impl<'a> Piece<'a> {
    /// The piece of the workflow `name`.
    pub fn find(template: &'a str, name: &str) -> Result<Self> {
        let lines: Vec<_> = double_lines(template).collect();
        for pair in lines.windows(2) {
            let [(begin, title), (end, _)] = pair else {
                continue;
            };
            if let Some(found) = title.strip_prefix(WORKFLOW).filter(|found| *found == name) {
                let text = &template[*begin..*end];
                return Ok(Self {
                    name: found,
                    text,
                    ids: logical_ids(text),
                });
            }
        }
        let known: Vec<_> = names(template)
            .iter()
            .map(|name| format!("`{name}`"))
            .collect();
        bail!(
            "expected the name of a workflow of the template to copy, found `{name}`: take one of {}",
            known.join(", ")
        );
    }

    pub fn ids(&self) -> &BTreeSet<String> {
        &self.ids
    }

    /// The double line and the comment above a copy's first resource.
    pub fn heading(&self, name: &str) -> String {
        let line = self.text.lines().next().unwrap_or_default();
        let line = line.strip_suffix(self.name).unwrap_or(line);
        format!(
            "{line}{name}\n\n  # A copy of `{}`, made by `cargo bridge new`; see the comments there.\n",
            self.name
        )
    }

    /// From the first resource on.
    pub fn body(&self) -> &'a str {
        let mut at = 0;
        for line in self.text.split_inclusive('\n') {
            if logical_id(line).is_some() {
                return &self.text[at..];
            }
            at += line.len();
        }
        ""
    }
}

/// The workflows of a template, in its order.
pub fn names(template: &str) -> Vec<&str> {
    let titles = double_lines(template).map(|(_, title)| title);
    titles
        .filter_map(|title| title.strip_prefix(WORKFLOW))
        .collect()
}

/// The position of the end of the workflows.
pub fn end(template: &str) -> Result<usize> {
    let end = double_lines(template).find(|(_, title)| *title == END);
    let (at, _) = end.with_context(|| {
        format!("expected a line `{LINE}… {END}` in the template, found none: put it after the last workflow's piece")
    })?;
    Ok(at)
}

/// The resources of a piece.
pub fn logical_ids(piece: &str) -> BTreeSet<String> {
    let ids = piece.lines().filter_map(logical_id);
    ids.map(str::to_owned).collect()
}

/// Adds the values of these parameters to the list in `Routes`.
pub fn name_routes(template: &str, ids: &[String]) -> Result<String> {
    let expected = "expected `Routes` with a `!Sub` of `{\"routes\":[…]}` in the template, found something else";
    let begin = template.find("\n  Routes:\n").context(expected)? + 1;
    let after = begin + "  Routes:\n".len();
    let mut end = after;
    for line in template[after..].split_inclusive('\n') {
        if line.starts_with(|c: char| !c.is_whitespace()) || logical_id(line).is_some() {
            break;
        }
        end += line.len();
    }
    let block = &template[begin..end];
    let list = block.find("\"routes\":[").context(expected)?;
    let close = list + block[list..].find("]}").context(expected)?;
    let last = block[..close].trim_end();
    let comma = match last.chars().next_back() {
        Some('[') => "",
        Some('}') => ",",
        _ => bail!(expected),
    };
    // As deep as the line before.
    let line = last.rsplit('\n').next().unwrap_or_default();
    let indent = &line[..line.len() - line.trim_start().len()];
    let mut more = String::new();
    for (at, id) in ids.iter().enumerate() {
        more += if at == 0 { comma } else { "," };
        more += &format!("\n{indent}${{{id}.Value}}");
    }
    let at = begin + last.len();
    Ok(format!("{}{more}{}", &template[..at], &template[at..]))
}

/// The position and the title of each double line.
fn double_lines(template: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut at = 0;
    template.split_inclusive('\n').filter_map(move |line| {
        let begin = at;
        at += line.len();
        let title = line.trim().strip_prefix(LINE)?;
        Some((begin, title.trim_start_matches('=').trim()))
    })
}

/// The logical id, where a line begins a resource (or another entry of the same depth).
fn logical_id(line: &str) -> Option<&str> {
    let id = line.strip_prefix("  ")?.trim_end().strip_suffix(':')?;
    let legal = !id.is_empty() && id.chars().all(|c| c.is_ascii_alphanumeric());
    legal.then_some(id)
}
