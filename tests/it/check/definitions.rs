//! A definition that Step Functions refuses is an error; one that it runs is at most a warning.

use std::fs;

use super::{Scratch, fixtures, found};

/// The findings, without places, in a definition of one state or of several that start with `Greet`.
fn of(scratch: &Scratch, states: &str) -> Vec<String> {
    fs::copy(fixtures().join("base.yaml"), scratch.0.join("base.yaml")).unwrap();
    let states = match states.starts_with("{\"Type\"") {
        true => format!("{{\"Greet\": {states}}}"),
        false => states.to_owned(),
    };
    // Uses the template's substitution, which would be a finding if unused.
    let definition =
        format!("{{\"Comment\": \"${{Greeting}}\", \"StartAt\": \"Greet\", \"States\": {states}}}");
    fs::write(scratch.0.join("base.asl.json"), definition).unwrap();
    let found = found(&scratch.0.join("base.yaml")).into_iter();
    let found = found.filter_map(|finding| {
        let (place, code) = finding.split_once(' ')?;
        place.starts_with("base.asl.json").then(|| code.to_owned())
    });
    found.collect()
}

fn each(name: &str, cases: &[(&str, &str)]) {
    let scratch = Scratch::new(name);
    for (states, expected) in cases {
        let expected: Vec<_> = expected
            .split(", ")
            .filter(|code| !code.is_empty())
            .collect();
        assert_eq!(of(&scratch, states), expected, "{states}");
    }
}

/// A Map state with more fields.
macro_rules! map {
    ($more:literal) => {
        concat!(
            r#"{"Type": "Map", "#,
            $more,
            r#", "ItemProcessor": {"ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"}, "StartAt": "B", "States": {"B": {"Type": "Pass", "End": true}}}, "End": true}"#
        )
    };
}

/// A Choice state with one rule.
macro_rules! choice {
    ($rule:literal) => {
        concat!(
            r#"{"Greet": {"Type": "Choice", "Choices": [{"#,
            $rule,
            r#", "Next": "B"}]}, "B": {"Type": "Succeed"}}"#
        )
    };
}

#[test]
fn a_runnable_definition_gives_at_most_a_warning() {
    each(
        "runs",
        &[
            (
                r#"{"Type": "Pass", "QueryLanguage": "JSONata", "Output": {"x": " {% 1 %} "}, "End": true}"#,
                "asl-query-language warning",
            ),
            (
                r#"{"Type": "Pass", "Result": {"html": "{% block %}"}, "End": true}"#,
                "asl-query-language warning",
            ),
            (
                r#"{"Type": "Pass", "Result": {"html": "{% if %} x {% end %} y"}, "End": true}"#,
                "",
            ),
            (
                r#"{"Type": "Pass", "QueryLanguage": "JSONata", "Output": {"a.$": "$"}, "End": true}"#,
                "asl-query-language warning",
            ),
            (
                r#"{"Type": "Pass", "QueryLanguage": "JSONata", "Output": "{% $randomSeeded(1) %}", "End": true}"#,
                "asl-jsonata warning",
            ),
            (
                r#"{"Type": "Task", "Resource": "arn:aws:states:::newservice:call", "End": true}"#,
                "asl-integration warning",
            ),
            (
                r#"{"Type": "Pass", "Result": {"a.$": "plain", "x": 1, "x.$": 2}, "End": true}"#,
                "",
            ),
            (
                r#"{"Type": "Task", "Resource": "arn:aws:states:::http:invoke", "Parameters": {"a.$": "${Greeting}"}, "End": true}"#,
                "",
            ),
        ],
    );
}

