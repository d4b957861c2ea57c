//! The metrics on a dashboard, including the results of a SEARCH.

use serde_json::{Value, json};
use workflow_bridge::telemetry::metrics::{Metric, Unit};

use super::{OURS, is_outcome};

/// A metric on a dashboard.
#[derive(Debug)]
pub struct Shown {
    pub namespace: String,
    pub metric: String,
    /// Names with values; a SEARCH has no values.
    pub dimensions: Vec<(String, Option<String>)>,
    pub stat: String,
}

/// AWS's own metrics, with the dimension that selects this stack's.
const AWS: [(&str, &str, &str); 7] = [
    ("AWS/Lambda", "Invocations", "FunctionName"),
    ("AWS/Lambda", "Errors", "FunctionName"),
    ("AWS/Lambda", "Throttles", "FunctionName"),
    ("AWS/Lambda", "Duration", "FunctionName"),
    ("AWS/Lambda", "ConcurrentExecutions", "FunctionName"),
    ("AWS/SQS", "ApproximateNumberOfMessagesVisible", "QueueName"),
    (
        "AWS/SQS",
        "ApproximateNumberOfMessagesNotVisible",
        "QueueName",
    ),
];

impl Shown {
    pub fn dimension_names(&self) -> Vec<&str> {
        self.dimensions
            .iter()
            .map(|(name, _)| name.as_str())
            .collect()
    }

    /// The reason that the metric does not exist or the statistic does not suit it.
    pub fn problem(&self) -> Option<String> {
        let problem = |text: &str| Some(format!("{text}: {self:?}"));
        let names = self.dimension_names();
        if self.namespace != OURS {
            let known = AWS.iter().any(|(namespace, metric, dimension)| {
                (*namespace, *metric) == (self.namespace.as_str(), self.metric.as_str())
                    && names == [*dimension]
            });
            return (!known)
                .then(|| problem("no known metric of AWS"))
                .flatten();
        }
        let Some(metric) = Metric::ALL.iter().find(|one| one.name() == self.metric) else {
            return problem("not in the catalogue");
        };
        let has = |name: &str| metric.dimensions().iter().any(|one| one.name() == name);
        // Each metric is written with at most one dimension at a time.
        if names.len() > 1 || !names.iter().all(|name| has(name)) {
            return problem("not written with these dimensions");
        }
        for (name, value) in &self.dimensions {
            let possible = value
                .as_deref()
                .is_none_or(|value| name == "outcome" && is_outcome(*metric, value));
            if !possible {
                return problem("no such value");
            }
        }
        let fits = match metric.unit() {
            Unit::Count => ["Sum", "SampleCount"].contains(&self.stat.as_str()),
            Unit::Milliseconds => {
                ["p50", "p90", "p99", "Average", "Minimum", "Maximum"].contains(&self.stat.as_str())
            }
        };
        (!fits)
            .then(|| problem("this statistic does not suit it"))
            .flatten()
    }
}

/// All metrics of a body.
pub fn shown(body: &Value) -> Result<Vec<Shown>, String> {
    let mut all = Vec::new();
    for widget in body["widgets"].as_array().into_iter().flatten() {
        let properties = &widget["properties"];
        for metric in properties["metrics"].as_array().into_iter().flatten() {
            let parts = metric.as_array().map(Vec::as_slice).unwrap_or_default();
            let options = parts.last().filter(|part| part.is_object());
            if let Some(expression) = options.and_then(|options| options["expression"].as_str()) {
                all.extend(
                    search(expression).ok_or(format!("expected a SEARCH, found `{expression}`"))?,
                );
                continue;
            }
            let names: Vec<String> = parts
                .iter()
                .filter_map(|part| part.as_str().map(str::to_owned))
                .collect();
            let [namespace, name, dimensions @ ..] = names.as_slice() else {
                return Err(format!("expected a metric, found {metric}"));
            };
            let stat = options.and_then(|options| options["stat"].as_str());
            let stat = stat.or(properties["stat"].as_str()).unwrap_or("Average");
            all.push(Shown {
                namespace: namespace.clone(),
                metric: name.clone(),
                dimensions: dimensions
                    .chunks(2)
                    .map(|pair| (pair[0].clone(), pair.get(1).cloned()))
                    .collect(),
                stat: stat.to_owned(),
            });
        }
    }
    Ok(all)
}

