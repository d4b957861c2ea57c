use serde_json::json;

use super::*;

fn drawn(definition: serde_json::Value) -> Vec<String> {
    let flowchart = flowchart(&definition.to_string()).unwrap();
    flowchart
        .lines()
        .map(|line| line.trim().to_owned())
        .collect()
}

fn refused(definition: serde_json::Value) -> String {
    format!("{:#}", flowchart(&definition.to_string()).unwrap_err())
}

#[test]
fn a_state_machine_is_drawn_from_start_to_end() {
    let definition = json!({"StartAt": "Has text", "States": {
        "Answer": {"Type": "Task", "Resource": "arn:aws:states:::events:putEvents", "Retry": [{}], "Catch": [{"ErrorEquals": ["States.ALL"], "Next": "Broken"}], "End": true},
        "Broken": {"Type": "Fail", "Error": "Answer.Broken"},
        "Done": {"Type": "Succeed"},
        "Has text": {"Type": "Choice", "Choices": [{"Condition": "{% $states.input.text != '' %}", "Next": "Hold on"}], "Default": "Done"},
        "Hold on": {"Type": "Wait", "Seconds": 5, "Next": "Answer"},
        "Nowhere": {"Type": "Pass", "End": true},
    }});
    assert_eq!(
        flowchart(&definition.to_string()).unwrap(),
        r#"flowchart TD
  classDef fails stroke:#d33,stroke-width:2px
  begin(["start"])
  s1{"Has text<br/>Choice"}
  s2[/"Hold on<br/>Wait: 5 s"/]
  s3(["Done<br/>Succeed"])
  s4["Answer<br/>Task: events:putEvents, retried"]
  s5(["Broken<br/>Fail: Answer.Broken"]):::fails
  s6["Nowhere<br/>Pass"]
  begin --> s1
  s1 -->|"input.text != ''"| s2
  s1 -->|"else"| s3
  s2 --> s4
  s4 -.->|"States.ALL"| s5
  finish(["end"])
  s3 --> finish
  s4 --> finish
  s6 --> finish
"#
    );
}

#[test]
fn map_and_parallel_are_boxes_around_their_states() {
    let branch =
        |name: &str| json!({"StartAt": name, "States": {name: {"Type": "Pass", "End": true}}});
    let lines = drawn(json!({"StartAt": "Both", "States": {
        "Both": {"Type": "Parallel", "Branches": [branch("Left"), branch("Right")], "Next": "Each"},
        "Each": {"Type": "Map", "Items": "{% $states.input.list %}", "ItemProcessor": branch("One"), "End": true},
    }}));
    assert_eq!(
        lines[3..],
        [
            "subgraph s1[\"Both, Parallel\"]",
            "e1((\" \"))",
            "s2[\"Left<br/>Pass\"]",
            "e1 --> s2",
            "s3[\"Right<br/>Pass\"]",
            "e1 --> s3",
            "end",
            "subgraph s4[\"Each, Map: each of input.list\"]",
            "e4((\" \"))",
            "s5[\"One<br/>Pass\"]",
            "e4 --> s5",
            "end",
            "begin --> s1",
            "s1 --> s4",
            "finish([\"end\"])",
            "s4 --> finish",
        ]
    );
}

#[test]
fn tasks_have_short_summaries() {
    let note = |resource: &str| {
        let state = json!({"Type": "Task", "Resource": resource, "End": true});
        let lines = drawn(json!({"StartAt": "A", "States": {"A": state}}));
        lines[3]
            .trim_start_matches("s1[\"A<br/>Task: ")
            .trim_end_matches("\"]")
            .to_owned()
    };
    for (resource, expected) in [
        (
            "arn:aws:states:::aws-sdk:translate:translateText",
            "translate:translateText",
        ),
        (
            "arn:${AWS::Partition}:states:::dynamodb:updateItem",
            "dynamodb:updateItem",
        ),
        (
            "arn:aws:states:::sqs:sendMessage.waitForTaskToken",
            "sqs:sendMessage, waits for an answer",
        ),
        (
            "arn:aws:states:::states:startExecution.sync:2",
            "states:startExecution, waits for its end",
        ),
        (
            "arn:aws:lambda:us-east-1:123456789012:function:mine",
            "mine",
        ),
        ("${Function}", "${Function}"),
        ("", ""),
    ] {
        assert_eq!(
            note(resource),
            if resource.is_empty() {
                "s1[\"A<br/>Task"
            } else {
                expected
            }
        );
    }
}

