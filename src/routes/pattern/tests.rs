use super::matcher::Number;
use super::*;
use crate::routes::EVENT_FIELDS as FIELDS;
use proptest::prelude::*;
use serde_json::json;
use std::collections::BTreeSet;

pub(super) fn table(part: &str) -> Vec<Value> {
    let file: Value =
        serde_json::from_str(include_str!("../../../tests/fixtures/patterns.json")).unwrap();
    let cases = file[part].as_array().unwrap().clone();
    let names: BTreeSet<_> = cases
        .iter()
        .map(|case| case["name"].as_str().unwrap())
        .collect();
    assert_eq!(
        names.len(),
        cases.len(),
        "two cases of `{part}` share a name"
    );
    cases
}

fn pattern(value: Value) -> Pattern {
    Pattern::parse(&value, &FIELDS).unwrap()
}

fn problems(value: Value) -> Vec<String> {
    let problems = Pattern::parse(&value, &FIELDS).unwrap_err();
    problems.iter().map(ToString::to_string).collect()
}

#[test]
fn every_case_of_the_table_comes_out() {
    let cases = table("matches");
    assert!(cases.len() >= 80);
    for case in cases {
        let pattern = Pattern::parse(&case["pattern"], &FIELDS);
        let pattern = pattern.unwrap_or_else(|problems| panic!("{}: {problems:?}", case["name"]));
        assert_eq!(
            Value::Bool(pattern.matches(&case["event"])),
            case["matches"],
            "{}",
            case["name"]
        );
    }
}

#[test]
fn every_refusal_of_the_table_says_why() {
    let cases = table("refusals");
    assert!(cases.len() >= 30);
    for case in cases {
        let said = problems(case["pattern"].clone());
        let expected = case["problem"].as_str().unwrap();
        assert!(
            said.iter().any(|problem| problem.contains(expected)),
            "{}: {said:#?}",
            case["name"]
        );
    }
}

#[test]
fn all_problems_come_at_once() {
    let said = problems(json!({
        "detail": ["x"],
        "json": {"kind": "order", "price": ["a", {"numeric": ["<", "5"]}, {"cidr": "1"}]},
        "topic": [],
    }));
    let places: Vec<_> = said
        .iter()
        .map(|problem| problem.split('`').nth(1).unwrap())
        .collect();
    assert_eq!(
        places,
        [
            "detail",
            "json.kind",
            "json.price[1].numeric",
            "json.price[2].cidr",
            "topic"
        ]
    );
}

#[test]
fn numbers_are_compared_by_value() {
    let pattern = pattern(json!({"json": [300]}));
    for text in ["300", "300.0", "3e2", "3.0E+2"] {
        let number: Value = serde_json::from_str(text).unwrap();
        assert!(pattern.matches(&json!({"json": number})), "{text}");
    }
    let number = |text: &str| Number::new(&serde_json::from_str(text).unwrap());
    for (less, more) in [
        ("18446744073709551615", "18446744073709551616"),
        ("18446744073709551615", "1e300"),
        ("-1e300", "-9223372036854775808"),
        ("9007199254740992", "9007199254740993"),
        ("0.5", "9007199254740993"),
    ] {
        assert!(
            number(less)
                .compare(number(more))
                .is_some_and(|order| order.is_lt()),
            "{less} < {more}"
        );
    }
    assert_eq!(number("-0.0"), number("0"));
}

#[test]
fn depth_is_limited() {
    let nested =
        |levels: usize| (1..levels).fold(json!({"v": ["x"]}), |inner, _| json!({"json": inner}));
    assert!(Pattern::parse(&nested(MAX_DEPTH), &FIELDS).is_ok());
    let said = problems(nested(MAX_DEPTH + 1));
    assert!(
        said[0].contains("expected at most 32 objects inside one another"),
        "{said:?}"
    );
}

