use jsonschema::Validator;
use serde_json::{Value, json};

use super::*;
use crate::domain::inbound::routes::document::tests::{good_values, wrong_values};
use crate::domain::inbound::routes::tests::document;
use crate::domain::inbound::routes::{Problems, Routes};
use crate::tools::local::workspace::Workspace;
use crate::tools::template;

/// Parts of problems beyond the schema: about several values at once, or about more than a shape.
const BEYOND_SHAPE: [&str; 13] = [
    "expected a unique name",
    "expected no topic that a route listens to",
    "distinguishes executions of this state machine",
    "since the input `payload`",
    "objects inside one another",
    "combinations of `$or`",
    "AWS calls too complex",
    "that a double can hold",
    "found the length",
    "expected a lower bound below the upper one",
    "found no IP address before the `/`",
    "found no prefix length",
    "expected JSON",
];

fn validator() -> Validator {
    jsonschema::draft202012::new(&schema()).unwrap()
}

fn problems(document: &Value) -> Vec<String> {
    match Routes::parse(&document.to_string()) {
        Ok(_) => Vec::new(),
        Err(Problems(all)) => all.iter().map(ToString::to_string).collect(),
    }
}

/// Reader and schema both accept the document, or both refuse it. For a problem beyond the shape, the schema may do either.
#[track_caller]
fn agree(validator: &Validator, document: &Value) {
    let problems = problems(document);
    let shape = |problem: &&String| !BEYOND_SHAPE.iter().any(|text| problem.contains(text));
    let shapely = !problems.iter().any(|problem| shape(&problem));
    let errors: Vec<_> = validator
        .iter_errors(document)
        .map(|error| error.to_string())
        .collect();
    let agreed = match (problems.is_empty(), shapely) {
        (true, _) => errors.is_empty(),
        (false, false) => !errors.is_empty(),
        (false, true) => true,
    };
    assert!(
        agreed,
        "{document}\nthe reader: {problems:#?}\nthe schema: {errors:#?}"
    );
}

fn good_documents() -> Vec<Value> {
    let read = |text: &str| serde_json::from_str(text).unwrap();
    let mut all = vec![
        json!({"routes": []}),
        read(include_str!(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/tests/fixtures/routes.json"
        ))),
    ];
    all.extend(
        good_values()
            .into_iter()
            .map(|fields| read(&document(&[fields]))),
    );
    all
}

#[test]
fn the_file_is_current() {
    let file = Workspace::find()
        .unwrap()
        .root()
        .join("docs/routes.schema.json");
    let found: Value = serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap();
    assert!(
        found == schema(),
        "expected the schema of these types in docs/routes.schema.json, found another: run `cargo bridge schema > docs/routes.schema.json`"
    );
}

#[test]
fn the_schema_is_valid() {
    jsonschema::meta::validate(&schema()).unwrap();
}

#[test]
fn the_shipped_routes_are_valid() {
    let file = Workspace::find().unwrap().root().join("template.yaml");
    let document = template::routes_document(&template::read(&file).unwrap()).unwrap();
    let document: Value = serde_json::from_str(&document).unwrap();
    assert!(!document["routes"].as_array().unwrap().is_empty());
    validator().validate(&document).unwrap();
}

#[test]
fn good_documents_are_valid_and_wrong_ones_are_not() {
    let validator = validator();
    for document in good_documents() {
        assert_eq!(problems(&document), [""; 0]);
        agree(&validator, &document);
    }
    for (fields, _) in wrong_values() {
        let document = serde_json::from_str(&document(&[fields])).unwrap();
        assert!(!problems(&document).is_empty());
        agree(&validator, &document);
    }
}

#[test]
fn reader_and_schema_agree_on_every_pattern_of_the_table() {
    let table: Value = serde_json::from_str(include_str!(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/fixtures/patterns.json"
    )))
    .unwrap();
    let validator = validator();
    for part in ["matches", "refusals"] {
        for case in table[part].as_array().unwrap() {
            let fields = json!({"where": case["pattern"]});
            let document = serde_json::from_str(&document(&[fields])).unwrap();
            agree(&validator, &document);
        }
    }
}

/// All changes of `value` in one place: another value, a removed key or an added one.
fn changed(value: &Value) -> Vec<Value> {
    let others = [
        json!(null),
        json!(true),
        json!(7),
        json!(""),
        json!("x"),
        json!("{token_id}"),
        json!("a{"),
        json!("json.a"),
        json!([]),
        json!(["x"]),
        json!([7]),
        json!({}),
        json!({"x": 1}),
    ];
    let mut all = others.to_vec();
    match value {
        Value::Object(map) => {
            for key in map.keys() {
                let mut without = map.clone();
                without.remove(key);
                all.push(Value::Object(without));
                for other in changed(&map[key]) {
                    let mut with = map.clone();
                    with.insert(key.clone(), other);
                    all.push(Value::Object(with));
                }
            }
            for key in [
                "unknown", "$schema", "$or", "prefix", "reply", "enabled", "input", "loop",
            ] {
                for other in [json!("x"), json!(true), json!({"topics": ["out"]})] {
                    let mut with = map.clone();
                    with.insert(key.to_owned(), other);
                    all.push(Value::Object(with));
                }
            }
        }
        Value::Array(list) => {
            for (n, item) in list.iter().enumerate() {
                for other in changed(item) {
                    let mut with = list.clone();
                    with[n] = other;
                    all.push(Value::Array(with));
                }
            }
        }
        _ => {}
    }
    all
}

#[test]
fn reader_and_schema_agree_on_every_changed_document() {
    let validator = validator();
    let mut count = 0;
    for document in good_documents() {
        for document in changed(&document) {
            agree(&validator, &document);
            count += 1;
        }
    }
    assert!(count > 3_000, "{count}");
}
