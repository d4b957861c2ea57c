//! EventBridge.

use aws_config::SdkConfig;
use aws_sdk_eventbridge::Client;
use aws_sdk_eventbridge::operation::RequestId as _;
use aws_sdk_eventbridge::types::PutEventsRequestEntry;

use super::fault::{entry_fault, fault};
use super::{OnDemand, on_demand};
use crate::domain::fault::Fault;
use crate::domain::ports::{Answer, EventBus, NewEvent};

/// Puts events on buses.
pub struct EventBridge(OnDemand<Client>);

impl EventBridge {
    pub fn new(aws: &SdkConfig) -> Self {
        Self(on_demand(aws, Client::new))
    }
}

impl EventBus for EventBridge {
    fn put<'a>(&'a self, event: &'a NewEvent<'a>, trace: Option<&'a str>) -> Answer<'a, ()> {
        Box::pin(async move {
            let entry = PutEventsRequestEntry::builder()
                .event_bus_name(event.bus)
                .source(event.source)
                .detail_type(&event.detail_type)
                .detail(&event.detail)
                .set_trace_header(trace.map(str::to_owned))
                .build();
            let output = self
                .0
                .put_events()
                .entries(entry)
                .send()
                .await
                .map_err(|e| fault(&e))?;
            // PutEvents answers 200 even if an entry failed.
            match output.entries.as_deref().unwrap_or_default() {
                [entry] if entry.error_code.is_none() && output.failed_entry_count == 0 => Ok(()),
                [entry] => Err(entry_fault(
                    entry.error_code(),
                    entry.error_message(),
                    output.request_id(),
                )),
                entries => Err(Fault::transient(
                    "BadResponse",
                    format!("expected the result of one entry, found {}", entries.len()),
                )),
            }
        })
    }
}
