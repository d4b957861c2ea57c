use futures_util::StreamExt as _;
use momento::auth::{ExpiresIn, PermissionScopes};
use momento::topics::{SubscribeRequest, Subscription, TopicClient, ValueKind, configurations};
use momento::{AuthClient, CredentialProvider, MomentoErrorCode};
use momento_protos::cache_client::pubsub::pubsub_client::PubsubClient;
use momento_protos::cache_client::pubsub::subscription_item::Kind;
use momento_protos::cache_client::pubsub::{SubscriptionItem, SubscriptionRequest};
use tonic::Streaming;

use super::*;

/// A server with one local API key and the token id `mo`, and an SDK client with that key.
async fn pair(change: impl FnOnce(&mut TopicsOptions)) -> (TopicsServer, TopicClient) {
    let key = local_api_key();
    let mut options = options();
    options.keys.insert(key.clone(), Some("mo".to_owned()));
    change(&mut options);
    let server = TopicsServer::start(options).await.unwrap();
    let client = client(&server, key);
    (server, client)
}

fn client(server: &TopicsServer, key: String) -> TopicClient {
    let builder = TopicClient::builder().configuration(configurations::Laptop::latest());
    let builder = builder.credential_provider(credentials(server, key));
    builder.build().unwrap()
}

fn credentials(server: &TopicsServer, key: String) -> CredentialProvider {
    let credentials = CredentialProvider::from_api_key_v2(key, "local").unwrap();
    credentials.insecure_endpoint_override(&server.endpoint())
}

/// A subscription on the wire, with heartbeats and discontinuities.
async fn raw(server: &TopicsServer, sequence: u64, page: u64) -> Streaming<SubscriptionItem> {
    let mut client = PubsubClient::connect(server.endpoint()).await.unwrap();
    let opened = client.subscribe(request(sequence, page)).await;
    opened.unwrap().into_inner()
}

fn request(sequence: u64, page: u64) -> tonic::Request<SubscriptionRequest> {
    let mut request = tonic::Request::new(SubscriptionRequest {
        cache_name: CACHE.to_owned(),
        topic: "t".to_owned(),
        resume_at_topic_sequence_number: sequence,
        sequence_page: page,
    });
    let metadata = request.metadata_mut();
    metadata.insert("authorization", KEY.parse().unwrap());
    request
}

async fn next(stream: &mut Streaming<SubscriptionItem>) -> Kind {
    let item = stream.next().await.unwrap().unwrap();
    item.kind.unwrap()
}

async fn texts(subscription: &mut Subscription, count: usize) -> Vec<(u64, String)> {
    let items: Vec<_> = subscription.take(count).collect().await;
    let show = |item: momento::topics::SubscriptionValue| {
        let sequence = item.topic_sequence_number;
        (sequence, String::try_from(item).unwrap())
    };
    items.into_iter().map(show).collect()
}

#[tokio::test]
async fn the_sdk_publishes_and_subscribes() {
    let (server, client) = pair(|_| ()).await;
    let mut subscription = client.subscribe(CACHE, "t").await.unwrap();
    client.publish(CACHE, "t", "hello").await.unwrap();
    client.publish(CACHE, "t", vec![0, 255]).await.unwrap();
    let text = subscription.next().await.unwrap();
    assert_eq!(text.kind, ValueKind::Text("hello".to_owned()));
    assert_eq!(
        (text.topic_sequence_number, text.publisher_id.as_str()),
        (1, "mo")
    );
    let binary = subscription.next().await.unwrap();
    assert_eq!(binary.kind, ValueKind::Binary(vec![0, 255]));
    assert_eq!(binary.topic_sequence_number, 2);
    assert_eq!(binary.topic_sequence_page, text.topic_sequence_page);
    assert!(binary.topic_sequence_page > 0);
    server.shutdown().await;
}

