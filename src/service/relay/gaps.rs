//! Reports gaps: in the log, as a metric, and as an event for rules.

use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use tokio::sync::broadcast;
use tokio::time::Instant;

use super::TopicName;
use super::status::Status;
use super::track::{Cursor, Gap};
use crate::domain::ports::{EventBus, NewEvent};
use crate::domain::retry::{RetryPolicy, retry};
use crate::telemetry::metrics::{Metric, Metrics};

/// Deadline for putting an event. The log has the gap in any case.
const PUT_WITHIN: Duration = Duration::from_secs(20);

/// Source and detail-type of the events.
pub const SOURCE: &str = "workflow-bridge";
pub const DETAIL_TYPE: &str = "Sequence Gap";

/// A bus for the events.
pub struct Bus {
    pub name: String,
    pub event_bus: Arc<dyn EventBus>,
}

/// Reports gaps.
pub struct Gaps {
    pub status: Arc<Status>,
    /// `None` sends no events.
    pub bus: Option<Bus>,
    pub metrics: Metrics,
    /// An observer.
    pub watch: Option<broadcast::Sender<(TopicName, Gap)>>,
}

/// The detail of an event.
#[derive(Serialize)]
struct Detail<'a> {
    cache: &'a str,
    topic: &'a str,
    /// The number of missing messages, at least.
    missed: u64,
    /// Whether `missed` is exact.
    exact: bool,
    /// The first missing message.
    from: Place,
    /// The first message after the gap.
    until: Place,
}

#[derive(Serialize)]
struct Place {
    sequence_page: u64,
    topic_sequence_number: u64,
}

impl From<Cursor> for Place {
    fn from(cursor: Cursor) -> Self {
        Self {
            sequence_page: cursor.page,
            topic_sequence_number: cursor.next,
        }
    }
}

impl Gaps {
    /// Reports a gap once; a crash soon after may repeat the report. After 20 s of failures, the event is given up with a line
    /// in the log.
    pub async fn report(&self, topic: &TopicName, gap: &Gap) {
        self.status.gap(gap.missed);
        if let Some(watch) = &self.watch {
            // Fails without a receiver.
            let _ = watch.send((topic.clone(), *gap));
        }
        tracing::warn!(
            message.cache = topic.cache,
            message.topic = topic.topic,
            gap.missed = gap.missed,
            gap.exact = gap.exact,
            gap.from.page = gap.from.page,
            gap.from.sequence = gap.from.next,
            gap.until.page = gap.until.page,
            gap.until.sequence = gap.until.next,
            "Momento has lost messages, or no longer keeps them"
        );
        let missed = i64::try_from(gap.missed).unwrap_or(i64::MAX);
        self.metrics.add(Metric::Gap, missed, None, None);
        let Some(bus) = &self.bus else { return };
        let detail = Detail {
            cache: &topic.cache,
            topic: &topic.topic,
            missed: gap.missed,
            exact: gap.exact,
            from: gap.from.into(),
            until: gap.until.into(),
        };
        let detail = serde_json::to_string(&detail).expect("strings and numbers always serialize");
        let event = NewEvent {
            bus: &bus.name,
            source: SOURCE,
            detail_type: DETAIL_TYPE.to_owned(),
            detail,
        };
        let policy = RetryPolicy::until(Instant::now() + PUT_WITHIN);
        let (put, _) = retry(policy, || bus.event_bus.put(&event, None)).await;
        if let Err(fault) = put {
            tracing::error!(
                message.cache = topic.cache,
                message.topic = topic.topic,
                error.code = fault.code,
                error.text = fault.text,
                "the bus did not accept the event of a gap"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use serde_json::json;

    use super::*;
    use crate::domain::fault::Fault;
    use crate::domain::ports::Answer;

    /// A bus that refuses the first event.
    #[derive(Default)]
    struct Taken(Mutex<Vec<serde_json::Value>>);

    impl EventBus for Taken {
        fn put<'a>(&'a self, event: &'a NewEvent<'a>, _: Option<&'a str>) -> Answer<'a, ()> {
            let mut taken = self.0.lock().unwrap();
            taken.push(json!([
                event.bus,
                event.source,
                event.detail_type,
                serde_json::from_str::<serde_json::Value>(&event.detail).unwrap()
            ]));
            let first = taken.len() == 1;
            Box::pin(async move {
                if first {
                    return Err(Fault::transient("ThrottlingException", "slow down"));
                }
                Ok(())
            })
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_gap_becomes_an_event_though_the_bus_is_busy() {
        let bus = Arc::new(Taken::default());
        let lines = Arc::new(Mutex::new(String::new()));
        let sink = lines.clone();
        let (watch, mut watched) = broadcast::channel(1);
        let gaps = Gaps {
            status: Arc::new(Status::new(1, Arc::default())),
            bus: Some(Bus {
                name: "default".into(),
                event_bus: bus.clone(),
            }),
            metrics: Metrics::to("n", || 17, move |line| sink.lock().unwrap().push_str(line)),
            watch: Some(watch),
        };
        let topic = TopicName {
            cache: "demo".into(),
            topic: "orders".into(),
        };
        let gap = Gap {
            from: Cursor { page: 7, next: 5 },
            until: Cursor { page: 7, next: 9 },
            missed: 4,
            exact: true,
        };
        gaps.report(&topic, &gap).await;
        assert_eq!(watched.try_recv().unwrap(), (topic, gap));
        let events = bus.0.lock().unwrap();
        assert_eq!(events.len(), 2);
        assert!(lines.lock().unwrap().ends_with("\"gap\":4}\n"));
        assert_eq!(
            events[1],
            json!(["default", "workflow-bridge", "Sequence Gap", {
                "cache": "demo", "topic": "orders", "missed": 4, "exact": true,
                "from": {"sequence_page": 7, "topic_sequence_number": 5},
                "until": {"sequence_page": 7, "topic_sequence_number": 9},
            }])
        );
        assert!(
            gaps.status
                .metrics()
                .contains("workflow_bridge_relay_missed_total 4")
        );
    }
}
