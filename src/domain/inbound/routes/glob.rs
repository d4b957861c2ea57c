//! Names with `*` in them: `orders/*` in a route's `from`.

/// Literal text in which every `*` stands for any run of characters: the empty run, and `/`, included. There are no
/// escapes, so no glob can require a literal `*`.
///
/// ```
/// use workflow_bridge::domain::inbound::routes::glob::Glob;
///
/// let orders = Glob::new("orders/*");
/// assert!(orders.matches("orders/eu/1") && orders.matches("orders/"));
/// assert!(!orders.matches("orders"));
/// assert!(orders.intersects(&Glob::new("*/1")));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Glob {
    text: String,
    pieces: Vec<String>,
}

impl Glob {
    /// Every text is a glob; this cannot fail.
    pub fn new(text: &str) -> Self {
        Self {
            text: text.to_owned(),
            pieces: text.split('*').map(str::to_owned).collect(),
        }
    }

    /// The text as written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// True when there is no `*`, so that exactly one name matches.
    pub fn is_exact(&self) -> bool {
        self.pieces.len() == 1
    }

    pub fn matches(&self, name: &str) -> bool {
        matches_pieces(&self.pieces, name)
    }

    /// Whether some name matches both globs. With a `*` in both and their ends alike, takes time in the product of the two
    /// lengths and memory in the second one.
    pub fn intersects(&self, other: &Glob) -> bool {
        // A start of a function compares each route with all others.
        if self.is_exact() {
            return other.matches(&self.text);
        }
        if other.is_exact() {
            return self.matches(&other.text);
        }
        let firsts = self.pieces.first().zip(other.pieces.first());
        let lasts = self.pieces.last().zip(other.pieces.last());
        if firsts.is_some_and(|(a, b)| !a.starts_with(b) && !b.starts_with(a))
            || lasts.is_some_and(|(a, b)| !a.ends_with(b) && !b.ends_with(a))
        {
            return false;
        }
        let ours: Vec<char> = self.text.chars().collect();
        let theirs: Vec<char> = other.text.chars().collect();

        // `row[j]`: some string matches both the rest of `ours` from its character `i` and `theirs[j..]`. Filled from the
        // ends backwards; `below` is the row of `i + 1`, absent after the last character.
        let mut below: Option<Vec<bool>> = None;
        for i in (0..=ours.len()).rev() {
            let mut row = vec![false; theirs.len() + 1];
            for j in (0..=theirs.len()).rev() {
                let step_ours = |j: usize| below.as_ref().is_some_and(|below| below[j]);
                row[j] = match (ours.get(i), theirs.get(j)) {
                    (None, None) => true,
                    // The star ends here, or takes in one more step of the other side.
                    (Some('*'), _) | (_, Some('*')) => {
                        step_ours(j) || row.get(j + 1).is_some_and(|&both| both)
                    }
                    (Some(a), Some(b)) => a == b && step_ours(j + 1),
                    _ => false,
                };
            }
            below = Some(row);
        }
        below.is_some_and(|row| row[0])
    }
}

