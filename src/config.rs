//! Settings, parsed once from environment variables; all problems are reported together.

use std::time::Duration;

mod variables;

use variables::Variables;
pub use variables::{VariableProblem, VariableProblems};

use crate::domain::outbound::claims::{MAX_ITEM_BYTES, MAX_ITEM_TTL};
use crate::environment::Lookup;

/// Largest value of `MAX_ITEM_BYTES`: the limit of one SDK request for an account with a raised limit.
const LARGEST_MAX_ITEM_BYTES: u64 = 10_000_000;

/// The source of the routes document: the variable `ROUTES`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RoutesSource {
    /// The document itself.
    Inline(String),
    /// The name of an SSM parameter with the document; written `ssm:<name>`.
    Parameter(String),
}

impl RoutesSource {
    /// Parses the value of `ROUTES`.
    pub fn of(value: &str) -> Self {
        match value.strip_prefix("ssm:") {
            None => Self::Inline(value.to_owned()),
            Some(name) => Self::Parameter(name.trim().to_owned()),
        }
    }
}

/// Where a function's routes come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoutesConfig {
    /// The variable `ROUTES`; optional beside `ROUTES_TABLE`.
    pub source: Option<RoutesSource>,
    /// The table with the collected routes of other stacks: `ROUTES_TABLE`.
    pub table: Option<String>,
    /// The age of routes in a parameter or a table after which they are read again: `ROUTES_TTL_SECONDS`, 60.
    pub ttl: Duration,
}

impl RoutesConfig {
    /// # Errors
    ///
    /// Every missing, empty or unparsable variable.
    pub fn read(lookup: Lookup<'_>) -> Result<Self, VariableProblems> {
        let mut variables = Variables::new(lookup);
        let config = variables.routes();
        variables.done(config)
    }
}

/// Settings of the webhook's answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WebhookSettings {
    /// Oldest `publish_timestamp`: `MAX_AGE_SECONDS`, 60.
    pub max_age: Duration,
    /// Latest `publish_timestamp`, ahead of this clock: `MAX_SKEW_SECONDS`, 30.
    pub max_skew: Duration,
    /// The whole budget of an answer: `ANSWER_WITHIN_MS`, 4000. Momento gives up at 5000.
    pub answer_within: Duration,
    /// Handling of a message without a route: `UNROUTED`, `dead-letter`.
    pub unrouted: Unrouted,
}

/// Handling of a message without a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unrouted {
    DeadLetter,
    Ignore,
}

/// All settings of the webhook.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebhookConfig {
    pub routes: RoutesConfig,
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
    pub routes: RoutesConfig,
    /// `PARKING_QUEUE_URL`.
    pub parking_queue_url: String,
    /// `DEAD_LETTER_QUEUE_URL`.
    pub dead_letter_queue_url: String,
    pub repeats: RepeatSettings,
}

/// Retry settings of a queue's failed records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RepeatSettings {
    /// The wait after the first receive, doubled after each later one: `RETRY_AFTER_SECONDS`, 30.
    pub first: Duration,
    /// The longest wait: `RETRY_AT_MOST_SECONDS`.
    pub longest: Duration,
    /// The receive after which a record becomes a dead letter: `MAX_RECEIVES`.
    pub max_receives: u32,
}

impl RepeatSettings {
    /// Parked messages: waits grow to two hours, and end after about ten days.
    pub const PARKED: Self = Self {
        first: Duration::from_secs(30),
        longest: Duration::from_secs(7200),
        max_receives: 150,
    };
    /// Results: subscribers wait for them, so waits grow to half an hour only; they, too, end after about ten days.
    const RESULTS: Self = Self {
        first: Duration::from_secs(30),
        longest: Duration::from_secs(1800),
        max_receives: 600,
    };

    /// The redrive's settings, with the default in place of an invalid value.
    pub fn parked(lookup: Lookup<'_>) -> Self {
        Variables::new(lookup).repeats(Self::PARKED)
    }

    /// The completion's settings, likewise.
    pub fn results(lookup: Lookup<'_>) -> Self {
        Variables::new(lookup).repeats(Self::RESULTS)
    }
}

