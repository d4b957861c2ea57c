//! What a message causes, and what many of them cause at once.

use serde::Serialize;

/// What one message with one route and one reply topic causes while all is well: the factors of the whole plan.
/// `tests/it/scaling.rs` counts them in the deployed stack.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Factors {
    /// Calls of StartExecution.
    pub starts: f64,
    /// UpdateItem of the ledger, each one write unit: taken, and done.
    pub ledger_writes: f64,
    /// Publications to Momento, each an operation for each chunk.
    pub publications: f64,
    /// Calls of SQS by the functions; it is a queue of EventBridge's and of Lambda's.
    pub sqs_calls: f64,
    /// Events that EventBridge hands to the Completions queue.
    pub target_invocations: f64,
    /// DescribeExecution, where the event has input and output.
    pub describes: f64,
    /// GetSecretValue of a webhook that starts: AWSCURRENT.
    pub webhook_secrets: f64,
    /// GetSecretValue of a completion that starts.
    pub completion_secrets: f64,
    /// Bytes and lines that the webhook logs for a message, its metrics included.
    pub webhook_log: Log,
    /// The same of the completion.
    pub completion_log: Log,
    /// What the completion logs for a batch besides.
    pub batch_log: Log,
    /// Custom metrics that are written without a dimension, and those written once more for each route.
    pub metrics: f64,
    pub metrics_by_route: f64,
}

/// What is logged.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Log {
    pub bytes: f64,
    pub lines: f64,
}

pub const FACTORS: Factors = Factors {
    starts: 1.0,
    ledger_writes: 2.0,
    publications: 1.0,
    sqs_calls: 0.0,
    target_invocations: 1.0,
    describes: 0.0,
    webhook_secrets: 1.0,
    completion_secrets: 1.0,
    webhook_log: Log {
        bytes: 1140.0,
        lines: 3.0,
    },
    completion_log: Log {
        bytes: 1020.0,
        lines: 2.0,
    },
    batch_log: Log {
        bytes: 260.0,
        lines: 1.0,
    },
    metrics: 8.0,
    metrics_by_route: 5.0,
};

/// Billed ms of a webhook's invocation, and of a completion's with ten results: measured in the local stack, see
/// docs/scaling.md. There is no AWS in them.
pub const WEBHOOK_MS: f64 = 60.0;
pub const COMPLETION_MS: f64 = 170.0;

/// Results in a batch at most (`BatchSize` in template.yaml).
pub const BATCH: f64 = 10.0;
/// What CloudWatch adds to each line, in bytes.
pub const LINE_OVERHEAD: f64 = 26.0;
/// A share of the messages is traced (`TRACE_SAMPLE_RATE`), and Lambda traces the same share of its invocations.
pub const TRACED: f64 = 0.05;
/// The month of all costs: 30 days, in seconds.
pub const MONTH: f64 = 30.0 * 86_400.0;
/// A chunk of Momento's operations, in bytes.
pub const CHUNK: f64 = 1024.0;
/// The longest topic message; a longer result becomes a cache item and a claim.
pub const TOPIC_BYTES: u32 = 4096;
/// A claim, in chunks.
const CLAIM_CHUNKS: f64 = 1.0;
/// With more of escaped input and output, the event of an end leaves something out, and it is asked for.
const EVENT_BYTES: f64 = 248.0 * 1024.0;
/// An event's bytes but for text and result; the text is in it as `text`, and once more as `json` where it is JSON.
const EVENT_FRAME: f64 = 2000.0;
/// An environment takes ten invocations a second at most, however short they are.
const SHORTEST: f64 = 0.1;
/// How long a peak lasts at most, for what piles up, in s.
const PEAK_LASTS: f64 = 3600.0;
/// What StartExecution and an execution's output take, in bytes.
const LARGEST_OUTPUT: u32 = 262_144;

/// How large the quotas of a region are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum RegionClass {
    /// us-east-1, us-west-2 and eu-west-1.
    Large,
    /// All others.
    Other,
}