/// Whether `text` is the pieces in order with any run of characters between them: the first piece at the start, the last
/// at the end. Taking each inner piece at its first place is enough, so there is no backtracking.
pub(super) fn matches_pieces(pieces: &[String], text: &str) -> bool {
    match pieces {
        [] => false,
        [whole] => whole == text,
        [first, inner @ .., last] => {
            let Some(mut rest) = text.strip_prefix(first.as_str()) else {
                return false;
            };
            for piece in inner {
                match rest.find(piece.as_str()) {
                    Some(at) => rest = &rest[at + piece.len()..],
                    None => return false,
                }
            }
            rest.ends_with(last.as_str())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn stars_stand_for_any_run() {
        for (glob, name, expected) in [
            ("orders", "orders", true),
            ("orders", "orders/", false),
            ("", "", true),
            ("", "a", false),
            ("*", "", true),
            ("*", "a/b", true),
            ("orders/*", "orders/", true),
            ("orders/*", "orders", false),
            ("*/new", "orders/eu/new", true),
            ("a*a", "a", false),
            ("a*a", "aa", true),
            ("a*b*c", "a-b-b-c", true),
            ("a*b*c", "a-c-b", false),
            ("**", "anything", true),
            ("größe/*/é", "größe/1/é", true),
            ("a?c", "abc", false),
            (r"a\*", r"a\b", true),
        ] {
            assert_eq!(
                Glob::new(glob).matches(name),
                expected,
                "`{glob}` against `{name}`"
            );
        }
    }

    #[test]
    fn overlaps_are_found() {
        for (a, b, expected) in [
            ("orders/*", "*/1", true),
            ("orders/*", "orders", false),
            ("orders/*", "payments/*", false),
            ("*", "", true),
            ("a*", "*b", true),
            ("a*c", "a*b*d", false),
            ("*-out", "*-in", false),
            ("*a*", "*b*", true),
            ("x*y", "x*z*y", true),
            ("é*", "è*", false),
            ("", "", true),
            ("", "a", false),
        ] {
            assert_eq!(
                Glob::new(a).intersects(&Glob::new(b)),
                expected,
                "`{a}` with `{b}`"
            );
            assert_eq!(
                Glob::new(b).intersects(&Glob::new(a)),
                expected,
                "`{b}` with `{a}`"
            );
        }
    }

    #[test]
    fn many_stars_stay_fast() {
        let glob = Glob::new(&"*a".repeat(2_000));
        assert!(!glob.matches(&format!("{}b", "a".repeat(200_000))));
    }

    /// The definition, by brute force.
    fn naive(glob: &[char], name: &[char]) -> bool {
        match glob.split_first() {
            None => name.is_empty(),
            Some(('*', rest)) => (0..=name.len()).any(|n| naive(rest, &name[n..])),
            Some((c, rest)) => name
                .split_first()
                .is_some_and(|(n, names)| n == c && naive(rest, names)),
        }
    }

    fn chars(text: &str) -> Vec<char> {
        text.chars().collect()
    }

    /// Every name of at most `length` characters from `alphabet`.
    fn names(alphabet: &str, length: usize) -> Vec<String> {
        let mut all = vec![String::new()];
        let mut from = 0;
        for _ in 0..length {
            let upto = all.len();
            for n in from..upto {
                all.extend(
                    alphabet
                        .chars()
                        .map(|c| format!("{}{c}", all[n]))
                        .collect::<Vec<_>>(),
                );
            }
            from = upto;
        }
        all
    }

    proptest! {
        #[test]
        fn matching_agrees_with_the_definition(glob in "[ab*/é]{0,8}", name in "[ab/é]{0,8}") {
            prop_assert_eq!(Glob::new(&glob).matches(&name), naive(&chars(&glob), &chars(&name)));
        }

        #[test]
        fn intersection_is_symmetric_and_has_a_witness(a in "[ab*]{0,4}", b in "[ab*]{0,4}") {
            let (a, b) = (Glob::new(&a), Glob::new(&b));
            prop_assert_eq!(a.intersects(&b), b.intersects(&a));
            // The shortest common name needs at most every literal of both.
            let witness = names("ab", 8).into_iter().any(|name| a.matches(&name) && b.matches(&name));
            prop_assert_eq!(a.intersects(&b), witness);
        }

        #[test]
        fn a_name_that_matches_both_is_an_intersection(
            a in "[ab*]{0,8}", b in "[ab*]{0,8}", name in "[ab]{0,8}",
        ) {
            let (a, b) = (Glob::new(&a), Glob::new(&b));
            prop_assert!(!(a.matches(&name) && b.matches(&name)) || a.intersects(&b));
        }

        #[test]
        fn an_exact_glob_intersects_what_it_matches(name in "[ab]{0,6}", glob in "[ab*]{0,8}") {
            let (exact, glob) = (Glob::new(&name), Glob::new(&glob));
            prop_assert!(exact.is_exact());
            prop_assert_eq!(exact.intersects(&glob), glob.matches(&name));
        }
    }
}