/// All settings of the completion.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CompletionConfig {
    pub routes: RoutesConfig,
    /// Name or ARN of the secret with the API key: `MOMENTO_SECRET_ID`.
    pub momento_secret_id: String,
    pub momento_endpoint: MomentoEndpoint,
    /// Longest value of a topic message, in bytes: `MAX_MESSAGE_BYTES`, 4096 (Momento's hard limit).
    pub max_message_bytes: usize,
    /// Largest value stored as a cache item, in bytes: `MAX_ITEM_BYTES`, 5,000,000.
    pub max_item_bytes: usize,
    /// How long a stored value can be read: `CLAIM_TTL_SECONDS`, 3600.
    pub claim_ttl: Duration,
    /// The bucket for larger values: `CLAIMS_BUCKET`. Without one they cannot be published.
    pub claims_bucket: Option<String>,
    /// The ledger's table: `LEDGER_TABLE`. Without one, a repeated event is published again.
    pub ledger_table: Option<String>,
    /// The queue of the events: `COMPLETIONS_QUEUE_URL`. Without it a record's waits do not grow.
    pub completions_queue_url: Option<String>,
    /// The queue for events that cannot be published: `DEAD_LETTER_QUEUE_URL`. Without it they return to their own queue,
    /// whose redrive policy ends them.
    pub dead_letter_queue_url: Option<String>,
    pub repeats: RepeatSettings,
    /// Concurrent publications in one function: `PUBLISH_CONCURRENCY`, 5.
    pub publish_concurrency: usize,
}

/// All settings of the sweep.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SweepConfig {
    pub routes: RoutesConfig,
    /// Name of the ledger's table: `LEDGER_TABLE`.
    pub ledger_table: String,
    /// The completion's queue: `COMPLETIONS_QUEUE_URL`.
    pub completions_queue_url: String,
    /// How long the event of an end may take to arrive: `SWEEP_GRACE_SECONDS`, 120.
    pub grace: Duration,
}

/// All settings of the collection of routes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CollectConfig {
    /// The variable `ROUTES`.
    pub source: Option<RoutesSource>,
    /// The path of the parameters, with a `/` at both ends: `ROUTES_PATH`.
    pub path: String,
    /// The table for the collected routes: `ROUTES_TABLE`.
    pub table: String,
}

/// All settings of the canary.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CanaryConfig {
    /// Name or ARN of the secret with the API key: `MOMENTO_SECRET_ID`.
    pub momento_secret_id: String,
    pub momento_endpoint: MomentoEndpoint,
    /// The cache of its route: `CANARY_CACHE`.
    pub cache: String,
    /// ARN of its workflow: `CANARY_STATE_MACHINE`.
    pub state_machine: String,
    /// Time limit of a round trip: `CANARY_WITHIN_SECONDS`, 60.
    pub within: Duration,
}

/// Momento's endpoint: `MOMENTO_ENDPOINT`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MomentoEndpoint {
    /// A host such as `cell-us-east-1-1.prod.a.momentohq.com`, over TLS.
    Host(String),
    /// An `http://` URL of a local server.
    Local(String),
}

impl MomentoEndpoint {
    /// Parses a host name or an `http://` URL.
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

impl WebhookConfig {
    /// # Errors
    ///
    /// Every missing, empty or unparsable variable.
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
    /// Every missing, empty or unparsable variable.
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
    /// Every missing, empty or unparsable variable.
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
    /// Every missing, empty or unparsable variable.
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

impl CollectConfig {
    /// # Errors
    ///
    /// Every missing, empty or unparsable variable.
    pub fn read(lookup: Lookup<'_>) -> Result<Self, VariableProblems> {
        let mut variables = Variables::new(lookup);
        let config = Self {
            source: variables.optional_routes(),
            path: variables.path("ROUTES_PATH"),
            table: variables.text("ROUTES_TABLE"),
        };
        variables.done(config)
    }
}

impl CanaryConfig {
    /// # Errors
    ///
    /// Every missing, empty or unparsable variable.
    pub fn read(lookup: Lookup<'_>) -> Result<Self, VariableProblems> {
        let mut variables = Variables::new(lookup);
        let config = Self {
            momento_secret_id: variables.text("MOMENTO_SECRET_ID"),
            momento_endpoint: variables.momento_endpoint(),
            cache: variables.text("CANARY_CACHE"),
            state_machine: variables.text("CANARY_STATE_MACHINE"),
            within: Duration::from_secs(variables.number("CANARY_WITHIN_SECONDS", 60, 1..=600)),
        };
        variables.done(config)
    }
}

#[cfg(test)]
mod tests;
