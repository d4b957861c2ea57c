//! The publications of a message's results.

use super::app::App;
use super::model::Row;
use super::recorded::Recorded;
use crate::tools::local::claim::Claim;
use crate::tools::trace::model::{Trace, What};

/// The clocks of functions and topics may differ by this much, in ms.
const CLOCKS_MS: i64 = 2_000;

/// Publications of this message's results, where they are in memory, each with its text and whether it is a claim.
///
/// A publication as `output` does not name its message. It counts where it is the output, or the only one on its topic in
/// the time between the execution's end and the completion's line.
pub fn results(app: &App, trace: &Trace, recorded: &[Recorded]) -> Vec<(Row, String, bool)> {
    let id = trace.message.id.as_deref().unwrap_or_default();
    let mut found: Vec<(Row, String, bool)> = Vec::new();
    for event in &trace.events {
        let (topics, end) = match &event.what {
            What::Ended { published, .. } => {
                let mut ends = trace.events.iter().filter(|one| one.route == event.route);
                let end = ends.find_map(|one| one.run()?.stopped_at);
                (&published.to, end.unwrap_or(event.at))
            }
            What::Published(published) => (&published.to, event.at - CLOCKS_MS),
            _ => continue,
        };
        let near = app.messages.published(topics, end - CLOCKS_MS);
        let near: Vec<_> = near
            .into_iter()
            .filter(|(row, _)| row.at <= event.at + CLOCKS_MS && row.id != id)
            .collect();
        let is_ours = |text: &str| {
            names(text, id)
                || recorded
                    .iter()
                    .filter_map(Recorded::output)
                    .any(|output| is(text, output))
        };
        for topic in topics {
            let of_topic = || {
                near.iter()
                    .filter(|(row, _)| format!("{}/{}", row.cache, row.topic) == *topic)
            };
            let ours: Vec<_> = of_topic().filter(|(_, text)| is_ours(text)).collect();
            let chosen = match (ours.is_empty(), of_topic().count()) {
                (true, 1) => of_topic().collect(),
                _ => ours,
            };
            for (row, text) in chosen {
                if !found.iter().any(|(known, ..)| known.number == row.number) {
                    found.push((row.clone(), text.clone(), Claim::of(text).is_some()));
                }
            }
        }
    }
    found
}

fn names(text: &str, id: &str) -> bool {
    !id.is_empty() && text.contains(id)
}

/// Whether a text is an output: a JSON string is published as its bare text.
fn is(text: &str, output: &str) -> bool {
    let bare: Option<String> = serde_json::from_str(output).ok();
    bare.as_deref() == Some(text) || output == text
}
