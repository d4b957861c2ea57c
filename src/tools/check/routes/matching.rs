//! Routes that no message can match, and routes that a message matches twice.

use serde_json::{Map, Value};

use super::Route;
use crate::domain::inbound::routes::{Glob, Pattern};
use crate::tools::check::code::Code;
use crate::tools::check::findings::Findings;
use crate::tools::check::source::Source;

/// The fields of a message with a plain value, and its types.
const FIELDS: [(&str, &[&str]); 5] = [
    ("cache", &["text"]),
    ("topic", &["text"]),
    ("text", &["text", "null"]),
    ("token_id", &["text", "null"]),
    ("topic_sequence_number", &["number"]),
];

pub fn check(source: &Source, routes: &[Route], findings: &mut Findings) {
    for (i, route) in routes
        .iter()
        .enumerate()
        .filter(|(_, route)| route.is_enabled())
    {
        if let Some(condition) = route.value["where"].as_object()
            && let Some((field, why)) = impossible(condition, &route.value["from"])
        {
            let name = route.name();
            let text = format!(
                "route `{name}`: expected a pattern that a message can match, found one that none can: {why}; mend `where.{field}`, or take the route out"
            );
            findings.add(
                source,
                &format!("{}/where/{field}", route.pointer),
                Code::RouteCannotMatch,
                text,
            );
        }
        let before = routes[..i].iter().filter(|other| other.is_enabled());
        if let Some(other) = before
            .clone()
            .find(|other| covers(other, route) && covers(route, other))
        {
            let text = format!(
                "route `{}`: expected another `from`, `where` or `to` than that of route `{}`, found the same: every message would reach the target twice; remove one of the two",
                route.name(),
                other.name()
            );
            findings.add(source, &route.pointer, Code::RouteDuplicate, text);
            continue;
        }
        let others = routes
            .iter()
            .enumerate()
            .filter(|(j, other)| *j != i && other.is_enabled());
        let wider = others
            .map(|(_, other)| other)
            .find(|other| covers(other, route) && !covers(route, other));
        if let Some(other) = wider {
            let text = format!(
                "route `{}`: expected messages that no other route takes to the same target, found route `{}`, which takes all of them: each would reach the target twice; narrow one, or remove `{}`",
                route.name(),
                other.name(),
                route.name()
            );
            findings.warn(source, &route.pointer, Code::RouteShadowed, text);
        }
    }
}

/// Whether `wide` sends every message of `narrow` to the same target; false in doubt.
pub fn covers(wide: &Route, narrow: &Route) -> bool {
    let from = |route: &Route, key: &str| route.value["from"][key].as_str().map(str::to_owned);
    let all_names =
        ["cache", "topic"]
            .iter()
            .all(|key| match (from(wide, key), from(narrow, key)) {
                (Some(wide), Some(narrow)) => covers_name(&wide, &narrow),
                _ => false,
            });
    let condition = |route: &Route| route.value.get("where").cloned();
    let wide_condition = condition(wide);
    all_names
        && (wide_condition.is_none() || wide_condition == condition(narrow))
        && target(wide) == target(narrow)
}

/// A target with its defaults left out.
fn target(route: &Route) -> Value {
    let mut target = route.value["to"].clone();
    if let Some(map) = target.as_object_mut() {
        let defaults = [
            ("input", "envelope"),
            ("source", "Momento"),
            ("detailType", "{cache}#{topic}"),
        ];
        map.retain(|key, value| {
            !defaults
                .iter()
                .any(|(name, default)| key == name && value == default)
        });
    }
    target
}

/// Whether `wide` matches every name that `narrow` matches. A star of `narrow` becomes a character that only a star matches.
fn covers_name(wide: &str, narrow: &str) -> bool {
    Glob::new(wide).matches(&narrow.replace('*', "\u{0}")) || wide == narrow
}

