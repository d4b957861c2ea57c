//! The alarms of the template: condition, state and runbook.

use aws_sdk_cloudwatch::types::{ComparisonOperator, MetricAlarm, StateValue, Statistic};

use super::text::span;

/// The runbooks, one under each alarm's name.
const RUNBOOKS: &str = include_str!("../../../docs/operations.md");

/// The file of a runbook in an alarm's description.
const PLACE: &str = "docs/operations.md#";

/// `sum of refused (outcome: not_stored) ≥ 1 in 1 of 15 periods of 1 min`
fn condition(alarm: &MetricAlarm) -> String {
    let statistic = match alarm.statistic() {
        Some(Statistic::Maximum) => "largest".to_owned(),
        other => {
            let word = other.map_or(alarm.extended_statistic(), |one| Some(one.as_str()));
            format!("{} of", word.unwrap_or("value").to_lowercase())
        }
    };
    let metric = alarm.metric_name().unwrap_or_default();
    let dimensions = alarm.dimensions().iter().map(|one| {
        let (name, value) = (one.name(), one.value());
        format!(
            "{}: {}",
            name.unwrap_or_default(),
            value.unwrap_or_default()
        )
    });
    let dimensions: Vec<_> = dimensions.collect();
    let dimensions = match dimensions.is_empty() {
        true => String::new(),
        false => format!(" ({})", dimensions.join(", ")),
    };
    let compared = match alarm.comparison_operator() {
        Some(ComparisonOperator::GreaterThanOrEqualToThreshold) => "≥",
        Some(ComparisonOperator::GreaterThanThreshold) => ">",
        Some(ComparisonOperator::LessThanThreshold) => "<",
        Some(ComparisonOperator::LessThanOrEqualToThreshold) => "≤",
        other => other.map_or("?", ComparisonOperator::as_str),
    };
    let threshold = alarm.threshold().unwrap_or_default();
    // The bridge's ages are in ms.
    let threshold = match metric.ends_with("_age") || metric == "sweep_lag" {
        true => span(threshold as i64),
        false => threshold.to_string(),
    };
    let period = span(i64::from(alarm.period().unwrap_or_default()) * 1000);
    let periods = match alarm.evaluation_periods().unwrap_or(1) {
        1 => format!("in a period of {period}"),
        all => {
            let number = alarm.datapoints_to_alarm().unwrap_or(all);
            format!("in {number} of {all} periods of {period}")
        }
    };
    let missing = match alarm.treat_missing_data() {
        Some("breaching") => "; no data counts as such a period",
        _ => "",
    };
    format!("{statistic} {metric}{dimensions} {compared} {threshold} {periods}{missing}")
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
    described: MetricAlarm,
}

/// The alarms with a runbook, active ones first; of `stack` only, if given.
pub fn with_runbook(found: Vec<MetricAlarm>, stack: Option<&str>) -> Vec<Alarm> {
    let of_stack = |described| with_its_runbook(described, stack);
    let mut alarms: Vec<_> = found.into_iter().filter_map(of_stack).collect();
    sort(&mut alarms);
    alarms
}

fn with_its_runbook(described: MetricAlarm, stack: Option<&str>) -> Option<Alarm> {
    let (about, name) = described.alarm_description()?.split_once(PLACE)?;
    let (about, name) = (about.trim().to_owned(), name.trim().to_owned());
    let of_stack = described.alarm_name()?.strip_suffix(&name)?;
    let of_stack = of_stack.strip_suffix('-')?;
    if stack.is_some_and(|stack| stack != of_stack) || runbook(&name).is_none() {
        return None;
    }
    let since = described.state_updated_timestamp();
    Some(Alarm {
        condition: condition(&described),
        state: match described.state_value() {
            Some(StateValue::Ok) => State::Good,
            Some(StateValue::Alarm) => State::Alarm,
            _ => State::NoData,
        },
        since: since.and_then(|time| time.to_millis().ok()),
        name,
        about,
        described,
    })
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
        let is_depth = described.namespace() == Some("AWS/SQS")
            && described.metric_name() == Some("ApproximateNumberOfMessagesVisible");
        let queue = described.dimensions().first().filter(|_| is_depth);
        let depth = queue.and_then(|queue| visible(queue.value()?));
        let threshold = described.threshold().unwrap_or_default();
        alarm.since = None;
        alarm.state = match depth {
            Some(depth) if depth as f64 >= threshold => State::Alarm,
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
    use aws_sdk_cloudwatch::primitives::DateTime;
    use aws_sdk_cloudwatch::types::Dimension;
    use aws_sdk_cloudwatch::types::builders::MetricAlarmBuilder;

    use super::*;

    /// 1 or more in 1 of 15 minutes.
    fn alarm(name: &str, metric: &str) -> MetricAlarmBuilder {
        MetricAlarm::builder()
            .alarm_name(format!("bridge-{name}"))
            .alarm_description(format!("Mend it. docs/operations.md#{name}"))
            .namespace("workflow-bridge/bridge")
            .metric_name(metric)
            .statistic(Statistic::Sum)
            .period(60)
            .evaluation_periods(15)
            .datapoints_to_alarm(1)
            .threshold(1.0)
            .comparison_operator(ComparisonOperator::GreaterThanOrEqualToThreshold)
            .treat_missing_data("notBreaching")
            .state_value(StateValue::Ok)
            .state_updated_timestamp(DateTime::from_millis(1_500))
    }

    fn described() -> Vec<MetricAlarm> {
        let queue = Dimension::builder().name("QueueName").value("dead");
        let alarms = [
            alarm("no-success", "accepted")
                .comparison_operator(ComparisonOperator::LessThanThreshold)
                .treat_missing_data("breaching")
                .set_datapoints_to_alarm(None),
            alarm("parked", "parked_age")
                .threshold(900_000.0)
                .statistic(Statistic::Maximum)
                .state_value(StateValue::InsufficientData),
            alarm("dead-letters", "ApproximateNumberOfMessagesVisible")
                .namespace("AWS/SQS")
                .dimensions(queue.build())
                .statistic(Statistic::Maximum)
                .evaluation_periods(1)
                .set_datapoints_to_alarm(None)
                .period(300)
                .state_value(StateValue::Alarm),
            alarm("of-another-stack", "x"),
            alarm("gaps", "gap").alarm_name("bridge-two-gaps"),
        ];
        alarms.into_iter().map(MetricAlarmBuilder::build).collect()
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
