//! Paths of JSONPath, as far as Step Functions validates them in CreateStateMachine.
//!
//! <https://states-language.net/spec.html#paths>

/// What a path may select.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Any number of values.
    Any,
    /// Exactly one.
    Reference,
    /// One of the state's own input, to write there.
    Result,
    /// As `Reference`, or a call of an intrinsic function.
    ReferenceOrCall,
    /// As `Any`, or a call of an intrinsic function.
    AnyOrCall,
}

impl Kind {
    /// The noun for a sentence.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Any => "a path",
            Self::Reference => "a reference path",
            Self::Result => "a reference path into the state's input",
            Self::ReferenceOrCall => "a reference path or an intrinsic function",
            Self::AnyOrCall => "a path or an intrinsic function",
        }
    }
}

/// The problem with a text as a path of this kind.
pub(super) fn problem(text: &str, kind: Kind) -> Option<String> {
    let Some(rest) = text.strip_prefix('$') else {
        return Some("does not begin with `$`".to_owned());
    };
    let (context, rest) = match rest.strip_prefix('$') {
        Some(rest) => (true, rest),
        None => (false, rest),
    };
    let variable = !rest.is_empty() && !rest.starts_with(['.', '[']);
    if kind == Kind::Result && context {
        return Some("begins with `$$`, the context object, which is read-only".to_owned());
    }
    if kind == Kind::Result && variable {
        return Some("names a variable, which only `Assign` sets".to_owned());
    }
    let reference = !matches!(kind, Kind::Any | Kind::AnyOrCall);
    steps(rest, reference).err()
}

fn steps(path: &str, reference: bool) -> Result<(), String> {
    let mut rest = path.trim_end();
    while let Some(first) = rest.chars().next() {
        rest = match first {
            '[' => {
                let inside = bracket(rest)?;
                if reference {
                    one_item(inside)?;
                }
                &rest[inside.len() + 2..]
            }
            '.' => {
                let after = &rest[1..];
                let deep = after.strip_prefix('.');
                if reference && deep.is_some() {
                    return Err("has `..`, which may select several values".to_owned());
                }
                let after = deep.unwrap_or(after);
                if after.is_empty() || after.starts_with('.') {
                    return Err("has a `.` without a name".to_owned());
                }
                after
            }
            ']' => return Err("has a `]` without its `[`".to_owned()),
            '*' if reference => return Err("has `*`, which may select several values".to_owned()),
            _ => {
                let end = rest.find(['.', '[', ']', '*']).unwrap_or(rest.len());
                let name = &rest[..end.max(first.len_utf8())];
                if reference && name.contains('(') {
                    return Err(format!("has `{name}`, which computes a value"));
                }
                &rest[name.len()..]
            }
        };
    }
    Ok(())
}

/// The text between a `[` and its `]`.
fn bracket(text: &str) -> Result<&str, String> {
    let (mut depth, mut quote, mut escaped) = (0_usize, None, false);
    for (at, c) in text.char_indices() {
        match quote {
            _ if escaped => escaped = false,
            Some(_) if c == '\\' => escaped = true,
            Some(open) if c == open => quote = None,
            Some(_) => {}
            None if c == '\'' || c == '"' => quote = Some(c),
            None if c == '[' => depth += 1,
            None if c == ']' => {
                depth -= 1;
                if depth == 0 {
                    let inside = &text[1..at];
                    return match inside.trim().is_empty() {
                        true => Err("has nothing between `[` and `]`".to_owned()),
                        false => Ok(inside),
                    };
                }
            }
            None => {}
        }
    }
    Err("has a `[` without its `]`".to_owned())
}

/// A reference path takes one name or one number.
fn one_item(inside: &str) -> Result<(), String> {
    let inside = inside.trim();
    let quoted = ['\'', '"'].iter().any(|quote| {
        let bare = inside
            .strip_prefix(*quote)
            .and_then(|rest| rest.strip_suffix(*quote));
        // An escaped quote is a part of the name.
        bare.is_some_and(|bare| !bare.replace(&format!("\\{quote}"), "").contains(*quote))
    });
    let number = inside.strip_prefix('-').unwrap_or(inside);
    let number = !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit());
    match quoted || number {
        true => Ok(()),
        false => Err(format!("has `[{inside}]`, which may select several values")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_differ_from_texts() {
        for path in [
            "$",
            "$$",
            "$.a",
            "$.a-b.c_d",
            "$.ä",
            "$[0]",
            "$.[0]",
            "$['a.b']",
            "$[\"a]\"].b",
            "$['Test\\\"\"Name\"']",
            "$name",
            "$name.a[-1]",
            "$$.Map.Item.Value",
            "$$.Execution.Name ",
        ] {
            for kind in [Kind::Any, Kind::Reference, Kind::AnyOrCall] {
                assert_eq!(problem(path, kind), None, "{path} {kind:?}");
            }
        }
        for path in [
            "$[*][*]",
            "$..a",
            "$.a[?(@.b == 'c]')].d",
            "$.[?(@.year < 1999)].name",
            "$.a[1:]",
            "$.[*].['a', 'b']",
            "$[(@.length-1)].bar",
            "$.a.length()",
            "$.a[0,1]",
        ] {
            assert_eq!(problem(path, Kind::Any), None, "{path}");
            assert!(problem(path, Kind::Reference).is_some(), "{path}");
        }
        for text in [
            "", "a", "order", "..a", "()", "$...", "$.", "$.a.", "$.a[", "$.a[]", "$.a]", "$['a",
            " $.a",
        ] {
            assert!(problem(text, Kind::Any).is_some(), "{text}");
        }
        for path in ["$$", "$$.a", "$name", "$name.a"] {
            assert!(problem(path, Kind::Result).is_some(), "{path}");
        }
        assert_eq!(problem("$.a['b']", Kind::Result), None);
        assert!(problem("States.UUID()", Kind::Any).is_some());
    }
}
