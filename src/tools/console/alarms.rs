//! The alarms of the template: condition, state and runbook.

use serde::Deserialize;
use serde_json::Value;

use super::text::span;

/// The runbooks, one under each alarm's name.
const RUNBOOKS: &str = include_str!("../../../docs/operations.md");

/// The file of a runbook in an alarm's description.
const PLACE: &str = "docs/operations.md#";

/// An alarm as CloudWatch describes it.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Described {
    alarm_name: String,
    alarm_description: String,
    namespace: String,
    metric_name: String,
    dimensions: Vec<Dimension>,
    statistic: String,
    /// Seconds.
    period: i64,
    evaluation_periods: i64,
    datapoints_to_alarm: Option<i64>,
    comparison_operator: String,
    threshold: f64,
    treat_missing_data: String,
    state_value: String,
    /// Seconds since the epoch.
    state_updated_timestamp: Option<f64>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Dimension {
    name: String,
    value: String,
}

impl Described {
    /// The alarms of an answer of DescribeAlarms.
    pub fn read(answer: &Value) -> Vec<Self> {
        let alarms = answer["MetricAlarms"].as_array().into_iter().flatten();
        alarms
            .filter_map(|one| Self::deserialize(one).ok())
            .collect()
    }

    /// `sum of refused (outcome: not_stored) ≥ 1 in 1 of 15 periods of 1 min`
    fn condition(&self) -> String {
        let statistic = match self.statistic.as_str() {
            "Maximum" => "largest".to_owned(),
            other => format!("{} of", other.to_lowercase()),
        };
        let dimensions = self.dimensions.iter();
        let dimensions: Vec<_> = dimensions
            .map(|one| format!("{}: {}", one.name, one.value))
            .collect();
        let dimensions = match dimensions.is_empty() {
            true => String::new(),
            false => format!(" ({})", dimensions.join(", ")),
        };
        let compared = match self.comparison_operator.as_str() {
            "GreaterThanOrEqualToThreshold" => "≥",
            "GreaterThanThreshold" => ">",
            "LessThanThreshold" => "<",
            "LessThanOrEqualToThreshold" => "≤",
            other => other,
        };
        // The bridge's ages are in ms.
        let threshold = match self.metric_name.ends_with("_age") || self.metric_name == "sweep_lag"
        {
            true => span(self.threshold as i64),
            false => self.threshold.to_string(),
        };
        let periods = match (self.datapoints_to_alarm, self.evaluation_periods) {
            (_, 1) => format!("in a period of {}", span(self.period * 1000)),
            (number, all) => format!(
                "in {} of {all} periods of {}",
                number.unwrap_or(all),
                span(self.period * 1000)
            ),
        };
        let missing = match self.treat_missing_data.as_str() {
            "breaching" => "; no data counts as such a period",
            _ => "",
        };
        format!(
            "{statistic} {}{dimensions} {compared} {threshold} {periods}{missing}",
            self.metric_name
        )
    }
}

/// The state of an alarm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    Good,
    Alarm,
    NoData,
    /// The emulator does not compute it.
    Unknown,
}

/// An alarm with a runbook.
#[derive(Clone, Debug)]
pub struct Alarm {
    /// That of its runbook.
    pub name: String,
    /// Its meaning and the remedy, in a sentence.
    pub about: String,
    pub condition: String,
    pub state: State,
    /// The last change of its state, in ms since the epoch.
    pub since: Option<i64>,
    described: Described,
}

/// The alarms with a runbook, by name; those of `stack` only, where it is given.
pub fn with_runbook(found: Vec<Described>, stack: Option<&str>) -> Vec<Alarm> {
    let mut alarms: Vec<_> = found
        .into_iter()
        .filter_map(|described| {
            let (about, name) = described.alarm_description.split_once(PLACE)?;
            let (about, name) = (about.trim().to_owned(), name.trim().to_owned());
            let of_stack = described
                .alarm_name
                .strip_suffix(&name)?
                .strip_suffix('-')?;
            if stack.is_some_and(|stack| stack != of_stack) || runbook(&name).is_none() {
                return None;
            }
            Some(Alarm {
                condition: described.condition(),
                state: match described.state_value.as_str() {
                    "OK" => State::Good,
                    "ALARM" => State::Alarm,
                    _ => State::NoData,
                },
                since: described
                    .state_updated_timestamp
                    .map(|seconds| (seconds * 1000.0) as i64),
                name,
                about,
                described,
            })
        })
        .collect();
    sort(&mut alarms);
    alarms
}

/// Active ones first.
fn sort(alarms: &mut [Alarm]) {
    alarms.sort_by_key(|one| (one.state != State::Alarm, one.name.clone()));
}

