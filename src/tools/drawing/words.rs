//! The texts in and beside the boxes of a picture.

use serde_json::Value;

use super::kind::Kind;

/// Characters of a condition or a name, at most.
const WIDTH: usize = 48;

/// A summary of a state beyond its type; may be empty.
pub fn note(kind: Kind, state: &Value) -> String {
    match kind {
        Kind::Task => {
            let mut note = state["Resource"]
                .as_str()
                .map_or_else(String::new, resource);
            let retries = state["Retry"].as_array();
            if retries.is_some_and(|retries| !retries.is_empty()) {
                note += ", retried";
            }
            note
        }
        Kind::Wait => {
            if !state["Seconds"].is_null() {
                return format!("{} s", short(&state["Seconds"]));
            }
            let keys = ["Timestamp", "SecondsPath", "TimestampPath"];
            let until = keys.iter().find_map(|key| state.get(*key));
            until.map_or_else(String::new, |until| format!("until {}", short(until)))
        }
        Kind::Fail => {
            let error = state.get("Error").or_else(|| state.get("ErrorPath"));
            error.map_or_else(String::new, short)
        }
        Kind::Map => {
            let items = state.get("Items").or_else(|| state.get("ItemsPath"));
            items.map_or_else(String::new, |items| format!("each of {}", short(items)))
        }
        Kind::Pass | Kind::Choice | Kind::Succeed | Kind::Parallel => String::new(),
    }
}

/// The condition of a rule of a Choice state, in either query language.
pub fn condition(rule: &Value) -> String {
    cut(&match rule.get("Condition") {
        Some(condition) => full(condition),
        None => comparison(rule),
    })
}

/// `events:putEvents` for `arn:aws:states:::events:putEvents`, and so on.
fn resource(text: &str) -> String {
    let service = text.split_once(":states:::").map(|(_, service)| service);
    let service = service.or_else(|| text.rsplit(':').next()).unwrap_or(text);
    let service = service.strip_prefix("aws-sdk:").unwrap_or(service);
    if let Some(call) = service.strip_suffix(".waitForTaskToken") {
        return format!("{}, waits for an answer", cut(call));
    }
    if let Some(job) = service
        .strip_suffix(".sync")
        .or_else(|| service.strip_suffix(".sync:2"))
    {
        return format!("{}, waits for its end", cut(job));
    }
    cut(service)
}

/// A rule in JSONPath: variable, operator and value.
fn comparison(rule: &Value) -> String {
    let joined = |rules: &Value, word: &str| {
        let rules = rules.as_array().into_iter().flatten();
        rules.map(comparison).collect::<Vec<_>>().join(word)
    };
    if let Some(rules) = rule.get("And") {
        return joined(rules, " and ");
    }
    if let Some(rules) = rule.get("Or") {
        return joined(rules, " or ");
    }
    if let Some(rule) = rule.get("Not") {
        return format!("not ({})", comparison(rule));
    }
    let variable = rule["Variable"].as_str().unwrap_or("?");
    let aside = ["Variable", "Next", "Comment", "Assign", "Output"];
    let mut keys = rule.as_object().into_iter().flatten();
    match keys.find(|(key, _)| !aside.contains(&key.as_str())) {
        Some((operator, value)) => format!("{variable} {} {}", sign(operator), full(value)),
        None => variable.to_owned(),
    }
}

/// `=` for `StringEquals`, and so on; any other operator as it is.
fn sign(operator: &str) -> &str {
    let kinds = ["String", "Numeric", "Boolean", "Timestamp"];
    let bare = kinds.iter().find_map(|kind| operator.strip_prefix(kind));
    let bare = bare.map(|bare| bare.strip_suffix("Path").unwrap_or(bare));
    match bare {
        Some("Equals") => "=",
        Some("LessThan") => "<",
        Some("GreaterThan") => ">",
        Some("LessThanEquals") => "<=",
        Some("GreaterThanEquals") => ">=",
        Some("Matches") => "like",
        _ => operator,
    }
}

/// A value or an expression, cut short.
fn short(value: &Value) -> String {
    cut(&full(value))
}

fn full(value: &Value) -> String {
    let Value::String(text) = value else {
        return value.to_string();
    };
    let inner = text
        .trim()
        .strip_prefix("{%")
        .and_then(|rest| rest.strip_suffix("%}"));
    match inner {
        Some(expression) => expression.trim().replace("$states.", ""),
        None => text.clone(),
    }
}

/// The beginning of a text, on one line.
pub fn cut(text: &str) -> String {
    let words: Vec<_> = text.split_whitespace().collect();
    let line = words.join(" ");
    if line.chars().count() <= WIDTH {
        return line;
    }
    let beginning: String = line.chars().take(WIDTH - 1).collect();
    format!("{}…", beginning.trim_end())
}
