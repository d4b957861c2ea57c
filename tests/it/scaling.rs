//! `bridge plan` and docs/scaling.md: its factors are counted in the deployed stack, and its page is what the command prints.
//!
//! ```text
//! WRITE_SCALING=1 cargo test --all-features --test it scaling::the_page    # writes the page's outputs anew
//! cargo test --all-features --test it scaling::measure -- --ignored --nocapture
//! ```

use std::collections::BTreeSet;
use std::process::Command;
use std::sync::Arc;

use futures_util::{StreamExt as _, stream};
use serde_json::{Value, json};
use workflow_bridge::local::console::Progress;
use workflow_bridge::local::workspace::Workspace;
use workflow_bridge::local::{Emulator, Stack};
use workflow_bridge::plan::Source;
use workflow_bridge::plan::model::{BATCH, FACTORS, Factors, Log};
use workflow_bridge::plan::prices::{PRICES, Price};
use workflow_bridge::plan::quotas::{QUOTAS, Quota};

use crate::deployed::RUNTIME;
use crate::faulty::{Dependency, FaultyStack};
use crate::messages::{Publications, body, post_signed, settle};

const WRITE: &str = "WRITE_SCALING";
const MESSAGES: u64 = 120;
const AT_ONCE: usize = 6;
/// What the completion says of a batch.
const HANDLED: &str = "handled a batch";

