//! Wildcards, and how complex one may be.

use std::collections::{HashSet, VecDeque};

/// Most prefixes of a wildcard that one text may match at once. AWS's own limit is unpublished; this one agrees with its
/// known answers.
const MAX_PREFIXES: usize = 9;

/// Sets of prefixes to examine. In practice no complex wildcard needs more to be found.
const MAX_LOOKS: usize = 5_000;

/// Splits a wildcard at its stars and resolves its escapes; the error is a sentence.
pub(super) fn wildcard(text: &str) -> Result<Vec<String>, String> {
    let mut pieces = Vec::new();
    let mut piece = String::new();
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '*' if chars.peek() == Some(&'*') => {
                return Err("expected single `*`s, found `**`; one `*` already stands for any run of characters".into());
            }
            '*' => pieces.push(std::mem::take(&mut piece)),
            '\\' => match chars.next() {
                Some(escaped @ ('*' | '\\')) => piece.push(escaped),
                other => {
                    let found = other.map_or("the end".to_owned(), |c| format!("`{c}`"));
                    return Err(format!(
                        r"expected `*` or `\` after a `\`, found {found}; write `\\` for a backslash (`\\\\` in JSON)"
                    ));
                }
            },
            other => piece.push(other),
        }
    }
    pieces.push(piece);
    match is_too_complex(&pieces) {
        true => Err("expected a simpler wildcard, found one that AWS calls too complex; use fewer `*`s, or fewer repeated characters after one".into()),
        false => Ok(pieces),
    }
}

/// Whether some text matches too many prefixes of the wildcard at once (`"aa"` matches those of `*a*a`: `*`, `*a`, `*a*`
/// and `*a*a`).
fn is_too_complex(pieces: &[String]) -> bool {
    // The characters; `None` for a star.
    let mut steps: Vec<Option<char>> = Vec::new();
    for (n, piece) in pieces.iter().enumerate() {
        steps.extend((n != 0).then_some(None));
        steps.extend(piece.chars().map(Some));
    }
    // A prefix is the number of its steps. One that ends before a star is also the one that ends behind it.
    let with = |set: &mut Vec<usize>, prefix: usize| {
        set.push(prefix);
        if steps.get(prefix) == Some(&None) {
            set.push(prefix + 1);
        }
    };
    let mut start = Vec::new();
    with(&mut start, 0);
    let mut seen = HashSet::new();
    let mut open = VecDeque::from([start]);
    while let Some(set) = open.pop_front() {
        if set.len() > MAX_PREFIXES {
            return true;
        }
        if seen.len() > MAX_LOOKS || !seen.insert(set.clone()) {
            continue;
        }
        let next = set
            .iter()
            .filter_map(|&at| steps.get(at).copied().flatten());
        for c in next.collect::<HashSet<_>>() {
            let mut after = Vec::new();
            for &prefix in &set {
                if prefix > 0 && steps[prefix - 1].is_none() {
                    after.push(prefix);
                }
                if steps.get(prefix) == Some(&Some(c)) {
                    with(&mut after, prefix + 1);
                }
            }
            after.sort_unstable();
            after.dedup();
            open.push_back(after);
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wildcards_refused_by_aws_are_too_complex() {
        for (text, refused) in [
            ("*:*:*:*:*:event-bus/*", true),
            ("*:*:*:*:*:queue/*", true),
            ("*aaaaaaaaaa", true),
            ("*a*a*a*a*a*a*a", true),
            ("/Users/*/dir/dir/dir/dir/dir/doc.txt", false),
            ("arn:aws:events:us-east-1:*:event-bus/*", false),
            ("*", false),
            ("*:*:*:*:*", false),
            ("*ab*cd*ef*gh*ij*kl*mn*op", false),
            ("aaaaaaaaaaaaaaaaaaaaaaaa*", false),
        ] {
            assert_eq!(wildcard(text).is_err(), refused, "{text}");
        }
    }

    #[test]
    fn long_wildcards_are_judged_soon() {
        let began = std::time::Instant::now();
        for text in [
            "*abcdefgh".repeat(8),
            format!("*{}", "ab".repeat(5_000)),
            "*a?b*b?a".repeat(4),
            (0..9)
                .map(|n| format!("*{n}{}", "xyzzy".repeat(40)))
                .collect(),
        ] {
            wildcard(&text).ok();
        }
        assert!(began.elapsed().as_secs() < 5);
    }
}