#[test]
fn conditions_are_shortened_in_both_languages() {
    let label = |mut rule: serde_json::Value| {
        rule["Next"] = json!("B");
        let lines = drawn(json!({"StartAt": "A", "States": {
            "A": {"Type": "Choice", "Choices": [rule]}, "B": {"Type": "Succeed"},
        }}));
        let line = lines
            .iter()
            .find(|line| line.starts_with("s1 -->"))
            .unwrap();
        line.trim_start_matches("s1 -->|\"")
            .trim_end_matches("\"| s2")
            .to_owned()
    };
    for (rule, expected) in [
        (
            json!({"Condition": "{%\n  $states.input.n\n  = 1 %}"}),
            "input.n = 1",
        ),
        (
            json!({"Condition": "{% $length($states.input.message.text) > 100 and true %}"}),
            "$length(input.message.text) #62; 100 and true",
        ),
        (
            json!({"Condition": format!("{{% {} %}}", "abc ".repeat(40))}),
            "abc abc abc abc abc abc abc abc abc abc abc abc…",
        ),
        (
            json!({"Condition": "{% $x = '\"#|' %}"}),
            "$x = '#34;#35;#124;'",
        ),
        (json!({"Condition": true}), "true"),
        (
            json!({"Variable": "$.kind", "StringEquals": "order"}),
            "$.kind = order",
        ),
        (
            json!({"Not": {"Variable": "$.n", "NumericLessThanPath": "$.most"}}),
            "not ($.n #60; $.most)",
        ),
        (
            json!({"And": [{"Variable": "$.a", "IsPresent": true}, {"Or": [{"Variable": "$.b", "BooleanEquals": false}]}]}),
            "$.a IsPresent true and $.b = false",
        ),
        (json!({}), "?"),
    ] {
        assert_eq!(label(rule), expected);
    }
}

#[test]
fn an_invalid_state_machine_is_refused_with_its_state() {
    let one = |state: serde_json::Value| json!({"StartAt": "A", "States": {"A": state}});
    let inner = one(json!({"Type": "Pass"}));
    for (definition, parts) in [
        (json!([]), ["`States`", "found none"]),
        (json!({"States": {}}), ["`StartAt`", "found none"]),
        (json!({"StartAt": "B", "States": {}}), ["`StartAt`", "`B`"]),
        (
            one(json!({"Type": "Lambda"})),
            ["state `A`", "found `Lambda`"],
        ),
        (one(json!("Pass")), ["state `A`", "found `none`"]),
        (one(json!({"Type": "Pass"})), ["state `A`", "found neither"]),
        (
            one(json!({"Type": "Pass", "End": true, "Next": "A"})),
            ["state `A`", "found both"],
        ),
        (
            one(json!({"Type": "Pass", "Next": "B"})),
            ["state `A`", "`B`"],
        ),
        (
            one(json!({"Type": "Pass", "Next": 1})),
            ["state `A`", "`Next`"],
        ),
        (
            one(json!({"Type": "Choice", "Choices": []})),
            ["state `A`", "`Choices`"],
        ),
        (
            one(json!({"Type": "Choice", "Choices": [{}]})),
            ["state `A`", "`Next`"],
        ),
        (
            one(json!({"Type": "Task", "End": true, "Catch": {}})),
            ["state `A`", "`Catch`"],
        ),
        (
            one(json!({"Type": "Map", "End": true})),
            ["state `A`", "`ItemProcessor`"],
        ),
        (
            one(json!({"Type": "Map", "End": true, "Iterator": inner})),
            ["state `A`: `ItemProcessor`: state `A`", "neither"],
        ),
        (
            one(json!({"Type": "Parallel", "End": true})),
            ["state `A`", "`Branches`"],
        ),
        (
            one(json!({"Type": "Parallel", "End": true, "Branches": [1]})),
            ["state `A`: branch 1", "`States`"],
        ),
    ] {
        let error = refused(definition);
        assert!(parts.iter().all(|part| error.contains(part)), "{error}");
    }
    let error = format!("{:#}", flowchart("{\n\"StartAt\": }").unwrap_err());
    assert!(
        error.contains("JSON") && error.contains("line 2"),
        "{error}"
    );
}

#[test]
fn a_picture_goes_between_its_marks() {
    let page = format!("# a\r\n\n{MARK}\nold\n{MARK}  \nmore\n");
    let placed_once = placed(&page, "flowchart TD\n").unwrap();
    assert_eq!(
        placed_once,
        format!("# a\r\n\n{MARK}\n```mermaid\nflowchart TD\n```\n{MARK}  \nmore\n")
    );
    assert_eq!(placed(&placed_once, "flowchart TD\n").unwrap(), placed_once);
    for (page, times) in [("", 0), (MARK, 1), (&format!("{MARK}\n{MARK}\n{MARK}"), 3)] {
        let error = placed(page, "").unwrap_err().to_string();
        assert!(
            error.contains(&format!("found it {times} times")),
            "{error}"
        );
    }
}

proptest::proptest! {
    #[test]
    fn no_text_makes_it_panic(text in ".*", name in ".{0,60}", condition in ".{0,90}") {
        let _ = flowchart(&text);
        let states = json!({&name: {"Type": "Choice", "Choices": [{"Condition": condition, "Next": &name}]}});
        let drawn = flowchart(&json!({"StartAt": &name, "States": states}).to_string()).unwrap();
        // Four quotes around the start and the name, two around a condition.
        let quotes = drawn.matches('"').count();
        proptest::prop_assert!(quotes == 4 || quotes == 6, "{}", drawn);
        proptest::prop_assert_eq!(drawn.lines().count(), 6);
    }
}