#[test]
fn combinations_are_limited() {
    let choices = |n: usize| {
        let field = |n: usize| json!({"$or": [{"a": [n]}, {"b": [n]}]});
        json!({"json": (0..n).map(|n| (format!("f{n}"), field(n))).collect::<Map<_, _>>()})
    };
    assert_eq!(pattern(choices(9)).alternatives.len(), 512);
    let said = problems(choices(10));
    assert_eq!(said.len(), 1, "{said:?}");
    assert!(
        said[0].contains("expected at most 1000 combinations"),
        "{said:?}"
    );
    let wide: Vec<_> = (0..1_001).map(|n| json!({"topic": [n]})).collect();
    assert!(problems(json!({"$or": wide}))[0].contains("found 1001"));
}

#[test]
fn user_text_is_cut_in_problems() {
    let said = problems(json!({"topic": "é".repeat(5_000)}));
    assert!(said[0].chars().count() < 300, "{said:?}");
    let said = problems(json!({"json": {"n".repeat(5_000): 1}}));
    assert!(said[0].chars().count() < 300, "{said:?}");
}

#[test]
fn hostile_events_are_no_trouble() {
    let stars = pattern(json!({"text": [{"wildcard": "*a".repeat(500)}]}));
    assert!(!stars.matches(&json!({"text": format!("{}b", "a".repeat(200_000))})));

    let deep = (0..1_000).fold(json!({"v": "x"}), |inner, _| Value::Array(vec![inner]));
    let event = Value::Object(Map::from_iter([("json".to_owned(), deep)]));
    assert!(pattern(json!({"json": {"v": ["x"]}})).matches(&event));
    assert!(!pattern(json!({"json": ["x"]})).matches(&event));
}

/// The rule as AWS states it: give every field a value of the event, so that no two of the values lie in different
/// elements of one list; a field may instead be missing among the values that could still be taken.
mod reference {
    use super::*;

    struct Found<'a> {
        path: Vec<&'a str>,
        value: &'a Value,
        /// The objects and lists in lists on the way, as (list, element).
        elements: Vec<(*const Value, usize)>,
    }

    fn flatten<'a>(
        value: &'a Value,
        path: &[&'a str],
        elements: &[(*const Value, usize)],
        all: &mut Vec<Found<'a>>,
    ) {
        match value {
            Value::Object(object) => {
                for (name, value) in object {
                    flatten(value, &[path, &[name.as_str()]].concat(), elements, all);
                }
            }
            Value::Array(list) => {
                for (n, element) in list.iter().enumerate() {
                    let inside = element.is_object() || element.is_array();
                    let step = inside.then_some((std::ptr::from_ref(value), n));
                    let elements: Vec<_> = elements.iter().copied().chain(step).collect();
                    flatten(element, path, &elements, all);
                }
            }
            value => all.push(Found {
                path: path.to_vec(),
                value,
                elements: elements.to_vec(),
            }),
        }
    }

    fn lists<'a>(
        fields: &'a Fields,
        path: &[&'a str],
        all: &mut Vec<(Vec<&'a str>, &'a [Matcher])>,
    ) {
        for (name, node) in fields {
            let path = [path, &[name.as_str()]].concat();
            match node {
                Node::Leaf(matchers) => all.push((path, matchers)),
                Node::Object(fields) => lists(fields, &path, all),
            }
        }
    }

    fn consistent(a: &[(*const Value, usize)], b: &[(*const Value, usize)]) -> bool {
        a.iter()
            .all(|(list, n)| b.iter().all(|(other, m)| list != other || n == m))
    }

    fn assign(
        lists: &[(Vec<&str>, &[Matcher])],
        found: &[Found],
        taken: &[(*const Value, usize)],
        missing: &[&[&str]],
    ) -> bool {
        let Some(((path, matchers), rest)) = lists.split_first() else {
            let free = |f: &&Found| consistent(&f.elements, taken);
            return missing
                .iter()
                .all(|path| !found.iter().filter(free).any(|f| f.path == *path));
        };
        let by_value = found
            .iter()
            .filter(|f| f.path == *path && consistent(&f.elements, taken))
            .filter(|f| matchers.iter().any(|matcher| matcher.matches(f.value)))
            .any(|f| assign(rest, found, &[taken, &f.elements].concat(), missing));
        by_value
            || (matchers.contains(&Matcher::Absent)
                && assign(rest, found, taken, &[missing, &[path.as_slice()]].concat()))
    }

    pub(super) fn matches(pattern: &Pattern, event: &Value) -> bool {
        let mut found = Vec::new();
        flatten(event, &[], &[], &mut found);
        pattern.alternatives.iter().any(|fields| {
            let mut all = Vec::new();
            lists(fields, &[], &mut all);
            assign(&all, &found, &[], &[])
        })
    }
}

