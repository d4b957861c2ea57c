//! EventBridge.

use aws_sdk_eventbridge::Client;
use aws_sdk_eventbridge::types::PutEventsRequestEntry;

use super::aws::{fault, service_fault};
use crate::ports::{Answer, Event, EventBus, Fault};

/// Puts events on buses.
pub struct EventBridge(pub Client);

impl EventBus for EventBridge {
    fn put<'a>(&'a self, event: Event<'a>) -> Answer<'a, ()> {
        Box::pin(async move {
            let entry = PutEventsRequestEntry::builder()
                .event_bus_name(event.bus)
                .source(event.source)
                .detail_type(event.detail_type)
                .detail(event.detail)
                .build();
            let output = self
                .0
                .put_events()
                .entries(entry)
                .send()
                .await
                .map_err(|e| fault(&e))?;
            // PutEvents answers 200 whatever became of the entries.
            match output.entries.as_deref().unwrap_or_default() {
                [entry] if entry.error_code.is_none() && output.failed_entry_count == 0 => Ok(()),
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ports::FaultKind;
    use aws_sdk_eventbridge::config::{BehaviorVersion, Credentials, Region};
    use aws_smithy_http_client::test_util::{ReplayEvent, StaticReplayClient};
    use aws_smithy_types::body::SdkBody;

    async fn put(answer: &str) -> Result<(), Fault> {
        let response = http::Response::builder()
            .status(200)
            .body(SdkBody::from(answer))
            .unwrap();
        let event = ReplayEvent::new(http::Request::new(SdkBody::empty()), response);
        let config = aws_sdk_eventbridge::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new("us-east-1"))
            .credentials_provider(Credentials::for_tests())
            .http_client(StaticReplayClient::new(vec![event]))
            .build();
        let event = Event {
            bus: "default",
            source: "Momento",
            detail_type: "a#b",
            detail: "{}",
        };
        EventBridge(Client::from_conf(config)).put(event).await
    }

    #[tokio::test]
    async fn an_entry_that_failed_is_a_fault_though_the_answer_is_200() {
        assert_eq!(
            put(r#"{"FailedEntryCount":0,"Entries":[{"EventId":"1"}]}"#).await,
            Ok(())
        );
        for (code, kind) in [
            ("ThrottlingException", FaultKind::Transient),
            ("InternalFailure", FaultKind::Transient),
            ("MalformedDetail", FaultKind::Permanent),
            ("NotAuthorizedForSourceException", FaultKind::Permanent),
        ] {
            let answer = format!(
                r#"{{"FailedEntryCount":1,"Entries":[{{"ErrorCode":"{code}","ErrorMessage":"m"}}]}}"#
            );
            let fault = put(&answer).await.unwrap_err();
            assert_eq!((fault.code.as_str(), fault.kind), (code, kind));
        }
        for answer in [
            r#"{"FailedEntryCount":0,"Entries":[]}"#,
            "{}",
            r#"{"FailedEntryCount":1,"Entries":[{}]}"#,
        ] {
            assert!(put(answer).await.is_err(), "{answer}");
        }
    }
}
