use futures_util::StreamExt as _;
use momento::cache::{CreateCacheResponse, GetResponse, configurations};
use momento::{CacheClient, CredentialProvider, MomentoErrorCode, TopicClient};
use momento_protos::cache_client::pubsub::pubsub_client::PubsubClient;
use momento_protos::cache_client::pubsub::subscription_item::Kind;
use momento_protos::cache_client::pubsub::{PublishRequest, SubscriptionRequest};
use tonic::Code;

use super::*;

const MINUTE: Duration = Duration::from_secs(60);

/// A server with [`CACHE`], and clients of the SDK.
async fn clients() -> (TopicsServer, CacheClient, TopicClient) {
    let key = local_api_key();
    let mut options = options();
    options.keys.insert(key.clone(), None);
    let server = TopicsServer::start(options).await.unwrap();
    let credentials = CredentialProvider::from_api_key_v2(key, "local").unwrap();
    let credentials = credentials.insecure_endpoint_override(&server.endpoint());
    let caches = CacheClient::builder()
        .default_ttl(MINUTE)
        .configuration(configurations::Laptop::latest())
        .credential_provider(credentials.clone())
        .build()
        .unwrap();
    let topics = TopicClient::builder()
        .configuration(momento::topics::configurations::Laptop::latest())
        .credential_provider(credentials)
        .build()
        .unwrap();
    (server, caches, topics)
}

async fn names(caches: &CacheClient) -> Vec<String> {
    let listed = caches.list_caches().await.unwrap();
    listed.caches.into_iter().map(|cache| cache.name).collect()
}

#[tokio::test]
async fn caches_are_created_listed_and_deleted() {
    let (server, caches, topics) = clients().await;
    assert_eq!(
        caches.create_cache("new").await.unwrap(),
        CreateCacheResponse::Created
    );
    assert_eq!(
        caches.create_cache("new").await.unwrap(),
        CreateCacheResponse::AlreadyExists
    );
    assert_eq!(names(&caches).await, [CACHE, "new"]);
    topics.publish("new", "t", "x").await.unwrap();
    caches.set("new", "k", "x").await.unwrap();

    caches.delete_cache("new").await.unwrap();
    assert_eq!(names(&caches).await, [CACHE]);
    let error = topics.publish("new", "t", "x").await.unwrap_err();
    assert_eq!(error.error_code, MomentoErrorCode::CacheNotFoundError);
    let error = caches.delete_cache("new").await.unwrap_err();
    assert_eq!(error.error_code, MomentoErrorCode::CacheNotFoundError);

    // A cache of the same name begins empty.
    server.create_cache("new").unwrap();
    server.create_cache("new").unwrap();
    assert_eq!(caches.get("new", "k").await.unwrap(), GetResponse::Miss);
    let mut subscription = topics.subscribe("new", "t").await.unwrap();
    topics.publish("new", "t", "y").await.unwrap();
    let first = subscription.next().await.unwrap();
    assert_eq!(first.topic_sequence_number, 1);
    assert_eq!(String::try_from(first).unwrap(), "y");
}

#[tokio::test]
async fn caches_are_bounded_and_need_a_name() {
    let server = server().await;
    for number in 1..crate::tools::local::topics::MAX_CACHES {
        server.create_cache(&number.to_string()).unwrap();
    }
    assert_eq!(server.create_cache("more"), Err(Refusal::TooManyCaches));
    assert_eq!(server.create_cache(""), Err(Refusal::BadName("cache")));
}

#[tokio::test]
async fn deleting_a_cache_ends_its_subscriptions() {
    let (server, caches, _) = clients().await;
    let mut client = PubsubClient::connect(server.endpoint()).await.unwrap();
    let request = SubscriptionRequest {
        cache_name: CACHE.to_owned(),
        topic: "t".to_owned(),
        ..SubscriptionRequest::default()
    };
    let mut stream = client.subscribe(request).await.unwrap().into_inner();
    let first = stream.next().await.unwrap().unwrap();
    assert!(matches!(first.kind, Some(Kind::Heartbeat(_))));
    caches.delete_cache(CACHE).await.unwrap();
    let status = loop {
        if let Err(status) = stream.next().await.unwrap() {
            break status;
        }
    };
    assert_eq!(status.code(), Code::NotFound);
    let poll = reqwest::Client::builder().no_proxy().build().unwrap();
    let poll = poll
        .get(server.topic_url(CACHE, "t"))
        .header("authorization", KEY);
    assert_eq!(poll.send().await.unwrap().status(), 404);
}

#[tokio::test]
async fn the_sdks_local_mode_needs_no_key_for_grpc() {
    let server = server().await;
    let mut client = PubsubClient::connect(server.endpoint()).await.unwrap();
    let mut publish = async |key: Option<&str>| {
        let mut request = tonic::Request::new(PublishRequest {
            cache_name: CACHE.to_owned(),
            topic: "t".to_owned(),
            value: Some(momento_protos::cache_client::pubsub::TopicValue {
                kind: Some(
                    momento_protos::cache_client::pubsub::topic_value::Kind::Text("x".to_owned()),
                ),
            }),
        });
        if let Some(key) = key {
            let metadata = request.metadata_mut();
            metadata.insert("authorization", key.parse().unwrap());
        }
        let published = client.publish(request).await;
        published.map(|_| ()).map_err(|status| status.code())
    };
    assert_eq!(publish(None).await, Ok(()));
    assert_eq!(publish(Some("")).await, Ok(()));
    assert_eq!(publish(Some(KEY)).await, Ok(()));
    assert_eq!(publish(Some("another")).await, Err(Code::Unauthenticated));
}
