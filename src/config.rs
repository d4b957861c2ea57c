//! Settings, read once from environment variables and refused loudly, all problems together.

use std::fmt;
use std::ops::RangeInclusive;
use std::time::Duration;

use crate::claims::{MAX_ITEM_BYTES, MAX_ITEM_TTL};

/// The most that `MAX_ITEM_BYTES` may say: what an account with a raised limit may send in one request of the SDK.
const LARGEST_MAX_ITEM_BYTES: u64 = 10_000_000;

/// Looks a variable up. Passed in, so that tests need no process-wide environment.
pub type Lookup<'a> = &'a dyn Fn(&str) -> Option<String>;

/// Looks a variable up in the process's environment.
pub fn environment(name: &str) -> Option<String> {
    std::env::var_os(name).map(|value| value.to_string_lossy().into_owned())
}

/// Where the routes document is: the variable `ROUTES`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RoutesSource {
    /// The document itself.
    Inline(String),
    /// The name of an SSM parameter that holds it; written `ssm:<name>`.
    Parameter(String),
}

impl RoutesSource {
    /// Reads the value of `ROUTES`.
    pub fn of(value: &str) -> Self {
        match value.strip_prefix("ssm:") {
            None => Self::Inline(value.to_owned()),
            Some(name) => Self::Parameter(name.trim().to_owned()),
        }
    }
}

/// How the webhook answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WebhookSettings {
    /// Oldest `publish_timestamp`: `MAX_AGE_SECONDS`, 60.
    pub max_age: Duration,
    /// Latest `publish_timestamp`, ahead of this clock: `MAX_SKEW_SECONDS`, 30.
    pub max_skew: Duration,
    /// The whole budget of an answer: `ANSWER_WITHIN_MS`, 4000. Momento gives up at 5000.
    pub answer_within: Duration,
    /// What becomes of a message without a route: `UNROUTED`, `dead-letter`.
    pub unrouted: Unrouted,
}

/// What becomes of a message without a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unrouted {
    DeadLetter,
    Ignore,
}

/// All settings of the webhook.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebhookConfig {
    pub routes: RoutesSource,
    /// Name or ARN of the signing secret: `SIGNING_SECRET_ID`.
    pub signing_secret_id: String,
    /// `PARKING_QUEUE_URL`.
    pub parking_queue_url: String,
    /// `DEAD_LETTER_QUEUE_URL`.
    pub dead_letter_queue_url: String,
    pub settings: WebhookSettings,
}

/// All settings of the redrive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RedriveConfig {
    pub routes: RoutesSource,
    /// `PARKING_QUEUE_URL`.
    pub parking_queue_url: String,
    /// `DEAD_LETTER_QUEUE_URL`.
    pub dead_letter_queue_url: String,
    pub repeats: RepeatSettings,
}

/// When a queue's record that failed comes again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RepeatSettings {
    /// The wait after the first receive, which doubles with each: `RETRY_AFTER_SECONDS`, 30.
    pub first: Duration,
    /// The longest wait: `RETRY_AT_MOST_SECONDS`.
    pub longest: Duration,
    /// The receive after which a record becomes a dead letter: `MAX_RECEIVES`.
    pub max_receives: u32,
}

impl RepeatSettings {
    /// Parked messages: waits grow to two hours, and end after about twelve days.
    const PARKED: Self = Self {
        first: Duration::from_secs(30),
        longest: Duration::from_secs(7200),
        max_receives: 150,
    };
    /// Results: somebody waits for them, so waits grow to half an hour only; they end after about twelve days, too.
    const RESULTS: Self = Self {
        first: Duration::from_secs(30),
        longest: Duration::from_secs(1800),
        max_receives: 600,
    };
}

