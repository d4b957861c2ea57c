//! Events made into lines of JSON.

use std::fmt;
use std::sync::PoisonError;

use serde::ser::{SerializeMap, Serializer};
use serde_json::Value;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};
use tracing_subscriber::layer::{Context, Layer};
use tracing_subscriber::registry::LookupSpan;

use super::INVOCATION;

/// Gives each event to `write` as a line. Fields of its spans are the event's own; of two with one name the inner one counts.
pub(super) struct Lines {
    service: String,
    write: fn(&str),
}

/// What an event, or a span, was told.
#[derive(Default)]
struct Fields(Vec<(&'static str, Value)>);

impl Lines {
    pub fn new(service: String, write: fn(&str)) -> Self {
        Self { service, write }
    }

    fn line(&self, event: &Event<'_>, mut fields: Fields) -> serde_json::Result<String> {
        event.record(&mut fields);
        let mut out = Vec::new();
        let mut json = serde_json::Serializer::new(&mut out);
        let mut map = json.serialize_map(None)?;
        let metadata = event.metadata();
        map.serialize_entry("timestamp", &now())?;
        map.serialize_entry("level", metadata.level().as_str())?;
        if let Some(message) = fields.take("message") {
            map.serialize_entry("message", &message)?;
        }
        map.serialize_entry("service", &self.service)?;
        let invocation = INVOCATION
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        if let Some(invocation) = invocation {
            map.serialize_entry("cold_start", &invocation.cold_start)?;
            map.serialize_entry("function_request_id", &invocation.request_id)?;
        }
        for (name, value) in &fields.0 {
            map.serialize_entry(name, value)?;
        }
        map.serialize_entry("target", metadata.target())?;
        map.end()?;
        Ok(String::from_utf8(out).expect("JSON is UTF-8"))
    }
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Lines {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let mut fields = Fields::default();
        attributes.record(&mut fields);
        if let Some(span) = context.span(id) {
            span.extensions_mut().insert(fields);
        }
    }

    fn on_record(&self, id: &Id, record: &Record<'_>, context: Context<'_, S>) {
        if let Some(span) = context.span(id)
            && let Some(fields) = span.extensions_mut().get_mut::<Fields>()
        {
            record.record(fields);
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let mut fields = Fields::default();
        for span in context
            .event_scope(event)
            .into_iter()
            .flat_map(|scope| scope.from_root())
        {
            if let Some(told) = span.extensions().get::<Fields>() {
                told.0
                    .iter()
                    .for_each(|(name, value)| fields.put(name, value.clone()));
            }
        }
        if let Ok(line) = self.line(event, fields) {
            (self.write)(&line);
        }
    }
}

impl Fields {
    fn put(&mut self, name: &'static str, value: Value) {
        match self.0.iter_mut().find(|(known, _)| *known == name) {
            Some((_, old)) => *old = value,
            None => self.0.push((name, value)),
        }
    }

    fn take(&mut self, name: &str) -> Option<Value> {
        let at = self.0.iter().position(|(known, _)| *known == name)?;
        Some(self.0.remove(at).1)
    }
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.put(field.name(), format!("{value:?}").into());
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field.name(), value.into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field.name(), value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field.name(), value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field.name(), value.into());
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field.name(), value.into());
    }
}

/// In UTC, as Lambda reads it.
fn now() -> String {
    let mut text = String::new();
    let _ = SystemTime.format_time(&mut Writer::new(&mut text));
    text
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use tracing_subscriber::layer::SubscriberExt;

    use super::*;
    use crate::telemetry::{about_a_message, correlate, invoked};

    thread_local! {
        static WRITTEN: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
    }

    fn written(log: impl FnOnce()) -> Vec<Value> {
        let lines = Lines::new("webhook".into(), |line| {
            WRITTEN.with_borrow_mut(|written| written.push(line.to_owned()));
        });
        let subscriber = tracing_subscriber::registry().with(lines);
        tracing::subscriber::with_default(subscriber, log);
        let written = WRITTEN.take().into_iter();
        written
            .map(|line| serde_json::from_str(&line).unwrap())
            .collect()
    }

    #[test]
    fn a_line_is_one_flat_object() {
        let none: Option<u64> = None;
        let lines = written(|| {
            tracing::warn!(message.id = "a\"b\n", n = 7, left = -1, share = 0.5, on = true, none, error.text = %"x", "it {}", "is");
        });
        let [line] = &lines[..] else {
            panic!("{lines:?}")
        };
        let expected = [
            ("level", "WARN".into()),
            ("message", "it is".into()),
            ("service", "webhook".into()),
            ("message.id", "a\"b\n".into()),
            ("n", 7.into()),
            ("left", Value::from(-1)),
            ("share", 0.5.into()),
            ("on", true.into()),
            ("error.text", "x".into()),
            ("target", module_path!().into()),
        ];
        for (key, value) in expected {
            assert_eq!(line[key], value, "{key}");
        }
        let timestamp = line["timestamp"].as_str().unwrap();
        assert!(
            timestamp.starts_with("20") && timestamp.ends_with('Z'),
            "{timestamp}"
        );
        assert_eq!(line.get("none"), None);
    }

    #[test]
    fn lines_about_a_message_have_its_ids() {
        let lines = written(|| {
            about_a_message().in_scope(|| {
                tracing::info!("before");
                correlate(
                    "0123456789abcdef",
                    Some("1-5759e988-bd862e3fe1be46a994272793"),
                );
                tracing::info!(correlation_id = "inner", "after");
                correlate("fedc", None);
                tracing::info!("again");
            });
            tracing::info!("outside");
        });
        let ids: Vec<_> = lines
            .iter()
            .map(|line| line.get("correlation_id"))
            .collect();
        let [inner, again] = ["inner", "fedc"].map(Value::from);
        assert_eq!(ids, [None, Some(&inner), Some(&again), None]);
        assert_eq!(
            lines[2]["xray_trace_id"],
            "1-5759e988-bd862e3fe1be46a994272793"
        );
    }

    #[test]
    fn lines_of_an_invocation_name_it() {
        let lines = written(|| {
            invoked("r-1");
            tracing::info!("first");
            invoked("r-2");
            tracing::info!("second");
        });
        let told = |line: &Value| {
            (
                line["function_request_id"].clone(),
                line["cold_start"].clone(),
            )
        };
        assert_eq!(told(&lines[0]), ("r-1".into(), true.into()));
        assert_eq!(told(&lines[1]), ("r-2".into(), false.into()));
    }
}
