//! docs/operations.md matches the code and the template.

use std::fs;
use std::path::PathBuf;

use workflow_bridge::telemetry::metrics::{Dimension, Metric};
use workflow_bridge::tools::local::workspace::Workspace;
use workflow_bridge::tools::template;

/// Writes the table instead of comparing it.
const WRITE: &str = "WRITE_OPERATIONS";
const MARK: &str = "<!-- metrics -->\n";

fn page() -> PathBuf {
    Workspace::find().unwrap().root().join("docs/operations.md")
}

fn table() -> String {
    let mut table = "\n| metric | unit | by | meaning |\n|---|---|---|---|\n".to_owned();
    for metric in Metric::ALL {
        let by: Vec<_> = metric
            .dimensions()
            .iter()
            .map(|one| format!("`{}`", Dimension::name(*one)))
            .collect();
        table += &format!(
            "| `{}` | {:?} | {} | {} |\n",
            metric.name(),
            metric.unit(),
            by.join(", "),
            metric.meaning()
        );
    }
    table + "\n"
}

#[test]
fn the_table_of_metrics_is_current() {
    let text = fs::read_to_string(page()).unwrap();
    let parts: Vec<_> = text.split(MARK).collect();
    let [before, old, after] = parts[..] else {
        panic!("expected the line `{}` twice", MARK.trim());
    };
    let new = table();
    if std::env::var_os(WRITE).is_some() {
        fs::write(page(), [before, &new, after].join(MARK)).unwrap();
    } else {
        assert_eq!(old, new, "run the test with {WRITE}=1");
    }
}

/// Names of parameters, outputs and resources on the page, and links within it.
#[test]
fn each_name_and_link_on_the_page_has_a_target() {
    let text = fs::read_to_string(page()).unwrap();
    let workspace = Workspace::find().unwrap();
    let template = template::read(&workspace.root().join("template.yaml")).unwrap();
    let sections = ["Parameters", "Resources", "Outputs"];
    let has = |name: &str| {
        sections
            .iter()
            .any(|section| template[section].get(name).is_some())
    };
    for part in text.split('`').skip(1).step_by(2) {
        let name = part.split('=').next().unwrap_or_default();
        let ours = name.len() > 3
            && name.starts_with(|c: char| c.is_ascii_uppercase())
            && name.chars().all(|c| c.is_ascii_alphabetic())
            && name.chars().any(|c| c.is_ascii_lowercase());
        assert!(!ours || has(name) || ELSEWHERE.contains(&name), "`{name}`");
    }
    let slug = |heading: &str| heading.to_lowercase().replace(' ', "-");
    let headings: Vec<_> = text
        .lines()
        .filter_map(|line| line.strip_prefix("## ").or(line.strip_prefix("### ")))
        .map(slug)
        .collect();
    for link in text.split("](#").skip(1) {
        let target = link.split(')').next().unwrap();
        assert!(headings.iter().any(|heading| heading == target), "{target}");
    }
}

/// Names of AWS, Momento or SAM on the page.
const ELSEWHERE: &[&str] = &[
    "AccessDenied",
    "Alarms",
    "AlarmName",
    "ApplicationLogLevel",
    "AuthenticationError",
    "AutoPublishAliasAllProperties",
    "CacheNotFoundError",
    "DeletionPolicy",
    "ExecutionLimitExceeded",
    "InProgress",
    "LastUpdateStatus",
    "LimitExceededError",
    "NoSecretValue",
    "Parameters",
    "PermissionError",
    "Properties",
    "Release",
    "ServerUnavailable",
    "StateMachineDoesNotExist",
    "ThrottlingException",
    "TimeoutError",
];
