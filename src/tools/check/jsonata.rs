//! The syntax of JSONata 2.0.6, the version that Step Functions has.
//!
//! Expressions are parsed for their syntax and calls, not evaluated. The crates that evaluate JSONata change how
//! `serde_json` orders an object's names in the whole build, so none of them is used here.

mod syntax;
mod tokens;

use std::collections::BTreeSet;

pub use syntax::read;

/// The names that an expression calls and sets.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Calls {
    called: BTreeSet<String>,
    /// Names that the expression sets itself: variables and parameters.
    bound: BTreeSet<String>,
}

impl Calls {
    /// Functions that neither JSONata nor Step Functions nor the expression defines.
    pub fn unknown(&self) -> impl Iterator<Item = &str> {
        let called = self.called.iter().map(String::as_str);
        called.filter(|name| !FUNCTIONS.contains(name) && !self.bound.contains(*name))
    }
}

/// Those of <https://docs.jsonata.org> without `eval`, which Step Functions removes, and its own: `hash`, `parse`,
/// `partition`, `range` and `uuid`.
pub const FUNCTIONS: [&str; 69] = [
    "abs",
    "append",
    "assert",
    "average",
    "base64decode",
    "base64encode",
    "boolean",
    "ceil",
    "clone",
    "contains",
    "count",
    "decodeUrl",
    "decodeUrlComponent",
    "distinct",
    "each",
    "encodeUrl",
    "encodeUrlComponent",
    "error",
    "exists",
    "filter",
    "floor",
    "formatBase",
    "formatInteger",
    "formatNumber",
    "fromMillis",
    "hash",
    "join",
    "keys",
    "length",
    "lookup",
    "lowercase",
    "map",
    "match",
    "max",
    "merge",
    "millis",
    "min",
    "not",
    "now",
    "number",
    "pad",
    "parse",
    "parseInteger",
    "partition",
    "power",
    "random",
    "range",
    "reduce",
    "replace",
    "reverse",
    "round",
    "shuffle",
    "sift",
    "single",
    "sort",
    "split",
    "spread",
    "sqrt",
    "string",
    "substring",
    "substringAfter",
    "substringBefore",
    "sum",
    "toMillis",
    "trim",
    "type",
    "uppercase",
    "uuid",
    "zip",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expressions_parse_as_in_jsonata() {
        for expression in [
            "1",
            " $states.input.a ",
            "$states.input.`a b`.c[0].d[e = 'f' and g > 1]",
            "$sum($states.input.items.(price * quantity))",
            "{ 'a': $x, 'b': [1..3], $c: { } }",
            "$map([1, 2], function($v, $i) { $v + $i })",
            "$f := function($x)<n:n>{ $x = 0 ? 1 : $x * $f($x - 1) }",
            "($a := 1; $b := $a & 'x'; $b;)",
            "a ? b",
            "a ? b : c ? d : e",
            "$states.input ~> $string() ~> $base64encode",
            "$split('a/b', /\\//i)[1]",
            "a / b /* over */ / c",
            "*.b.**.%.c",
            "a^(>b, <c, d)",
            "a@$x#$i.b",
            "a ~> |b|{'c': 1}, ['d']|",
            "$substring(?, 0, 5)",
            "and or in",
            "-1.5e-3 - -x",
            "a[]",
            "a.b{c: d}",
            "λ($x){$x}(1)",
        ] {
            let found = read(expression);
            assert!(found.is_ok(), "{expression}: {found:?}");
        }
        for expression in [
            "",
            "  ",
            "1 +",
            "420.",
            "$states.input.a)",
            "(1",
            "[1, 2",
            "{'a' 1}",
            "{'a': }",
            "1 2",
            "$.store.book[?(@.price < 10)].title",
            "a ?? b",
            "a ?: b",
            "a ! b",
            "'open",
            "`open",
            "/open",
            "// ",
            "/* open",
            "'\\q'",
            "'it\\'s'",
            "'\\u12g4'",
            "1 := 2",
            "a.1",
            "1.a",
            "function(x){1}",
            "function($x) 1",
            "a@b",
            "a..b",
            ",",
            "$f(1,)",
            "1 == 1",
            "a^b",
            "1e999",
        ] {
            assert!(read(expression).is_err(), "{expression}");
        }
        let deep = "(".repeat(5000) + "1" + &")".repeat(5000);
        assert!(read(&deep).is_ok());
    }

    #[test]
    fn calls_are_known_functions_or_set_in_the_expression() {
        let unknown = |expression: &str| {
            let calls = read(expression).unwrap();
            calls.unknown().map(str::to_owned).collect::<Vec<_>>()
        };
        assert_eq!(
            unknown("$sum($f(1)) + $partition([1], 2) + $eval('1')"),
            ["eval", "f"]
        );
        assert_eq!(
            unknown("($f := function($g){ $g(1) }; $f($h))"),
            Vec::<String>::new()
        );
        assert_eq!(unknown("$a.$b(1)"), ["b"]);
        assert_eq!(unknown("f(1)"), Vec::<String>::new());
    }
}