impl RegionClass {
    /// Of a region by its name; none for what is no such name.
    pub fn of(region: &str) -> Option<Self> {
        let (place, number) = region.rsplit_once('-')?;
        let is_name = place.len() > 3
            && place.contains('-')
            && place
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte == b'-')
            && matches!(number.as_bytes(), [b'1'..=b'9']);
        match region {
            "us-east-1" | "us-west-2" | "eu-west-1" => Some(Self::Large),
            _ => is_name.then_some(Self::Other),
        }
    }
}

/// The functions' processor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Architecture {
    Arm64,
    #[serde(rename = "x86_64")]
    X86,
}

/// What is asked. [`Question::new`] has the defaults of `bridge plan`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Question {
    /// The mean over a month.
    pub messages_per_second: f64,
    /// The busiest second's messages, as a multiple of the mean.
    pub peak: f64,
    /// State transitions of an execution, retries included.
    pub transitions: u32,
    pub text_bytes: u32,
    pub result_bytes: u32,
    /// Of each reply topic.
    pub subscribers: u32,
    /// With results.
    pub routes: u32,
    pub region: RegionClass,
    pub architecture: Architecture,
    pub memory_mb: u32,
    /// Billed for an invocation.
    pub webhook_ms: f64,
    /// Billed for an invocation with ten results.
    pub completion_ms: f64,
    /// From an execution's start to its end.
    pub workflow_seconds: f64,
    /// EXPRESS state machines, which answer with a `Topic Publish` event, instead of STANDARD ones.
    pub express: bool,
    /// Whether what AWS gives for nothing each month is taken off the costs.
    pub free_tier: bool,
}

impl Question {
    pub fn new(messages_per_second: f64) -> Self {
        Self {
            messages_per_second,
            peak: 3.0,
            transitions: 3,
            text_bytes: 200,
            result_bytes: 200,
            subscribers: 1,
            routes: 1,
            region: RegionClass::Large,
            architecture: Architecture::Arm64,
            memory_mb: 128,
            webhook_ms: WEBHOOK_MS,
            completion_ms: COMPLETION_MS,
            workflow_seconds: 1.0,
            express: false,
            free_tier: false,
        }
    }

    fn check(&self) -> Result<(), Unplannable> {
        let range = |what: &'static str, found: f64, least: f64, most: f64, why: &'static str| {
            // A NaN is in no range.
            if (least..=most).contains(&found) {
                return Ok(());
            }
            Err(Unplannable {
                what,
                least,
                most,
                found,
                why,
            })
        };
        let longest = if self.express { 300.0 } else { 31_536_000.0 };
        range(
            "messages a second",
            self.messages_per_second,
            0.000_001,
            1e9,
            "one message in twelve days is the least that makes sense, and nobody sends a billion a second",
        )?;
        range(
            "the peak",
            self.peak,
            1.0,
            1000.0,
            "it is a multiple of the mean",
        )?;
        range(
            "transitions",
            self.transitions.into(),
            1.0,
            25_000.0,
            "an execution enters a state at least, and its history ends at 25,000 events",
        )?;
        range(
            "bytes of text",
            self.text_bytes.into(),
            0.0,
            TOPIC_BYTES.into(),
            "a topic message ends at 4,096 bytes",
        )?;
        range(
            "bytes of a result",
            self.result_bytes.into(),
            0.0,
            LARGEST_OUTPUT.into(),
            "an execution's output ends at 262,144 bytes",
        )?;
        range(
            "subscribers",
            self.subscribers.into(),
            0.0,
            1e6,
            "each one is a delivery of every result",
        )?;
        range(
            "routes",
            self.routes.into(),
            1.0,
            10_000.0,
            "a message without a route starts nothing",
        )?;
        range(
            "MB of memory",
            self.memory_mb.into(),
            128.0,
            10_240.0,
            "Lambda has no other sizes",
        )?;
        range(
            "ms of the webhook",
            self.webhook_ms,
            1.0,
            5000.0,
            "Lambda bills at least one, and Momento waits for five seconds",
        )?;
        range(
            "ms of the completion",
            self.completion_ms,
            1.0,
            60_000.0,
            "Lambda bills at least one, and its timeout is a minute",
        )?;
        range(
            "seconds of a workflow",
            self.workflow_seconds,
            0.0,
            longest,
            if self.express {
                "an EXPRESS execution ends after five minutes"
            } else {
                "an execution ends after a year"
            },
        )
    }
}

