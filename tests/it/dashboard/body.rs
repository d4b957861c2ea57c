//! CloudWatch's documented dashboard body
//! (<https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/CloudWatch-Dashboard-Body-Structure.html>), as far as the
//! template uses it: any other kind of widget or property is a problem.

use serde_json::{Map, Value, json};

/// Everything that CloudWatch refuses, and widgets that overlap.
pub fn problems(body: &Value) -> Vec<String> {
    let mut problems = Vec::new();
    let Some(top) = body.as_object() else {
        return vec!["the body is no object".to_owned()];
    };
    let known = ["start", "end", "periodOverride", "variables", "widgets"];
    unknown(top, &known, "the body", &mut problems);
    if let Some(start) = top.get("start") {
        let relative = start.as_str().is_some_and(|start| start.starts_with("-P"));
        check(relative, || format!("start {start}"), &mut problems);
    }
    let Some(widgets) = top.get("widgets").and_then(Value::as_array) else {
        problems.push("no list of widgets".to_owned());
        return problems;
    };
    check(
        widgets.len() <= 500,
        || "over 500 widgets".to_owned(),
        &mut problems,
    );
    let mut places = Vec::new();
    for (index, widget) in widgets.iter().enumerate() {
        let mut mine = Vec::new();
        match place(widget) {
            Ok(place) => {
                if let Some(other) = places.iter().position(|other| overlap(*other, place)) {
                    mine.push(format!("covers widget {other}"));
                }
                places.push(place);
            }
            Err(problem) => {
                mine.push(problem);
                places.push([0; 4]);
            }
        }
        properties(widget, &mut mine);
        let name = &widget["properties"]["title"];
        problems.extend(
            mine.into_iter()
                .map(|problem| format!("widget {index} ({name}): {problem}")),
        );
    }
    problems
}

fn check(holds: bool, problem: impl FnOnce() -> String, problems: &mut Vec<String>) {
    if !holds {
        problems.push(problem());
    }
}

fn unknown(map: &Map<String, Value>, known: &[&str], of: &str, problems: &mut Vec<String>) {
    let others = map.keys().filter(|key| !known.contains(&key.as_str()));
    problems.extend(others.map(|key| format!("`{key}` is no property of {of}")));
}

/// x, y, width, height.
fn place(widget: &Value) -> Result<[u64; 4], String> {
    let number = |name: &str| widget[name].as_u64().ok_or(format!("no number `{name}`"));
    let place = [
        number("x")?,
        number("y")?,
        number("width")?,
        number("height")?,
    ];
    let [x, _, width, height] = place;
    let fits = x <= 23 && (1..=24).contains(&width) && x + width <= 24;
    match fits && (1..=1000).contains(&height) {
        true => Ok(place),
        false => Err(format!("{place:?} is outside the grid of 24 columns")),
    }
}

fn overlap(one: [u64; 4], other: [u64; 4]) -> bool {
    let apart =
        |at: usize| one[at] + one[at + 2] <= other[at] || other[at] + other[at + 2] <= one[at];
    !apart(0) && !apart(1)
}

