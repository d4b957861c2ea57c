//! The factors of docs/scaling.md, counted in the deployed stack.

use std::collections::BTreeSet;
use std::sync::Arc;

use futures_util::{StreamExt as _, stream};
use serde_json::{Value, json};
use workflow_bridge::tools::local::workspace::Workspace;
use workflow_bridge::tools::local::{Emulator, Port, Stack};
use workflow_bridge::tools::terminal::Progress;

use crate::deployed::RUNTIME;
use crate::faulty::{Dependency, FaultyStack};
use crate::messages::{Publications, body, post_signed, settle};

/// Calls for each message.
const STARTS: f64 = 1.0;
const DESCRIBES: f64 = 0.0;
/// A record begun and finished.
const LEDGER_WRITES: f64 = 2.0;
const SQS_CALLS: f64 = 0.0;
const PUBLICATIONS: f64 = 1.0;
/// Records in the Completions queue for each message, and the largest number of records in a batch.
const RECORDS: f64 = 1.0;
const BATCH: f64 = 10.0;
/// GetSecretValue calls at the start of a function.
const SECRETS: f64 = 1.0;
/// Custom metrics of a stack and of each route.
const METRICS: usize = 8;
const METRICS_BY_ROUTE: usize = 5;

/// Log volume for each message or batch, including metrics.
struct Log {
    bytes: f64,
    lines: f64,
}

const WEBHOOK_LOG: Log = Log {
    bytes: 1140.0,
    lines: 3.0,
};
const COMPLETION_LOG: Log = Log {
    bytes: 1020.0,
    lines: 2.0,
};
const BATCH_LOG: Log = Log {
    bytes: 260.0,
    lines: 1.0,
};

const MESSAGES: u64 = 120;
const AT_ONCE: usize = 6;
/// The completion's log message for a batch.
const HANDLED: &str = "handled a batch";

/// A stack in an emulator of its own.
async fn deployed() -> FaultyStack {
    let workspace = Workspace::find().unwrap();
    let emulator = Emulator::start(&workspace, Port::Free, &Progress::silent()).await;
    let emulator = Arc::new(emulator.unwrap());
    let examples = ["express-enrich"];
    let started = FaultyStack::start_with(emulator, &examples, &[], |_| Ok(())).await;
    started.unwrap()
}

async fn send(stack: &Stack, topic: &str) {
    let http = reqwest::Client::new();
    let posts = stream::iter(0..MESSAGES).map(|number| {
        let http = &http;
        let body = body(topic, number, &"x".repeat(200));
        async move { post_signed(http, stack, stack.signing_secret(), &body).await }
    });
    let mut posts = std::pin::pin!(posts.buffer_unordered(AT_ONCE));
    while let Some((status, answer)) = posts.next().await {
        assert_eq!(
            (status, &answer["targets"][0]["outcome"]),
            (200, &json!("started"))
        );
    }
}

/// The number of calls so far, by operation.
fn calls(faulty: &FaultyStack) -> Vec<(&'static str, usize)> {
    let of = |dependency, operation| {
        let counters = faulty.proxy(dependency).counters();
        (operation, counters.of(operation).seen)
    };
    // Without the preopened connections (`/`).
    let all = |dependency, name| {
        let counters = faulty.proxy(dependency).counters();
        (name, counters.all().seen - counters.of("/").seen)
    };
    vec![
        of(Dependency::StepFunctions, "StartExecution"),
        of(Dependency::StepFunctions, "DescribeExecution"),
        of(Dependency::DynamoDb, "UpdateItem"),
        of(Dependency::Momento, "/cache_client.pubsub.Pubsub/Publish"),
        all(Dependency::StepFunctions, "calls of Step Functions"),
        all(Dependency::Sqs, "calls of SQS"),
        all(Dependency::EventBridge, "calls of EventBridge"),
    ]
}

