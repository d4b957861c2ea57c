//! The completion's binary: the real Momento SDK against a real server and against one that hangs.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use workflow_bridge::tools::local::topics::{
    TopicsEvent, TopicsOptions, TopicsServer, local_api_key,
};

use crate::lambda::{Aws, AwsStub, Function, routes};
use crate::proxy::Proxy;

async fn completion(endpoint: &str, key: &str, timeout: Duration) -> Function {
    let routes = routes(json!([]));
    let variables = [
        ("ROUTES", routes.as_str()),
        ("MOMENTO_SECRET_ID", "key"),
        ("MOMENTO_ENDPOINT", endpoint),
    ];
    let aws = AwsStub::new(key, Aws::Answers);
    Function::start(env!("CARGO_BIN_EXE_completion"), &variables, timeout, aws).await
}

fn batch(values: &[&str]) -> Value {
    batch_to("demo", values)
}

fn batch_to(cache: &str, values: &[&str]) -> Value {
    let records = values.iter().enumerate().map(|(i, value)| {
        let event = json!({
            "version": "0", "id": "e", "source": "workflow-bridge", "detail-type": "Topic Publish",
            "detail": {"cache": cache, "topic": "out", "value": value},
        });
        json!({"messageId": format!("m{i}"), "receiptHandle": "r", "body": event.to_string(), "eventSource": "aws:sqs"})
    });
    json!({"Records": records.collect::<Vec<_>>()})
}

#[tokio::test]
async fn values_are_published_and_failed_records_are_returned() {
    let key = local_api_key();
    let server = TopicsServer::start(TopicsOptions {
        keys: BTreeMap::from([(key.clone(), None)]),
        caches: Some(["demo".to_owned()].into()),
        ..TopicsOptions::default()
    })
    .await
    .unwrap();
    let mut events = server.events();
    let function = completion(&server.endpoint(), &key, Duration::from_secs(30)).await;
    let answer = function
        .invoke(batch(&["one", &"x".repeat(4097), "two"]))
        .await;
    assert_eq!(answer, json!({"batchItemFailures": []}));
    for _ in 0..3 {
        let TopicsEvent::Published(message) = events.recv().await.unwrap() else {
            panic!("only publications happen here");
        };
        assert_eq!(
            (message.cache.as_str(), message.topic.as_str()),
            ("demo", "out")
        );
    }
    // Without a dead-letter queue of the completion, the source queue's own one takes the record.
    let answer = function.invoke(batch_to("missing", &["three"])).await;
    assert_eq!(
        answer,
        json!({"batchItemFailures": [{"itemIdentifier": "m0"}]})
    );
    let log = function.stop().await;
    assert!(
        log.contains("could not publish to topic `out` in cache `missing` after 1 attempts"),
        "{log}"
    );
    assert!(!log.contains("three") && !log.contains("xxxx"), "{log}");
    server.shutdown().await;
}

#[tokio::test]
async fn a_replaced_key_is_read_again() {
    let (old, new) = (local_api_key(), local_api_key());
    let server = TopicsServer::start(TopicsOptions {
        keys: BTreeMap::from([(old.clone(), None)]),
        ..TopicsOptions::default()
    })
    .await
    .unwrap();
    let function = completion(&server.endpoint(), &old, Duration::from_secs(30)).await;
    let batch = batch(&["one", "two", "three", "four", "five"]);
    let all_published = json!({"batchItemFailures": []});
    let reads = || function.aws().bodies("GetSecretValue").len();

    assert_eq!(function.invoke(batch.clone()).await, all_published);
    assert_eq!(reads(), 1);
    server.put_key(new.as_str(), None);
    server.delete_key(&old);
    function.aws().hold(&new);
    assert_eq!(function.invoke(batch.clone()).await, all_published);
    assert_eq!(reads(), 2);
    assert_eq!(function.invoke(batch).await, all_published);
    assert_eq!(reads(), 2);
    server.shutdown().await;
}

#[tokio::test]
async fn a_hung_momento_fails_the_records_before_the_deadline() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let function = completion(&endpoint, &local_api_key(), Duration::from_secs(5)).await;
    let began = Instant::now();
    let answer = function.invoke(batch(&["one", "two"])).await;
    assert_eq!(
        answer["batchItemFailures"].as_array().unwrap().len(),
        2,
        "{answer}"
    );
    assert!(
        began.elapsed() < Duration::from_secs(5),
        "{:?}",
        began.elapsed()
    );
}

#[tokio::test]
async fn dead_connections_to_momento_delay_one_publication() {
    let key = local_api_key();
    let server = TopicsServer::start(TopicsOptions {
        keys: BTreeMap::from([(key.clone(), None)]),
        ..TopicsOptions::default()
    })
    .await
    .unwrap();
    let proxy = Proxy::start(&server.endpoint()).await.unwrap();
    let function = completion(&proxy.endpoint(), &key, Duration::from_secs(30)).await;
    let all_published = json!({"batchItemFailures": []});
    let publish = async || {
        let began = Instant::now();
        assert_eq!(function.invoke(batch(&["one"])).await, all_published);
        began.elapsed()
    };
    // One publication for each of the SDK's connections.
    for _ in 0..4 {
        publish().await;
    }
    proxy.freeze();
    publish().await;
    let mut fastest = Duration::MAX;
    for _ in 0..3 {
        fastest = fastest.min(publish().await);
    }
    // The shortest time of a call on a dead connection.
    assert!(fastest < Duration::from_millis(1100), "{fastest:?}");
    server.shutdown().await;
}
