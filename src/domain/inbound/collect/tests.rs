use proptest::prelude::*;
use serde_json::json;

use super::*;

const BASE: &str = r#"{"routes":[]}"#;

fn arn(name: &str) -> String {
    format!("arn:aws:states:us-east-1:123456789012:stateMachine:bridge_{name}")
}

fn route(name: &str, topic: &str, reply: &str) -> String {
    let route = json!({
        "name": name, "from": {"cache": "demo", "topic": topic},
        "to": {"stateMachine": arn(name)}, "reply": {"topics": [reply]},
    });
    route.to_string()
}

fn parameter(name: &str, version: i64, value: impl Into<String>) -> Parameter {
    Parameter {
        name: name.to_owned(),
        version,
        value: value.into(),
        is_secure: false,
    }
}

fn plain(name: &str, version: i64) -> Parameter {
    let value = route(name, &format!("{name}-in"), &format!("{name}-out"));
    parameter(name, version, value)
}

fn next(previous: Option<&Compiled>, parameters: &[Parameter]) -> Compiled {
    collect(BASE, previous, parameters).unwrap().compiled
}

/// Each parameter's used version with its routes, and the version and problem of a refused one.
fn states(compiled: &Compiled) -> Vec<String> {
    let states = compiled.parameters.iter().map(|(name, state)| {
        let refused = state.refused.as_ref();
        let refused = refused.map_or_else(String::new, |r| {
            format!(" refused {}: {}", r.version, r.problem)
        });
        format!(
            "{name} {} {}{refused}",
            state.version,
            state.routes.join("+")
        )
    });
    states.collect()
}

fn names(compiled: &Compiled) -> Vec<String> {
    let routes = Routes::parse(&compiled.document).unwrap();
    routes.iter().map(|route| route.name.clone()).collect()
}

#[test]
fn routes_and_documents_are_collected_as_written() {
    let where_twice = r#"{ "name":"c", "from":{"cache":"demo","topic":"c-in"}, "where": {"text":["a"],"text":["b"]}, "to":{"eventBus":"default"} }"#;
    let document = format!(
        "{{\"routes\":[{},{where_twice}]}}",
        route("b", "b-in", "b-out")
    );
    let compiled = next(None, &[parameter("two", 7, document), plain("a", 1)]);
    assert_eq!(compiled.version, 1);
    assert_eq!(names(&compiled), ["a", "b", "c"]);
    assert!(
        compiled.document.contains(where_twice),
        "{}",
        compiled.document
    );
    assert_eq!(states(&compiled), ["a 1 a", "two 7 b+c"]);
}

#[test]
fn an_unchanged_collection_keeps_its_version() {
    let first = next(None, &[plain("a", 1)]);
    let again = collect(BASE, Some(&first), &[plain("a", 1)]).unwrap();
    assert!(!again.changed);
    assert_eq!(again.compiled, first);
    let other = collect(BASE, Some(&first), &[plain("a", 1), plain("b", 1)]).unwrap();
    assert!(other.changed);
    assert_eq!(other.compiled.version, 2);
}

