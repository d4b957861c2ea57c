//! Messages that Momento did not deliver, as a relay reports them.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::Value;
use tokio::sync::broadcast;

use crate::clock::now_ms;
use crate::service::relay::TopicName;
use crate::service::relay::track::{Cursor, Gap};
use crate::tools::place::Place;
use crate::tools::trace::logs::{LOOK_BACK_MS, Line, Logs as _, Window};
use crate::tools::trace::model::{Part, Unanswered};

/// Gaps in memory, and on a page.
const MOST: usize = 100;

/// A field of the line of a gap, and of no other line.
const FIELD: &str = "gap.missed";

/// A gap, with the time of its report in ms since the epoch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reported {
    pub at: i64,
    pub topic: TopicName,
    pub gap: Gap,
}

/// The known gaps, newest first.
#[derive(Clone, Debug, Default)]
pub struct Gaps {
    pub reported: Vec<Reported>,
    /// Their source and range.
    pub note: String,
    pub unread: Option<Unanswered>,
}

impl Gaps {
    /// No gaps, for this reason.
    pub fn note(note: &str) -> Self {
        Self {
            note: note.to_owned(),
            ..Self::default()
        }
    }
}

/// Keeps the newest reports.
pub async fn keep(
    kept: Arc<Mutex<VecDeque<Reported>>>,
    mut reports: broadcast::Receiver<(TopicName, Gap)>,
) {
    loop {
        match reports.recv().await {
            Ok((topic, gap)) => {
                let at = now_ms();
                let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
                kept.truncate(MOST - 1);
                kept.push_front(Reported { at, topic, gap });
            }
            Err(broadcast::error::RecvError::Lagged(_)) => {}
            Err(broadcast::error::RecvError::Closed) => return,
        }
    }
}

/// The gaps in the log of the relay's stack.
pub async fn of_relay(place: &Place) -> Gaps {
    let unread = |source: &str, error: String| Gaps {
        unread: Some(Unanswered::new(source, error)),
        ..Gaps::default()
    };
    let Some(name) = &place.stack_name else {
        return Gaps::note(
            "Only a relay sees gaps: the console of `bridge local --relay` shows those of its relay.",
        );
    };
    let relay = match place.relay().await {
        Ok(Some(relay)) => relay,
        Ok(None) => {
            return Gaps::note(&format!(
                "Only a relay sees gaps, and there is no stack `{name}-relay`."
            ));
        }
        Err(error) => return unread("the relay's stack", format!("{error:#}")),
    };
    let until = now_ms();
    let window = Window {
        since: until - LOOK_BACK_MS,
        until,
    };
    match relay.find(Part::Relay, FIELD, window).await {
        Ok(lines) => Gaps {
            reported: newest(&lines),
            ..Gaps::note(&format!(
                "From the log of the stack `{name}-relay`, the last 24 hours. Two relays report a gap twice."
            ))
        },
        Err(fault) => unread("the relay's log", fault.to_string()),
    }
}

fn newest(lines: &[Line]) -> Vec<Reported> {
    let mut found: Vec<_> = lines.iter().filter_map(reported).collect();
    found.sort_by_key(|one| std::cmp::Reverse(one.at));
    found.truncate(MOST);
    found
}

/// The gap of a line; none in other lines.
fn reported(line: &Line) -> Option<Reported> {
    let number = |field: &str| line.fields.get(field).and_then(Value::as_u64);
    let cursor = |name: &str| {
        Some(Cursor {
            page: number(&format!("gap.{name}.page"))?,
            next: number(&format!("gap.{name}.sequence"))?,
        })
    };
    Some(Reported {
        at: line.at_ms,
        topic: TopicName {
            cache: line.text("message.cache")?.to_owned(),
            topic: line.text("message.topic")?.to_owned(),
        },
        gap: Gap {
            from: cursor("from")?,
            until: cursor("until")?,
            missed: number(FIELD)?,
            exact: line.fields.get("gap.exact")?.as_bool()?,
        },
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn gap(from: u64) -> (TopicName, Gap) {
        let topic = TopicName {
            cache: "demo".into(),
            topic: "in".into(),
        };
        let cursor = |next| Cursor { page: 7, next };
        let gap = Gap {
            from: cursor(from),
            until: cursor(from + 4),
            missed: 4,
            exact: true,
        };
        (topic, gap)
    }

    #[test]
    fn gaps_are_read_from_the_relays_lines() {
        let line = |at: i64, from: u64| {
            let fields = json!({
                "timestamp": "", "level": "WARN", "message": "Momento has lost messages",
                "message.cache": "demo", "message.topic": "in", "gap.missed": 4, "gap.exact": true,
                "gap.from.page": 7, "gap.from.sequence": from, "gap.until.page": 7, "gap.until.sequence": from + 4,
            });
            Line::read(Part::Relay, &fields.to_string(), at).unwrap()
        };
        let other = json!({"level": "INFO", "message": "connected", "message.topic": "in"});
        let other = Line::read(Part::Relay, &other.to_string(), 3).unwrap();
        let found = newest(&[line(1, 5), other, line(2, 9)]);
        let expected = [(2, 9), (1, 5)].map(|(at, from)| {
            let (topic, gap) = gap(from);
            Reported { at, topic, gap }
        });
        assert_eq!(found, expected);
    }

    #[tokio::test]
    async fn the_newest_reports_are_kept() {
        let (sender, receiver) = broadcast::channel(256);
        let kept = Arc::default();
        let keeping = tokio::spawn(keep(Arc::clone(&kept), receiver));
        for from in 0..150 {
            sender.send(gap(from)).unwrap();
        }
        drop(sender);
        keeping.await.unwrap();
        let kept = kept.lock().unwrap();
        assert_eq!(kept.len(), MOST);
        assert_eq!(kept[0].gap.from.next, 149);
        assert_eq!(kept[MOST - 1].gap.from.next, 50);
    }
}