/// A question that asks for what cannot be.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{what}: expected {least} to {most}, found {found}: {why}")]
pub struct Unplannable {
    what: &'static str,
    least: f64,
    most: f64,
    found: f64,
    why: &'static str,
}

/// What a question asks of the services. "A second" means in the busiest second, unless it says mean.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Load {
    /// Messages a second.
    pub mean: f64,
    pub peak: f64,
    /// Momento's operations of a message: publishing and delivering it and its result, by chunks of 1 KB.
    pub momento_operations: f64,
    /// Webhooks under way at once.
    pub webhooks: f64,
    /// Batches of ten results under way at once.
    pub batches: f64,
    /// The `CompletionConcurrency` that this asks for.
    pub completion_concurrency: f64,
    /// Results in a batch, in the mean: batches are as small as that concurrency lets them be.
    pub results_in_a_batch: f64,
    /// Environments of Lambda.
    pub environments: f64,
    /// Those that the webhook has to gain when the peak comes all at once.
    pub new_environments: f64,
    /// Executions that are open at once.
    pub open_executions: f64,
    /// DescribeExecution for a message.
    pub describes: f64,
    /// Bytes of the event that tells of a result.
    pub event_bytes: f64,
    /// Invocations of the completion a second, in the mean.
    pub mean_batches: f64,
}

impl Load {
    /// # Errors
    ///
    /// Where the question asks for what cannot be.
    pub fn of(question: &Question) -> Result<Self, Unplannable> {
        question.check()?;
        let mean = question.messages_per_second;
        let peak = mean * question.peak;
        let (webhook, completion) = (question.webhook_ms / 1e3, question.completion_ms / 1e3);
        let result = f64::from(question.result_bytes);
        let event_bytes = EVENT_FRAME + 2.0 * f64::from(question.text_bytes) + result;
        let batches = peak / BATCH * completion;
        // The template's own is 2, the least there is.
        let completion_concurrency = batches.ceil().max(2.0);
        let results_in_a_batch = (mean * completion / completion_concurrency).clamp(1.0, BATCH);
        let left_out = !question.express && event_bytes > EVENT_BYTES;
        Ok(Self {
            mean,
            peak,
            momento_operations: momento_operations(question),
            webhooks: peak * webhook,
            batches,
            completion_concurrency,
            results_in_a_batch,
            environments: peak * webhook.max(SHORTEST) + peak / BATCH * completion.max(SHORTEST),
            new_environments: (peak - mean) * webhook.max(SHORTEST),
            open_executions: mean * question.workflow_seconds
                + (peak - mean) * question.workflow_seconds.min(PEAK_LASTS),
            describes: FACTORS.describes + f64::from(u8::from(left_out)),
            event_bytes,
            mean_batches: mean / results_in_a_batch,
        })
    }
}

/// A publication is an operation for each chunk, and so is each delivery of it.
fn momento_operations(question: &Question) -> f64 {
    let chunks = |bytes: u32| (f64::from(bytes) / CHUNK).ceil().max(1.0);
    let readers = f64::from(question.subscribers);
    // The message, and the webhook that it is delivered to.
    let message = 2.0 * chunks(question.text_bytes);
    let result = chunks(question.result_bytes);
    if question.result_bytes <= TOPIC_BYTES {
        return message + FACTORS.publications * result * (1.0 + readers);
    }
    // Stored once and read by each, besides the claim on the topic.
    message + (result + FACTORS.publications * CLAIM_CHUNKS) * (1.0 + readers)
}
