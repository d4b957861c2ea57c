//! The server against the real Momento SDK, an HTTP client and a small webhook receiver.

use super::*;

mod caches;
mod grpc;
mod http;
mod items;
mod keys;
mod pages;
mod webhooks;

const KEY: &str = "the-key-without-an-id";
const CACHE: &str = "demo";

/// A server with the keys [`KEY`], without a token id, and `mo-key`, with the id `mo`, and with the cache [`CACHE`].
fn options() -> TopicsOptions {
    let key = |key: &str, id: Option<&str>| (key.to_owned(), id.map(str::to_owned));
    TopicsOptions {
        keys: BTreeMap::from([key(KEY, None), key("mo-key", Some("mo"))]),
        caches: Some(BTreeSet::from([CACHE.to_owned()])),
        poll_wait: Duration::from_secs(20),
        ..TopicsOptions::default()
    }
}

async fn server() -> TopicsServer {
    TopicsServer::start(options()).await.unwrap()
}

#[tokio::test]
async fn events_report_publications_in_order() {
    let server = server().await;
    let mut events = server.events();
    for text in ["a", "b"] {
        server.publish(CACHE, "t", text).unwrap();
    }
    for (sequence, text) in [(1, "a"), (2, "b")] {
        let TopicsEvent::Published(message) = events.recv().await.unwrap() else {
            panic!("expected a publication");
        };
        assert_eq!(
            (message.sequence, &message.value),
            (sequence, &Value::from(text))
        );
        assert!(message.page > 0 && message.at_ms > 0);
    }
    server.shutdown().await;
}

#[tokio::test]
async fn refusals_name_the_expected_value() {
    let server = server().await;
    let refused = server.publish("other", "t", "x").unwrap_err();
    assert_eq!(
        refused.to_string(),
        "Cache Not Found: expected the name of an existing cache, found `other`"
    );
    let refused = server.publish(CACHE, "", "x").unwrap_err();
    assert_eq!(refused, Refusal::BadName("topic"));
    let refused = server
        .publish(CACHE, "t", "x".repeat(MAX_VALUE_BYTES + 1).as_str())
        .unwrap_err();
    assert_eq!(refused, Refusal::TooLarge(MAX_VALUE_BYTES + 1));
}

#[tokio::test]
async fn a_port_in_use_is_an_error_and_a_shutdown_frees_it() {
    let first = server().await;
    let again = || TopicsOptions {
        listen: first.address,
        ..options()
    };
    assert!(TopicsServer::start(again()).await.is_err());
    let options = again();
    first.shutdown().await;
    TopicsServer::start(options).await.unwrap();
}

#[test]
fn local_keys_are_v2_keys_and_new_ones_differ() {
    let key = local_api_key();
    assert_ne!(key, local_api_key());
    for key in [&key, STABLE_API_KEY] {
        momento::CredentialProvider::from_api_key_v2(key, "local").unwrap();
    }
}

#[tokio::test]
async fn the_url_of_a_topic_is_percent_encoded() {
    let server = server().await;
    let url = server.topic_url("my cache", "a/b?c#d%e");
    let path = url.strip_prefix(&server.endpoint()).unwrap();
    assert_eq!(path, "/topics/my%20cache/a%2Fb%3Fc%23d%25e");
    assert_eq!(server.port(), server.address.port());
}
