use std::sync::Arc;

use axum::Router;
use axum::http::StatusCode;
use axum::routing::get;
use momento::cache::configurations::Laptop;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::time::Instant;

use super::*;
use crate::adapters::momento::Momento;
use crate::adapters::momento::items;
use crate::clock;
use crate::config::MomentoEndpoint;
use crate::domain::outbound::claims::{Claims, MAX_ITEM_BYTES};
use crate::domain::outbound::result::Publication;
use crate::domain::ports::{Answer, Secrets, Stage};
use crate::tools::local::topics::{TopicsOptions, TopicsServer, local_api_key};

const NOW: i64 = 1_704_296_470_564;
const VALUE: &str = "a wörd of some length";

fn claim(place: Value) -> Value {
    let mut claim = json!({
        "bytes": VALUE.len(), "sha256": hex::encode(digest(&SHA256, VALUE.as_bytes())), "expires_at": NOW + 1,
    });
    let fields = claim.as_object_mut().unwrap();
    fields.extend(place.as_object().unwrap().clone());
    json!({ "claim": claim })
}

fn item(key: &str) -> Value {
    claim(json!({"cache": "demo", "key": key}))
}

async fn topics() -> (TopicsServer, Resolver, CacheClient) {
    let key = local_api_key();
    let options = TopicsOptions {
        keys: [(key.clone(), None)].into(),
        caches: Some(["demo".to_owned()].into()),
        ..TopicsOptions::default()
    };
    let server = TopicsServer::start(options).await.unwrap();
    let endpoint = MomentoEndpoint::Local(server.endpoint());
    let items = items::connect(&key, &endpoint, Laptop::latest()).unwrap();
    let resolver = Resolver::new(items.clone(), || NOW).unwrap();
    (server, resolver, items)
}

async fn resolve(resolver: &Resolver, message: &Value) -> Result<String, Unresolved> {
    let claim = Claim::of(&message.to_string()).expect("a claim");
    resolver.resolve(&claim).await
}

/// A bucket with this answer.
async fn bucket(status: StatusCode, body: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let answer = get(move || async move { (status, [("location", "/elsewhere")], body) });
    let router = Router::new()
        .route("/key", answer)
        .route("/elsewhere", get(|| async { VALUE }));
    tokio::spawn(async move { axum::serve(listener, router).await });
    format!("http://{address}/key?signature=secret")
}

#[test]
fn a_plain_value_is_not_a_claim() {
    let mut with_more = item("k");
    with_more["text"] = json!("x");
    for value in [
        "hello",
        "{}",
        r#"{"claim":1}"#,
        r#"{"claim":{"cache":"c"}}"#,
    ] {
        assert_eq!(Claim::of(value), None, "{value}");
    }
    assert_eq!(Claim::of(&with_more.to_string()), None);
    assert!(Claim::of(&item("k").to_string()).is_some());
}

#[tokio::test]
async fn an_item_is_read_and_checked() {
    let (_server, resolver, items) = topics().await;
    items.set("demo", "right", VALUE).await.unwrap();
    let resolved = resolve(&resolver, &item("right")).await;
    assert_eq!(resolved.unwrap(), VALUE);

    items.set("demo", "longer", "x".repeat(99)).await.unwrap();
    let refused = resolve(&resolver, &item("longer")).await.unwrap_err();
    assert_eq!(
        refused.to_string(),
        "expected the claimed value of 22 bytes, found 99; do not use it"
    );
    items.set("demo", "wrong", "x".repeat(22)).await.unwrap();
    let refused = resolve(&resolver, &item("wrong")).await.unwrap_err();
    assert!(
        matches!(refused, Unresolved::WrongDigest { .. }),
        "{refused}"
    );
}

#[tokio::test]
async fn an_absent_value_is_missing_or_expired() {
    let (_server, resolver, _) = topics().await;
    let missing = resolve(&resolver, &item("k")).await.unwrap_err();
    assert!(
        missing.to_string().contains("the item `k` of cache `demo`"),
        "{missing}"
    );
    for (ago, words) in [(5, "5 s"), (600, "10 min"), (36_000, "10 h")] {
        let mut old = item("k");
        old["claim"]["expires_at"] = json!(NOW - ago * 1000);
        let expired = resolve(&resolver, &old).await.unwrap_err();
        assert_eq!(expired, Unresolved::Expired(words.into()));
    }
    let elsewhere = claim(json!({"cache": "other", "key": "k"}));
    let unreadable = resolve(&resolver, &elsewhere).await.unwrap_err();
    assert!(
        matches!(unreadable, Unresolved::Unreadable { .. }),
        "{unreadable}"
    );
}

