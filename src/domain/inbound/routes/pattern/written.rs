//! A matcher in the notation of patterns, for display.

use super::address::address;
use super::matcher::{Bound, Matcher};
use serde_json::{Value, json};

/// The entry of a pattern's list for this matcher.
pub(super) fn written(matcher: &Matcher) -> Value {
    match matcher {
        Matcher::Null => Value::Null,
        Matcher::Bool(value) => json!(value),
        Matcher::Number(number) => number.to_json(),
        Matcher::Text(text) if address(text).is_some() => json!({ "exactly": text }),
        Matcher::Text(text) | Matcher::Address(text, _) => json!(text),
        Matcher::Exists => json!({"exists": true}),
        Matcher::Absent => json!({"exists": false}),
        Matcher::Range(low, high) => json!({ "numeric": range(low.as_ref(), high.as_ref()) }),
        Matcher::Block(block) => json!({ "cidr": block.to_string() }),
        Matcher::AnythingBut(these) => json!({ "anything-but": excluded(these) }),
        Matcher::Prefix(text) => json!({ "prefix": text }),
        Matcher::Suffix(text) => json!({ "suffix": text }),
        Matcher::PrefixIgnoringCase(text) => json!({"prefix": {"equals-ignore-case": text}}),
        Matcher::SuffixIgnoringCase(text) => json!({"suffix": {"equals-ignore-case": text}}),
        Matcher::EqualsIgnoringCase(text) => json!({ "equals-ignore-case": text }),
        Matcher::Wildcard(pieces) => json!({ "wildcard": wildcard(pieces) }),
    }
}

fn range(low: Option<&Bound>, high: Option<&Bound>) -> Vec<Value> {
    let mut list = Vec::new();
    for (bound, inclusive, exclusive) in [(low, ">=", ">"), (high, "<=", "<")] {
        if let Some(bound) = bound {
            list.push(json!(if bound.inclusive {
                inclusive
            } else {
                exclusive
            }));
            list.push(bound.number.to_json());
        }
    }
    list
}

/// All of one operator, or all plain values.
fn excluded(these: &[Matcher]) -> Value {
    let plain = |matcher: &Matcher| match matcher {
        Matcher::Text(text) => json!(text),
        other => written(other),
    };
    let all: Vec<Value> = these.iter().map(plain).collect();
    let operator = all
        .first()
        .and_then(Value::as_object)
        .and_then(|o| o.keys().next().cloned());
    match operator {
        None => Value::Array(all),
        Some(operator) => {
            let texts: Vec<Value> = all
                .into_iter()
                .map(|mut entry| entry[&operator].take())
                .collect();
            json!({ operator: texts })
        }
    }
}

fn wildcard(pieces: &[String]) -> String {
    let pieces = pieces
        .iter()
        .map(|piece| piece.replace('\\', r"\\").replace('*', r"\*"));
    pieces.collect::<Vec<_>>().join("*")
}

#[cfg(test)]
mod tests {
    use super::super::Pattern;
    use super::*;
    use proptest::prelude::*;
    use std::net::Ipv4Addr;

    fn matchers(list: &Value) -> Vec<Matcher> {
        let pattern = Pattern::parse(&json!({ "text": list }), &["text"]).unwrap();
        pattern.ways[0][0].matchers.clone()
    }

    fn again(list: &Value) -> Value {
        matchers(list).iter().map(written).collect()
    }

    #[test]
    fn every_entry_is_written_as_it_was_read() {
        let list = json!([
            null, true, 5, 2.5, u64::MAX, "x",
            {"prefix": "a"}, {"suffix": "b"}, {"prefix": {"equals-ignore-case": "c"}}, {"suffix": {"equals-ignore-case": "d"}},
            {"equals-ignore-case": "e"}, {"wildcard": r"a*\*b\\*"}, {"numeric": [">", 0, "<=", 5]}, {"numeric": ["<", 1.5]},
            {"cidr": "10.0.0.0/8"}, {"cidr": "2001:db8::/32"}, {"cidr": "0.0.0.0/0"}, {"exists": true}, {"exists": false},
            "10.0.0.1", {"exactly": "10.0.0.1"}, {"anything-but": ["::1", "b"]},
            {"anything-but": ["a", "b"]}, {"anything-but": [1, 2]}, {"anything-but": {"prefix": ["a", "b"]}},
            {"anything-but": {"wildcard": ["a*"]}}, {"anything-but": {"equals-ignore-case": ["x"]}},
        ]);
        assert_eq!(again(&list), list);
    }

    proptest! {
        #[test]
        fn a_written_matcher_keeps_its_meaning(text in ".{0,8}", n in any::<i64>(), d in -1e9..1e9f64, bits in any::<u32>(), length in 0u32..32) {
            let wildcard = text.replace('\\', r"\\").replace("**", "*");
            let list = json!([text, n, d, {"prefix": text}, {"equals-ignore-case": text}, {"wildcard": wildcard},
                {"numeric": [">", d]}, {"cidr": format!("{}/{length}", Ipv4Addr::from_bits(bits))}, {"anything-but": {"suffix": format!("{text}x")}}]);
            prop_assume!(!wildcard.contains("**"));
            prop_assert_eq!(matchers(&again(&list)), matchers(&list));
        }
    }
}