fn properties(widget: &Value, problems: &mut Vec<String>) {
    let map = widget.as_object().cloned().unwrap_or_default();
    unknown(
        &map,
        &["type", "x", "y", "width", "height", "properties"],
        "a widget",
        problems,
    );
    let Some(properties) = widget["properties"].as_object() else {
        problems.push("no properties".to_owned());
        return;
    };
    let text = |name: &str| {
        properties
            .get(name)
            .and_then(Value::as_str)
            .is_some_and(|text| !text.is_empty())
    };
    let one_of = |name: &str, values: &[&str]| {
        properties
            .get(name)
            .is_none_or(|value| value.as_str().is_some_and(|value| values.contains(&value)))
    };
    match widget["type"].as_str() {
        Some("text") => {
            unknown(properties, &["markdown", "background"], "a text", problems);
            check(text("markdown"), || "no markdown".to_owned(), problems);
        }
        Some("alarm") => {
            unknown(
                properties,
                &["alarms", "sortBy", "states", "title"],
                "an alarm widget",
                problems,
            );
            let alarms = properties.get("alarms").and_then(Value::as_array);
            check(
                alarms.is_some_and(|list| {
                    (1..=100).contains(&list.len()) && list.iter().all(Value::is_string)
                }),
                || "expected 1 to 100 alarms".to_owned(),
                problems,
            );
            check(
                one_of("sortBy", &["default", "stateUpdatedTimestamp", "timestamp"]),
                || "bad sortBy".to_owned(),
                problems,
            );
        }
        Some("log") => {
            unknown(
                properties,
                &[
                    "query",
                    "region",
                    "title",
                    "view",
                    "stacked",
                    "accountId",
                    "queryLanguage",
                ],
                "a log widget",
                problems,
            );
            check(text("region"), || "no region".to_owned(), problems);
            let query = properties
                .get("query")
                .and_then(Value::as_str)
                .unwrap_or_default();
            check(
                query.starts_with("SOURCE '"),
                || "a query begins with its SOURCE".to_owned(),
                problems,
            );
            check(
                one_of("view", &["table", "timeSeries", "bar", "pie"]),
                || "bad view".to_owned(),
                problems,
            );
        }
        Some("metric") => metric(properties, problems),
        other => problems.push(format!("{other:?} is no known type")),
    }
}

fn metric(properties: &Map<String, Value>, problems: &mut Vec<String>) {
    let known = [
        "title",
        "view",
        "stacked",
        "region",
        "period",
        "stat",
        "metrics",
        "yAxis",
        "setPeriodToTimeRange",
        "sparkline",
        "legend",
        "annotations",
    ];
    unknown(properties, &known, "a metric widget", problems);
    check(
        properties.get("region").is_some_and(Value::is_string),
        || "no region".to_owned(),
        problems,
    );
    check(
        properties["view"].as_str().is_some_and(|view| {
            ["timeSeries", "singleValue", "gauge", "bar", "pie", "table"].contains(&view)
        }),
        || format!("view {}", properties["view"]),
        problems,
    );
    for flag in ["stacked", "setPeriodToTimeRange", "sparkline"] {
        check(
            properties.get(flag).is_none_or(Value::is_boolean),
            || format!("{flag} is no flag"),
            problems,
        );
    }
    // One value for the whole time range leaves nothing to draw.
    let both = ["setPeriodToTimeRange", "sparkline"]
        .iter()
        .all(|flag| properties.get(*flag) == Some(&Value::Bool(true)));
    check(!both, || "a sparkline of one period".to_owned(), problems);
    check(
        properties.get("period").is_none_or(is_period),
        || "bad period".to_owned(),
        problems,
    );
    for side in properties
        .get("yAxis")
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
    {
        check(
            ["left", "right"].contains(&side.0.as_str()),
            || format!("axis {}", side.0),
            problems,
        );
        let axis = side.1.as_object().cloned().unwrap_or_default();
        unknown(
            &axis,
            &["min", "max", "label", "showUnits"],
            "an axis",
            problems,
        );
    }
    let Some(metrics) = properties.get("metrics").and_then(Value::as_array) else {
        problems.push("no metrics".to_owned());
        return;
    };
    check(
        (1..=500).contains(&metrics.len()),
        || "expected 1 to 500 metrics".to_owned(),
        problems,
    );
    let mut ids = Vec::new();
    for metric in metrics {
        let parts = metric.as_array().cloned().unwrap_or_default();
        let (options, names) = match parts.split_last() {
            Some((Value::Object(options), names)) => (options.clone(), names),
            _ => (Map::new(), parts.as_slice()),
        };
        let known = [
            "id",
            "label",
            "stat",
            "period",
            "yAxis",
            "color",
            "visible",
            "region",
            "expression",
        ];
        unknown(&options, &known, "a metric", problems);
        check(
            options
                .get("yAxis")
                .is_none_or(|axis| *axis == "left" || *axis == "right"),
            || format!("axis of {metric}"),
            problems,
        );
        // A lower-case letter, then letters, digits and `_`; unique in a widget.
        if let Some(id) = options.get("id").and_then(Value::as_str) {
            let legal = id.starts_with(|c: char| c.is_ascii_lowercase())
                && id.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
            check(
                legal && !ids.contains(&id.to_owned()),
                || format!("id `{id}`"),
                problems,
            );
            ids.push(id.to_owned());
        }
        let texts = names.iter().all(Value::is_string);
        let shape = match options.contains_key("expression") {
            true => names.is_empty(),
            // Namespace, name, and dimensions in pairs.
            false => names.len() >= 2 && names.len().is_multiple_of(2),
        };
        check(
            texts && shape,
            || format!("{metric} is no metric"),
            problems,
        );
    }
}