/// The first field that excludes every message, and the reason.
fn impossible(pattern: &Map<String, Value>, from: &Value) -> Option<(String, String)> {
    for (name, kinds) in FIELDS {
        match pattern.get(name) {
            // Only `exists: false` matches inside a plain value.
            Some(inner @ Value::Object(_)) if !inner.to_string().contains("\"exists\":false") => {
                let why = format!("`{name}` is a plain value with no fields inside it");
                return Some((name.to_owned(), why));
            }
            Some(Value::Array(list)) if !list.is_empty() => {
                if !list.iter().any(|matcher| kind_fits(matcher, kinds)) {
                    return Some((
                        name.to_owned(),
                        format!("`{name}` is always {}", always(kinds)),
                    ));
                }
                if let Some(name_from) = from[name].as_str()
                    && !list
                        .iter()
                        .any(|matcher| name_fits(name, matcher, name_from))
                {
                    return Some((
                        name.to_owned(),
                        format!("`from.{name}` takes `{name_from}` only"),
                    ));
                }
            }
            _ => {}
        }
    }
    let alternatives = pattern.get("$or")?.as_array()?;
    let mut all = alternatives
        .iter()
        .map(|one| impossible(one.as_object()?, from));
    let (_, why) = all.next()??;
    all.all(|one| one.is_some()).then(|| {
        (
            "$or".to_owned(),
            format!("{why}, and the other alternatives fail as well"),
        )
    })
}

fn always(kinds: &[&str]) -> &'static str {
    match kinds {
        ["number"] => "a number",
        ["text"] => "a text",
        _ => "a text or null",
    }
}

/// Whether a matcher may match a value of one of these kinds.
fn kind_fits(matcher: &Value, kinds: &[&str]) -> bool {
    let has = |kind| kinds.contains(&kind);
    match matcher {
        Value::String(_) => has("text"),
        Value::Number(_) => has("number"),
        Value::Null => has("null"),
        Value::Bool(_) => false,
        Value::Object(operator) => match operator.keys().next().map(String::as_str) {
            Some("numeric") => has("number"),
            Some("exactly" | "prefix" | "suffix" | "wildcard" | "equals-ignore-case" | "cidr") => {
                has("text")
            }
            Some("exists") => operator["exists"] != false,
            _ => true,
        },
        Value::Array(_) => true,
    }
}

/// Whether a matcher may match a name that `from` allows.
fn name_fits(field: &str, matcher: &Value, from: &str) -> bool {
    let from = Glob::new(from);
    if from.is_exact() {
        let pattern = serde_json::json!({ field: [matcher] });
        let Ok(pattern) = Pattern::parse(&pattern, &[field]) else {
            return true;
        };
        return pattern.matches(&serde_json::json!({ field: from.as_str() }));
    }
    let part = |operator: &str| matcher[operator].as_str();
    match (matcher.as_str(), part("prefix"), part("suffix")) {
        (Some(name), ..) => from.matches(name),
        (_, Some(prefix), _) => from.intersects(&Glob::new(&format!("{prefix}*"))),
        (_, _, Some(suffix)) => from.intersects(&Glob::new(&format!("*{suffix}"))),
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_impossible_pattern_has_a_reason() {
        let from = json!({"cache": "c", "topic": "orders/*"});
        for (pattern, field) in [
            (json!({"topic": ["payments"]}), Some("topic")),
            (json!({"topic": [{"prefix": "pay"}]}), Some("topic")),
            (json!({"topic": [{"suffix": "/eu"}]}), None),
            (json!({"cache": [{"anything-but": "c"}]}), Some("cache")),
            (json!({"cache": ["d", "c"]}), None),
            (
                json!({"topic_sequence_number": ["1"]}),
                Some("topic_sequence_number"),
            ),
            (
                json!({"topic_sequence_number": [{"numeric": [">", 1]}]}),
                None,
            ),
            (json!({"text": [{"exists": false}]}), Some("text")),
            (json!({"text": [null]}), None),
            (json!({"text": {"kind": ["a"]}}), Some("text")),
            (json!({"text": {"kind": [{"exists": false}]}}), None),
            (json!({"json": {"kind": ["a"]}}), None),
            (
                json!({"$or": [{"cache": ["x"]}, {"text": [true]}]}),
                Some("$or"),
            ),
            (json!({"$or": [{"cache": ["x"]}, {"text": ["y"]}]}), None),
        ] {
            let found = impossible(pattern.as_object().unwrap(), &from);
            assert_eq!(
                found.as_ref().map(|(field, _)| field.as_str()),
                field,
                "{pattern}: {found:?}"
            );
        }
    }

    #[test]
    fn a_name_covers_another() {
        for (wide, narrow, covers) in [
            ("*", "a*", true),
            ("a*", "*", false),
            ("a*", "ab", true),
            ("a*", "ab*", true),
            ("ab*", "a*", false),
            ("a", "a", true),
            ("a*c", "a*c", true),
        ] {
            assert_eq!(covers_name(wide, narrow), covers, "{wide} {narrow}");
        }
    }
}
