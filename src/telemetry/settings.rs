//! The log's settings from variables. The log has to exist before any refusal, so an invalid value is logged and ignored.

use tracing::level_filters::LevelFilter;

use crate::environment::Lookup;

/// In order of precedence.
const LEVELS: [&str; 2] = ["POWERTOOLS_LOG_LEVEL", "AWS_LAMBDA_LOG_LEVEL"];
const SAMPLE_RATE: &str = "POWERTOOLS_LOGGER_SAMPLE_RATE";
const SERVICE: &str = "POWERTOOLS_SERVICE_NAME";

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Settings {
    pub service: String,
    pub level: LevelFilter,
    /// 0 to 1.
    pub sample_rate: f64,
}

impl Settings {
    /// The settings, and the problems of the variables.
    pub fn read(service: &str, lookup: Lookup<'_>) -> (Self, Vec<String>) {
        let variable = |name: &str| lookup(name).filter(|value| !value.is_empty());
        let mut problems = Vec::new();
        let level = LEVELS.iter().find_map(|name| {
            let found = variable(name)?;
            let level = level(&found);
            if level.is_none() {
                problems.push(format!("`{name}`: expected one of TRACE, DEBUG, INFO, WARN, ERROR, OFF, found `{found}`"));
            }
            level
        });
        let sample_rate = variable(SAMPLE_RATE).and_then(|found| {
            let rate = found.parse().ok().filter(|rate| (0.0..=1.0).contains(rate));
            if rate.is_none() {
                problems.push(format!(
                    "`{SAMPLE_RATE}`: expected a share from 0 to 1, such as 0.01, found `{found}`"
                ));
            }
            rate
        });
        let settings = Self {
            service: variable(SERVICE).unwrap_or_else(|| service.to_owned()),
            level: level.unwrap_or(LevelFilter::INFO),
            sample_rate: sample_rate.unwrap_or_default(),
        };
        (settings, problems)
    }

    /// The level of an invocation sampled for DEBUG.
    pub fn sampled_level(&self) -> LevelFilter {
        match self.sample_rate > 0.0 {
            true => self.level.max(LevelFilter::DEBUG),
            false => self.level,
        }
    }
}

/// The names of Lambda, of Powertools for its languages, and of `tracing`.
fn level(name: &str) -> Option<LevelFilter> {
    match name.to_ascii_uppercase().as_str() {
        "FATAL" | "CRITICAL" => Some(LevelFilter::ERROR),
        "WARNING" => Some(LevelFilter::WARN),
        "SILENT" => Some(LevelFilter::OFF),
        name => name.parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(variables: &[(&str, &str)]) -> (Settings, Vec<String>) {
        let lookup = |name: &str| {
            let found = variables.iter().find(|(variable, _)| *variable == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        Settings::read("webhook", &lookup)
    }

    #[test]
    fn powertools_variables_come_before_lambdas() {
        let (settings, problems) = read(&[]);
        assert_eq!(
            (settings.service.as_str(), settings.level),
            ("webhook", LevelFilter::INFO)
        );
        assert_eq!(
            (settings.sampled_level(), problems),
            (LevelFilter::INFO, vec![])
        );
        let (settings, _) = read(&[("AWS_LAMBDA_LOG_LEVEL", "FATAL")]);
        assert_eq!(settings.level, LevelFilter::ERROR);
        let (settings, _) = read(&[
            (LEVELS[1], "DEBUG"),
            (LEVELS[0], "Warning"),
            (SERVICE, "mine"),
            (SAMPLE_RATE, "0.25"),
        ]);
        assert_eq!(
            (settings.service.as_str(), settings.level),
            ("mine", LevelFilter::WARN)
        );
        assert_eq!(
            (settings.sample_rate, settings.sampled_level()),
            (0.25, LevelFilter::DEBUG)
        );
        let (settings, _) = read(&[(LEVELS[0], "silent")]);
        assert_eq!(settings.sampled_level(), LevelFilter::OFF);
    }

    #[test]
    fn invalid_values_are_reported_and_ignored() {
        for (variable, value) in [
            (LEVELS[0], "loud"),
            (LEVELS[1], "7x"),
            (SAMPLE_RATE, "1.5"),
            (SAMPLE_RATE, "NaN"),
        ] {
            let (settings, problems) = read(&[(variable, value)]);
            assert_eq!(
                (settings.level, settings.sample_rate),
                (LevelFilter::INFO, 0.0)
            );
            let problem = &problems[..];
            assert!(
                matches!(problem, [text] if text.contains(variable) && text.contains(value)),
                "{problem:?}"
            );
        }
        let (settings, problems) = read(&[(LEVELS[0], "loud"), (LEVELS[1], "ERROR")]);
        assert_eq!((settings.level, problems.len()), (LevelFilter::ERROR, 1));
    }
}