#[tokio::test]
async fn an_object_is_read_and_checked() {
    let (_server, resolver, _) = topics().await;
    let at = |url: String| claim(json!({ "url": url }));
    let right = at(bucket(StatusCode::OK, VALUE).await);
    assert_eq!(resolve(&resolver, &right).await.unwrap(), VALUE);

    let longer = at(bucket(StatusCode::OK, "more than twenty-two bytes").await);
    let refused = resolve(&resolver, &longer).await.unwrap_err();
    let wrong_size = Unresolved::WrongSize {
        expected: 22,
        found: "more".into(),
    };
    assert_eq!(refused, wrong_size);
    let gone = at(bucket(StatusCode::NOT_FOUND, "").await);
    let refused = resolve(&resolver, &gone).await.unwrap_err();
    assert!(matches!(refused, Unresolved::Missing(_)), "{refused}");

    let mut denied = at(bucket(StatusCode::FORBIDDEN, "").await);
    let refused = resolve(&resolver, &denied).await.unwrap_err();
    assert!(refused.to_string().contains("found 403"), "{refused}");
    assert!(!refused.to_string().contains("signature"), "{refused}");
    denied["claim"]["expires_at"] = json!(NOW - 60_000);
    let refused = resolve(&resolver, &denied).await.unwrap_err();
    assert_eq!(refused, Unresolved::Expired("60 s".into()));

    let moved = at(bucket(StatusCode::FOUND, "").await);
    let refused = resolve(&resolver, &moved).await.unwrap_err();
    assert!(refused.to_string().contains("found 302"), "{refused}");
    let closed = at("http://127.0.0.1:1/key?signature=secret".into());
    let refused = resolve(&resolver, &closed).await.unwrap_err();
    assert!(!refused.to_string().contains("signature"), "{refused}");
    let mut huge = at(bucket(StatusCode::OK, VALUE).await);
    huge["claim"]["bytes"] = json!(MAX_OBJECT_BYTES + 1);
    let refused = resolve(&resolver, &huge).await.unwrap_err();
    assert!(matches!(refused, Unresolved::TooLarge(_)), "{refused}");
}

/// The API key, as a secret.
struct Key(String);

impl Secrets for Key {
    fn fetch(&self, _: Stage) -> Answer<'_, Option<String>> {
        Box::pin(async { Ok(Some(self.0.clone())) })
    }
}

#[tokio::test]
async fn a_claim_of_the_bridge_resolves_to_its_value() {
    let key = local_api_key();
    let server = TopicsServer::start(TopicsOptions {
        keys: [(key.clone(), None)].into(),
        ..TopicsOptions::default()
    })
    .await
    .unwrap();
    let endpoint = MomentoEndpoint::Local(server.endpoint());
    let resolver = items::connect(&key, &endpoint, Laptop::latest()).unwrap();
    let resolver = Resolver::new(resolver, clock::now_ms).unwrap();
    let momento = Arc::new(Momento::new(Arc::new(Key(key)), endpoint));
    let claims = Claims {
        items: Arc::new(items::MomentoItems(momento)),
        objects: None,
        max_message_bytes: 4096,
        max_item_bytes: MAX_ITEM_BYTES,
        ttl: Duration::from_secs(60),
        now_ms: clock::now_ms,
    };
    for bytes in [4097, 200_000, 2_000_000, MAX_ITEM_BYTES] {
        let publication = Publication {
            cache: "demo".into(),
            topic: "out".into(),
            value: format!("{}€", "x".repeat(bytes - 3)),
        };
        let deadline = Instant::now() + Duration::from_secs(20);
        let text = claims.text(&publication, deadline).await.unwrap();
        server.publish("demo", "out", &*text).unwrap();
        let claim = Claim::of(&text).expect("a claim");
        let resolved = resolver.resolve(&claim).await.unwrap();
        assert!(resolved == publication.value, "{bytes} bytes");
    }
}