/// All settings of the completion.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CompletionConfig {
    pub routes: RoutesSource,
    /// Name or ARN of the secret with the API key: `MOMENTO_SECRET_ID`.
    pub momento_secret_id: String,
    pub momento_endpoint: MomentoEndpoint,
    /// Longest value of a topic message, in bytes: `MAX_MESSAGE_BYTES`, 4096 (Momento's hard limit).
    pub max_message_bytes: usize,
    /// Largest value stored as a cache item, in bytes: `MAX_ITEM_BYTES`, 5,000,000.
    pub max_item_bytes: usize,
    /// How long a stored value can be read: `CLAIM_TTL_SECONDS`, 3600.
    pub claim_ttl: Duration,
    /// The bucket for values over that size: `CLAIMS_BUCKET`. Without one they cannot be published.
    pub claims_bucket: Option<String>,
    /// The table that knows what was published: `LEDGER_TABLE`. Without one, an event that comes again is published again.
    pub ledger_table: Option<String>,
    /// The queue that the events come from: `COMPLETIONS_QUEUE_URL`. Without it the waits of a record do not grow.
    pub completions_queue_url: Option<String>,
    /// Where events go that cannot be published: `DEAD_LETTER_QUEUE_URL`. Without it they go back to their queue, whose own
    /// redrive policy ends them.
    pub dead_letter_queue_url: Option<String>,
    pub repeats: RepeatSettings,
    /// How many publications are under way at once in one function: `PUBLISH_CONCURRENCY`, 5.
    pub publish_concurrency: usize,
}

/// All settings of the sweep.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SweepConfig {
    pub routes: RoutesSource,
    /// Name of the table with what the completion has received: `LEDGER_TABLE`.
    pub ledger_table: String,
    /// The completion's queue: `COMPLETIONS_QUEUE_URL`.
    pub completions_queue_url: String,
    /// How long the event of an end may be on its way: `SWEEP_GRACE_SECONDS`, 120.
    pub grace: Duration,
}

/// Where Momento is: `MOMENTO_ENDPOINT`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MomentoEndpoint {
    /// A host such as `cell-us-east-1-1.prod.a.momentohq.com`, spoken to over TLS.
    Host(String),
    /// An `http://` URL of a local server.
    Local(String),
}

impl MomentoEndpoint {
    /// Reads a host name or an `http://` URL.
    ///
    /// # Errors
    ///
    /// A sentence, for anything else.
    pub fn parse(value: &str) -> Result<Self, String> {
        let value = value.trim().trim_end_matches('/');
        if value.starts_with("http://") {
            return Ok(Self::Local(value.to_owned()));
        }
        let plain = |b: u8| b.is_ascii_alphanumeric() || b".-".contains(&b);
        if value.bytes().all(plain) && value.contains('.') {
            return Ok(Self::Host(value.to_owned()));
        }
        Err(format!(
            "expected a host such as `cell-us-east-1-1.prod.a.momentohq.com`, or an `http://` URL of a local server, found `{value}`"
        ))
    }
}

/// One variable to set or to mend.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VariableProblem {
    pub variable: &'static str,
    pub text: String,
}

/// All that is wrong with the variables.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VariableProblems(pub Vec<VariableProblem>);

impl std::error::Error for VariableProblems {}

impl fmt::Display for VariableProblems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the function cannot start; set these variables:")?;
        let mut problems = self.0.iter();
        problems.try_for_each(|problem| write!(f, "\n- `{}`: {}", problem.variable, problem.text))
    }
}

impl WebhookConfig {
    /// # Errors
    ///
    /// Every variable that is missing, empty or unparsable.
    pub fn read(lookup: Lookup<'_>) -> Result<Self, VariableProblems> {
        let mut variables = Variables::new(lookup);
        let seconds = |n| Duration::from_secs(n);
        let config = Self {
            routes: variables.routes(),
            signing_secret_id: variables.text("SIGNING_SECRET_ID"),
            parking_queue_url: variables.url("PARKING_QUEUE_URL"),
            dead_letter_queue_url: variables.url("DEAD_LETTER_QUEUE_URL"),
            settings: WebhookSettings {
                max_age: seconds(variables.number("MAX_AGE_SECONDS", 60, 1..=86_400)),
                max_skew: seconds(variables.number("MAX_SKEW_SECONDS", 30, 0..=86_400)),
                answer_within: Duration::from_millis(variables.number(
                    "ANSWER_WITHIN_MS",
                    4000,
                    100..=60_000,
                )),
                unrouted: variables.unrouted(),
            },
        };
        variables.done(config)
    }
}