#[tokio::test]
async fn all_subscribers_see_one_order() {
    let (_server, client) = pair(|_| ()).await;
    let mut first = client.subscribe(CACHE, "t").await.unwrap();
    let mut second = client.subscribe(CACHE, "t").await.unwrap();
    let publications = (0..200).map(|number| {
        let client = client.clone();
        async move { client.publish(CACHE, "t", number.to_string()).await }
    });
    let published = futures_util::future::join_all(publications).await;
    assert!(published.into_iter().all(|result| result.is_ok()));
    let seen = texts(&mut first, 200).await;
    assert_eq!(seen, texts(&mut second, 200).await);
    assert!(seen.iter().map(|(sequence, _)| *sequence).eq(1..=200));
}

#[tokio::test]
async fn a_wrong_key_is_an_authentication_error() {
    let (server, _) = pair(|_| ()).await;
    let stranger = client(&server, local_api_key());
    let error = stranger.publish(CACHE, "t", "x").await.unwrap_err();
    assert_eq!(error.error_code, MomentoErrorCode::AuthenticationError);
    let error = stranger.subscribe(CACHE, "t").await.err().unwrap();
    assert_eq!(error.error_code, MomentoErrorCode::AuthenticationError);
}

#[tokio::test]
async fn an_unknown_cache_is_not_found_unless_every_name_is_a_cache() {
    let (server, client) = pair(|_| ()).await;
    let error = client.publish("other", "t", "x").await.unwrap_err();
    assert_eq!(error.error_code, MomentoErrorCode::CacheNotFoundError);
    let error = client.subscribe("other", "t").await.err().unwrap();
    assert_eq!(error.error_code, MomentoErrorCode::CacheNotFoundError);
    server.shutdown().await;

    let (_server, client) = pair(|options| options.caches = None).await;
    client.publish("other", "t", "x").await.unwrap();
}

#[tokio::test]
async fn a_call_of_another_service_is_unimplemented() {
    let (server, _) = pair(|_| ()).await;
    let builder = AuthClient::builder().credential_provider(credentials(&server, local_api_key()));
    let tokens = builder.build().unwrap();
    let scope = PermissionScopes::topic_publish_only(CACHE, "t");
    let token = tokens.generate_disposable_token(scope.into(), ExpiresIn::minutes(5));
    let error = token.await.unwrap_err();
    assert_eq!(error.error_code, MomentoErrorCode::BadRequestError);
    let printed = format!("{error:?}");
    assert!(
        printed.contains("/token.Token/GenerateDisposableToken"),
        "{printed}"
    );
}

#[tokio::test]
async fn a_value_has_at_most_4096_bytes() {
    let (_server, client) = pair(|_| ()).await;
    client.publish(CACHE, "t", "x".repeat(4096)).await.unwrap();
    // In bytes, not in characters.
    for value in ["x".repeat(4097), "ä".repeat(2049)] {
        let error = client.publish(CACHE, "t", value).await.unwrap_err();
        assert_eq!(error.error_code, MomentoErrorCode::LimitExceededError);
        assert!(error.message.contains("Request size"), "{}", error.message);
    }
}

#[tokio::test]
async fn a_name_is_required() {
    let (_server, client) = pair(|_| ()).await;
    let error = client.publish(CACHE, "", "x").await.unwrap_err();
    assert_eq!(error.error_code, MomentoErrorCode::InvalidArgumentError);
}

#[tokio::test]
async fn one_connection_has_hundreds_of_subscriptions() {
    /// hyper's own limit is 200 calls at a time.
    const MANY: usize = 300;
    let (server, _) = pair(|_| ()).await;
    let mut client = PubsubClient::connect(server.endpoint()).await.unwrap();
    let mut open = Vec::new();
    while open.len() < MANY {
        let subscribed = client.subscribe(request(0, 0));
        let subscribed = tokio::time::timeout(Duration::from_secs(60), subscribed).await;
        let opened = open.len();
        let subscribed = subscribed.unwrap_or_else(|_| panic!("stuck after {opened}"));
        open.push(subscribed.unwrap().into_inner());
    }
    server.publish(CACHE, "t", "all").unwrap();
    for mut stream in open {
        while !matches!(next(&mut stream).await, Kind::Item(_)) {}
    }
}

