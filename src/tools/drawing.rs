//! Pictures of state machines: a Mermaid flowchart from ASL, in a Markdown page.

pub(in crate::tools) mod asl;
pub(in crate::tools) mod kind;
mod mermaid;
mod words;

use anyhow::{Context, Result, bail};

/// The line before and after a picture in a page.
pub const MARK: &str = "<!-- drawing -->";

/// Draws a state machine as a Mermaid flowchart, without its fences: states with their types, choices with shortened
/// conditions, caught errors dashed, Map and Parallel as boxes around their states.
///
/// The order of the definition's keys does not change the picture.
///
/// # Errors
///
/// When the text is not JSON, or not a state machine: the state, expected, found.
pub fn flowchart(definition: &str) -> Result<String> {
    let definition =
        serde_json::from_str(definition).context("expected a state machine in JSON")?;
    Ok(mermaid::flowchart(&asl::read(&definition)?))
}

/// The page with the picture between its two marks.
///
/// # Errors
///
/// When the page has not exactly two lines [`MARK`].
pub fn placed(page: &str, flowchart: &str) -> Result<String> {
    let mut at = 0;
    let mut marks = Vec::new();
    for line in page.split_inclusive('\n') {
        if line.trim_end() == MARK {
            marks.push((at, at + line.len()));
        }
        at += line.len();
    }
    let [(_, begin), (end, _)] = marks[..] else {
        bail!(
            "expected the line `{MARK}` twice, with the picture between the two, found it {} times",
            marks.len()
        );
    };
    let (before, after) = (&page[..begin], &page[end..]);
    Ok(format!("{before}```mermaid\n{flowchart}```\n{after}"))
}

#[cfg(test)]
mod tests;