/// The metrics of `SEARCH('{"namespace",dimension} MetricName="name"', 'Sum', 300)`, or of `MetricName=("one" OR "other")`.
fn search(expression: &str) -> Option<Vec<Shown>> {
    let inner = expression
        .strip_prefix("SEARCH('{\"")?
        .strip_suffix(", 300)")?;
    let (schema, rest) = inner.split_once("} MetricName=")?;
    let (namespace, dimension) = schema.split_once("\",")?;
    let (names, stat) = rest.split_once("', '")?;
    let stat = stat.strip_suffix('\'')?;
    let names = match names.strip_prefix('(') {
        Some(names) => names.strip_suffix(')')?,
        None => names,
    };
    let names = names
        .split(" OR ")
        .map(|name| name.strip_prefix('"')?.strip_suffix('"'));
    names
        .map(|name| {
            Some(Shown {
                namespace: namespace.to_owned(),
                metric: name?.to_owned(),
                dimensions: vec![(dimension.to_owned(), None)],
                stat: stat.to_owned(),
            })
        })
        .collect()
}

#[test]
fn a_metric_that_does_not_exist_is_a_problem() {
    let shown = |metric: Value| {
        let widget = json!({"properties": {"stat": "Sum", "metrics": [metric]}});
        shown(&json!({"widgets": [widget]}))
            .map(|all| all.iter().filter_map(Shown::problem).collect::<Vec<_>>())
    };
    let found = |text: &str| shown(json!([{"expression": text}]));
    let sound = [
        shown(json!([OURS, "accepted"])),
        shown(json!([OURS, "refused", "outcome", "not_stored"])),
        shown(json!([OURS, "parked_age", {"stat": "Maximum"}])),
        shown(json!([
            "AWS/SQS",
            "ApproximateNumberOfMessagesVisible",
            "QueueName",
            "q"
        ])),
        found(&format!(
            "SEARCH('{{\"{OURS}\",route}} MetricName=(\"parked\" OR \"redriven\")', 'Sum', 300)"
        )),
    ];
    for one in sound {
        assert_eq!(one.unwrap(), [] as [String; 0]);
    }
    for (one, part) in [
        (shown(json!([OURS, "taken"])), "not in the catalogue"),
        (
            shown(json!([OURS, "accepted", "route", "uppercase"])),
            "not written with",
        ),
        (
            shown(json!([
                OURS,
                "dead_lettered",
                "route",
                "a",
                "outcome",
                "refused"
            ])),
            "not written with",
        ),
        (
            shown(json!([OURS, "refused", "outcome", "lost"])),
            "no such value",
        ),
        (
            shown(json!([OURS, "canary", "outcome", "refused"])),
            "no such value",
        ),
        (shown(json!([OURS, "parked_age"])), "this statistic"),
        (
            shown(json!([OURS, "accepted", {"stat": "p99"}])),
            "this statistic",
        ),
        (
            shown(json!(["AWS/SQS", "Errors", "QueueName", "q"])),
            "no known metric",
        ),
        (
            shown(json!(["AWS/Lambda", "Errors", "QueueName", "q"])),
            "no known metric",
        ),
        (
            shown(json!(["workflow-bridge", "accepted"])),
            "no known metric",
        ),
        (
            found(&format!(
                "SEARCH('{{\"{OURS}\",route}} MetricName=\"accepted\"', 'Sum', 300)"
            )),
            "not written with",
        ),
        (
            found(&format!(
                "SEARCH('{{\"{OURS}\",route}} MetricName=(\"parked\" OR \"x\")', 'Sum', 300)"
            )),
            "not in the catalogue",
        ),
    ] {
        let problems = one.unwrap();
        assert!(
            problems.len() == 1 && problems[0].contains(part),
            "{part}: {problems:?}"
        );
    }
    assert!(found("SUM(METRICS())").is_err());
}