/// Replaces the states of the emulator, which ignores dimensions and missing data: an alarm on the depth of a queue gets its
/// state from the present depth, and all others are unknown. `visible` has a queue's depth by its name.
pub fn evaluate(alarms: &mut [Alarm], visible: impl Fn(&str) -> Option<u64>) {
    for alarm in &mut *alarms {
        let described = &alarm.described;
        let is_depth = described.namespace == "AWS/SQS"
            && described.metric_name == "ApproximateNumberOfMessagesVisible";
        let queue = described.dimensions.iter().find(|_| is_depth);
        let depth = queue.and_then(|queue| visible(&queue.value));
        alarm.since = None;
        alarm.state = match depth {
            Some(depth) if depth as f64 >= described.threshold => State::Alarm,
            Some(_) => State::Good,
            None => State::Unknown,
        };
    }
    sort(alarms);
}

/// The runbook of an alarm, in Markdown, without its heading.
pub fn runbook(name: &str) -> Option<&'static str> {
    let (_, rest) = RUNBOOKS.split_once(&format!("\n### {name}\n"))?;
    let end = rest
        .find("\n## ")
        .into_iter()
        .chain(rest.find("\n### "))
        .min();
    Some(rest[..end.unwrap_or(rest.len())].trim())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn described() -> Vec<Described> {
        let alarm = |name: &str, metric: &str, more: Value| {
            let mut alarm = json!({
                "AlarmName": format!("bridge-{name}"), "AlarmDescription": format!("Mend it. docs/operations.md#{name}"),
                "Namespace": "workflow-bridge/bridge", "MetricName": metric, "Statistic": "Sum", "Period": 60,
                "EvaluationPeriods": 15, "DatapointsToAlarm": 1, "Threshold": 1.0,
                "ComparisonOperator": "GreaterThanOrEqualToThreshold", "TreatMissingData": "notBreaching",
                "StateValue": "OK", "StateUpdatedTimestamp": 1.5,
            });
            let object = alarm.as_object_mut().unwrap();
            object.extend(more.as_object().unwrap().clone());
            alarm
        };
        let queue = json!({
            "Namespace": "AWS/SQS", "Dimensions": [{"Name": "QueueName", "Value": "dead"}], "Statistic": "Maximum",
            "EvaluationPeriods": 1, "DatapointsToAlarm": null, "Period": 300, "StateValue": "ALARM",
        });
        let parked = json!({"Threshold": 900_000.0, "Statistic": "Maximum", "StateValue": "INSUFFICIENT_DATA"});
        let success = json!({
            "ComparisonOperator": "LessThanThreshold", "TreatMissingData": "breaching", "DatapointsToAlarm": null,
        });
        Described::read(&json!({"MetricAlarms": [
            alarm("no-success", "accepted", success),
            alarm("parked", "parked_age", parked),
            alarm("dead-letters", "ApproximateNumberOfMessagesVisible", queue),
            alarm("of-another-stack", "x", json!({})),
            alarm("gaps", "gap", json!({"AlarmName": "bridge-two-gaps"})),
        ]}))
    }

    #[test]
    fn an_alarm_has_its_condition_in_words() {
        let alarms = with_runbook(described(), Some("bridge"));
        let words: Vec<_> = alarms
            .iter()
            .map(|one| (one.name.as_str(), one.state, one.condition.as_str()))
            .collect();
        assert_eq!(
            words,
            [
                (
                    "dead-letters",
                    State::Alarm,
                    "largest ApproximateNumberOfMessagesVisible (QueueName: dead) ≥ 1 in a period of 5 min"
                ),
                (
                    "no-success",
                    State::Good,
                    "sum of accepted < 1 in 15 of 15 periods of 1 min; no data counts as such a period"
                ),
                (
                    "parked",
                    State::NoData,
                    "largest parked_age ≥ 15 min in 1 of 15 periods of 1 min"
                ),
            ]
        );
        assert_eq!(
            (alarms[0].about.as_str(), alarms[0].since),
            ("Mend it.", Some(1500))
        );
        assert_eq!(
            with_runbook(described(), None).len(),
            4,
            "gaps of another stack"
        );
    }

    #[test]
    fn locally_the_depth_of_a_queue_decides() {
        let states = |depth: u64| {
            let mut alarms = with_runbook(described(), None);
            evaluate(&mut alarms, |name| (name == "dead").then_some(depth));
            let states = alarms.iter().map(|one| (one.name.clone(), one.state));
            states.collect::<std::collections::BTreeMap<_, _>>()
        };
        assert_eq!(states(0)["dead-letters"], State::Good);
        assert_eq!(states(1)["dead-letters"], State::Alarm);
        assert_eq!(states(1)["parked"], State::Unknown);
    }

    #[test]
    fn each_alarm_of_the_template_has_a_runbook() {
        let file = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("template.yaml");
        let template = std::fs::read_to_string(file).unwrap();
        let named = template.split(PLACE).skip(1);
        let names: Vec<_> = named
            .filter_map(|rest| rest.split_whitespace().next())
            .collect();
        assert!(names.len() > 10, "{names:?}");
        for name in names {
            let text = runbook(name).unwrap_or_else(|| panic!("no runbook `{name}`"));
            assert!(!text.is_empty() && !text.contains("\n#"), "{text}");
        }
        assert_eq!(runbook("nothing"), None);
    }
}
