//! The functions' logs: their lines, and the search in CloudWatch.

use std::time::Duration;

use aws_sdk_cloudwatchlogs::Client;
use aws_smithy_types::date_time::{DateTime, Format};
use serde_json::{Map, Value};
use tokio::time::Instant;

use super::model::Part;
use crate::adapters::aws::fault::fault;
use crate::domain::fault::Fault;
use crate::domain::inbound::execution_name::id_in_name;
use crate::domain::ports::Answer;
use crate::tools::place::Place;

/// Deadline for the search of one log.
const LOOK_WITHIN: Duration = Duration::from_secs(120);

/// CloudWatch's limit of a pattern, in characters.
const LONGEST_PATTERN: usize = 1024;

/// A JSON line that a function wrote.
#[derive(Clone, Debug, PartialEq)]
pub struct Line {
    pub part: Part,
    /// When it was written, in ms since the epoch.
    pub at_ms: i64,
    pub fields: Map<String, Value>,
}

impl Line {
    /// Reads a log event. None for Lambda's own lines and for metrics.
    ///
    /// The time is the line's own, or else CloudWatch's, `ingested_ms`.
    pub fn read(part: Part, text: &str, ingested_ms: i64) -> Option<Self> {
        let Ok(Value::Object(fields)) = serde_json::from_str(text) else {
            return None;
        };
        if !fields.contains_key("message") || !fields.contains_key("level") {
            return None;
        }
        let written = fields.get("timestamp").and_then(Value::as_str);
        let written = written.and_then(|t| DateTime::from_str(t, Format::DateTime).ok());
        let at_ms = written.and_then(|time| time.to_millis().ok());
        Some(Self {
            part,
            at_ms: at_ms.unwrap_or(ingested_ms),
            fields,
        })
    }

    pub fn text(&self, field: &str) -> Option<&str> {
        self.fields.get(field)?.as_str()
    }

    pub fn number(&self, field: &str) -> Option<i64> {
        self.fields.get(field)?.as_i64()
    }

    /// The name of its execution.
    fn execution(&self) -> Option<&str> {
        self.text("execution.arn")?.rsplit(':').next()
    }

    /// The names of the executions of keys, in the webhook's line.
    pub fn keyed(&self) -> impl Iterator<Item = &str> {
        let names = self.text("executions").unwrap_or_default();
        names.split_whitespace()
    }

    /// The id of its message, or the first 16 digits of it.
    pub fn id(&self) -> Option<&str> {
        let named = self.text("message.id");
        let named = named.or_else(|| self.text("correlation_id"));
        named.or_else(|| id_in_name(self.execution()?))
    }

    /// Whether it is about the message with this id, of 16 digits or more, or about this execution.
    pub fn is_about(&self, id: Option<&str>, execution: Option<&str>) -> bool {
        let by_id = id.zip(self.id());
        by_id.is_some_and(|(id, found)| is_same(id, found))
            || execution.is_some_and(|name| self.execution() == Some(name))
    }

    /// Whether it records the arrival of a message with this number.
    pub fn is_of(&self, cache: &str, topic: &str, number: u64) -> bool {
        self.text("message.cache") == Some(cache)
            && self.text("message.topic") == Some(topic)
            && self.fields.get("message.sequence").and_then(Value::as_u64) == Some(number)
    }
}

/// Whether two ids are of one message; either may be the first digits only.
pub fn is_same(id: &str, other: &str) -> bool {
    id.starts_with(other) || other.starts_with(id)
}

/// The default range, in ms.
pub const LOOK_BACK_MS: i64 = 24 * 3_600_000;

/// A range of time, in ms since the epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    pub since: i64,
    pub until: i64,
}

/// The functions' logs.
pub trait Logs: Send + Sync {
    /// The lines that contain the text; the result may hold other lines, too.
    fn find<'a>(&'a self, part: Part, text: &'a str, window: Window) -> Answer<'a, Vec<Line>>;
}