pub(super) fn small_event() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(json!(1)),
        Just(json!(2)),
        Just(Value::Null),
        Just(json!({})),
        Just(json!([]))
    ];
    let value = leaf.prop_recursive(4, 24, 3, |inner| {
        prop_oneof![
            1 => prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            2 => prop::collection::btree_map("[abc]", inner, 1..4).prop_map(|map| json!(map)),
        ]
    });
    prop::collection::btree_map("[abc]", value, 0..4).prop_map(|map| json!(map))
}

pub(super) fn small_pattern() -> impl Strategy<Value = Value> {
    let entry = prop_oneof![
        Just(json!(1)),
        Just(json!(2)),
        Just(json!({"anything-but": 1})),
        Just(json!({"exists": true})),
        Just(json!({"exists": false})),
    ];
    let list = prop::collection::vec(entry, 1..3).prop_map(Value::from);
    let object = |inner: BoxedStrategy<Value>| {
        prop::collection::btree_map("[abc]", inner, 1..3)
            .prop_map(|map| json!(map))
            .boxed()
    };
    let inner = list.boxed().prop_recursive(3, 12, 3, move |inner| {
        let plain = object(inner.boxed());
        let or = prop::collection::vec(plain.clone(), 2..4).prop_map(|all| json!({"$or": all}));
        prop_oneof![3 => plain, 1 => or]
    });
    prop::collection::btree_map("[abc]", inner, 1..3).prop_map(|map| json!(map))
}

fn any_json() -> impl Strategy<Value = Value> {
    let name = prop_oneof![
        2 => prop::sample::select(vec![
            "$or", "prefix", "suffix", "equals-ignore-case", "wildcard", "anything-but", "numeric", "exists", "cidr",
            "json", "topic",
        ]).prop_map(str::to_owned),
        1 => any::<String>(),
    ];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
        r"[*\\a]{0,6}".prop_map(Value::from),
        "[0-9a-f:./]{0,12}".prop_map(Value::from),
        prop::sample::select(vec!["=", "<", "<=", ">", ">=", "10.0.0.0/8", "::/0"])
            .prop_map(Value::from),
    ];
    leaf.prop_recursive(6, 48, 4, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::btree_map(name.clone(), inner, 0..4).prop_map(|map| json!(map)),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn matching_agrees_with_the_rule_of_aws(pattern in small_pattern(), event in small_event()) {
        let pattern = Pattern::parse(&pattern, &["a", "b", "c"]).unwrap();
        prop_assert_eq!(pattern.matches(&event), reference::matches(&pattern, &event));
    }

    #[test]
    fn no_json_panics(value in any_json(), inner in any_json(), event in any_json()) {
        for value in [value, json!({"json": {"v": inner.clone()}}), json!({"json": {"v": [inner]}})] {
            match Pattern::parse(&value, &FIELDS) {
                Ok(pattern) => drop(pattern.matches(&json!({"json": {"v": event.clone()}}))),
                Err(problems) => prop_assert!(!problems.is_empty()),
            }
        }
    }
}
