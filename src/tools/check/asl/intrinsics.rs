//! Intrinsic functions of JSONPath: `States.Format('{}', $.a)`.
//!
//! <https://states-language.net/spec.html#appendix-b>

use super::paths::{self, Kind};
use crate::tools::check::template::did_you_mean;

/// Each function with the least and the most of its arguments.
const FUNCTIONS: [(&str, usize, usize); 18] = [
    ("Array", 0, usize::MAX),
    ("ArrayContains", 2, 2),
    ("ArrayGetItem", 2, 2),
    ("ArrayLength", 1, 1),
    ("ArrayPartition", 2, 2),
    ("ArrayRange", 3, 3),
    ("ArrayUnique", 1, 1),
    ("Base64Decode", 1, 1),
    ("Base64Encode", 1, 1),
    ("Format", 1, usize::MAX),
    ("Hash", 2, 2),
    ("JsonMerge", 3, 3),
    ("JsonToString", 1, 1),
    ("MathAdd", 2, 2),
    ("MathRandom", 2, 3),
    ("StringSplit", 2, 2),
    ("StringToJson", 1, 1),
    ("UUID", 0, 0),
];

/// Step Functions' limit of nested calls.
const MAX_DEPTH: usize = 10;

/// The problem with a text as a path of a kind, or as a call where the kind allows one.
pub(super) fn path_or_call(text: &str, kind: Kind) -> Option<String> {
    let may_call = matches!(kind, Kind::ReferenceOrCall | Kind::AnyOrCall);
    if may_call && text.starts_with("States.") {
        return problem(text);
    }
    paths::problem(text, kind)
}

/// The problem with a text as a call.
fn problem(text: &str) -> Option<String> {
    let mut reader = Reader {
        rest: text.trim_end(),
    };
    match reader.call(1) {
        Ok(()) if reader.rest.is_empty() => None,
        Ok(()) => Some(format!("goes on after its call with `{}`", reader.rest)),
        Err(problem) => Some(problem),
    }
}

struct Reader<'t> {
    rest: &'t str,
}

impl<'t> Reader<'t> {
    fn skip_space(&mut self) {
        self.rest = self.rest.trim_start();
    }

