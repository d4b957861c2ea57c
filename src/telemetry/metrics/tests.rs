use std::collections::BTreeSet;
use std::sync::Mutex;

use serde_json::{Value, json};

use super::*;

fn lines(measurements: Measurements) -> Vec<Value> {
    let lines = Arc::new(Mutex::new(Vec::new()));
    let sink = lines.clone();
    let metrics = Metrics::to(
        "n",
        || 17,
        move |line| {
            let line = serde_json::from_str(line).unwrap();
            sink.lock().unwrap().push(line);
        },
    );
    metrics.write(measurements);
    drop(metrics);
    Arc::into_inner(lines).unwrap().into_inner().unwrap()
}

#[test]
fn a_line_has_each_metric_with_its_dimensions() {
    let mut all = Measurements::default();
    all.count(Metric::Received);
    all.count_route(Metric::Started, Some("a"));
    all.add(Metric::AcceptedToStarted, 12, Some("a"), Some("ignored"));
    all.add(Metric::DeadLettered, 1, Some("b"), Some("refused"));
    let count = |name: &str| json!({"Name": name, "Unit": "Count"});
    let directive = |dimensions: Value, metrics: Value| json!({"Namespace": "n", "Dimensions": dimensions, "Metrics": metrics});
    let aws = |directive: Value| json!({"Timestamp": 17, "CloudWatchMetrics": [directive]});
    let expected = [
        json!({"_aws": aws(directive(json!([[]]), json!([count("received")]))), "received": 1}),
        json!({
            "_aws": aws(directive(json!([[], ["route"]]), json!([
                count("started"), {"Name": "accepted_to_started", "Unit": "Milliseconds"},
            ]))),
            "route": "a", "started": 1, "accepted_to_started": 12,
        }),
        json!({
            "_aws": aws(directive(json!([[], ["route"], ["outcome"]]), json!([count("dead_lettered")]))),
            "route": "b", "outcome": "refused", "dead_lettered": 1,
        }),
    ];
    assert_eq!(lines(all), expected);
}

#[test]
fn a_line_is_written_in_the_order_of_the_format() {
    let mut all = Measurements::default();
    all.add(Metric::StartToEnd, 12, Some("a\"b"), None);
    all.count_route(Metric::Published, Some("a\"b"));
    all.add(Metric::StartToEnd, -3, Some("a\"b"), None);
    let text = Arc::new(Mutex::new(String::new()));
    let sink = text.clone();
    let metrics = Metrics::to(
        "n\n",
        || 17,
        move |line| sink.lock().unwrap().push_str(line),
    );
    metrics.write(all);
    let expected = concat!(
        r#"{"_aws":{"Timestamp":17,"CloudWatchMetrics":[{"Namespace":"n\n","Dimensions":[[],["route"]],"Metrics":["#,
        r#"{"Name":"published","Unit":"Count"},{"Name":"start_to_end","Unit":"Milliseconds"}]}]},"#,
        r#""route":"a\"b","published":1,"start_to_end":[12,-3]}"#,
        "\n",
    );
    assert_eq!(*text.lock().unwrap(), expected);
}

#[test]
fn counts_are_summed_and_times_are_kept() {
    let mut all = Measurements::default();
    for i in 0..200 {
        all.count(Metric::Gap);
        all.add(Metric::StartToEnd, i, None, None);
    }
    let line = lines(all).remove(0);
    assert_eq!(line["gap"], 200);
    assert_eq!(line["start_to_end"].as_array().unwrap().len(), VALUES_MAX);
}

#[test]
fn no_line_without_measurements() {
    assert!(lines(Measurements::default()).is_empty());
}

#[test]
fn the_namespace_is_powertools_variable() {
    let named = |value: Option<&str>| {
        let lookup = |name: &str| {
            (name == NAMESPACE_VARIABLE)
                .then(|| value.map(str::to_owned))
                .flatten()
        };
        Metrics::new(&lookup).namespace.to_string()
    };
    assert_eq!(named(Some("mine")), "mine");
    assert_eq!(
        (named(None).as_str(), named(Some("")).as_str()),
        (NAMESPACE, NAMESPACE)
    );
}

#[test]
fn names_are_unique_and_have_a_meaning() {
    let names: BTreeSet<_> = Metric::ALL.iter().map(|metric| metric.name()).collect();
    assert_eq!(names.len(), Metric::ALL.len());
    for metric in Metric::ALL {
        assert!(metric.meaning().ends_with('.'), "{metric:?}");
        assert!(
            metric
                .name()
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b == b'_')
        );
    }
}
