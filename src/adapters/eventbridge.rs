//! EventBridge.

use serde::Deserialize;
use serde_json::json;

use super::aws::fault::service_fault;
use super::aws::services::EVENTBRIDGE;
use super::aws::{Aws, Client};
use crate::ports::{Answer, Event, EventBus, Fault};

/// Puts events on buses.
pub struct EventBridge(Client);

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Put {
    #[serde(default)]
    failed_entry_count: u32,
    #[serde(default)]
    entries: Vec<PutEntry>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct PutEntry {
    error_code: Option<String>,
    error_message: Option<String>,
}

impl EventBridge {
    pub fn new(aws: &Aws) -> Self {
        Self(Client::new(aws, &EVENTBRIDGE))
    }
}

impl EventBus for EventBridge {
    fn put<'a>(&'a self, event: Event<'a>) -> Answer<'a, ()> {
        Box::pin(async move {
            let mut entry = json!({
                "EventBusName": event.bus, "Source": event.source, "DetailType": event.detail_type,
                "Detail": event.detail,
            });
            if let Some(trace) = event.trace {
                entry["TraceHeader"] = trace.into();
            }
            let put: Put = self
                .0
                .call("PutEvents", &json!({"Entries": [entry]}))
                .await?;
            // PutEvents answers 200 whatever became of the entries.
            match &put.entries[..] {
                [entry] if entry.error_code.is_none() && put.failed_entry_count == 0 => Ok(()),
                [entry] => Err(service_fault(
                    entry.error_code.as_deref().unwrap_or("Unknown"),
                    entry.error_message.as_deref().unwrap_or_default(),
                    200,
                )),
                entries => Err(Fault::transient(
                    "BadResponse",
                    format!("expected the result of one entry, found {}", entries.len()),
                )),
            }
        })
    }
}
