//! The errors of the SDKs of Momento and AWS for each fault.

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_eventbridge::types::PutEventsRequestEntry;
use aws_sdk_sfn::error::ProvideErrorMetadata as _;
use momento::topics::configurations::Lambda;
use momento::{MomentoErrorCode, TopicClient};
use workflow_bridge::adapters::momento::topics::connect;
use workflow_bridge::config::MomentoEndpoint;
use workflow_bridge::tools::local::Account;
use workflow_bridge::tools::local::topics::{
    TopicsEvent, TopicsOptions, TopicsServer, local_api_key,
};

use super::*;

const PUBLISH: &str = "/cache_client.pubsub.Pubsub/Publish";

/// A Topics server with one cache, behind a proxy, and a client of it.
async fn topics() -> (TopicsServer, Proxy, TopicClient) {
    let key = local_api_key();
    let options = TopicsOptions {
        keys: BTreeMap::from([(key.clone(), None)]),
        caches: Some(BTreeSet::from(["demo".to_owned()])),
        ..TopicsOptions::default()
    };
    let server = TopicsServer::start(options).await.unwrap();
    let proxy = Proxy::start(&server.endpoint()).await.unwrap();
    let endpoint = MomentoEndpoint::Local(proxy.endpoint());
    let client = connect(&key, &endpoint, Lambda::latest()).unwrap();
    (server, proxy, client)
}

#[tokio::test]
async fn the_sdk_publishes_and_subscribes_through_it() {
    let (_server, proxy, client) = topics().await;
    let mut subscription = client.subscribe("demo", "t").await.unwrap();
    client.publish("demo", "t", "hällo").await.unwrap();
    let item = subscription.next().await.unwrap();
    assert_eq!(String::try_from(item).unwrap(), "hällo");
    assert_eq!(proxy.counters().of(PUBLISH), tally(1, 0, 1));
    // A real error of the server passes unchanged.
    let error = client.publish("other", "t", "x").await.unwrap_err();
    assert_eq!(error.error_code, MomentoErrorCode::CacheNotFoundError);
}

#[tokio::test]
async fn momentos_sdk_reports_each_fault() {
    use MomentoErrorCode as Error;
    let long = Duration::from_millis(1500);
    for (fault, code, reached) in [
        (Fault::Hang, Error::CancelledError, 0),
        (Fault::Status(429), Error::LimitExceededError, 0),
        (Fault::Status(500), Error::InternalServerError, 0),
        (Fault::Status(503), Error::ServerUnavailable, 0),
        (Fault::Refuse, Error::InternalServerError, 0),
        (Fault::LoseReply, Error::InternalServerError, 1),
        (Fault::ResetMidBody, Error::InternalServerError, 1),
        (Fault::Delay(long), Error::CancelledError, 1),
        (
            Fault::Grpc(Code::PermissionDenied),
            Error::PermissionError,
            0,
        ),
        (
            Fault::Grpc(Code::Unauthenticated),
            Error::AuthenticationError,
            0,
        ),
        (Fault::Grpc(Code::NotFound), Error::CacheNotFoundError, 0),
    ] {
        let (server, proxy, client) = topics().await;
        let mut events = server.events();
        proxy.fault_of(PUBLISH, fault.clone(), Span::Once);
        let error = client.publish("demo", "t", "1").await.unwrap_err();
        assert_eq!(error.error_code, code, "{fault:?}: {error:?}");
        if matches!(fault, Fault::Status(429)) {
            assert!(error.message.contains("Request rate"), "{error}");
        }
        proxy
            .wait_for(|counters| counters.of(PUBLISH).reached == reached)
            .await;
        assert_eq!(
            proxy.counters().of(PUBLISH),
            tally(1, 1, reached),
            "{fault:?}"
        );
        // The next publication succeeds on any connection and comes after the executed one.
        client.publish("demo", "t", "2").await.unwrap();
        let mut texts = Vec::new();
        for _ in 0..=reached {
            let TopicsEvent::Published(message) = events.recv().await.unwrap() else {
                panic!("expected a publication");
            };
            texts.push(message.value.clone());
        }
        let expected = if reached == 1 {
            &["1", "2"][..]
        } else {
            &["2"]
        };
        let expected: Vec<_> = expected.iter().copied().map(Into::into).collect();
        assert_eq!(texts, expected, "{fault:?}");
    }
}

