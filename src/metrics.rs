//! What the bridge counts and times, for CloudWatch: lines in its embedded metric format on standard output, which Lambda
//! carries there. Names, units and dimensions are told by the catalogue, [`Metric::ALL`].
//!
//! The crates for this format bring a registry, a layer and a `Drop` of their own; a line is all that is needed here.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};

use crate::clock;
use crate::config::Lookup;

mod catalogue;

pub use catalogue::{Dimension, Metric, Unit};

/// The namespace where no variable names one.
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

/// What one message, or one invocation, adds.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Measurements(BTreeMap<Place, BTreeMap<Metric, Vec<i64>>>);

/// The values of the dimensions.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    route: Option<String>,
    outcome: Option<&'static str>,
}

impl Metrics {
    /// Writes to standard output, in the namespace of [`NAMESPACE_VARIABLE`].
    pub fn new(lookup: Lookup<'_>) -> Self {
        let namespace = lookup(NAMESPACE_VARIABLE).filter(|name| !name.is_empty());
        Self::to(
            namespace.as_deref().unwrap_or(NAMESPACE),
            clock::now_ms,
            |line| println!("{line}"),
        )
    }

    /// Gives each line to `write`.
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

    /// Writes nothing anywhere.
    pub fn none() -> Self {
        Self::to(NAMESPACE, clock::now_ms, |_| {})
    }

    /// Writes a line for one value alone, as [`Measurements::add`] takes it.
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

    /// Writes a line for each route and outcome that was measured.
    pub fn write(&self, measurements: Measurements) {
        for (place, values) in &measurements.0 {
            let document = Document {
                namespace: &self.namespace,
                now_ms: (self.now_ms)(),
                place,
                values,
            };
            let line = serde_json::to_string(&document).expect("strings and numbers serialize");
            (self.write)(&line);
        }
    }
}

impl Measurements {
    /// Adds one to a metric without dimensions.
    pub fn count(&mut self, metric: Metric) {
        self.add(metric, 1, None, None);
    }

    /// Adds one for a route, where one is known.
    pub fn count_route(&mut self, metric: Metric, route: Option<&str>) {
        self.add(metric, 1, route, None);
    }

    /// Adds `value` for a route and an outcome, as far as they are known. A metric that has no such dimension is counted
    /// without it; counts of one place are summed up, times are kept one by one (at most 100 of a place go out).
    pub fn add(
        &mut self,
        metric: Metric,
        value: i64,
        route: Option<&str>,
        outcome: Option<&'static str>,
    ) {
        let has = |dimension| metric.dimensions().contains(&dimension);
        let place = Place {
            route: route.filter(|_| has(Dimension::Route)).map(str::to_owned),
            outcome: outcome.filter(|_| has(Dimension::Outcome)),
        };
        let values = self.0.entry(place).or_default().entry(metric).or_default();
        match (metric.unit(), values.as_mut_slice()) {
            (Unit::Count, [sum]) => *sum = sum.saturating_add(value),
            (_, full) if full.len() == VALUES_MAX => {}
            _ => values.push(value),
        }
    }
}

/// Most values of one metric in a line, by the format's specification.
const VALUES_MAX: usize = 100;

/// A line of the format.
struct Document<'a> {
    namespace: &'a str,
    now_ms: i64,
    place: &'a Place,
    values: &'a BTreeMap<Metric, Vec<i64>>,
}

/// What tells CloudWatch which members of the line are metrics.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Metadata<'a> {
    timestamp: i64,
    cloud_watch_metrics: Vec<Directive<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Directive<'a> {
    namespace: &'a str,
    dimensions: Vec<Vec<&'static str>>,
    metrics: Vec<Definition>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Definition {
    name: &'static str,
    unit: Unit,
}

impl Document<'_> {
    /// The dimensions of a metric that have a value here: all together first, which is none, then each by itself.
    fn dimensions(&self, metric: Metric) -> Vec<Vec<&'static str>> {
        let mut sets = vec![Vec::new()];
        for dimension in metric.dimensions() {
            let known = match dimension {
                Dimension::Route => self.place.route.is_some(),
                Dimension::Outcome => self.place.outcome.is_some(),
            };
            if known {
                sets.push(vec![dimension.name()]);
            }
        }
        sets
    }

    fn metadata(&self) -> Metadata<'_> {
        let mut directives: Vec<Directive> = Vec::new();
        for metric in self.values.keys() {
            let dimensions = self.dimensions(*metric);
            let definition = Definition {
                name: metric.name(),
                unit: metric.unit(),
            };
            match directives.iter_mut().find(|d| d.dimensions == dimensions) {
                Some(directive) => directive.metrics.push(definition),
                None => directives.push(Directive {
                    namespace: self.namespace,
                    dimensions,
                    metrics: vec![definition],
                }),
            }
        }
        Metadata {
            timestamp: self.now_ms,
            cloud_watch_metrics: directives,
        }
    }
}

impl Serialize for Document<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("_aws", &self.metadata())?;
        if let Some(route) = &self.place.route {
            map.serialize_entry(Dimension::Route.name(), route)?;
        }
        if let Some(outcome) = self.place.outcome {
            map.serialize_entry(Dimension::Outcome.name(), outcome)?;
        }
        for (metric, values) in self.values {
            match values.as_slice() {
                [value] => map.serialize_entry(metric.name(), value)?,
                values => map.serialize_entry(metric.name(), values)?,
            }
        }
        map.end()
    }
}

#[cfg(test)]
mod tests;