/// A stack with an account, and an emulator, of its own.
async fn deployed() -> FaultyStack {
    let workspace = Workspace::find().unwrap();
    let emulator = Emulator::start(&workspace, 0, &Progress::silent()).await;
    let emulator = Arc::new(emulator.unwrap());
    FaultyStack::start(emulator, &[], |_| Ok(())).await.unwrap()
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

/// What the functions have called so far.
fn calls(faulty: &FaultyStack) -> Vec<(&'static str, usize)> {
    let of = |dependency, operation| {
        let counters = faulty.proxy(dependency).counters();
        (operation, counters.of(operation).seen)
    };
    let all = |dependency, name| (name, faulty.proxy(dependency).counters().all().seen);
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
fn the_factors_are_what_a_message_causes() {
    RUNTIME.block_on(async {
        let faulty = deployed().await;
        let stack = &faulty.stack;
        let publications = Publications::of(stack);
        let messages = usize::try_from(MESSAGES).unwrap();
        let mut before = calls(&faulty);
        // STANDARD, whose end is told by Step Functions; EXPRESS, which tells by itself.
        for (topic, reply) in [
            ("uppercase-in", "uppercase-out"),
            ("enrich-in", "enrich-out"),
        ] {
            send(stack, topic).await;
            publications.wait(reply, messages).await;
            settle(stack, &["UppercaseStateMachine"]).await;
            let after = calls(&faulty);
            for ((operation, before), (_, after)) in before.iter().zip(&after) {
                let factor = match *operation {
                    "StartExecution" | "calls of Step Functions" => FACTORS.starts,
                    "DescribeExecution" => FACTORS.describes,
                    "UpdateItem" => FACTORS.ledger_writes,
                    "calls of SQS" => FACTORS.sqs_calls,
                    "calls of EventBridge" => 0.0,
                    _ => FACTORS.publications,
                };
                let counted = (after - before) as f64 / MESSAGES as f64;
                eprintln!("scaling: {topic}: {counted} {operation}");
                assert_eq!(counted, factor, "{topic}: {operation}");
            }
            before = after;
            if topic == "uppercase-in" {
                let logs = Logs::of(&stack.logs().await.unwrap());
                logs.compare("webhook", false, MESSAGES, FACTORS.webhook_log);
                logs.compare("completion", false, MESSAGES, FACTORS.completion_log);
                let batches = logs.batches.len() as u64;
                logs.compare("completion", true, batches, FACTORS.batch_log);
            }
        }
        let logs = Logs::of(&stack.logs().await.unwrap());
        let secrets = faulty.proxy(Dependency::SecretsManager).counters();
        let fetched = secrets.of("GetSecretValue").seen as f64;
        let webhooks = logs.starts("webhook") * FACTORS.webhook_secrets;
        assert_eq!(
            fetched,
            webhooks + logs.starts("completion") * FACTORS.completion_secrets
        );
        // A result is in one batch, and a batch has ten at most.
        let (batches, results) = (logs.batches.len() as f64, 2.0 * MESSAGES as f64);
        eprintln!("scaling: {results} results in {batches} batches");
        assert_eq!(logs.batches.iter().sum::<u64>() as f64, results);
        assert!((results / BATCH..=results).contains(&batches));

        let (without, routes) = (logs.metrics(None), logs.metrics(Some("uppercase")));
        eprintln!("scaling: metrics {without:?}, by route {routes:?}");
        assert_eq!(without.len() as f64, FACTORS.metrics);
        assert_eq!(routes.len() as f64, FACTORS.metrics_by_route);
    });
}

/// What the functions wrote: the part, the line, and its length in bytes.
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

    /// How many processes of a part were started, by their first invocations.
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

    /// Holds what a part logged, for messages or for batches, against the plan's figure, which may be a fifth off: names
    /// differ in length.
    fn compare(&self, part: &str, batches: bool, times: u64, planned: Log) {
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

    /// The metrics that were written without a dimension, or for a route.
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

fn planned(arguments: &str) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_bridge"))
        .args(arguments.split(' ').skip(2))
        .output()
        .unwrap();
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{arguments}: {error}");
    String::from_utf8(output.stdout).unwrap()
}

/// The page with every block `$ cargo bridge plan …` as the command prints it now, and its tables as the code has them.
fn regenerated(page: &str) -> String {
    let mut new = String::new();
    let mut lines = page.lines();
    while let Some(line) = lines.next() {
        new.push_str(line);
        new.push('\n');
        let (made, end) = if let Some(command) = line.strip_prefix("$ ") {
            (planned(command), "```")
        } else if let Some(table) = table(line) {
            (table, line)
        } else {
            continue;
        };
        assert!(lines.any(|line| line == end), "no end of `{line}`");
        new.push_str(&made);
        new.push_str(end);
        new.push('\n');
    }
    new
}

/// The table between two such lines.
fn table(mark: &str) -> Option<String> {
    let rows = |head: &str, rows: Vec<String>| format!("{head}\n{}\n", rows.join("\n"));
    let known = |source: &Source| format!("{:?}", source.confidence).to_lowercase();
    Some(match mark {
        "<!-- factors -->" => {
            let Factors {
                starts,
                ledger_writes,
                publications,
                sqs_calls,
                target_invocations,
                describes,
                webhook_secrets,
                completion_secrets,
                webhook_log,
                completion_log,
                batch_log,
                metrics,
                metrics_by_route,
            } = FACTORS;
            let log = |log: Log| format!("{} bytes in {} lines", log.bytes, log.lines);
            let all = [
                ("message", "StartExecution", starts.to_string()),
                (
                    "message",
                    "DescribeExecution, with input and output in the event",
                    describes.to_string(),
                ),
                (
                    "message",
                    "invocations of a target by EventBridge",
                    target_invocations.to_string(),
                ),
                ("message", "writes of the ledger", ledger_writes.to_string()),
                (
                    "message",
                    "publications, for each reply topic",
                    publications.to_string(),
                ),
                (
                    "message",
                    "calls of SQS by functions",
                    sqs_calls.to_string(),
                ),
                ("message", "log of the webhook", log(webhook_log)),
                ("message", "log of the completion", log(completion_log)),
                ("batch", "log of the completion besides", log(batch_log)),
                (
                    "start of a webhook",
                    "GetSecretValue",
                    webhook_secrets.to_string(),
                ),
                (
                    "start of a completion",
                    "GetSecretValue",
                    completion_secrets.to_string(),
                ),
                ("stack", "custom metrics", metrics.to_string()),
                ("route", "custom metrics", metrics_by_route.to_string()),
            ];
            let all = all.map(|(each, what, count)| format!("| {each} | {what} | {count} |"));
            rows("| for each | what | how much |\n|---|---|--:|", all.into())
        }
        "<!-- limits -->" => rows(
            "| limit | in us-east-1, us-west-2, eu-west-1 | elsewhere | over it | known | source |\n|---|--:|--:|---|---|---|",
            QUOTAS
                .iter()
                .map(|quota| {
                    let Quota {
                        name,
                        unit,
                        over_it,
                        source,
                        ..
                    } = quota;
                    let (large, other) = (quota.large.round(), quota.other.round());
                    format!(
                        "| {name} | {large}{unit} | {other}{unit} | {over_it} | {} | {} |",
                        known(source),
                        source.text
                    )
                })
                .collect(),
        ),
        "<!-- prices -->" => rows(
            "| part | price | known | source |\n|---|--:|---|---|",
            PRICES
                .iter()
                .map(|price| {
                    let Price { part, source, .. } = price;
                    format!(
                        "| {part} | {} | {} | {} |",
                        price.list(),
                        known(source),
                        source.text
                    )
                })
                .collect(),
        ),
        _ => return None,
    })
}

#[test]
fn the_page_is_what_the_command_prints() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/scaling.md");
    let page = std::fs::read_to_string(path).unwrap();
    assert_eq!(page.matches("\n$ cargo bridge plan ").count(), 3);
    let new = regenerated(&page);
    if std::env::var_os(WRITE).is_some() {
        std::fs::write(path, new).unwrap();
        return;
    }
    assert!(
        page == new,
        "docs/scaling.md is not what `bridge plan` prints; if that is meant, rewrite it with `{WRITE}=1 cargo test --all-features --test it scaling::the_page` and look at the difference"
    );
}

/// The median of the last invocations of a part: those that the emulator's REPORT lines tell, in ms, its own share included.
async fn median(stack: &Stack, part: &str, invocations: usize) -> u64 {
    let logs = stack.logs().await.unwrap();
    let reports = logs.lines().filter_map(|line| {
        let (group, report) = line.split_once(": ")?;
        let (_, rest) = report.split_once("\tDuration: ")?;
        let ours = group.to_lowercase().contains(part);
        rest.split(' ').next()?.parse::<u64>().ok().filter(|_| ours)
    });
    let all: Vec<u64> = reports.collect();
    let mut last = all[all.len() - invocations..].to_vec();
    last.sort_unstable();
    last[invocations / 2]
}

/// Invokes the completion with so many results, in SQS's place.
async fn complete(stack: &Stack, first: usize, count: usize) {
    let machine = stack.resource("UppercaseStateMachine").unwrap();
    let executions = machine.replace(":stateMachine:", ":execution:");
    let now = workflow_bridge::clock::now_ms();
    let records: Vec<Value> = (first..first + count)
        .map(|number| {
            let name = format!("uppercase-uppercase-in-{number}-{number:016x}");
            let input = json!({
                "message": {"id": format!("{number:032x}"), "cache": "demo", "topic": "uppercase-in", "topic_sequence_number": number, "event_timestamp": now, "token_id": "mo", "text": "x".repeat(200), "json": null},
                "bridge": {"version": 1, "route": "uppercase", "reply": {"cache": "demo", "topics": ["uppercase-out"], "failures": [], "format": "output"}},
            });
            let event = json!({
                "id": name, "source": "aws.states", "detail-type": "Step Functions Execution Status Change",
                "detail": {
                    "executionArn": format!("{executions}:{name}"), "stateMachineArn": machine, "name": name, "status": "SUCCEEDED",
                    "startDate": now - 100, "stopDate": now, "input": input.to_string(), "output": json!("X".repeat(200)).to_string(),
                    "inputDetails": {"included": true}, "outputDetails": {"included": true}, "redriveCount": 0, "error": null, "cause": null,
                },
            });
            json!({"messageId": name, "receiptHandle": name, "body": event.to_string(), "attributes": {"ApproximateReceiveCount": "1"}, "eventSource": "aws:sqs"})
        })
        .collect();
    let account = stack.account();
    let function = stack.resource("CompletionFunction").unwrap();
    let url = format!(
        "{}/2015-03-31/functions/{function}/invocations",
        account.endpoint()
    );
    let authorization = format!(
        "AWS4-HMAC-SHA256 Credential={}/20260101/us-east-1/lambda/aws4_request, SignedHeaders=host, Signature=0",
        account.id()
    );
    let request = reqwest::Client::new().post(url);
    let request = request.header("authorization", authorization);
    let response = request.body(json!({"Records": records}).to_string());
    let text = response.send().await.unwrap().text().await.unwrap();
    let answer: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(answer, json!({"batchItemFailures": []}));
}

/// Figures for docs/scaling.md: medians of a hundred warm invocations, one after the other.
#[test]
#[ignore = "a measurement, for docs/scaling.md"]
fn measure_durations() {
    const TIMES: usize = 101;
    RUNTIME.block_on(async {
        let faulty = deployed().await;
        let stack = &faulty.stack;
        let http = reqwest::Client::new();
        for number in 0..=TIMES {
            let body = body("uppercase-in", number as u64, &"x".repeat(200));
            let (status, _) = post_signed(&http, stack, stack.signing_secret(), &body).await;
            assert_eq!(status, 200);
        }
        settle(stack, &["UppercaseStateMachine"]).await;
        let webhook = median(stack, "webhook", TIMES).await;
        eprintln!("measured: webhook {webhook} ms");
        for results in [0, 1, 10] {
            for number in 0..TIMES {
                complete(stack, 1_000_000 * results + number * 10, results).await;
            }
            let completion = median(stack, "completion", TIMES).await;
            eprintln!("measured: completion of {results} results {completion} ms");
        }
    });
}