#[test]
fn an_invalid_parameter_is_refused_alone() {
    let bad = [
        ("not JSON", "expected JSON"),
        ("[]", "expected an object"),
        (
            r#"{"name":"x","from":{"cache":"demo","topic":"x"},"to":{"stateMachine":"arn"},"speed":1}"#,
            "`speed`",
        ),
        (r#"{"routes":[],"more":1}"#, "`more`"),
        ("", "expected JSON"),
        (r#"{"name":"x"},{"name":"y"}"#, "expected JSON"),
    ];
    for (value, problem) in bad {
        let compiled = next(
            None,
            &[plain("a", 1), parameter("bad", 3, value), plain("z", 1)],
        );
        assert_eq!(names(&compiled), ["a", "z"], "{value}");
        let refused = compiled.parameters["bad"].refused.as_ref().unwrap();
        assert_eq!(refused.version, 3);
        assert!(refused.problem.contains(problem), "{}", refused.problem);
    }
    let secure = Parameter {
        is_secure: true,
        ..plain("secure", 1)
    };
    let compiled = next(None, &[secure]);
    assert!(
        compiled.parameters["secure"]
            .refused
            .as_ref()
            .unwrap()
            .problem
            .contains("SecureString")
    );
}

#[test]
fn the_last_good_version_works_until_repaired_or_removed() {
    let first = next(None, &[plain("a", 1), plain("b", 1)]);
    let second = next(Some(&first), &[parameter("a", 2, "{"), plain("b", 1)]);
    assert_eq!(names(&second), ["a", "b"]);
    assert!(
        states(&second)[0].starts_with("a 1 a refused 2: "),
        "{:?}",
        states(&second)
    );
    // Again, from the compiled item alone.
    let third = next(Some(&second), &[parameter("a", 2, "{"), plain("b", 1)]);
    assert_eq!(third, second);
    let repaired = next(Some(&third), &[plain("a", 3), plain("b", 1)]);
    assert_eq!(states(&repaired), ["a 3 a", "b 1 b"]);
    let removed = next(Some(&second), &[plain("b", 1)]);
    assert_eq!(
        (names(&removed), states(&removed)),
        (vec!["b".to_owned()], vec!["b 1 b".to_owned()])
    );
}

#[test]
fn a_taken_name_is_refused_and_never_displaces_its_owner() {
    let first = next(None, &[plain("b", 1)]);
    // `a` comes first by name, but `b` was there before.
    let thief = parameter("a", 1, route("b", "other-in", "other-out"));
    let second = next(Some(&first), &[thief.clone(), plain("b", 1)]);
    assert_eq!(states(&second)[1], "b 1 b");
    assert!(states(&second)[0].contains("`b`"), "{:?}", states(&second));
    let freed = next(Some(&second), &[thief]);
    assert_eq!(states(&freed), ["a 1 b"]);

    let base = format!("{{\"routes\":[{}]}}", route("a", "a-in", "a-out"));
    let beside = collect(&base, None, &[plain("a", 1), plain("c", 1)])
        .unwrap()
        .compiled;
    assert_eq!(names(&beside), ["c"]);
    assert!(
        states(&beside)[0].contains("the variable ROUTES"),
        "{:?}",
        states(&beside)
    );
}

#[test]
fn a_name_given_up_by_the_variable_goes_to_the_waiting_parameter() {
    let base = format!("{{\"routes\":[{}]}}", route("a", "a-in", "a-out"));
    let parameters = [plain("a", 1), plain("b", 1), parameter("c", 1, "{}")];
    let before = collect(&base, None, &parameters).unwrap().compiled;
    assert_eq!(
        (names(&before), &before.taken),
        (vec!["b".to_owned()], &vec!["a".to_owned()])
    );
    let after = collect(BASE, Some(&before), &parameters).unwrap().compiled;
    assert_eq!(names(&after), ["a", "b"]);
    assert!(after.taken.is_empty());
    // And back.
    let back = collect(&base, Some(&after), &parameters).unwrap().compiled;
    assert_eq!(
        (names(&back), &back.taken),
        (vec!["b".to_owned()], &before.taken)
    );
}

#[test]
fn a_loop_between_stacks_refuses_the_newer_route() {
    let first = next(None, &[plain("a", 1)]);
    let looping = parameter("b", 1, route("b", "a-out", "b-out"));
    let second = next(Some(&first), &[plain("a", 1), looping]);
    assert_eq!(names(&second), ["a"]);
    assert!(
        states(&second)[1].contains("refused 1"),
        "{:?}",
        states(&second)
    );
    let base = format!("{{\"routes\":[{}]}}", route("base", "a-out", "base-out"));
    let beside = collect(&base, None, &[plain("a", 1)]).unwrap().compiled;
    assert!(names(&beside).is_empty());
}

#[test]
fn parameters_may_exchange_names() {
    let swapped = |version, one: &str, other: &str| {
        [
            parameter("p", version, route(one, "p-in", "p-out")),
            parameter("q", version, route(other, "q-in", "q-out")),
        ]
    };
    let first = next(None, &swapped(1, "x", "y"));
    let second = next(Some(&first), &swapped(2, "y", "x"));
    assert_eq!(states(&second), ["p 2 y", "q 2 x"]);
}

#[test]
fn what_does_not_fit_into_the_item_is_refused() {
    let large = |name: &str| {
        let text = "x".repeat(200_000);
        let route = json!({
            "name": name, "from": {"cache": "demo", "topic": name}, "where": {"text": [text]},
            "to": {"stateMachine": arn(name)},
        });
        parameter(name, 1, route.to_string())
    };
    let compiled = next(None, &[large("a"), large("b"), plain("c", 1)]);
    assert_eq!(names(&compiled), ["a", "c"]);
    assert!(
        states(&compiled)[1].contains("380000"),
        "{:?}",
        states(&compiled)
    );
}

#[test]
fn a_base_with_problems_is_an_error() {
    assert!(collect("{", None, &[]).is_err());
}

/// A parameter out of few names, versions, route names and topics, so that they collide often.
fn any_parameter() -> impl Strategy<Value = Parameter> {
    (0..6, 1..4_i64, 0..4, 0..4, 0..6).prop_map(|(name, version, route_name, topic, reply)| {
        let value = match reply {
            5 => "{".to_owned(),
            reply => route(
                &format!("r{route_name}"),
                &format!("t{topic}"),
                &format!("t{reply}"),
            ),
        };
        parameter(&format!("p{name}"), version, value)
    })
}

proptest! {
    #[test]
    fn every_collection_has_valid_routes_and_keeps_what_was_good(
        rounds in prop::collection::vec(prop::collection::vec(any_parameter(), 0..6), 1..5)
    ) {
        let mut previous: Option<Compiled> = None;
        for mut parameters in rounds {
            parameters.sort_by(|one, other| one.name.cmp(&other.name));
            parameters.dedup_by(|one, other| one.name == other.name);
            let collected = collect(BASE, previous.as_ref(), &parameters).unwrap();
            let compiled = collected.compiled;
            prop_assert!(Routes::parse(&compiled.document).is_ok());
            prop_assert_eq!(compiled.parameters.len(), parameters.len());
            for parameter in &parameters {
                let state = &compiled.parameters[&parameter.name];
                // Either this version is in use, or it is refused.
                prop_assert!(state.refused.is_some() || state.version == parameter.version);
                let before = previous.as_ref().and_then(|previous| previous.parameters.get(&parameter.name));
                if let Some(before) = before.filter(|before| !before.routes.is_empty()) {
                    prop_assert!(!state.routes.is_empty(), "the last good routes are gone");
                    prop_assert!(state.version == before.version || state.version == parameter.version);
                }
            }
            let again = collect(BASE, Some(&compiled), &parameters).unwrap();
            prop_assert!(!again.changed, "{:?} {:?}", again.compiled, compiled);
            previous = Some(compiled);
        }
    }
}