impl RedriveConfig {
    /// # Errors
    ///
    /// Every variable that is missing, empty or unparsable.
    pub fn read(lookup: Lookup<'_>) -> Result<Self, VariableProblems> {
        let mut variables = Variables::new(lookup);
        let config = Self {
            routes: variables.routes(),
            parking_queue_url: variables.url("PARKING_QUEUE_URL"),
            dead_letter_queue_url: variables.url("DEAD_LETTER_QUEUE_URL"),
            repeats: variables.repeats(RepeatSettings::PARKED),
        };
        variables.done(config)
    }
}

impl CompletionConfig {
    /// # Errors
    ///
    /// Every variable that is missing, empty or unparsable.
    pub fn read(lookup: Lookup<'_>) -> Result<Self, VariableProblems> {
        let mut variables = Variables::new(lookup);
        let config = Self {
            routes: variables.routes(),
            momento_secret_id: variables.text("MOMENTO_SECRET_ID"),
            momento_endpoint: variables.momento_endpoint(),
            max_message_bytes: variables.number("MAX_MESSAGE_BYTES", 4096, 1..=1_048_576) as usize,
            max_item_bytes: variables.number(
                "MAX_ITEM_BYTES",
                MAX_ITEM_BYTES as u64,
                1..=LARGEST_MAX_ITEM_BYTES,
            ) as usize,
            claim_ttl: Duration::from_secs(variables.number(
                "CLAIM_TTL_SECONDS",
                3600,
                60..=MAX_ITEM_TTL.as_secs(),
            )),
            // A template passes an empty parameter as an empty variable.
            claims_bucket: lookup("CLAIMS_BUCKET")
                .map(|bucket| bucket.trim().to_owned())
                .filter(|bucket| !bucket.is_empty()),
            ledger_table: variables.optional("LEDGER_TABLE"),
            completions_queue_url: variables.optional_url("COMPLETIONS_QUEUE_URL"),
            dead_letter_queue_url: variables.optional_url("DEAD_LETTER_QUEUE_URL"),
            repeats: variables.repeats(RepeatSettings::RESULTS),
            publish_concurrency: variables.number("PUBLISH_CONCURRENCY", 5, 1..=1000) as usize,
        };
        variables.done(config)
    }
}

impl SweepConfig {
    /// # Errors
    ///
    /// Every variable that is missing, empty or unparsable.
    pub fn read(lookup: Lookup<'_>) -> Result<Self, VariableProblems> {
        let mut variables = Variables::new(lookup);
        let config = Self {
            routes: variables.routes(),
            ledger_table: variables.text("LEDGER_TABLE"),
            completions_queue_url: variables.url("COMPLETIONS_QUEUE_URL"),
            grace: Duration::from_secs(variables.number("SWEEP_GRACE_SECONDS", 120, 0..=3600)),
        };
        variables.done(config)
    }
}

/// Reads variables and collects what is wrong with them. What is wrong reads as something harmless, which
/// [`Variables::done`] never lets out.
struct Variables<'a> {
    lookup: Lookup<'a>,
    problems: Vec<VariableProblem>,
}

impl<'a> Variables<'a> {
    fn new(lookup: Lookup<'a>) -> Self {
        Self {
            lookup,
            problems: Vec::new(),
        }
    }

    fn done<T>(self, config: T) -> Result<T, VariableProblems> {
        if self.problems.is_empty() {
            Ok(config)
        } else {
            Err(VariableProblems(self.problems))
        }
    }

    fn problem(&mut self, variable: &'static str, text: impl Into<String>) {
        let text = text.into();
        self.problems.push(VariableProblem { variable, text });
    }

    /// The variable's value, unless it is missing; an empty one is a problem.
    fn optional(&mut self, variable: &'static str) -> Option<String> {
        let value = (self.lookup)(variable)?;
        if value.trim().is_empty() {
            self.problem(variable, "expected a value, found an empty one");
            return None;
        }
        Some(value)
    }

