//! The alarms: each watches an existing metric, is within CloudWatch's limits and has a runbook.

use std::collections::BTreeSet;
use std::fs;

use serde_json::{Value, json};
use workflow_bridge::tools::local::workspace::Workspace;
use workflow_bridge::tools::template::Resolver;

use super::graphs::Shown;
use super::{EVERYTHING, resolver, shipped};

/// The logical ID and the properties of each alarm in a deployment with these parameters.
pub fn of(template: &Value, resolver: &Resolver) -> Vec<(String, Value)> {
    let resources = template["Resources"].as_object().unwrap().iter();
    let alarms = resources.filter(|(_, resource)| resource["Type"] == "AWS::CloudWatch::Alarm");
    let wanted = alarms.filter(|(_, resource)| {
        let condition = resource["Condition"].as_str();
        condition.is_none_or(|name| resolver.condition(name).unwrap())
    });
    wanted
        .map(|(id, resource)| (id.clone(), resolver.value(&resource["Properties"])))
        .collect()
}

fn number(alarm: &Value, name: &str) -> Option<f64> {
    match &alarm[name] {
        Value::String(text) => text.parse().ok(),
        value => value.as_f64(),
    }
}

/// Properties that CloudWatch refuses, or with which the alarm never or always fires.
pub fn problems(alarm: &Value) -> Vec<String> {
    let text = |name: &str| alarm[name].as_str().unwrap_or_default();
    let dimensions = alarm["Dimensions"].as_array().cloned().unwrap_or_default();
    let dimensions = dimensions.iter().map(|one| {
        let part = |name: &str| one[name].as_str().map(str::to_owned);
        (part("Name").unwrap_or_default(), part("Value"))
    });
    let watched = Shown {
        namespace: text("Namespace").to_owned(),
        metric: text("MetricName").to_owned(),
        dimensions: dimensions.collect(),
        stat: text("Statistic").to_owned(),
    };
    let mut problems: Vec<String> = watched.problem().into_iter().collect();
    let mut check = |holds: bool, problem: &str| {
        if !holds {
            problems.push(format!("{}: {problem}", text("AlarmName")));
        }
    };
    let (period, periods) = (number(alarm, "Period"), number(alarm, "EvaluationPeriods"));
    let (period, periods) = (period.unwrap_or_default(), periods.unwrap_or_default());
    check(
        period >= 60.0 && period % 60.0 == 0.0,
        "a period is a multiple of a minute",
    );
    // A day, or a week if the period is an hour or more.
    let longest = if period < 3600.0 { 86_400.0 } else { 604_800.0 };
    check(
        (period..=longest).contains(&(period * periods)),
        "the evaluation reaches too far back",
    );
    let enough = number(alarm, "DatapointsToAlarm").unwrap_or(periods);
    check(
        (1.0..=periods).contains(&enough),
        "more data points than periods",
    );
    let comparison = text("ComparisonOperator");
    let threshold = number(alarm, "Threshold").unwrap_or_default();
    check(
        threshold >= 1.0,
        "a threshold below one is always or never passed",
    );
    // Missing data is a breach for an alarm below a threshold only.
    let missing = match comparison {
        "LessThanThreshold" => "breaching",
        "GreaterThanOrEqualToThreshold" => "notBreaching",
        _ => "unknown comparison",
    };
    check(
        text("TreatMissingData") == missing,
        "missing data would mean the opposite",
    );
    let slug = text("AlarmName")
        .rsplit_once("workflow-bridge-")
        .map_or("", |(_, slug)| slug);
    let description = text("AlarmDescription");
    let leads_on = description.ends_with(&format!(". docs/operations.md#{slug}"));
    check(
        !slug.is_empty() && leads_on,
        "the description ends with the address of its runbook",
    );
    check(
        description.contains(": ") && description.len() < 250,
        "the description says what to do",
    );
    problems
}

#[test]
fn every_alarm_watches_an_existing_metric_and_has_a_runbook() {
    let template = shipped();
    let topic = json!("arn:aws:sns:us-east-1:123456789012:alarms");
    let resolver = resolver(&template, &EVERYTHING).with("AlarmTopicArn", topic.clone());
    let alarms = of(&template, &resolver);
    assert!(alarms.len() > 10, "{}", alarms.len());
    let all = template["Resources"].as_object().unwrap().values();
    let all = all.filter(|resource| resource["Type"] == "AWS::CloudWatch::Alarm");
    assert_eq!(
        alarms.len(),
        all.count(),
        "these parameters add every alarm"
    );
    for (id, alarm) in &alarms {
        assert_eq!(problems(alarm), [] as [String; 0], "{id}");
        for actions in ["AlarmActions", "OKActions"] {
            assert_eq!(alarm[actions], json!([topic]), "{id}");
        }
    }
}