#[tokio::test]
async fn too_many_subscribers_are_over_the_limit() {
    let (_server, client) = pair(|options| options.limits.subscribers = 1).await;
    let _first = client.subscribe(CACHE, "t").await.unwrap();
    let error = client.subscribe(CACHE, "t").await.err().unwrap();
    assert_eq!(error.error_code, MomentoErrorCode::LimitExceededError);
    assert!(error.message.contains("subscriptions"), "{}", error.message);
}

#[tokio::test]
async fn the_sdk_resumes_at_a_sequence_number() {
    let (server, client) = pair(|_| ()).await;
    for text in ["a", "b", "c"] {
        server.publish(CACHE, "t", text).unwrap();
    }
    let request = SubscribeRequest::new(CACHE, "t", Some(2), None);
    let mut subscription = client.send_request(request).await.unwrap();
    let got = texts(&mut subscription, 2).await;
    assert_eq!(got, [(2, "b".to_owned()), (3, "c".to_owned())]);
}

#[tokio::test]
async fn the_sdk_goes_on_after_a_reset() {
    let (server, client) = pair(|_| ()).await;
    let mut subscription = client.subscribe(CACHE, "t").await.unwrap();
    server.publish(CACHE, "t", "a").unwrap();
    server.publish(CACHE, "t", "b").unwrap();
    texts(&mut subscription, 2).await;
    server.reset(CACHE, "t");
    server.publish(CACHE, "t", "c").unwrap();
    let got = texts(&mut subscription, 1).await;
    assert_eq!(got, [(1, "c".to_owned())]);
}

#[tokio::test]
async fn the_sdk_comes_back_after_a_restart() {
    let (server, client) = pair(|_| ()).await;
    let mut subscription = client.subscribe(CACHE, "t").await.unwrap();
    server.publish(CACHE, "t", "a").unwrap();
    texts(&mut subscription, 1).await;
    let keys = server.service.keys.read().unwrap().clone();
    let listen = server.address;
    server.shutdown().await;
    let options = TopicsOptions {
        listen,
        keys,
        ..options()
    };
    let server = TopicsServer::start(options).await.unwrap();
    server.publish(CACHE, "t", "b").unwrap();
    // Received although it was published before the client reconnected: its page is a new one.
    let got = texts(&mut subscription, 1).await;
    assert_eq!(got[0].1, "b");
}

#[tokio::test]
async fn a_stream_begins_with_a_heartbeat_and_the_page() {
    let server = server().await;
    server.publish(CACHE, "t", "a").unwrap();
    let mut stream = raw(&server, 0, 0).await;
    assert!(matches!(next(&mut stream).await, Kind::Heartbeat(_)));
    let Kind::Discontinuity(page) = next(&mut stream).await else {
        panic!("expected the page");
    };
    assert_eq!((page.last_topic_sequence, page.new_topic_sequence), (0, 1));
    assert!(page.new_sequence_page > 0);
    // The message of that number again.
    assert!(matches!(next(&mut stream).await, Kind::Item(item) if item.topic_sequence_number == 1));
}