    fn text(&mut self, variable: &'static str) -> String {
        if (self.lookup)(variable).is_none() {
            self.problem(variable, "expected a value, found none");
        }
        self.optional(variable).unwrap_or_default()
    }

    fn number(&mut self, variable: &'static str, default: u64, range: RangeInclusive<u64>) -> u64 {
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

    fn repeats(&mut self, default: RepeatSettings) -> RepeatSettings {
        // SQS makes a message invisible for at most 12 hours, and counts up to 1000 receives.
        let mut seconds = |variable, default: Duration| {
            Duration::from_secs(self.number(variable, default.as_secs(), 1..=43_200))
        };
        RepeatSettings {
            first: seconds("RETRY_AFTER_SECONDS", default.first),
            longest: seconds("RETRY_AT_MOST_SECONDS", default.longest),
            max_receives: self.number("MAX_RECEIVES", default.max_receives.into(), 1..=1000) as u32,
        }
    }

    fn optional_url(&mut self, variable: &'static str) -> Option<String> {
        (self.lookup)(variable).map(|_| self.url(variable))
    }

    fn url(&mut self, variable: &'static str) -> String {
        let value = self.text(variable);
        if !value.is_empty() && !value.starts_with("https://") && !value.starts_with("http://") {
            self.problem(
                variable,
                format!("expected the URL of a queue, found `{value}`"),
            );
        }
        value
    }

    fn unrouted(&mut self) -> Unrouted {
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

    fn routes(&mut self) -> RoutesSource {
        let source = RoutesSource::of(&self.text("ROUTES"));
        if source == RoutesSource::Parameter(String::new()) {
            self.problem(
                "ROUTES",
                "expected the name of a parameter after `ssm:`, found none",
            );
        }
        source
    }

    fn momento_endpoint(&mut self) -> MomentoEndpoint {
        let value = self.text("MOMENTO_ENDPOINT");
        MomentoEndpoint::parse(&value).unwrap_or_else(|text| {
            if !value.is_empty() {
                self.problem("MOMENTO_ENDPOINT", text);
            }
            MomentoEndpoint::Host(value)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WEBHOOK: [(&str, &str); 4] = [
        ("ROUTES", r#"{"routes":[]}"#),
        ("SIGNING_SECRET_ID", "secret"),
        ("PARKING_QUEUE_URL", "https://parked"),
        ("DEAD_LETTER_QUEUE_URL", "https://queue"),
    ];
    const COMPLETION: [(&str, &str); 3] = [
        ("ROUTES", "ssm:/bridge/routes"),
        ("MOMENTO_SECRET_ID", "key"),
        ("MOMENTO_ENDPOINT", "cell-us-east-1-1.prod.a.momentohq.com"),
    ];

    fn with<'a>(
        base: &'a [(&'a str, &'a str)],
        over: &'a [(&'a str, &'a str)],
    ) -> impl Fn(&str) -> Option<String> {
        move |name| {
            let found = over.iter().chain(base).find(|(key, _)| *key == name);
            found.map(|(_, value)| (*value).to_owned())
        }
    }

    fn webhook_problems(over: &[(&str, &str)]) -> Vec<&'static str> {
        let VariableProblems(list) = WebhookConfig::read(&with(&WEBHOOK, over)).unwrap_err();
        list.iter().map(|problem| problem.variable).collect()
    }

    #[test]
    fn defaults_are_those_of_the_contract() {
        let config = WebhookConfig::read(&with(&WEBHOOK, &[])).unwrap();
        assert_eq!(
            config.settings,
            WebhookSettings {
                max_age: Duration::from_secs(60),
                max_skew: Duration::from_secs(30),
                answer_within: Duration::from_millis(4000),
                unrouted: Unrouted::DeadLetter,
            }
        );
        let config = CompletionConfig::read(&with(&COMPLETION, &[])).unwrap();
        assert_eq!(config.max_message_bytes, 4096);
        assert_eq!(config.max_item_bytes, 5_000_000);
        assert_eq!(config.claim_ttl, Duration::from_secs(3600));
        assert_eq!(config.claims_bucket, None);
        assert_eq!(
            config.routes,
            RoutesSource::Parameter("/bridge/routes".into())
        );
        assert!(matches!(config.momento_endpoint, MomentoEndpoint::Host(_)));
    }

    #[test]
    fn all_missing_variables_are_named_at_once() {
        let nothing = |_: &str| None;
        let VariableProblems(webhook) = WebhookConfig::read(&nothing).unwrap_err();
        let names: Vec<_> = webhook.iter().map(|p| p.variable).collect();
        assert_eq!(
            names,
            [
                "ROUTES",
                "SIGNING_SECRET_ID",
                "PARKING_QUEUE_URL",
                "DEAD_LETTER_QUEUE_URL"
            ]
        );
        let text = CompletionConfig::read(&nothing).unwrap_err().to_string();
        for name in ["ROUTES", "MOMENTO_SECRET_ID", "MOMENTO_ENDPOINT"] {
            assert!(
                text.contains(&format!("- `{name}`: expected a value, found none")),
                "{text}"
            );
        }
    }

    #[test]
    fn empty_and_unparsable_variables_are_refused() {
        for (variable, value) in [
            ("ROUTES", " "),
            ("ROUTES", "ssm:"),
            ("SIGNING_SECRET_ID", ""),
            ("PARKING_QUEUE_URL", ""),
            ("DEAD_LETTER_QUEUE_URL", "queue"),
            ("MAX_AGE_SECONDS", ""),
            ("MAX_AGE_SECONDS", "0"),
            ("MAX_SKEW_SECONDS", "-1"),
            ("ANSWER_WITHIN_MS", "4s"),
            ("UNROUTED", "drop"),
        ] {
            assert_eq!(
                webhook_problems(&[(variable, value)]),
                [variable],
                "{value}"
            );
        }
        for (variable, value) in [
            ("MOMENTO_ENDPOINT", "https://cell.momentohq.com"),
            ("MOMENTO_ENDPOINT", "cell"),
            ("MAX_MESSAGE_BYTES", "4 KB"),
            ("MAX_ITEM_BYTES", "20000000"),
            ("CLAIM_TTL_SECONDS", "59"),
            ("CLAIM_TTL_SECONDS", "86401"),
        ] {
            let over = [(variable, value)];
            let VariableProblems(list) =
                CompletionConfig::read(&with(&COMPLETION, &over)).unwrap_err();
            assert_eq!((list.len(), list[0].variable), (1, variable), "{value}");
        }
    }

    #[test]
    fn an_empty_bucket_is_none() {
        for (value, bucket) in [("", None), (" ", None), ("claims", Some("claims"))] {
            let over = [("CLAIMS_BUCKET", value)];
            let config = CompletionConfig::read(&with(&COMPLETION, &over)).unwrap();
            assert_eq!(config.claims_bucket.as_deref(), bucket);
        }
    }

    #[test]
    fn a_local_server_is_told_by_its_scheme() {
        let over = [("MOMENTO_ENDPOINT", "http://127.0.0.1:9/")];
        let config = CompletionConfig::read(&with(&COMPLETION, &over)).unwrap();
        assert_eq!(
            config.momento_endpoint,
            MomentoEndpoint::Local("http://127.0.0.1:9".into())
        );
    }

    #[test]
    fn the_sweep_has_settings_of_its_own() {
        let base = [
            ("ROUTES", "ssm:/bridge/routes"),
            ("LEDGER_TABLE", "ledger"),
            ("COMPLETIONS_QUEUE_URL", "https://queue"),
        ];
        let config = SweepConfig::read(&with(&base, &[])).unwrap();
        assert_eq!(config.grace, Duration::from_secs(120));
        for (variable, value) in [
            ("LEDGER_TABLE", " "),
            ("COMPLETIONS_QUEUE_URL", "queue"),
            ("SWEEP_GRACE_SECONDS", "3601"),
        ] {
            let over = [(variable, value)];
            let VariableProblems(list) = SweepConfig::read(&with(&base, &over)).unwrap_err();
            assert_eq!((list.len(), list[0].variable), (1, variable), "{value}");
        }
        let VariableProblems(list) = SweepConfig::read(&|_| None).unwrap_err();
        assert_eq!(list.len(), 3);
    }
}
