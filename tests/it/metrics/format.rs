//! Checks lines in CloudWatch's embedded metric format against its specification and the catalogue.

use std::collections::BTreeMap;
use std::fmt;

use serde_json::Value;
use workflow_bridge::telemetry::metrics::Metric;

/// The units of the bridge, all of which the specification has.
const UNITS: [&str; 2] = ["Count", "Milliseconds"];

/// The metrics that CloudWatch extracts from a log.
#[derive(Default)]
pub struct Sums(BTreeMap<Key, Vec<i64>>);

/// A metric's name with the name and the value of its dimension.
type Key = (String, Option<(String, String)>);

impl Sums {
    /// Reads lines `<log group>: <message>`. Panics on an invalid line.
    pub fn of(logs: &str) -> Self {
        let mut sums = Self::default();
        for (_, message) in logs.lines().filter_map(|line| line.split_once(": ")) {
            if message.contains("\"_aws\"") {
                sums.add(message)
                    .unwrap_or_else(|e| panic!("{e}: {message}"));
            }
        }
        sums
    }

    /// Applies the rules of the specification's text and of its JSON Schema.
    fn add(&mut self, message: &str) -> Result<(), String> {
        let line: Value = serde_json::from_str(message).map_err(|e| e.to_string())?;
        let aws = line["_aws"].as_object().ok_or("`_aws` is no object")?;
        if !aws.get("Timestamp").is_some_and(Value::is_i64) {
            return Err("`Timestamp` is no integer".to_owned());
        }
        let directives = aws.get("CloudWatchMetrics").and_then(Value::as_array);
        for directive in directives.ok_or("`CloudWatchMetrics` is no list")? {
            let namespace = directive["Namespace"].as_str().unwrap_or_default();
            if !namespace.starts_with("workflow-bridge/") || namespace.len() > 255 {
                return Err(format!("namespace `{namespace}`"));
            }
            let sets = directive["Dimensions"].as_array();
            let sets = sets
                .filter(|sets| !sets.is_empty())
                .ok_or("no dimension set")?;
            let metrics = directive["Metrics"].as_array();
            let metrics = metrics
                .filter(|metrics| metrics.len() <= 100)
                .ok_or("`Metrics`")?;
            for metric in metrics {
                let name = metric["Name"].as_str().ok_or("a metric without a name")?;
                let known = Metric::ALL.iter().find(|known| known.name() == name);
                let known = known.ok_or_else(|| format!("`{name}` is not in the catalogue"))?;
                let unit = metric["Unit"].as_str().unwrap_or_default();
                if !UNITS.contains(&unit) || unit != format!("{:?}", known.unit()) {
                    return Err(format!("unit `{unit}` of `{name}`"));
                }
                let values = match &line[name] {
                    Value::Array(values) if (1..=100).contains(&values.len()) => values.clone(),
                    value => vec![value.clone()],
                };
                let values: Option<Vec<i64>> = values.iter().map(Value::as_i64).collect();
                let values = values.ok_or_else(|| format!("no number in `{name}`"))?;
                for set in sets {
                    let dimension = self::dimension(set, &line, *known)?;
                    let key = (name.to_owned(), dimension);
                    self.0.entry(key).or_default().extend(&values);
                }
            }
        }
        Ok(())
    }

    /// The sum without dimensions.
    pub fn total(&self, metric: Metric) -> i64 {
        let values = self.0.get(&(metric.name().to_owned(), None));
        values.map_or(0, |values| values.iter().sum())
    }

    pub fn by(&self, metric: Metric, dimension: &str, value: &str) -> i64 {
        let dimension = Some((dimension.to_owned(), value.to_owned()));
        let values = self.0.get(&(metric.name().to_owned(), dimension));
        values.map_or(0, |values| values.iter().sum())
    }

    pub fn samples(&self, metric: Metric) -> usize {
        self.0
            .get(&(metric.name().to_owned(), None))
            .map_or(0, Vec::len)
    }
}

/// The dimension of a set with at most one; the catalogue must list it for the metric.
fn dimension(
    set: &Value,
    line: &Value,
    metric: Metric,
) -> Result<Option<(String, String)>, String> {
    let set = set.as_array().ok_or("a dimension set is no list")?;
    let name = match &set[..] {
        [] => return Ok(None),
        [name] => name.as_str().ok_or("a dimension is no text")?,
        _ => return Err("more than one dimension at once".to_owned()),
    };
    if !metric.dimensions().iter().any(|known| known.name() == name) {
        return Err(format!("dimension `{name}` of `{}`", metric.name()));
    }
    let value = line[name]
        .as_str()
        .filter(|value| (1..=1024).contains(&value.len()));
    let value = value.ok_or_else(|| format!("no value of dimension `{name}`"))?;
    Ok(Some((name.to_owned(), value.to_owned())))
}

impl fmt::Display for Sums {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for ((name, dimension), values) in &self.0 {
            let sum: i64 = values.iter().sum();
            let of = dimension.as_ref().map_or("", |(_, value)| value);
            writeln!(
                f,
                "metrics: {name:20} {of:16} {sum:>8} in {} lines",
                values.len()
            )?;
        }
        Ok(())
    }
}

#[test]
fn an_invalid_metric_is_an_error() {
    let line = r#"{"_aws":{"Timestamp":1,"CloudWatchMetrics":[{"Namespace":"workflow-bridge/s","Dimensions":[[],["route"]],"Metrics":[{"Name":"started","Unit":"Count"}]}]},"route":"r","started":1}"#;
    let add = |from: &str, to: &str| Sums::default().add(&line.replace(from, to));
    add("", "").unwrap();
    for (from, to) in [
        ("\"Timestamp\":1", "\"Timestamp\":\"1\""),
        ("\"Dimensions\":[[],[\"route\"]]", "\"Dimensions\":[]"),
        ("[\"route\"]", "[\"topic\"]"),
        ("[\"route\"]", "[\"route\",\"outcome\"]"),
        ("\"route\":\"r\"", "\"route\":\"\""),
        ("\"started\":1", "\"started\":\"1\""),
        ("\"started\":1", "\"started\":[]"),
        ("\"Count\"", "\"Counts\""),
        ("\"Count\"", "\"Milliseconds\""),
        ("\"Name\":\"started\"", "\"Name\":\"begun\""),
        ("workflow-bridge/s", ""),
    ] {
        assert!(add(from, to).is_err(), "{to}");
    }
}