#[test]
fn a_message_causes_the_documented_calls_and_lines() {
    RUNTIME.block_on(async {
        let faulty = deployed().await;
        let stack = &faulty.stack;
        let publications = Publications::of(stack);
        let messages = usize::try_from(MESSAGES).unwrap();
        let mut before = calls(&faulty);
        // Step Functions emits an event for the end of STANDARD; EXPRESS publishes its own result.
        for (topic, reply) in [
            ("uppercase-in", "uppercase-out"),
            ("enrich-in", "enrich-out"),
        ] {
            send(stack, topic).await;
            publications.wait(reply, messages).await;
            settle(stack, &["UppercaseWorkflow"]).await;
            let after = calls(&faulty);
            for ((operation, before), (_, after)) in before.iter().zip(&after) {
                let factor = match *operation {
                    "StartExecution" | "calls of Step Functions" => STARTS,
                    "DescribeExecution" => DESCRIBES,
                    "UpdateItem" => LEDGER_WRITES,
                    "calls of SQS" => SQS_CALLS,
                    "calls of EventBridge" => 0.0,
                    _ => PUBLICATIONS,
                };
                let counted = (after - before) as f64 / MESSAGES as f64;
                eprintln!("scaling: {topic}: {counted} {operation}");
                assert_eq!(counted, factor, "{topic}: {operation}");
            }
            before = after;
            if topic == "uppercase-in" {
                let logs = Logs::of(&stack.logs().await.unwrap());
                logs.compare("webhook", false, MESSAGES, &WEBHOOK_LOG);
                logs.compare("completion", false, MESSAGES, &COMPLETION_LOG);
                let batches = logs.batches.len() as u64;
                logs.compare("completion", true, batches, &BATCH_LOG);
            }
        }
        let logs = Logs::of(&stack.logs().await.unwrap());
        let secrets = faulty.proxy(Dependency::SecretsManager).counters();
        let fetched = secrets.of("GetSecretValue").seen as f64;
        let webhooks = logs.starts("webhook") * SECRETS;
        assert_eq!(fetched, webhooks + logs.starts("completion") * SECRETS);
        // Each result is in one batch of at most ten.
        let (batches, results) = (logs.batches.len() as f64, 2.0 * MESSAGES as f64);
        eprintln!("scaling: {results} results in {batches} batches");
        let records = logs.batches.iter().sum::<u64>() as f64;
        assert_eq!(records, results * RECORDS);
        assert!((results / BATCH..=results).contains(&batches));

        let (without, routes) = (logs.metrics(None), logs.metrics(Some("uppercase")));
        eprintln!("scaling: metrics {without:?}, by route {routes:?}");
        assert_eq!(without.len(), METRICS);
        assert_eq!(routes.len(), METRICS_BY_ROUTE);
    });
}

/// The log of the functions: part, line, and length in bytes.
struct Logs {
    lines: Vec<(String, Value, usize)>,
    /// Records of each batch.
    batches: Vec<u64>,
}

impl Logs {
    fn of(logs: &str) -> Self {
        let lines = logs.lines().filter_map(|line| {
            let (group, message) = line.split_once(": ")?;
            let part = ["webhook", "completion"].into_iter();
            let mut part = part.filter(|part| group.to_lowercase().contains(part));
            let parsed: Value = serde_json::from_str(message).ok()?;
            Some((part.next()?.to_owned(), parsed, message.len()))
        });
        let lines: Vec<_> = lines.collect();
        let handled = lines
            .iter()
            .filter(|(_, line, _)| line["message"] == HANDLED);
        let batches = handled.filter_map(|(_, line, _)| line["records"].as_u64());
        Self {
            batches: batches.collect(),
            lines,
        }
    }

    /// The number of cold starts of a part.
    fn starts(&self, part: &str) -> f64 {
        let cold = self
            .lines
            .iter()
            .filter(|(of, line, _)| of == part && line["cold_start"] == true);
        let requests: BTreeSet<_> = cold
            .map(|(_, line, _)| line["function_request_id"].to_string())
            .collect();
        requests.len() as f64
    }

    /// Compares a part's log volume, for messages or for batches, with its figure. The tolerance is a fifth, since names
    /// differ in length.
    fn compare(&self, part: &str, batches: bool, times: u64, planned: &Log) {
        let (mut bytes, mut count) = (0.0, 0.0);
        for (of, line, length) in &self.lines {
            if of == part && (line["message"] == HANDLED) == batches {
                bytes += *length as f64;
                count += 1.0;
            }
        }
        let (bytes, count) = (bytes / times as f64, count / times as f64);
        eprintln!(
            "scaling: {part}, batches {batches}: {bytes} bytes and {count} lines, {times} times"
        );
        for (found, planned) in [(bytes, planned.bytes), (count, planned.lines)] {
            let share = found / planned;
            assert!(
                (0.8..=1.2).contains(&share),
                "{part}: {found}, planned {planned}"
            );
        }
    }

    /// The metrics written without a dimension, or for a route.
    fn metrics(&self, route: Option<&str>) -> BTreeSet<String> {
        let mut names = BTreeSet::new();
        for (_, line, _) in &self.lines {
            let directives = line["_aws"]["CloudWatchMetrics"].as_array();
            for directive in directives.into_iter().flatten() {
                let by_route = json!(["route"]);
                let sets = directive["Dimensions"].as_array().unwrap();
                let counts = match route {
                    None => sets.contains(&json!([])),
                    Some(route) => sets.contains(&by_route) && line["route"] == route,
                };
                let metrics = directive["Metrics"].as_array().into_iter().flatten();
                let found = metrics.filter(|_| counts);
                names.extend(found.filter_map(|metric| Some(metric["Name"].as_str()?.to_owned())));
            }
        }
        names
    }
}
