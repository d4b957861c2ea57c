use super::matcher::Scalar;
use super::*;
use crate::domain::inbound::routes::EVENT_FIELDS as FIELDS;
use proptest::prelude::*;
use serde_json::{Map, json};
use std::collections::BTreeSet;

pub(super) fn table(part: &str) -> Vec<Value> {
    let file: Value = serde_json::from_str(include_str!(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/fixtures/patterns.json"
    )))
    .unwrap();
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

/// Cases that depend on the order of names, on duplicates or on the digits of a number.
#[test]
fn every_written_case_of_the_table_comes_out() {
    let cases = table("written");
    assert!(cases.len() >= 25);
    for case in cases {
        let text = |key: &str| case[key].as_str().unwrap().to_owned();
        let names = ["a", "arn", "b", "ip", "kind", "order", "size", "z"];
        let took = Pattern::read(&text("pattern"), &names).ok().map(|pattern| {
            let event = text("event");
            pattern.takes(&Event::of(&event), &mut Steps::new(1_000))
        });
        let expected = case["matches"].as_bool().map(Ok);
        assert_eq!(took, expected, "{}", case["name"]);
    }
}

#[test]
fn every_refusal_of_the_table_says_why() {
    let cases = table("refusals");
    assert!(cases.len() >= 30);
    for case in cases {
        let found = problems(case["pattern"].clone());
        let expected = case["problem"].as_str().unwrap();
        assert!(
            found.iter().any(|problem| problem.contains(expected)),
            "{}: {found:#?}",
            case["name"]
        );
    }
}

#[test]
fn all_problems_come_at_once() {
    let found = problems(json!({
        "detail": ["x"],
        "json": {"kind": "order", "price": ["a", {"numeric": ["<", "5"]}, {"cidr": "1"}]},
        "topic": [],
    }));
    let places: Vec<_> = found
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
fn depth_is_limited() {
    let nested =
        |levels: usize| (1..levels).fold(json!({"v": ["x"]}), |inner, _| json!({"json": inner}));
    assert!(Pattern::parse(&nested(MAX_DEPTH), &FIELDS).is_ok());
    let found = problems(nested(MAX_DEPTH + 1));
    assert!(
        found[0].contains("expected at most 32 objects inside one another"),
        "{found:?}"
    );
}

#[test]
fn combinations_are_limited() {
    let choices = |n: usize| {
        let field = |n: usize| json!({"$or": [{"a": [n]}, {"b": [n]}]});
        json!({"json": (0..n).map(|n| (format!("f{n}"), field(n))).collect::<Map<_, _>>()})
    };
    assert_eq!(pattern(choices(9)).ways.len(), 512);
    let found = problems(choices(10));
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(
        found[0].contains("expected at most 1000 combinations"),
        "{found:?}"
    );
    let wide: Vec<_> = (0..1_001).map(|n| json!({"topic": [n]})).collect();
    assert!(problems(json!({"$or": wide}))[0].contains("found 1001"));
}

#[test]
fn user_text_is_cut_in_problems() {
    let found = problems(json!({"topic": "é".repeat(5_000)}));
    assert!(found[0].chars().count() < 300, "{found:?}");
    let found = problems(json!({"json": {"n".repeat(5_000): 1}}));
    assert!(found[0].chars().count() < 300, "{found:?}");
}

#[test]
fn hostile_events_are_matched() {
    let stars = pattern(json!({"text": [{"wildcard": "*a".repeat(4)}]}));
    assert!(!stars.matches(&json!({"text": format!("{}b", "a".repeat(200_000))})));

    let deep = (0..1_000).fold(json!({"v": "x"}), |inner, _| Value::Array(vec![inner]));
    let event = Value::Object(Map::from_iter([("json".to_owned(), deep)]));
    assert!(pattern(json!({"json": {"v": ["x"]}})).matches(&event));
    assert!(!pattern(json!({"json": ["x"]})).matches(&event));
}

#[test]
fn fields_are_limited() {
    let fields = |n: usize| {
        (0..n)
            .map(|n| (format!("f{n}"), json!([n])))
            .collect::<Map<_, _>>()
    };
    let most = Value::Object(fields(MAX_FIELDS));
    assert!(Pattern::parse(&json!({ "json": most }), &FIELDS).is_ok());
    let found = problems(json!({"json": fields(MAX_FIELDS + 1)}));
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].contains("expected at most 256 fields that must all match"));
}