    /// Takes as many characters as fit.
    fn take(&mut self, fits: impl Fn(char) -> bool) -> &'t str {
        let end = self.rest.find(|c| !fits(c)).unwrap_or(self.rest.len());
        let (taken, rest) = self.rest.split_at(end);
        self.rest = rest;
        taken
    }

    fn accept(&mut self, c: char) -> bool {
        let rest = self.rest.strip_prefix(c);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    fn call(&mut self, depth: usize) -> Result<(), String> {
        if depth > MAX_DEPTH {
            return Err(format!(
                "has more than {MAX_DEPTH} calls inside one another"
            ));
        }
        self.rest = self.rest.strip_prefix("States.").unwrap_or(self.rest);
        let name = self.take(|c| c.is_ascii_alphanumeric());
        let known = FUNCTIONS.iter().find(|(known, ..)| *known == name);
        let Some((_, least, most)) = known else {
            let meant = did_you_mean(name, FUNCTIONS.iter().map(|(known, ..)| *known));
            return Err(format!("calls `States.{name}`, an unknown function{meant}"));
        };
        self.skip_space();
        if !self.accept('(') {
            return Err(format!("has no `(` after `States.{name}`"));
        }
        let count = self.arguments(depth)?;
        if !(*least..=*most).contains(&count) {
            let expected = match (*least, *most) {
                (least, usize::MAX) => format!("at least {least}"),
                (least, most) if least == most => least.to_string(),
                (least, most) => format!("{least} to {most}"),
            };
            return Err(format!(
                "gives `States.{name}` {count} arguments instead of {expected}"
            ));
        }
        Ok(())
    }

    /// Reads up to the `)` and counts the arguments.
    fn arguments(&mut self, depth: usize) -> Result<usize, String> {
        let mut count = 0;
        self.skip_space();
        while !self.accept(')') {
            if count > 0 && !self.accept(',') {
                return Err("has no `,` or `)` after an argument".to_owned());
            }
            self.skip_space();
            self.argument(depth)?;
            self.skip_space();
            count += 1;
        }
        Ok(count)
    }

    fn argument(&mut self, depth: usize) -> Result<(), String> {
        match self.rest.chars().next() {
            Some('\'') => self.text(),
            Some('$') => self.path(),
            Some('S') if self.rest.starts_with("States.") => self.call(depth + 1),
            _ => {
                let word = self.take(|c| c.is_ascii_alphanumeric() || "+-.".contains(c));
                let known =
                    ["true", "false", "null"].contains(&word) || word.parse::<f64>().is_ok();
                match known {
                    true => Ok(()),
                    false => Err(format!(
                        "has `{}` as an argument instead of a path, a number, a call or a text in single quotes",
                        if word.is_empty() { self.rest } else { word }
                    )),
                }
            }
        }
    }

    /// Reads a text in single quotes. A backslash escapes only `'`, `{`, `}` and itself.
    fn text(&mut self) -> Result<(), String> {
        let mut chars = self.rest.char_indices().skip(1);
        while let Some((at, c)) = chars.next() {
            match c {
                '\'' => {
                    self.rest = &self.rest[at + 1..];
                    return Ok(());
                }
                '\\' => match chars.next() {
                    Some((_, '\'' | '{' | '}' | '\\')) | None => {}
                    Some((_, other)) => {
                        return Err(format!(
                            "has `\\{other}` in a text, where a backslash stands before `'`, `{{`, `}}` or `\\` only"
                        ));
                    }
                },
                _ => {}
            }
        }
        Err("has a text without its closing quote".to_owned())
    }

    /// Reads a path, up to the comma or bracket that ends its argument.
    fn path(&mut self) -> Result<(), String> {
        let (mut depth, mut quote, mut end) = (0_usize, None, self.rest.len());
        for (at, c) in self.rest.char_indices() {
            match quote {
                Some(open) if c == open => quote = None,
                Some(_) => {}
                None if c == '\'' || c == '"' => quote = Some(c),
                None if c == '[' || c == '(' => depth += 1,
                None if depth > 0 && (c == ']' || c == ')') => depth -= 1,
                None if depth == 0 && (c == ',' || c == ')') => {
                    end = at;
                    break;
                }
                None => {}
            }
        }
        let (path, rest) = self.rest.split_at(end);
        self.rest = rest;
        match paths::problem(path.trim(), Kind::Any) {
            None => Ok(()),
            Some(problem) => Err(format!("has the path `{}`, which {problem}", path.trim())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_is_valid_where_its_field_allows_one() {
        assert_eq!(path_or_call("States.UUID()", Kind::ReferenceOrCall), None);
        assert_eq!(path_or_call("$.a", Kind::ReferenceOrCall), None);
        assert!(path_or_call("States.UUID(1)", Kind::AnyOrCall).is_some());
        assert!(path_or_call("States.UUID()", Kind::Reference).is_some());
    }

    #[test]
    fn valid_and_invalid_calls_are_distinguished() {
        for call in [
            "States.UUID()",
            "States.Array()",
            "States.Array('Foo', 2020, $.a, null, true, -1.5)",
            "States.Format('Welcome to {} {}\\'s \\{list\\}.', $.first, $.last)",
            "States.Format('a, (b) [c', $['d,e)'].f[?(@.g == 'h')], $$.Execution.Name)",
            "States.ArrayGetItem( States.StringSplit($.a, '/') , 1 )",
            "States.JsonMerge($.a, $b, false) ",
            "States.StringToJson('{\"a\": \"b\"}')",
            "States.MathRandom(1, 2)",
            "States.MathRandom(1, 2, $.seed)",
            "States.StringSplit('a\nb', '\n')",
        ] {
            assert_eq!(problem(call), None, "{call}");
        }
        for (call, expected) in [
            (
                "States.Fromat()",
                "calls `States.Fromat`, an unknown function (did you mean `Format`?)",
            ),
            ("States.UUID", "has no `(`"),
            ("States.UUID() + 1", "goes on after its call"),
            (
                "States.UUID(1)",
                "gives `States.UUID` 1 arguments instead of 0",
            ),
            (
                "States.MathAdd(1)",
                "gives `States.MathAdd` 1 arguments instead of 2",
            ),
            ("States.MathRandom(1)", "instead of 2 to 3"),
            ("States.Format()", "instead of at least 1"),
            ("States.Format('{}' $.a)", "has no `,` or `)`"),
            (
                "States.Format('{}, $.a)",
                "has a text without its closing quote",
            ),
            ("States.Format('\\\"{}\\\"', $.a)", "has `\\\"` in a text"),
            ("States.Format(plain)", "has `plain` as an argument"),
            (
                "States.Format(\"plain\")",
                "has `\"plain\")` as an argument",
            ),
            (
                "States.Array($.a.)",
                "has the path `$.a.`, which has a `.` without a name",
            ),
            ("States.Array(1", "has no `,` or `)`"),
            ("States.Array(", "has `` as an argument"),
        ] {
            let found = problem(call).unwrap_or_default();
            assert!(found.contains(expected), "{call}: {found}");
        }
        let deep = "States.Array(".repeat(11) + &")".repeat(11);
        assert!(problem(&deep).is_some_and(|found| found.contains("more than 10")));
        let deep = "States.Array(".repeat(10) + &")".repeat(10);
        assert_eq!(problem(&deep), None);
    }
}
