//! Parsing of variables, and their problems.

use std::fmt;
use std::ops::RangeInclusive;
use std::time::Duration;

use super::{MomentoEndpoint, RepeatSettings, RoutesConfig, RoutesSource, Unrouted};
use crate::environment::Lookup;

/// One missing or invalid variable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VariableProblem {
    pub variable: &'static str,
    pub text: String,
}

/// All problems of the variables.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VariableProblems(pub Vec<VariableProblem>);

impl std::error::Error for VariableProblems {}

impl fmt::Display for VariableProblems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("cannot start; set these variables:")?;
        let mut problems = self.0.iter();
        problems.try_for_each(|problem| write!(f, "\n- `{}`: {}", problem.variable, problem.text))
    }
}

/// Parses variables and collects their problems. An invalid variable yields a placeholder, which [`Variables::done`]
/// never returns.
pub(super) struct Variables<'a> {
    lookup: Lookup<'a>,
    problems: Vec<VariableProblem>,
}

impl<'a> Variables<'a> {
    pub(super) fn new(lookup: Lookup<'a>) -> Self {
        Self {
            lookup,
            problems: Vec::new(),
        }
    }

    pub(super) fn done<T>(self, config: T) -> Result<T, VariableProblems> {
        if self.problems.is_empty() {
            Ok(config)
        } else {
            Err(VariableProblems(self.problems))
        }
    }

    pub(super) fn problem(&mut self, variable: &'static str, text: impl Into<String>) {
        let text = text.into();
        self.problems.push(VariableProblem { variable, text });
    }

    /// The variable's value, if it is set; an empty value is a problem.
    pub(super) fn optional(&mut self, variable: &'static str) -> Option<String> {
        let value = (self.lookup)(variable)?;
        if value.trim().is_empty() {
            self.problem(variable, "expected a value, found an empty one");
            return None;
        }
        Some(value)
    }

    pub(super) fn text(&mut self, variable: &'static str) -> String {
        if (self.lookup)(variable).is_none() {
            self.problem(variable, "expected a value, found none");
        }
        self.optional(variable).unwrap_or_default()
    }

    pub(super) fn number(
        &mut self,
        variable: &'static str,
        default: u64,
        range: RangeInclusive<u64>,
    ) -> u64 {
        let Some(value) = self.optional(variable) else {
            return default;
        };
        match value.trim().parse() {
            Ok(number) if range.contains(&number) => number,
            _ => {
                let (least, most) = range.into_inner();
                self.problem(
                    variable,
                    format!("expected a whole number from {least} to {most}, found `{value}`"),
                );
                default
            }
        }
    }

    pub(super) fn repeats(&mut self, default: RepeatSettings) -> RepeatSettings {
        // SQS hides a message for at most 12 hours from its receive on, processing included, and counts up to 1000 receives.
        let mut seconds = |variable, default: Duration| {
            Duration::from_secs(self.number(variable, default.as_secs(), 1..=43_000))
        };
        RepeatSettings {
            first: seconds("RETRY_AFTER_SECONDS", default.first),
            longest: seconds("RETRY_AT_MOST_SECONDS", default.longest),
            max_receives: self.number("MAX_RECEIVES", default.max_receives.into(), 1..=1000) as u32,
        }
    }

    pub(super) fn optional_url(&mut self, variable: &'static str) -> Option<String> {
        (self.lookup)(variable).map(|_| self.url(variable))
    }

    pub(super) fn url(&mut self, variable: &'static str) -> String {
        let value = self.text(variable);
        if !value.is_empty() && !value.starts_with("https://") && !value.starts_with("http://") {
            self.problem(
                variable,
                format!("expected the URL of a queue, found `{value}`"),
            );
        }
        value
    }

    pub(super) fn unrouted(&mut self) -> Unrouted {
        match self.optional("UNROUTED").as_deref() {
            None | Some("dead-letter") => Unrouted::DeadLetter,
            Some("ignore") => Unrouted::Ignore,
            Some(other) => {
                let text = format!("expected `dead-letter` or `ignore`, found `{other}`");
                self.problem("UNROUTED", text);
                Unrouted::DeadLetter
            }
        }
    }

    pub(super) fn routes(&mut self) -> RoutesConfig {
        let table = self.optional("ROUTES_TABLE");
        let source = self.optional_routes();
        if (self.lookup)("ROUTES").is_none() && (self.lookup)("ROUTES_TABLE").is_none() {
            self.problem("ROUTES", "expected a value, found none");
        }
        RoutesConfig {
            source,
            table,
            ttl: Duration::from_secs(self.number("ROUTES_TTL_SECONDS", 60, 1..=86_400)),
        }
    }

    pub(super) fn optional_routes(&mut self) -> Option<RoutesSource> {
        let source = RoutesSource::of(&self.optional("ROUTES")?);
        if source == RoutesSource::Parameter(String::new()) {
            self.problem(
                "ROUTES",
                "expected the name of a parameter after `ssm:`, found none",
            );
        }
        Some(source)
    }

    /// A path of SSM parameters, returned with a `/` at its end.
    pub(super) fn path(&mut self, variable: &'static str) -> String {
        let value = self.text(variable);
        let path = value.trim_end_matches('/');
        let is_path = path.starts_with('/') && path.len() > 1;
        if !value.is_empty() && !is_path {
            self.problem(
                variable,
                format!("expected a path of parameters such as `/workflow-bridge/STACK/routes/`, found `{value}`"),
            );
        }
        format!("{path}/")
    }

    pub(super) fn momento_endpoint(&mut self) -> MomentoEndpoint {
        let value = self.text("MOMENTO_ENDPOINT");
        MomentoEndpoint::parse(&value).unwrap_or_else(|text| {
            if !value.is_empty() {
                self.problem("MOMENTO_ENDPOINT", text);
            }
            MomentoEndpoint::Host(value)
        })
    }
}