/// The log groups of a stack.
impl Logs for Place {
    /// Reads all pages: CloudWatch returns pages without events while no line matches.
    fn find<'a>(&'a self, part: Part, text: &'a str, window: Window) -> Answer<'a, Vec<Line>> {
        Box::pin(async move {
            let client = Client::new(&self.config);
            let group = self.log_group(part).ok_or_else(|| {
                let text = format!("expected the stack to have an output with the log of the {}, found none: deploy this version's template.yaml", part.name());
                Fault::permanent("NoLogGroup", text)
            })?;
            let end = Instant::now() + LOOK_WITHIN;
            let (mut lines, mut token) = (Vec::new(), None);
            loop {
                let call = client.filter_log_events().log_group_name(group);
                let call = call.start_time(window.since).end_time(window.until);
                let call = call.filter_pattern(pattern(text)).set_next_token(token);
                let page = call.send().await.map_err(|e| fault(&e))?;
                let events = page.events.unwrap_or_default().into_iter();
                lines.extend(events.filter_map(|event| {
                    Line::read(part, &event.message?, event.timestamp.unwrap_or_default())
                }));
                token = page.next_token;
                if token.is_none() {
                    return Ok(lines);
                }
                if Instant::now() > end {
                    let text = format!(
                        "the log was not searched within {} s: search less of it with `--since`",
                        LOOK_WITHIN.as_secs()
                    );
                    return Err(Fault::transient("TooMuchLog", text));
                }
            }
        })
    }
}

/// A regular expression for a piece of a line. Patterns over JSON cannot name fields with dots, such as the bridge's.
fn pattern(text: &str) -> String {
    // Other characters have a meaning in an expression. A dot replaces them, since it matches any character.
    let expression = text.chars().map(|c| match c {
        'A'..='Z' | 'a'..='z' | '0'..='9' | '-' | '_' => c,
        _ => '.',
    });
    let expression: String = expression.take(LONGEST_PATTERN - 2).collect();
    format!("%{expression}%")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const ID: &str = "0123456789abcdef0123456789abcdef";

    fn line(mut fields: Value) -> Line {
        fields["message"] = json!("x");
        fields["level"] = json!("INFO");
        Line::read(Part::Webhook, &fields.to_string(), 5).unwrap()
    }

    #[test]
    fn a_line_has_its_own_time() {
        let own = line(json!({"timestamp": "1970-01-01T00:00:01.234567Z"}));
        assert_eq!((own.at_ms, line(json!({})).at_ms), (1_234, 5));
        let others = r#"START RequestId: x;[];{"_aws": {}};{;{"message": "x"}"#;
        for text in others.split(';') {
            assert_eq!(Line::read(Part::Webhook, text, 5), None, "{text}");
        }
    }

    #[test]
    fn a_line_names_its_message_or_its_execution() {
        let arn = format!("arn:aws:states:r:1:execution:M:r-t-1-{}", &ID[..16]);
        for fields in [
            json!({"message.id": ID}),
            json!({"correlation_id": ID}),
            json!({"correlation_id": &ID[..16]}),
            json!({"execution.arn": arn}),
        ] {
            let line = line(fields.clone());
            assert!(line.is_about(Some(ID), None), "{fields}");
            assert!(line.is_about(Some(&ID[..16]), None), "{fields}");
            assert!(!line.is_about(Some("0123456789abcdee"), None), "{fields}");
        }
        let by_hand = line(json!({"execution.arn": "arn:aws:states:r:1:execution:M:by-hand"}));
        assert!(by_hand.is_about(None, Some("by-hand")) && !by_hand.is_about(None, Some("hand")));
        assert!(!by_hand.is_about(Some(ID), None));
    }

    #[test]
    fn a_number_matches_in_its_topic_only() {
        let line = line(json!({"message.cache": "c", "message.topic": "t", "message.sequence": 7}));
        assert!(line.is_of("c", "t", 7));
        assert!(!line.is_of("c", "t", 77) && !line.is_of("c", "u", 7) && !line.is_of("d", "t", 7));
    }

    #[test]
    fn patterns_are_valid_in_cloudwatch() {
        for (text, expected) in [
            ("0123456789abcdef", "%0123456789abcdef%"),
            ("by hand (é)", "%by.hand....%"),
            ("message.sequence\":42", "%message.sequence..42%"),
        ] {
            assert_eq!(pattern(text), expected);
        }
    }
}