/// Resumes as the Node SDK does: after the last number received, in an item or in a discontinuity.
#[tokio::test]
async fn a_reconnect_at_the_last_number_loses_and_repeats_nothing() {
    let server = server().await;
    for text in ["old", "older"] {
        server.publish(CACHE, "t", text).unwrap();
    }
    server.reset(CACHE, "t");
    let mut resume = (0, 0);
    for (number, text) in (1..).zip(["a", "b", "c"]) {
        let mut stream = raw(&server, resume.0, resume.1).await;
        assert!(matches!(next(&mut stream).await, Kind::Heartbeat(_)));
        if number == 1 {
            let Kind::Discontinuity(beginning) = next(&mut stream).await else {
                panic!("expected the page");
            };
            resume = (
                beginning.new_topic_sequence + 1,
                beginning.new_sequence_page,
            );
            drop(stream);
            server.publish(CACHE, "t", text).unwrap();
            stream = raw(&server, resume.0, resume.1).await;
            assert!(matches!(next(&mut stream).await, Kind::Heartbeat(_)));
        } else {
            server.publish(CACHE, "t", text).unwrap();
        }
        let Kind::Item(item) = next(&mut stream).await else {
            panic!("expected message {number}");
        };
        assert_eq!(item.topic_sequence_number, number);
        resume = (number + 1, item.sequence_page);
    }
}

#[tokio::test]
async fn a_hundred_subscribers_receive_a_message() {
    let (_server, client) = pair(|_| ()).await;
    let mut subscriptions = Vec::new();
    for _ in 0..100 {
        subscriptions.push(client.subscribe(CACHE, "t").await.unwrap());
    }
    client.publish(CACHE, "t", "value").await.unwrap();
    for subscription in &mut subscriptions {
        assert_eq!(texts(subscription, 1).await, [(1, "value".to_owned())]);
    }
}

#[tokio::test]
async fn a_new_subscription_receives_the_last_message_again() {
    let (server, client) = pair(|_| ()).await;
    for text in ["a", "b"] {
        server.publish(CACHE, "t", text).unwrap();
    }
    let mut subscription = client.subscribe(CACHE, "t").await.unwrap();
    server.publish(CACHE, "t", "c").unwrap();
    let got = texts(&mut subscription, 2).await;
    assert_eq!(got, [(2, "b".to_owned()), (3, "c".to_owned())]);
}

#[tokio::test]
async fn a_discontinuity_follows_a_reset() {
    let server = server().await;
    for text in ["a", "b", "c"] {
        server.publish(CACHE, "t", text).unwrap();
    }
    let mut stream = raw(&server, 3, 0).await;
    assert!(matches!(next(&mut stream).await, Kind::Heartbeat(_)));
    let Kind::Discontinuity(page) = next(&mut stream).await else {
        panic!("expected the page");
    };
    assert_eq!(page.new_topic_sequence, 2);
    assert!(matches!(next(&mut stream).await, Kind::Item(item) if item.topic_sequence_number == 3));
    server.reset(CACHE, "t");
    let Kind::Discontinuity(reset) = next(&mut stream).await else {
        panic!("expected a discontinuity");
    };
    assert_eq!(
        (reset.last_topic_sequence, reset.new_topic_sequence),
        (3, 0)
    );
    assert!(reset.new_sequence_page > page.new_sequence_page);
}

#[tokio::test]
async fn an_idle_stream_is_kept_alive() {
    let mut options = options();
    options.heartbeat_interval = Duration::from_millis(1);
    let server = TopicsServer::start(options).await.unwrap();
    let mut stream = raw(&server, 1, 1).await;
    let mut kinds = Vec::new();
    for _ in 0..4 {
        kinds.push(next(&mut stream).await);
    }
    let beats = kinds
        .iter()
        .filter(|kind| matches!(kind, Kind::Heartbeat(_)));
    assert_eq!(beats.count(), 3, "{kinds:?}");
}

#[tokio::test]
async fn a_shutdown_ends_streams_at_once() {
    let server = server().await;
    let mut stream = raw(&server, 1, 1).await;
    assert!(matches!(next(&mut stream).await, Kind::Heartbeat(_)));
    assert!(matches!(next(&mut stream).await, Kind::Discontinuity(_)));
    let (ended, ()) = tokio::join!(stream.next(), server.shutdown());
    let status = ended.unwrap().unwrap_err();
    assert_eq!(status.code(), tonic::Code::Unavailable);
}