fn is_period(period: &Value) -> bool {
    period.as_u64().is_some_and(|seconds| {
        [1, 5, 10, 30].contains(&seconds) || (seconds > 0 && seconds % 60 == 0)
    })
}

fn graph(metrics: Value) -> Value {
    json!({
        "type": "metric", "x": 0, "y": 0, "width": 24, "height": 6,
        "properties": {"view": "timeSeries", "region": "us-east-1", "metrics": metrics},
    })
}

#[test]
fn a_body_that_cloudwatch_refuses_is_a_problem() {
    let sound = graph(json!([["a", "b", "c", "d", {"stat": "Sum"}]]));
    let body = |widgets: Value| json!({"widgets": widgets});
    assert_eq!(problems(&body(json!([sound]))), [] as [String; 0]);
    let with = |pointer: &str, value: Value| {
        let mut widget = sound.clone();
        *widget.pointer_mut(pointer).unwrap() = value;
        body(json!([widget]))
    };
    let text = json!({"type": "text", "x": 0, "y": 6, "width": 1, "height": 1, "properties": {}});
    let log = json!({"type": "log", "x": 0, "y": 6, "width": 1, "height": 1, "properties": {"region": "r", "query": "fields x"}});
    let alarm = json!({"type": "alarm", "x": 0, "y": 6, "width": 1, "height": 1, "properties": {"alarms": []}});
    for (broken, part) in [
        (json!([]), "no object"),
        (json!({}), "no list of widgets"),
        (json!({"widgets": [], "title": "x"}), "`title`"),
        (json!({"widgets": [], "start": "now"}), "start"),
        (body(json!([sound, sound])), "covers widget 0"),
        (with("/x", json!(1)), "outside the grid"),
        (with("/height", json!(0)), "outside the grid"),
        (with("/y", json!("0")), "no number `y`"),
        (with("/type", json!("graph")), "no known type"),
        (with("/properties", json!([])), "no properties"),
        (with("/properties/view", json!("line")), "view"),
        (with("/properties/region", json!(1)), "no region"),
        (
            with(
                "/properties",
                json!({"view": "singleValue", "region": "r", "metrics": [["a", "b"]], "sparkline": true, "setPeriodToTimeRange": true}),
            ),
            "a sparkline",
        ),
        (with("/properties/metrics", json!([])), "1 to 500 metrics"),
        (
            with("/properties/metrics", json!([["a", "b", "c"]])),
            "no metric",
        ),
        (with("/properties/metrics", json!([["a", 1]])), "no metric"),
        (
            with(
                "/properties/metrics",
                json!([[{"expression": "x", "id": "A"}]]),
            ),
            "id `A`",
        ),
        (
            with(
                "/properties/metrics",
                json!([[{"expression": "x", "id": "a"}], [{"expression": "y", "id": "a"}]]),
            ),
            "id `a`",
        ),
        (
            with("/properties/metrics/0/4", json!({"statistic": "Sum"})),
            "`statistic`",
        ),
        (body(json!([text])), "no markdown"),
        (body(json!([log])), "SOURCE"),
        (body(json!([alarm])), "1 to 100 alarms"),
    ] {
        let found = problems(&broken);
        assert!(
            found.iter().any(|problem| problem.contains(part)),
            "{part}: {found:?}"
        );
    }
}