#[tokio::test]
async fn momentos_sdk_reports_a_closed_port_as_unavailable() {
    let (_server, proxy, client) = topics().await;
    proxy.fault(Fault::Refuse, Span::Until);
    for _ in 0..3 {
        let error = client.publish("demo", "t", "x").await.unwrap_err();
        assert_eq!(error.error_code, MomentoErrorCode::ServerUnavailable);
    }
    assert_eq!(proxy.counters().all(), tally(0, 0, 0));
    proxy.heal().unwrap();
    client.publish("demo", "t", "x").await.unwrap();
}

/// A proxy before an upstream that starts every execution, and an account for it.
async fn workflows() -> (Proxy, Account) {
    let answer = || async { r#"{"executionArn": "arn", "startDate": 1.0}"# };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let upstream = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, Router::new().fallback(answer)).await });
    let proxy = Proxy::start(&upstream).await.unwrap();
    let account = Account::new(&proxy.endpoint(), "123456789012");
    (proxy, account)
}

#[tokio::test]
async fn the_aws_sdk_retries_a_single_fault() {
    for (fault, reached) in [
        (Fault::Refuse, 1),
        (Fault::Status(429), 1),
        (Fault::Status(500), 1),
        (Fault::Status(503), 1),
        (Fault::LoseReply, 2),
        (Fault::ResetMidBody, 2),
    ] {
        let (proxy, account) = workflows().await;
        proxy.fault_of(START, fault.clone(), Span::Once);
        let client = aws_sdk_sfn::Client::new(account.config());
        let call = client.start_execution().state_machine_arn("arn");
        let started = call.send().await.unwrap();
        assert_eq!(started.execution_arn(), "arn");
        assert_eq!(
            proxy.counters().of(START),
            tally(2, 1, reached),
            "{fault:?}"
        );
    }
}

#[tokio::test]
async fn the_aws_sdk_parses_the_errors() {
    let (proxy, account) = workflows().await;
    let unknown = r#"{"__type":"StateMachineDoesNotExist","message":"no such machine"}"#;
    let refusal = Fault::Refusal {
        status: 400,
        body: unknown.to_owned(),
    };
    let client = aws_sdk_sfn::Client::new(account.config());
    for (fault, code) in [
        (Fault::Status(429), "ThrottlingException"),
        (Fault::Status(500), "InternalFailure"),
        (Fault::Status(503), "ServiceUnavailable"),
        (refusal, "StateMachineDoesNotExist"),
    ] {
        proxy.fault(fault, Span::Until);
        let call = client.start_execution().state_machine_arn("arn");
        let error = call.send().await.unwrap_err().into_service_error();
        assert_eq!(error.code(), Some(code));
        proxy.heal().unwrap();
    }
    assert_eq!(proxy.counters().all().reached, 0);
}

#[tokio::test]
async fn a_failed_event_is_reported_in_its_entry() {
    let (proxy, account) = workflows().await;
    proxy.fault(Fault::PartialFailure, Span::Once);
    let client = aws_sdk_eventbridge::Client::new(account.config());
    let entry = || PutEventsRequestEntry::builder().detail("{}").build();
    let call = client.put_events().entries(entry()).entries(entry());
    let output = call.send().await.unwrap();
    assert_eq!(output.failed_entry_count(), 2);
    let codes: Vec<_> = output.entries().iter().map(|e| e.error_code()).collect();
    assert_eq!(codes, [Some("InternalFailure"); 2]);
    assert_eq!(proxy.counters().of("PutEvents"), tally(1, 1, 0));
}
