//! The check finds every piece removed from the shipped template.

use std::fs;

use serde_json::{Value, json};
use workflow_bridge::tools::check::check;
use workflow_bridge::tools::template;

use super::{Scratch, fixtures, found, root};

/// The shipped template with its state machines, as JSON in a folder of its own.
fn shipped(scratch: &Scratch) -> Value {
    fs::create_dir_all(scratch.0.join("statemachines")).unwrap();
    for entry in fs::read_dir(root().join("statemachines")).unwrap() {
        let file = entry.unwrap().path();
        fs::copy(
            &file,
            scratch
                .0
                .join("statemachines")
                .join(file.file_name().unwrap()),
        )
        .unwrap();
    }
    template::read(&root().join("template.yaml")).unwrap()
}

/// Every pointer into `value` that `wanted` accepts.
fn pointers(
    value: &Value,
    pointer: &str,
    wanted: &dyn Fn(&str, &Value) -> bool,
    all: &mut Vec<String>,
) {
    if wanted(pointer, value) {
        all.push(pointer.to_owned());
    }
    match value {
        Value::Array(list) => list
            .iter()
            .enumerate()
            .for_each(|(i, item)| pointers(item, &format!("{pointer}/{i}"), wanted, all)),
        Value::Object(map) => map
            .iter()
            .for_each(|(key, inner)| pointers(inner, &template::below(pointer, key), wanted, all)),
        _ => {}
    }
}

fn without(value: &Value, pointer: &str) -> Value {
    let mut value = value.clone();
    let (parent, key) = pointer.rsplit_once('/').unwrap();
    match value.pointer_mut(parent).unwrap() {
        Value::Array(list) => drop(list.remove(key.parse().unwrap())),
        Value::Object(map) => drop(map.remove(&key.replace("~1", "/").replace("~0", "~"))),
        other => panic!("{pointer}: {other}"),
    }
    value
}

/// Removes each right of a function and each piece of a rule into the completion's queue.
#[test]
fn a_missing_right_or_rule_of_the_shipped_template_is_found() {
    let scratch = Scratch::new("mutations");
    let mut template = shipped(&scratch);
    // With the canary, which is not deployed by default.
    template["Parameters"]["CanaryMinutes"]["Default"] = json!(5);
    let file = scratch.0.join("template.json");
    let mut taken = Vec::new();
    for (id, resource) in template["Resources"].as_object().unwrap() {
        let kind = resource["Type"].as_str().unwrap();
        let text = resource.to_string();
        let of_functions = kind == "AWS::IAM::Policy"
            || (kind == "AWS::IAM::Role" && text.contains("lambda.amazonaws.com"));
        let of_rules = kind == "AWS::Events::Rule" && text.contains("CompletionsQueue");
        let of_queues = kind == "AWS::SQS::QueuePolicy" && text.contains("rule/${AWS::StackName}");
        // Skips rights under a condition that is false by default, such as that of ClaimsBucket.
        let statement = |pointer: &str, value: &Value| {
            let in_policy =
                pointer.contains("/PolicyDocument/Statement/") && !pointer.contains("AssumeRole");
            // One of several resources counts by itself.
            let parent = pointer.rsplit_once('/').unwrap_or_default().0;
            in_policy
                && (value["Effect"] == "Allow" || parent.ends_with("/Resource"))
                && !pointer.contains("/Fn::If/")
                && !pointer.contains("/Resource/Fn::")
        };
        let of_rule = |pointer: &str, value: &Value| {
            let last = pointer.rsplit_once('/').unwrap_or_default();
            last.1 == "DeadLetterConfig"
                // Only a route with `reply.started` needs the events of starts.
                || (last.0.ends_with("/status") && value != "RUNNING")
                || last.0.ends_with("/stateMachineArn")
                || last.0.ends_with("/Targets")
        };
        let at = template::below("/Resources", id);
        if of_functions || of_queues {
            pointers(resource, &at, &statement, &mut taken);
        }
        if of_rules {
            taken.push(at.clone());
            pointers(resource, &at, &of_rule, &mut taken);
        }
    }
    assert!(taken.len() > 70, "{}", taken.len());
    for pointer in taken {
        let mutant = without(&template, &pointer);
        fs::write(&file, mutant.to_string()).unwrap();
        let found = found(&file);
        assert!(
            found
                .iter()
                .any(|finding| finding.contains(" iam-missing") || finding.contains(" rule-")),
            "the loss of {pointer} is not found: {found:?}"
        );
    }
}

