//! The words of an explanation: reasons, times and JSON.

use crate::domain::inbound::routes::Obstacle;
use crate::domain::inbound::routes::pattern::Mismatch;
use crate::tools::terminal::preview;
use aws_smithy_types::date_time::{DateTime, Format};
use serde_json::Value;

/// Ways shown through the `$or`s of a pattern, at most.
const MOST_WAYS: usize = 3;

/// Characters shown of a message's value in a reason, at most.
pub const VALUE_WIDTH: usize = 120;

/// A text of the message in backticks, on one line without control characters.
pub fn quoted(text: &str) -> String {
    format!("`{}`", preview(text, usize::MAX))
}

/// Why a route does not take a message: one line per reason, for the closest ways through a pattern.
pub fn reasons(obstacle: &Obstacle) -> Vec<String> {
    match obstacle {
        Obstacle::Disabled => vec!["it is switched off (`enabled` is false)".to_owned()],
        Obstacle::Cache { expected, found } => vec![format!("cache: {}", differs(expected, found))],
        Obstacle::Topic { expected, found } => vec![format!("topic: {}", differs(expected, found))],
        Obstacle::Condition { ways } => {
            let shown = ways.iter().take(MOST_WAYS).enumerate();
            let mut lines: Vec<_> = shown
                .flat_map(|(n, way)| {
                    let name = if n == 0 { "where" } else { "or where" };
                    way.iter()
                        .map(move |mismatch| format!("{name} {}", lacks(mismatch)))
                })
                .collect();
            if ways.len() > MOST_WAYS {
                let more = ways.len() - MOST_WAYS;
                lines.push(format!(
                    "and {more} more ways through `$or` (`--json` has them all)"
                ));
            }
            lines
        }
    }
}

fn differs(expected: &str, found: &str) -> String {
    let hint = match expected.trim().eq_ignore_ascii_case(found.trim()) {
        true => " (case and spaces count)",
        false => "",
    };
    format!(
        "expected {}, found {}{hint}",
        quoted(expected),
        quoted(found)
    )
}

fn lacks(mismatch: &Mismatch) -> String {
    let shown = |value: &Value| quoted_json(value);
    let expected = match &mismatch.expected {
        Some(list) => format!("one of {}", shown(list)),
        None => "an object".to_owned(),
    };
    let found = match &mismatch.found {
        None => "nothing".to_owned(),
        Some(Value::Null) if mismatch.path == "json" => "no JSON in the text".to_owned(),
        Some(value) => shown(value),
    };
    format!("`{}`: expected {expected}, found {found}", mismatch.path)
}

fn quoted_json(value: &Value) -> String {
    format!("`{}`", preview(&value.to_string(), VALUE_WIDTH))
}

/// JSON with one line per value; digits and texts stay unchanged.
pub fn indented(json: &str) -> String {
    let mut out = String::new();
    let mut depth = 0usize;
    let mut chars = json.chars().peekable();
    let mut in_text = false;
    let line = |out: &mut String, depth: usize| {
        out.push('\n');
        out.push_str(&"  ".repeat(depth));
    };
    while let Some(c) = chars.next() {
        match c {
            '\\' if in_text => {
                out.push(c);
                out.extend(chars.next());
            }
            '"' => {
                in_text = !in_text;
                out.push(c);
            }
            _ if in_text => out.push(c),
            ' ' | '\t' | '\r' | '\n' => {}
            '{' | '[' => {
                out.push(c);
                while chars.next_if(|c| c.is_ascii_whitespace()).is_some() {}
                if let Some(end) = chars.next_if(|c| matches!(c, '}' | ']')) {
                    out.push(end);
                } else {
                    depth += 1;
                    line(&mut out, depth);
                }
            }
            '}' | ']' => {
                depth = depth.saturating_sub(1);
                line(&mut out, depth);
                out.push(c);
            }
            ',' => {
                out.push(c);
                line(&mut out, depth);
            }
            ':' => out.push_str(": "),
            _ => out.push(c),
        }
    }
    out
}

/// A time in UTC, to the millisecond.
pub fn time(at_ms: i64) -> String {
    let time = DateTime::from_millis(at_ms).fmt(Format::DateTime);
    time.unwrap_or_else(|_| format!("{at_ms} ms"))
}

/// A message's age, for people: `3 s`, `5 min`, `2 h`, `12 days`.
pub fn age(ms: i64) -> String {
    match ms / 1000 {
        s @ ..120 => format!("{s} s"),
        s @ ..7_200 => format!("{} min", s / 60),
        s @ ..172_800 => format!("{} h", s / 3600),
        s => format!("{} days", s / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_gets_lines_and_keeps_every_digit_and_text() {
        let json = r#"{"a":[1.10,{ }, [ ]],"b":{"c":"{\"x\": [1, 2]}\\","d":9007199254740993}}"#;
        let expected = [
            "{",
            r#"  "a": ["#,
            "    1.10,",
            "    {},",
            "    []",
            "  ],",
            r#"  "b": {"#,
            r#"    "c": "{\"x\": [1, 2]}\\","#,
            r#"    "d": 9007199254740993"#,
            "  }",
            "}",
        ];
        assert_eq!(indented(json), expected.join("\n"));
        assert_eq!(indented(r#""x y""#), r#""x y""#);
    }

    #[test]
    fn an_age_has_one_unit() {
        let all = [
            (119_000, "119 s"),
            (120_000, "2 min"),
            (7_200_000, "2 h"),
            (172_800_000, "2 days"),
        ];
        for (ms, expected) in all {
            assert_eq!(age(ms), expected);
        }
    }
}