#[test]
fn payload_templates_take_paths_and_intrinsic_functions() {
    each(
        "payloads",
        &[
            (
                r#"{"Type": "Pass", "Parameters": {"x.$": "plain"}, "End": true}"#,
                "asl-payload",
            ),
            (
                r#"{"Type": "Pass", "Parameters": [{"x": {"y.$": 1}}], "End": true}"#,
                "asl-payload",
            ),
            (
                r#"{"Type": "Pass", "Parameters": {"x.$": null}, "End": true}"#,
                "asl-payload",
            ),
            (
                r#"{"Type": "Pass", "Parameters": {"x.$": "States.Uuid()"}, "End": true}"#,
                "asl-payload",
            ),
            (
                r#"{"Type": "Pass", "Parameters": {"x.$": "States.StringToJson('\\\"')"}, "End": true}"#,
                "asl-payload",
            ),
            (
                r#"{"Type": "Pass", "Parameters": {"x": 1, "x.$": "$.a"}, "End": true}"#,
                "asl-payload",
            ),
            (
                r#"{"Type": "Pass", "Assign": {"x.$": "a"}, "End": true}"#,
                "asl-payload",
            ),
            (
                r#"{"Type": "Task", "Resource": "arn:aws:states:::http:invoke", "ResultSelector": {"x.$": "$."}, "End": true}"#,
                "asl-payload",
            ),
            (
                r#"{"Type": "Task", "Resource": "arn:aws:states:::http:invoke", "Credentials": {"RoleArn.$": "me"}, "End": true}"#,
                "asl-payload",
            ),
            (map!(r#""ItemSelector": {"x.$": "a"}"#), "asl-payload"),
            (
                map!(r#""ItemBatcher": {"BatchInput": {"x.$": "a"}}"#),
                "asl-payload",
            ),
            (
                map!(
                    r#""ItemReader": {"Resource": "arn:aws:states:::s3:getObject", "Parameters": {"Key.$": "a"}}"#
                ),
                "asl-payload",
            ),
        ],
    );
}

#[test]
fn each_path_has_the_syntax_of_its_field() {
    each(
        "paths",
        &[
            (
                r#"{"Type": "Pass", "InputPath": "order", "End": true}"#,
                "asl-path",
            ),
            (
                r#"{"Type": "Pass", "OutputPath": 1, "End": true}"#,
                "asl-path",
            ),
            (
                r#"{"Type": "Pass", "ResultPath": "order", "End": true}"#,
                "asl-path",
            ),
            (
                r#"{"Type": "Pass", "ResultPath": "$name", "End": true}"#,
                "asl-path",
            ),
            (
                r#"{"Type": "Pass", "ResultPath": "$$.Execution", "End": true}"#,
                "asl-path",
            ),
            (
                r#"{"Type": "Wait", "SecondsPath": "$.a[*]", "End": true}"#,
                "asl-path",
            ),
            (
                r#"{"Type": "Wait", "TimestampPath": "at", "End": true}"#,
                "asl-path",
            ),
            (
                r#"{"Type": "Fail", "ErrorPath": "States.Nothing()"}"#,
                "asl-path",
            ),
            (
                r#"{"Type": "Task", "Resource": "arn:aws:states:::http:invoke", "TimeoutSecondsPath": "ten", "HeartbeatSecondsPath": null, "End": true}"#,
                "asl-path, asl-path",
            ),
            (
                r#"{"Type": "Task", "Resource": "arn:aws:states:::http:invoke", "Catch": [{"ErrorEquals": ["States.ALL"], "ResultPath": "e", "Next": "Greet"}], "End": true}"#,
                "asl-path",
            ),
            (map!(r#""ItemsPath": "items""#), "asl-path"),
            (map!(r#""MaxConcurrencyPath": "most""#), "asl-path"),
            (
                map!(
                    r#""ItemReader": {"Resource": "arn:aws:states:::s3:getObject", "ReaderConfig": {"MaxItemsPath": "x"}}"#
                ),
                "asl-path",
            ),
            (choice!(r#""Variable": "a", "IsNull": true"#), "asl-path"),
            (
                choice!(r#""Variable": "States.Array()", "IsNull": true"#),
                "asl-path",
            ),
            (
                choice!(r#""Not": {"Variable": "$.a", "StringEqualsPath": "b"}"#),
                "asl-path",
            ),
        ],
    );
}

#[test]
fn values_have_the_type_of_their_field() {
    each(
        "values",
        &[
            (
                r#"{"Type": "Wait", "Timestamp": "2030-01-01 00:00", "End": true}"#,
                "asl-wait",
            ),
            (
                r#"{"Type": "Wait", "Timestamp": "{% '2030-01-01T00:00:00Z' %}", "End": true}"#,
                "asl-query-language warning, asl-wait",
            ),
            (
                r#"{"Type": "Wait", "Seconds": -1, "End": true}"#,
                "asl-wait",
            ),
            (
                r#"{"Type": "Wait", "Seconds": 100000000, "End": true}"#,
                "asl-wait",
            ),
            (
                r#"{"Type": "Fail", "Error": "a", "ErrorPath": "$.e"}"#,
                "asl-field",
            ),
            (
                r#"{"Type": "Fail", "Cause": "a", "CausePath": "$.e"}"#,
                "asl-field",
            ),
            (r#"{"Type": "Fail", "Error": 5}"#, "asl-value"),
            (
                r#"{"Type": "Pass", "Assign": {"1a": 1, "states": 2, "a-b": 3}, "End": true}"#,
                "asl-value, asl-value, asl-value",
            ),
            (
                r#"{"Type": "Pass", "Assign": "{% 1 %}", "QueryLanguage": "JSONata", "End": true}"#,
                "asl-value",
            ),
            (
                r#"{"Type": "Task", "Resource": "arn:aws:states:::http:invoke", "Credentials": {}, "End": true}"#,
                "asl-missing-field",
            ),
            (
                r#"{"Type": "Task", "Resource": "arn:aws:states:::http:invoke", "Credentials": null, "End": true}"#,
                "asl-missing-field",
            ),
            (
                r#"{"Type": "Task", "Resource": "arn:aws:states:::dynamodb:query", "End": true}"#,
                "asl-integration",
            ),
            (map!(r#""Label": "a b""#), "asl-value"),
            (
                map!(r#""Label": "a2345678901234567890123456789012345678901""#),
                "asl-value",
            ),
            (map!(r#""ToleratedFailurePercentage": 150"#), "asl-value"),
            (
                map!(r#""ToleratedFailureCount": 1, "ToleratedFailureCountPath": "$.a""#),
                "asl-field",
            ),
            (
                map!(r#""ToleratedFailurePercentage": 1, "ToleratedFailurePercentagePath": "$.a""#),
                "asl-field",
            ),
            (map!(r#""MaxConcurrency": 1.5"#), "asl-value"),
            (
                map!(r#""ItemBatcher": {"MaxItemsPerBatch": -1}"#),
                "asl-value",
            ),
            (
                map!(r#""ItemReader": {}, "ResultWriter": {}"#),
                "asl-missing-field, asl-missing-field",
            ),
            (map!(r#""ItemSelector": {}, "Parameters": {}"#), "asl-field"),
            (
                map!(
                    r#""Iterator": {"StartAt": "C", "States": {"C": {"Type": "Pass", "End": true}}}"#
                ),
                "asl-field",
            ),
            (
                choice!(r#""Variable": "$.a", "NumericEquals": "5""#),
                "asl-value",
            ),
            (
                choice!(r#""Variable": "$.a", "StringEquals": 5"#),
                "asl-value",
            ),
            (
                choice!(r#""Variable": "$.a", "BooleanEquals": "true""#),
                "asl-value",
            ),
            (
                choice!(r#""Variable": "$.a", "IsPresent": "yes""#),
                "asl-value",
            ),
            (
                choice!(r#""Variable": "$.a", "TimestampEquals": "2030-01-01""#),
                "asl-value",
            ),
            (
                choice!(r#""Variable": "$.a", "Or": [{"Variable": "$.a", "IsNull": true}]"#),
                "asl-field",
            ),
        ],
    );
}

#[test]
fn jsonata_syntax_is_checked() {
    each(
        "jsonata",
        &[
            (
                r#"{"Type": "Pass", "QueryLanguage": "JSONata", "Output": "{% 420. %}", "End": true}"#,
                "asl-jsonata",
            ),
            (
                r#"{"Type": "Pass", "QueryLanguage": "JSONata", "Output": {"a": ["{% $.b[?(@.c < 10)] %}"]}, "End": true}"#,
                "asl-jsonata",
            ),
            (
                r#"{"Type": "Pass", "QueryLanguage": "JSONata", "Assign": {"a": "{% %}"}, "End": true}"#,
                "asl-jsonata",
            ),
            (
                r#"{"Type": "Pass", "QueryLanguage": "JSONata", "Output": "{% ${Greeting} + %}", "End": true}"#,
                "",
            ),
            (
                r#"{"Type": "Pass", "QueryLanguage": "JSONata", "Output": "{% 1", "End": true}"#,
                "asl-query-language",
            ),
            (
                r#"{"Greet": {"Type": "Choice", "QueryLanguage": "JSONata", "Choices": [{"Condition": "{% a == b %}", "Next": "B"}]}, "B": {"Type": "Succeed"}}"#,
                "asl-jsonata",
            ),
        ],
    );
}
