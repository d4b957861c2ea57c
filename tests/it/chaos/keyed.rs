//! Messages of a route with a business key: the executions of a key are one.

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_sfn::types::ExecutionStatus;
use serde_json::{Value, json};
use workflow_bridge::domain::inbound::execution_name::keyed_execution_name;

use crate::messages::{Execution, body};

pub const TOPIC: &str = "keyed-in";
pub const RESULTS: &str = "keyed-out";
const ROUTE: &str = "keyed";
/// One in so many messages is followed by one with a key.
const EVERY: u64 = 4;
/// Messages of one key.
const PER_KEY: u64 = 10;

pub fn route() -> Value {
    json!({
        "name": ROUTE,
        "from": {"cache": "demo", "topic": TOPIC},
        "to": {"stateMachine": {"Ref": "UppercaseWorkflow"}, "key": "json.orderId"},
        "reply": {"topics": [RESULTS]},
    })
}

/// The key of the message that follows message `number`, with its body.
pub fn after(number: u64) -> Option<(u64, String)> {
    let key = number / (EVERY * PER_KEY);
    let text = || json!({"orderId": key, "number": number}).to_string();
    number
        .is_multiple_of(EVERY)
        .then(|| (key, body(TOPIC, number, &text())))
}

/// The executions with a key, by name; the others stay in `executions`.
pub fn split(executions: &mut Vec<Execution>) -> Vec<Execution> {
    let prefix = format!("{ROUTE}-");
    let keyed = executions.extract_if(.., |one| one.name.starts_with(&prefix));
    keyed.collect()
}

/// Compares executions and results with the keys of accepted messages. Returns the number of publications by execution, and
/// the problems.
pub fn check(
    keys: &BTreeSet<u64>,
    executions: &[Execution],
    published: &[String],
) -> (BTreeMap<String, usize>, Vec<String>) {
    let mut problems = Vec::new();
    let mut times: BTreeMap<String, usize> = BTreeMap::new();
    for text in published {
        let result: Value = serde_json::from_str(text).unwrap_or_default();
        let name = keyed_execution_name(ROUTE, &result["ORDERID"].to_string());
        *times.entry(name).or_default() += 1;
    }
    let mut names = BTreeSet::new();
    for one in executions {
        if one.status != ExecutionStatus::Succeeded {
            problems.push(format!("{} is {}", one.name, one.status));
        }
        if !names.insert(one.name.as_str()) {
            problems.push(format!("more than one execution: {}", one.name));
        }
        if !times.contains_key(&one.name) {
            problems.push(format!("no result was published: {}", one.name));
        }
    }
    for key in keys {
        let name = keyed_execution_name(ROUTE, &key.to_string());
        if !names.contains(name.as_str()) {
            problems.push(format!("key {key} was taken and never executed"));
        }
    }
    times.retain(|name, _| names.contains(name.as_str()));
    // Of one key, all publications are the result of one message.
    if published.iter().collect::<BTreeSet<_>>().len() > names.len() {
        problems.push("a key has several results".into());
    }
    (times, problems)
}
