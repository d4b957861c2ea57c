//! The latest messages in a terminal: a line each, or as JSON.

use std::fmt::Write as _;
use std::time::Duration;

use serde_json::{Value, json};
use workflow_bridge::domain::inbound::execution_name::NAME_ID_DIGITS;
use workflow_bridge::tools::console::model::{Listed, Row};
use workflow_bridge::tools::terminal::{Style, moment, seconds, shown, time};
use workflow_bridge::tools::trace::model::SCHEMA;
use workflow_bridge::tools::trace::show::unanswered;

/// Messages listed, at most.
pub const MOST: usize = 20;

/// The shape in docs/trace.md.
pub fn json(listed: &Listed, stack: &str, since: i64, until: i64) -> Value {
    json!({
        "schema": SCHEMA, "stack": stack, "since": since, "until": until,
        "messages": listed.rows.iter().map(message).collect::<Vec<_>>(),
        "unanswered": listed.unanswered,
    })
}

/// One line for each message.
pub fn show(listed: &Listed, stack: &str, since: i64, style: Style) -> String {
    let mut text = String::new();
    unanswered(&mut text, &listed.unanswered, style);
    let places: Vec<_> = listed.rows.iter().map(place).collect();
    let width = places.iter().map(|place| place.chars().count()).max();
    let width = width.unwrap_or_default();
    for (row, place) in listed.rows.iter().zip(&places) {
        let id = row.id.get(..NAME_ID_DIGITS).unwrap_or(&row.id);
        let (when, outcomes) = (style.dim(moment(row.at)), outcomes(row, style));
        let _ = writeln!(text, "{when}  {id}  {place:<width$}  {outcomes}");
    }
    let since = time(since);
    let end = match listed.rows.len() {
        0 => {
            format!("no message came in since {since} at {stack}; `--since 7d` looks further back")
        }
        MOST => {
            format!(
                "the latest {MOST}, as they came in; `cargo bridge trace ID` shows one with its replays, `--since` another range"
            )
        }
        _ => format!(
            "all since {since}, as they came in; `cargo bridge trace ID` shows one with its replays"
        ),
    };
    let _ = writeln!(text, "{}", style.dim(end));
    text
}

fn message(row: &Row) -> Value {
    let targets = row.legs.iter();
    let targets = targets.map(|leg| json!({"route": leg.route, "outcome": leg.outcome}));
    let runs = row.legs.iter().filter_map(|leg| {
        let run = leg.run.as_ref().filter(|run| !run.status.is_empty())?;
        Some(json!({
            "route": leg.route, "name": run.name(), "status": run.status, "took_ms": run.took_ms(),
        }))
    });
    json!({
        "at": row.at, "id": row.id, "cache": row.cache, "topic": row.topic, "number": row.sequence,
        "code": row.answer.as_ref().map(|answer| &answer.code),
        "targets": targets.collect::<Vec<_>>(), "runs": runs.collect::<Vec<_>>(),
    })
}

fn place(row: &Row) -> String {
    let (cache, topic) = (shown(&row.cache), shown(&row.topic));
    format!("{cache}/{topic}#{}", row.sequence)
}

/// The outcome of each route: its execution's status, where there is one.
fn outcomes(row: &Row, style: Style) -> String {
    let code = row.answer.as_ref().map_or("?", |answer| &answer.code);
    if row.legs.is_empty() {
        return style.bad(format_args!("✗ {}", shown(code)));
    }
    let outcomes = row.legs.iter().map(|leg| {
        let run = leg.run.as_ref().filter(|run| !run.status.is_empty());
        let status = run.map_or(&leg.outcome, |run| &run.status);
        let took = run.and_then(|run| run.took_ms()?.try_into().ok());
        let took = took.map_or(String::new(), |ms| {
            format!("  {}", style.dim(seconds(Duration::from_millis(ms))))
        });
        let status = match status.as_str() {
            "SUCCEEDED" | "event_put" | "resumed" | "stopped" => {
                style.good(format_args!("✓ {status}"))
            }
            "FAILED" | "TIMED_OUT" | "ABORTED" | "dead_lettered" | "not_stored" => {
                style.bad(format_args!("✗ {status}"))
            }
            status => format!("… {}", shown(status)),
        };
        format!("{} {status}{took}", shown(&leg.route))
    });
    outcomes.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use workflow_bridge::tools::console::model::{Answered, Leg, Ran};

    use super::*;

    fn row(at: i64, code: &str, legs: Vec<Leg>) -> Row {
        Row {
            id: "0123456789abcdef0123456789abcdef".to_owned(),
            cache: "demo".to_owned(),
            topic: "in\u{1b}".to_owned(),
            sequence: 7,
            at,
            answer: Some(Answered {
                code: code.to_owned(),
                ..Answered::default()
            }),
            legs,
            ..Row::default()
        }
    }

    fn leg(route: &str, outcome: &str, run: Option<Ran>) -> Leg {
        Leg {
            route: route.to_owned(),
            outcome: outcome.to_owned(),
            run,
        }
    }

    fn of(rows: Vec<Row>) -> Listed {
        Listed {
            rows,
            ..Listed::default()
        }
    }

    #[test]
    fn each_message_has_a_line_with_the_outcome_of_each_route() {
        let failed = Ran {
            arn: "arn:aws:states:r:1:execution:M:n".to_owned(),
            status: "FAILED".to_owned(),
            started_at: 5,
            stopped_at: Some(305),
            error: None,
        };
        let unlisted = Ran {
            status: String::new(),
            ..failed.clone()
        };
        let legs = vec![
            leg("upper", "started", Some(failed)),
            leg("lower", "started", Some(unlisted)),
            leg("bus", "event_put", None),
        ];
        let latest = of(vec![row(5, "accepted", legs), row(4, "unrouted", vec![])]);
        let text = show(&latest, "stack", 0, Style::plain());
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(
            lines,
            [
                "1970-01-01 00:00:00.005 UTC  0123456789abcdef  demo/in\\u{1b}#7  upper ✗ FAILED  300 ms, lower … started, bus ✓ event_put",
                "1970-01-01 00:00:00.004 UTC  0123456789abcdef  demo/in\\u{1b}#7  ✗ unrouted",
                "all since 1970-01-01T00:00:00Z, as they came in; `cargo bridge trace ID` shows one with its replays",
            ]
        );
        let run = json!({"route": "upper", "name": "n", "status": "FAILED", "took_ms": 300});
        let message = &json(&latest, "stack", 0, 0)["messages"][0];
        assert_eq!(message["runs"], json!([run]));
        let bus = json!({"route": "bus", "outcome": "event_put"});
        assert_eq!(
            (&message["targets"][2], &message["number"]),
            (&bus, &json!(7))
        );
    }

    #[test]
    fn an_empty_range_says_how_to_look_further_back() {
        let text = show(&of(Vec::new()), "stack", 0, Style::plain());
        assert!(
            text.contains("no message came in since") && text.contains("--since 7d"),
            "{text}"
        );
    }
}