#[test]
fn every_allowed_parameter_stays_within_the_limits() {
    let template = shipped();
    let least_and_most = |name: &str, default: i64| {
        let bound = |key: &str| template["Parameters"][name][key].as_i64();
        [
            bound("MinValue").unwrap_or(default).max(1),
            bound("MaxValue").unwrap_or(default),
        ]
    };
    let mut seen = BTreeSet::new();
    for minutes in template["Parameters"]["CanaryMinutes"]["AllowedValues"]
        .as_array()
        .unwrap()
    {
        for quiet in least_and_most("NoSuccessMinutes", 1) {
            let parameters = [
                ("CanaryMinutes", minutes.as_i64().unwrap()),
                ("NoSuccessMinutes", quiet),
            ];
            let resolver = resolver(&template, &parameters);
            for (id, alarm) in of(&template, &resolver) {
                assert_eq!(problems(&alarm), [] as [String; 0], "{id} {parameters:?}");
                if id == "CanaryAlarm" {
                    assert_eq!(
                        alarm["Period"].as_i64().unwrap(),
                        minutes.as_i64().unwrap() * 60
                    );
                    seen.insert(alarm["Period"].as_i64());
                }
            }
        }
    }
    assert_eq!(seen.len(), 5);
}

#[test]
fn every_alarm_has_a_runbook_and_every_runbook_an_alarm() {
    let workspace = Workspace::find().unwrap();
    let page = fs::read_to_string(workspace.root().join("docs/operations.md")).unwrap();
    let (_, runbooks) = page.split_once("\n## Runbooks\n").unwrap();
    let runbooks = runbooks.split("\n## ").next().unwrap();
    let written: BTreeSet<_> = runbooks
        .lines()
        .filter_map(|line| line.strip_prefix("### "))
        .collect();
    let template = shipped();
    let resolver = resolver(&template, &EVERYTHING);
    let alarms = of(&template, &resolver);
    let names = alarms
        .iter()
        .map(|(_, alarm)| alarm["AlarmName"].as_str().unwrap());
    let mut names: BTreeSet<_> = names
        .map(|name| name.strip_prefix("workflow-bridge-").unwrap())
        .collect();
    // The relay's alarm names its runbook.
    let relay = fs::read_to_string(workspace.root().join("relay.yaml")).unwrap();
    assert!(relay.contains(" docs/operations.md#no-relay\n"));
    names.insert("no-relay");
    assert_eq!(written, names);
}

#[test]
fn a_broken_alarm_is_a_problem() {
    let template = shipped();
    let alarms = of(&template, &resolver(&template, &EVERYTHING));
    let (_, sound) = alarms
        .iter()
        .find(|(id, _)| id == "NotStoredAlarm")
        .unwrap();
    for (name, value, part) in [
        ("MetricName", json!("lost"), "not in the catalogue"),
        (
            "Dimensions",
            json!([{"Name": "outcome", "Value": "lost"}]),
            "no such value",
        ),
        (
            "Dimensions",
            json!([{"Name": "route", "Value": "uppercase"}]),
            "not written with",
        ),
        ("Statistic", json!("Maximum"), "this statistic"),
        ("Period", json!(90), "multiple of a minute"),
        ("EvaluationPeriods", json!(1441), "too far"),
        ("DatapointsToAlarm", json!(16), "more data points"),
        ("Threshold", json!(0), "below one"),
        ("TreatMissingData", json!("breaching"), "the opposite"),
        (
            "ComparisonOperator",
            json!("LessThanThreshold"),
            "the opposite",
        ),
        ("AlarmName", json!("workflow-bridge-other"), "its runbook"),
        (
            "AlarmDescription",
            json!("Lost. docs/operations.md#not-stored"),
            "what to do",
        ),
    ] {
        let mut broken = sound.clone();
        broken[name] = value;
        let found = problems(&broken);
        assert!(
            found.iter().any(|problem| problem.contains(part)),
            "{part}: {found:?}"
        );
    }
}
