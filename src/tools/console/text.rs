//! Text of messages in pages: characters that a reader cannot see are written out.

use maud::{Markup, html};

use crate::tools::explain::words::indented;
use crate::tools::terminal::{self, is_hidden, time};

/// Bytes of a payload shown in a page; the rest has an address of its own.
pub const SHOWN: usize = 4096;

/// Text with its invisible characters written out, such as `\u{202e}`. Line ends and tabs stay.
pub fn visible(text: &str) -> Markup {
    html! {
        @for (hidden, part) in parts(text) {
            @if hidden { span.hidden-character { (part) } } @else { (part) }
        }
    }
}

/// Runs of visible text, and of written-out characters.
fn parts(text: &str) -> Vec<(bool, String)> {
    let mut parts: Vec<(bool, String)> = Vec::new();
    for c in text.chars() {
        let hidden = is_hidden(c) && !matches!(c, '\n' | '\t');
        if parts.last().is_none_or(|(last, _)| *last != hidden) {
            parts.push((hidden, String::new()));
        }
        if let Some((_, part)) = parts.last_mut() {
            match hidden {
                true => part.extend(c.escape_default()),
                false => part.push(c),
            }
        }
    }
    parts
}

/// A value in a box: JSON indented, with the first bytes of a long one. `whole` is the address of all of it.
pub fn payload(label: &str, text: &str, whole: &str) -> Markup {
    let pretty = match serde_json::from_str::<&serde_json::value::RawValue>(text) {
        Ok(_) if text.len() <= 16 * SHOWN => indented(text),
        _ => text.to_owned(),
    };
    let end = pretty.floor_char_boundary(SHOWN);
    html! {
        figure.payload {
            figcaption {
                span { (label) }
                span.dim { (size(text.len())) }
                @if !whole.is_empty() { a href=(whole) { "as text" } }
            }
            pre tabindex="0" { (visible(&pretty[..end])) @if end < pretty.len() { "…" } }
            @if end < pretty.len() {
                p.note {
                    "The first " (size(SHOWN)) " of " (size(text.len())) " are shown. "
                    a href=(whole) { "Show all" }
                }
            }
        }
    }
}

/// `512 B`, `4.0 KB`, `1.2 MB`.
pub fn size(bytes: usize) -> String {
    match bytes {
        0..1024 => format!("{bytes} B"),
        1024..1_048_576 => format!("{:.1} KB", bytes as f64 / 1024.0),
        _ => format!("{:.1} MB", bytes as f64 / 1_048_576.0),
    }
}

/// `12 ms`, `3.4 s`, `5 min`, `1 min 1 s`, `2 h`.
pub fn span(ms: i64) -> String {
    match ms {
        ..1_000 => format!("{ms} ms"),
        1_000..60_000 => format!("{:.1} s", ms as f64 / 1000.0),
        60_000..7_200_000 if ms / 1000 % 60 == 0 => format!("{} min", ms / 60_000),
        60_000..7_200_000 => format!("{} min {} s", ms / 60_000, ms / 1000 % 60),
        7_200_000..172_800_000 => format!("{} h", ms / 3_600_000),
        _ => format!("{} d", ms / 86_400_000),
    }
}

/// A moment, in UTC to the millisecond; the time of day alone with `short`.
pub fn moment(ms: i64, short: bool) -> Markup {
    let whole = terminal::moment(ms);
    let of_day = whole.get(11..23).filter(|_| short);
    let shown = of_day.unwrap_or(&whole);
    html! { time datetime=(time(ms)) title=(whole) { (shown) } }
}

/// A text as one segment of a path.
pub fn segment(text: &str) -> String {
    let mut url = reqwest::Url::parse("http://x").expect("a constant URL is valid");
    if let Ok(mut path) = url.path_segments_mut() {
        path.push(text);
    }
    url.path()[1..].to_owned()
}

/// Pairs as a query, without a leading `?`.
pub fn query(pairs: &[(&str, &str)]) -> String {
    let mut url = reqwest::Url::parse("http://x").expect("a constant URL is valid");
    url.query_pairs_mut().extend_pairs(pairs);
    url.query().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hidden_characters_are_written_out() {
        let shown = visible("a\u{202e}b\r\n<script>\u{7}\u{200b}\u{feff}").into_string();
        assert_eq!(
            shown,
            "a<span class=\"hidden-character\">\\u{202e}</span>b<span class=\"hidden-character\">\\r</span>\n&lt;script&gt;<span class=\"hidden-character\">\\u{7}\\u{200b}\\u{feff}</span>"
        );
        assert_eq!(visible("ünï ✓\t").into_string(), "ünï ✓\t");
    }

    #[test]
    fn a_long_payload_is_cut() {
        let text = format!("\"{}\"", "é".repeat(131_000));
        let page = payload("input", &text, "/all").into_string();
        assert!(page.len() < 10_000, "{}", page.len());
        assert!(page.contains("Show all") && page.contains("255.9 KB"));
        let short = payload("input", "{\"a\":1}", "").into_string();
        assert!(short.contains("{\n  &quot;a&quot;: 1\n}"), "{short}");
    }

    #[test]
    fn sizes_and_spans_have_units() {
        assert_eq!([size(12), size(4096)], ["12 B", "4.0 KB"]);
        assert_eq!(
            [span(12), span(3_400), span(61_000), span(7_200_000)],
            ["12 ms", "3.4 s", "1 min 1 s", "2 h"]
        );
        assert_eq!(span(300_000), "5 min");
        assert_eq!(segment("a/b ?#\u{202e}"), "a%2Fb%20%3F%23%E2%80%AE");
    }
}
