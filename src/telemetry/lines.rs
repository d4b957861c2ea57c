//! Formats events as lines of JSON.

use std::fmt::{self, Write};
use std::ops::Range;
use std::sync::PoisonError;

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};
use tracing_subscriber::layer::{Context, Layer};
use tracing_subscriber::registry::LookupSpan;

use super::INVOCATION;
use crate::json::{Escaped, quote};

/// Gives each event to `write` as a complete line, with the fields of its spans. Of two fields with one name, the inner one
/// counts.
pub(super) struct Lines {
    service: String,
    write: fn(&str),
}

/// The fields of an event or a span, as in the line.
#[derive(Default)]
struct Fields {
    /// `,"name":value` for each.
    members: String,
    places: Vec<(&'static str, Range<usize>)>,
}

/// Capacity for a line like the webhook's.
const USUAL: usize = 1024;

impl Lines {
    pub fn new(service: String, write: fn(&str)) -> Self {
        Self { service, write }
    }

    fn line(&self, event: &Event<'_>, fields: &Fields) -> Result<String, fmt::Error> {
        let metadata = event.metadata();
        let mut line = String::with_capacity(USUAL);
        line.push_str(r#"{"timestamp":""#);
        // In UTC, as Lambda reads it.
        SystemTime.format_time(&mut Writer::new(&mut line))?;
        line.push_str(r#"","level":""#);
        line.push_str(metadata.level().as_str());
        line.push('"');
        let is_message = |(name, _): &&(&str, Range<usize>)| *name == "message";
        if let Some((_, message)) = fields.places.iter().find(is_message) {
            line.push_str(&fields.members[message.clone()]);
        }
        line.push_str(r#","service":"#);
        quote(&mut line, &self.service)?;
        if let Some(invocation) = &*INVOCATION.lock().unwrap_or_else(PoisonError::into_inner) {
            write!(line, r#","cold_start":{}"#, invocation.cold_start)?;
            line.push_str(r#","function_request_id":"#);
            quote(&mut line, &invocation.request_id)?;
        }
        for (_, place) in fields.places.iter().filter(|place| !is_message(place)) {
            line.push_str(&fields.members[place.clone()]);
        }
        line.push_str(r#","target":"#);
        quote(&mut line, metadata.target())?;
        line.push_str("}\n");
        Ok(line)
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
        let mut fields = Fields {
            members: String::with_capacity(USUAL),
            places: Vec::with_capacity(16),
        };
        for span in context
            .event_scope(event)
            .into_iter()
            .flat_map(|scope| scope.from_root())
        {
            if let Some(outer) = span.extensions().get::<Fields>() {
                fields.extend(outer);
            }
        }
        event.record(&mut fields);
        if let Ok(line) = self.line(event, &fields) {
            (self.write)(&line);
        }
    }
}

impl Fields {
    /// Writes a field; `write` appends its value.
    fn put(&mut self, field: &Field, write: impl FnOnce(&mut String) -> fmt::Result) {
        let start = self.members.len();
        self.members.push(',');
        let written = quote(&mut self.members, field.name()).and_then(|()| {
            self.members.push(':');
            write(&mut self.members)
        });
        match written {
            Ok(()) => self.place(field.name(), start),
            Err(fmt::Error) => self.members.truncate(start),
        }
    }

    fn extend(&mut self, other: &Self) {
        for (name, place) in &other.places {
            let start = self.members.len();
            self.members.push_str(&other.members[place.clone()]);
            self.place(name, start);
        }
    }

    /// Records the text from `start` on as the field `name`, in place of an earlier one.
    fn place(&mut self, name: &'static str, start: usize) {
        let place = start..self.members.len();
        match self.places.iter_mut().find(|(known, _)| *known == name) {
            Some((_, old)) => *old = place,
            None => self.places.push((name, place)),
        }
    }
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.put(field, |json| {
            json.push('"');
            write!(Escaped(&mut *json), "{value:?}")?;
            json.push('"');
            Ok(())
        });
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field, |json| quote(json, value));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, |json| write!(json, "{value}"));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, |json| write!(json, "{value}"));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, |json| write!(json, "{value}"));
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        // `null` for numbers without a JSON form.
        let value = serde_json::Value::from(value);
        self.put(field, |json| write!(json, "{value}"));
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use serde_json::Value;
    use tracing_subscriber::layer::SubscriberExt;

    use super::*;
    use crate::telemetry::{correlate, invoked, message_span};

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
            tracing::warn!(message.id = "a\"b\n", n = 7, left = -1, share = 0.5, not_a_number = f64::NAN, on = true, none, error.text = %"x\n", "it {}", "is");
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
            ("not_a_number", Value::Null),
            ("on", true.into()),
            ("error.text", "x\n".into()),
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
            message_span().in_scope(|| {
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
        let invocation = |line: &Value| {
            (
                line["function_request_id"].clone(),
                line["cold_start"].clone(),
            )
        };
        assert_eq!(invocation(&lines[0]), ("r-1".into(), true.into()));
        assert_eq!(invocation(&lines[1]), ("r-2".into(), false.into()));
    }
}
