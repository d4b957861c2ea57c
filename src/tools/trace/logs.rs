//! Searches CloudWatch Logs for lines.

use std::time::Duration;

use aws_sdk_cloudwatchlogs::Client;
use tokio::time::Instant;

use super::lines::Line;
use super::model::Part;
use super::sources::Window;
use crate::adapters::aws::fault::fault;
use crate::domain::fault::Fault;
use crate::domain::ports::Answer;
use crate::tools::place::Place;

/// Deadline for the search of one log.
const LOOK_WITHIN: Duration = Duration::from_secs(120);

/// CloudWatch's limit of a pattern, in characters.
const LONGEST_PATTERN: usize = 1024;

/// The functions' logs.
pub trait Logs: Send + Sync {
    /// The lines that contain the text; the result may hold other lines, too.
    fn find<'a>(&'a self, part: Part, text: &'a str, window: Window) -> Answer<'a, Vec<Line>>;
}

/// The log groups of a stack.
pub struct CloudWatchLogs {
    client: Client,
    place: Place,
}

impl CloudWatchLogs {
    pub fn new(place: &Place) -> Self {
        Self {
            client: Client::new(&place.config),
            place: place.clone(),
        }
    }
}

impl Logs for CloudWatchLogs {
    /// Reads all pages: CloudWatch returns pages without events while no line matches.
    fn find<'a>(&'a self, part: Part, text: &'a str, window: Window) -> Answer<'a, Vec<Line>> {
        Box::pin(async move {
            let group = self.place.log_group(part).ok_or_else(|| {
                let text = format!("expected the stack to have an output with the log of the {}, found none: deploy this version's template.yaml", part.name());
                Fault::permanent("NoLogGroup", text)
            })?;
            let end = Instant::now() + LOOK_WITHIN;
            let (mut lines, mut token) = (Vec::new(), None);
            loop {
                let call = self.client.filter_log_events().log_group_name(group);
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