/// A search without memory would take each from minutes to years.
#[test]
fn events_with_many_lists_are_decided_soon() {
    let objects = |name: &str, n: usize| {
        let all: Vec<_> = (0..n).map(|_| format!("{{\"{name}\":1}}")).collect();
        format!("[{}]", all.join(","))
    };
    let lists = |n: usize| {
        let list = format!("[{{\"x\":1}},{}]", vec!["{\"y\":1}"; n].join(","));
        format!("{{\"a\":{list},\"b\":{list},\"c\":{list}}}")
    };
    let same = r#"{"json": {"x": [1], "y": [1]}}"#;
    let apart = r#"{"json": {"a": {"x": [1]}, "b": {"x": [1]}, "c": {"x": [1], "y": [1]}}}"#;
    let x = objects("x", 20_000);
    for (pattern, json) in [
        (same, format!("[{x},{}]", objects("y", 20_000))),
        (apart, lists(20_000)),
        (apart, format!("[{},{}]", lists(5_000), lists(5_000))),
        (
            r#"{"json": {"a": {"x": [1]}, "b": {"x": [1], "y": [{"exists": false}]}}}"#,
            format!("{{\"a\":{x},\"b\":{}}}", x.replace('}', ",\"y\":1}")),
        ),
    ] {
        let pattern = Pattern::read(pattern, &FIELDS).unwrap();
        let mut event = Event::new();
        event.json("json", &json);
        let took = pattern.takes(&event, &mut Steps::new(1_000_000));
        assert_eq!(took, Ok(false), "{}", &json[..60]);
    }
}

/// With duplicates of a name, each field may be in one of many lists: the decision is as hard as any puzzle.
#[test]
fn hard_cases_stay_undecided() {
    let fields: Vec<_> = (0..24).map(|n| format!("\"f{n:02}\": [1]")).collect();
    let pattern = format!("{{\"json\": {{{}}}}}", fields.join(","));
    // Each list has one of two fields: 23 lists are too few for 24 fields.
    let either = |n: usize| format!("\"json\":[{{\"f{n:02}\":1}},{{\"f{:02}\":1}}]", n + 1);
    let lists: Vec<_> = (0..23).map(either).collect();
    let event = format!("{{{}}}", lists.join(","));
    let pattern = Pattern::read(&pattern, &FIELDS).unwrap();
    let took = |steps| pattern.takes(&Event::of(&event), &mut Steps::new(steps));
    assert_eq!(took(100), Err(Undecided));
    let began = std::time::Instant::now();
    assert_ne!(took(200_000), Ok(true));
    assert!(began.elapsed().as_secs() < 5);
}

/// The rule of AWS's engine, by brute force: take the fields in the order of their paths, and give each a value of the
/// event, so that no two of the values lie in different elements of one list; or let it be absent, where no value under its
/// path agrees with those taken before it.
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
                    let names: Vec<_> = name.split('.').collect();
                    flatten(value, &[path, &names].concat(), elements, all);
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

    fn consistent(a: &[(*const Value, usize)], b: &[(*const Value, usize)]) -> bool {
        a.iter()
            .all(|(list, n)| b.iter().all(|(other, m)| list != other || n == m))
    }

    fn assign(fields: &[Arc<Field>], found: &[Found], taken: &[(*const Value, usize)]) -> bool {
        let Some((field, rest)) = fields.split_first() else {
            return true;
        };
        let mut here = found
            .iter()
            .filter(|f| f.path == field.path && consistent(&f.elements, taken));
        let matching = here.clone().filter(|f| {
            let json = f.value.to_string();
            let text = f.value.as_str().map(|text| Scalar::Text(text.into()));
            let scalar = text.unwrap_or_else(|| Scalar::literal(&json));
            field
                .matchers
                .iter()
                .any(|matcher| matcher.matches(&scalar))
        });
        let by_value = matching
            .into_iter()
            .any(|f| assign(rest, found, &[taken, &f.elements].concat()));
        let absent = field.matchers.contains(&Matcher::Absent) && here.next().is_none();
        by_value || absent && assign(rest, found, taken)
    }

    pub(super) fn matches(pattern: &Pattern, event: &Value) -> bool {
        let mut found = Vec::new();
        flatten(event, &[], &[], &mut found);
        pattern.ways.iter().any(|way| assign(way, &found, &[]))
    }
}

fn small_name() -> impl Strategy<Value = String> {
    prop::sample::select(vec!["a", "b", "c", "a.b", "b.c"]).prop_map(str::to_owned)
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
            2 => prop::collection::btree_map(small_name(), inner, 1..4).prop_map(|map| json!(map)),
        ]
    });
    prop::collection::btree_map(small_name(), value, 0..4).prop_map(|map| json!(map))
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
        prop::collection::btree_map(small_name(), inner, 1..3)
            .prop_map(|map| json!(map))
            .boxed()
    };
    let inner = list.boxed().prop_recursive(3, 12, 3, move |inner| {
        let plain = object(inner.boxed());
        let or = prop::collection::vec(plain.clone(), 2..4).prop_map(|all| json!({"$or": all}));
        prop_oneof![3 => plain, 1 => or]
    });
    prop::collection::btree_map(small_name(), inner, 1..3).prop_map(|map| json!(map))
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