/// Removes each trigger and each table of routes, each alarm on dead letters, and each name of a state machine.
#[test]
fn a_missing_piece_of_the_collection_is_found() {
    let scratch = Scratch::new("collection");
    let template = shipped(&scratch);
    let file = scratch.0.join("template.json");
    let mut taken = Vec::new();
    let resources = template["Resources"].as_object().unwrap();
    for (id, resource) in resources {
        let at = template::below("/Resources", id);
        let on_dead_letters = resource.to_string().contains("DeadLetterQueue\"");
        if resource["Type"] == "AWS::CloudWatch::Alarm" && on_dead_letters {
            taken.push((at.clone(), "dead-letter-alarm"));
        }
        let part = |pointer: &str, _: &Value| {
            let last = pointer.rsplit_once('/').unwrap_or_default();
            last.1 == "ROUTES_TABLE"
        };
        let mut tables = Vec::new();
        pointers(resource, &at, &part, &mut tables);
        taken.extend(tables.into_iter().map(|pointer| {
            let writes = pointer.contains("RoutesFunction");
            let code = if writes {
                "function-variable"
            } else {
                "routes-table"
            };
            (pointer, code)
        }));
        let binary = resource.pointer("/Metadata/BuildProperties/Binary");
        if binary.is_some_and(|binary| binary == "routes" || binary == "sweep") {
            let events = resource["Properties"]["Events"].as_object().unwrap();
            let events = events
                .keys()
                .map(|name| format!("{at}/Properties/Events/{name}"));
            taken.extend(events.map(|pointer| (pointer, "trigger-missing")));
        }
        if resource["Type"] == "AWS::Serverless::StateMachine" && resource["Condition"].is_null() {
            taken.push((format!("{at}/Properties/Name"), "iam-missing"));
            taken.push((format!("{at}/Properties/Name"), "rule-missing"));
        }
    }
    // Two alarms, five tables, two triggers and a schedule, and a name with its two effects.
    assert!(taken.len() >= 12, "{taken:#?}");
    for (pointer, code) in taken {
        fs::write(&file, without(&template, &pointer).to_string()).unwrap();
        let found = found(&file);
        assert!(
            found
                .iter()
                .any(|finding| finding.contains(&format!(" {code}"))),
            "the loss of {pointer} is not found as {code}: {found:?}"
        );
    }
}

/// A wrong value at any place gives findings, never a panic.
#[test]
fn no_file_makes_the_check_panic() {
    let scratch = Scratch::new("anything");
    let wrap = "{\"Resources\": {\"M\": {\"Type\": \"AWS::Serverless::StateMachine\", \"Properties\": {\"Definition\": null}}}}";
    let file = scratch.0.join("template.json");
    let bases = ["base.yaml", "collected.yaml", "workflow.yaml"];
    let bases = bases.map(|name| template::read(&fixtures().join(name)).unwrap());
    let definition = fs::read_to_string(fixtures().join("definitions/nested.asl.json")).unwrap();
    let mut inline: Value = serde_json::from_str(wrap).unwrap();
    inline["Resources"]["M"]["Properties"]["Definition"] =
        serde_json::from_str(&definition).unwrap();
    for document in bases.into_iter().chain([inline]) {
        let mut all = Vec::new();
        pointers(&document, "", &|pointer, _| !pointer.is_empty(), &mut all);
        for (i, pointer) in all.iter().enumerate() {
            let others = [
                Value::Null,
                7.into(),
                "${x".into(),
                json!([[]]),
                json!({"Ref": 1}),
            ];
            let mut mutant = document.clone();
            // Each place gets one of the values; over all places, each value occurs.
            *mutant.pointer_mut(pointer).unwrap() = others[i % others.len()].clone();
            fs::write(&file, mutant.to_string()).unwrap();
            check(&file);
        }
    }
}
