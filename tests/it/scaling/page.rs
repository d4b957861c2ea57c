//! docs/scaling.md is what the command prints, and its tables are what the code has.

use std::process::Command;

use serde_json::Value;
use workflow_bridge::plan::Source;
use workflow_bridge::plan::model::{FACTORS, Factors, Log};
use workflow_bridge::plan::prices::{PRICES, Price};
use workflow_bridge::plan::quotas::{QUOTAS, Quota};

const WRITE: &str = "WRITE_SCALING";

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
            let log = |log: Log| format!("{} bytes, {} lines", log.bytes, log.lines);
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
                (
                    "batch",
                    "log of the completion besides",
                    format!("{} bytes, a line", batch_log.bytes),
                ),
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

#[test]
fn the_json_has_a_source_for_each_number() {
    let text = planned("cargo bridge plan --messages-per-second 2 --region eu-central-1 --json");
    let plan: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(plan["question"]["region"], "other");
    for (list, least) in [("limits", 15), ("costs", 10)] {
        let entries = plan[list].as_array().unwrap();
        assert!(entries.len() >= least, "{list}: {}", entries.len());
        for entry in entries {
            let text = |key: &str| entry[key].as_str().is_some_and(|text| !text.is_empty());
            assert!(text("source") && text("confidence"), "{entry}");
        }
    }
}

#[test]
fn what_cannot_be_planned_is_told() {
    for (arguments, said) in [
        (
            &["--messages-per-day", "0"][..],
            "messages a second: expected",
        ),
        (
            &["--messages-per-day", "nan"],
            "messages a second: expected",
        ),
        (
            &["--messages-per-second", "1", "--region", "moon"],
            "expected a region such as `eu-central-1`, found `moon`",
        ),
        (
            &["--messages-per-second", "1", "--text-bytes", "5000"],
            "a topic message ends at 4,096 bytes",
        ),
        (&[], "--messages-per-second <N>|--messages-per-day <N>"),
    ] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_bridge"));
        let output = command.arg("plan").args(arguments).output().unwrap();
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && error.contains(said), "{error}");
        assert!(output.stdout.is_empty());
    }
}
