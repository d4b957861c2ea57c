//! Counts and times for CloudWatch: lines in its embedded metric format on standard output, which Lambda carries there. The
//! catalogue, [`Metric::ALL`], has names, units and dimensions.
//!
//! The crates for this format bring a registry, a layer and a `Drop` of their own; a line is enough here.

use std::fmt::{self, Write};
use std::sync::Arc;

use crate::clock;
use crate::environment::Lookup;
use crate::json::quote;
use crate::telemetry;

mod catalogue;

pub use catalogue::{Dimension, Metric, Unit};

/// The default namespace.
pub const NAMESPACE: &str = "workflow-bridge";

/// The variable with the namespace, as Powertools names it.
pub const NAMESPACE_VARIABLE: &str = "POWERTOOLS_METRICS_NAMESPACE";

/// Writes measurements.
#[derive(Clone)]
pub struct Metrics {
    namespace: Arc<str>,
    write: Arc<dyn Fn(&str) + Send + Sync>,
    /// ms since the epoch.
    now_ms: fn() -> i64,
}

/// The measurements of one message or one invocation: for each place, the values of its metrics, both in order.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Measurements(Vec<(Place, Vec<(Metric, i64)>)>);

/// The values of the dimensions that all metrics of the place have.
#[derive(Clone, Debug, Default, PartialEq)]
struct Place {
    route: Option<String>,
    outcome: Option<&'static str>,
}

/// Capacity for a line like the webhook's.
const USUAL: usize = 512;

impl Metrics {
    /// Writes to standard output, in the namespace of [`NAMESPACE_VARIABLE`].
    pub fn new(lookup: Lookup<'_>) -> Self {
        let namespace = lookup(NAMESPACE_VARIABLE).filter(|name| !name.is_empty());
        Self::to(
            namespace.as_deref().unwrap_or(NAMESPACE),
            clock::now_ms,
            telemetry::write_line,
        )
    }

    /// Gives each complete line to `write`.
    pub fn to(
        namespace: &str,
        now_ms: fn() -> i64,
        write: impl Fn(&str) + Send + Sync + 'static,
    ) -> Self {
        Self {
            namespace: namespace.into(),
            write: Arc::new(write),
            now_ms,
        }
    }

    /// Discards all measurements.
    pub fn none() -> Self {
        Self::to(NAMESPACE, clock::now_ms, |_| {})
    }

    /// Writes a line for a single value; arguments as for [`Measurements::add`].
    pub fn add(
        &self,
        metric: Metric,
        value: i64,
        route: Option<&str>,
        outcome: Option<&'static str>,
    ) {
        let mut measured = Measurements::default();
        measured.add(metric, value, route, outcome);
        self.write(measured);
    }

    /// Writes a line for each measured route and outcome.
    pub fn write(&self, measurements: Measurements) {
        for (place, values) in &measurements.0 {
            if let Ok(line) = self.line(place, values) {
                (self.write)(&line);
            }
        }
    }

    /// A line of the format. CloudWatch's declaration of the metrics comes first.
    fn line(&self, place: &Place, values: &[(Metric, i64)]) -> Result<String, fmt::Error> {
        let metrics = || values.chunk_by(|(one, _), (other, _)| one == other);
        let mut line = String::with_capacity(USUAL);
        line.push_str(r#"{"_aws":{"Timestamp":"#);
        write!(line, "{}", (self.now_ms)())?;
        line.push_str(r#","CloudWatchMetrics":[{"Namespace":"#);
        quote(&mut line, &self.namespace)?;
        // Without a dimension, then by each of them.
        line.push_str(r#","Dimensions":[[]"#);
        for (dimension, _) in place.dimensions() {
            line.extend([r#",[""#, dimension.name(), r#""]"#]);
        }
        line.push_str(r#"],"Metrics":["#);
        for (at, same) in metrics().enumerate() {
            let (metric, unit) = (same[0].0.name(), same[0].0.unit().name());
            let comma = if at > 0 { "," } else { "" };
            line.extend([
                comma,
                r#"{"Name":""#,
                metric,
                r#"","Unit":""#,
                unit,
                r#""}"#,
            ]);
        }
        line.push_str("]}]}");
        for (dimension, value) in place.dimensions() {
            line.extend([r#",""#, dimension.name(), r#"":"#]);
            quote(&mut line, value)?;
        }
        for same in metrics() {
            line.extend([r#",""#, same[0].0.name(), r#"":"#]);
            match same {
                [(_, value)] => write!(line, "{value}")?,
                _ => {
                    let values: Vec<i64> = same.iter().map(|(_, value)| *value).collect();
                    write!(line, "{}", serde_json::json!(values))?;
                }
            }
        }
        line.push_str("}\n");
        Ok(line)
    }
}

impl Measurements {
    /// Adds one to a metric without dimensions.
    pub fn count(&mut self, metric: Metric) {
        self.add(metric, 1, None, None);
    }

    /// Adds one for a route, if it is known.
    pub fn count_route(&mut self, metric: Metric, route: Option<&str>) {
        self.add(metric, 1, route, None);
    }

    /// Adds `value` for a route and an outcome, if they are known and are dimensions of the metric. Counts of one place are
    /// summed; times are kept one by one (at most 100 of a place are written).
    pub fn add(
        &mut self,
        metric: Metric,
        value: i64,
        route: Option<&str>,
        outcome: Option<&'static str>,
    ) {
        let has = |dimension| metric.dimensions().contains(&dimension);
        let route = route.filter(|_| has(Dimension::Route));
        let outcome = outcome.filter(|_| has(Dimension::Outcome));
        let place = (self.0).binary_search_by(|(place, _)| {
            (place.route.as_deref(), place.outcome).cmp(&(route, outcome))
        });
        let place = place.unwrap_or_else(|at| {
            let route = route.map(str::to_owned);
            self.0.insert(at, (Place { route, outcome }, Vec::new()));
            at
        });
        let values = &mut self.0[place].1;
        let start = values.partition_point(|(known, _)| *known < metric);
        let end = values.partition_point(|(known, _)| *known <= metric);
        match (metric.unit(), &mut values[start..end]) {
            (Unit::Count, [(_, sum)]) => *sum = sum.saturating_add(value),
            (_, full) if full.len() == VALUES_MAX => {}
            _ => values.insert(end, (metric, value)),
        }
    }
}

impl Place {
    fn dimensions(&self) -> impl Iterator<Item = (Dimension, &str)> {
        let route = self
            .route
            .iter()
            .map(|route| (Dimension::Route, route.as_str()));
        route.chain(self.outcome.map(|outcome| (Dimension::Outcome, outcome)))
    }
}

/// Most values of one metric in a line, by the format's specification.
const VALUES_MAX: usize = 100;

#[cfg(test)]
mod tests;
