//! Texts of the graph: their widths, and what makes them harmless in SVG.

use std::fmt::Write;

use crate::tools::drawing::asl::State;
use crate::tools::execution::model::View;
use crate::tools::terminal::preview;

/// The room left of a state's texts, for its icon, and right of them.
pub const LEFT: f64 = 40.0;
const RIGHT: f64 = 14.0;
/// The widths of states without inner machines.
const WIDTHS: (f64, f64) = (168.0, 256.0);
/// The longest label of an edge.
const LABEL: f64 = 170.0;

/// The width of a state. It does not depend on the execution, so that a running one keeps its places.
pub fn state_size(state: &State) -> f64 {
    let name = width(&state.name, 13.0);
    let line = width(state.kind.name(), 11.0) + width(" · not recorded", 11.0);
    (LEFT + name.max(line) + RIGHT).clamp(WIDTHS.0, WIDTHS.1)
}

/// A text within a width, cut if it must be.
pub fn fitted(text: &str, room: f64, size: f64) -> String {
    let text = shown(text);
    if width(&text, size) <= room {
        return text;
    }
    let mut fitted = String::new();
    let mut left = room - width("…", size);
    for c in text.chars() {
        left -= advance(c) * size;
        if left < 0.0 {
            break;
        }
        fitted.push(c);
    }
    fitted.truncate(fitted.trim_end().len());
    fitted + "…"
}

/// A name within a state of this width.
pub fn in_state(text: &str, state: f64, size: f64) -> String {
    fitted(text, state - LEFT - RIGHT, size)
}

/// The label of an edge.
pub fn label(text: &str) -> String {
    fitted(text, LABEL, 11.0)
}

/// The width of a text about, in a sans-serif font.
pub fn width(text: &str, size: f64) -> f64 {
    text.chars().map(advance).sum::<f64>() * size
}

/// The width of a character about, in sizes of the font.
fn advance(c: char) -> f64 {
    match c {
        'i' | 'j' | 'l' | 'I' | '.' | ',' | ':' | ';' | '\'' | '|' | '!' | ' ' | '(' | ')' => 0.34,
        'm' | 'w' | 'M' | 'W' | '@' | '%' => 0.9,
        'A'..='Z' | '&' | '=' | '<' | '>' | '+' => 0.7,
        '\u{1100}'.. => 1.05,
        _ => 0.58,
    }
}

/// A text without characters that XML refuses or that change the direction of others.
pub fn shown(text: &str) -> String {
    let refused = |c: char| matches!(c, '\u{fffe}' | '\u{ffff}');
    preview(text, usize::MAX).replace(refused, "\u{fffd}")
}

/// Escaped for an element's text and a quoted attribute.
pub fn escaped(text: &str) -> String {
    let mut escaped = String::new();
    for c in text.chars() {
        match c {
            '&' => escaped += "&amp;",
            '<' => escaped += "&lt;",
            '>' => escaped += "&gt;",
            '"' => escaped += "&quot;",
            '\'' => escaped += "&#39;",
            c => escaped.push(c),
        }
    }
    escaped
}

/// The fragment that a state's node links to: `visit-17`, by the id of the event that opens its visit, or `state-NAME`
/// (percent-encoded) for a state that was not visited.
pub fn href(view: &View, state: &str) -> String {
    let open = view.states.get(state).and_then(|summary| summary.open);
    if let Some(visit) = open.and_then(|index| view.visits.get(index)) {
        return format!("visit-{}", visit.id);
    }
    let mut href = "state-".to_owned();
    for byte in state.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' => href.push(byte.into()),
            // Writing to a string cannot fail.
            _ => _ = write!(href, "%{byte:02X}"),
        }
    }
    href
}
