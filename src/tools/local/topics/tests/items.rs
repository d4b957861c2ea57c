use momento::cache::{GetResponse, SetRequest, configurations};
use momento::{CacheClient, CredentialProvider, MomentoErrorCode};
use reqwest::{Client, RequestBuilder, StatusCode};

use super::*;

const MINUTE: Duration = Duration::from_secs(60);

/// A server with one local API key, and an SDK client with that key.
async fn pair(change: impl FnOnce(&mut TopicsOptions)) -> (TopicsServer, CacheClient) {
    let key = local_api_key();
    let mut options = options();
    options.keys.insert(key.clone(), None);
    change(&mut options);
    let server = TopicsServer::start(options).await.unwrap();
    let client = client(&server, key);
    (server, client)
}

fn client(server: &TopicsServer, key: String) -> CacheClient {
    let credentials = CredentialProvider::from_api_key_v2(key, "local").unwrap();
    CacheClient::builder()
        .default_ttl(MINUTE)
        .configuration(configurations::Laptop::latest())
        .credential_provider(credentials.insecure_endpoint_override(&server.endpoint()))
        .build()
        .unwrap()
}

fn http() -> Client {
    Client::builder().no_proxy().build().unwrap()
}

fn url(server: &TopicsServer, rest: &str) -> String {
    format!("{}/cache/{rest}", server.endpoint())
}

async fn send(request: RequestBuilder) -> (StatusCode, String) {
    let response = request.send().await.unwrap();
    (response.status(), response.text().await.unwrap())
}

#[tokio::test]
async fn the_sdk_sets_and_gets() {
    let (_server, client) = pair(|_| ()).await;
    assert_eq!(client.get(CACHE, "k").await.unwrap(), GetResponse::Miss);
    client.set(CACHE, "k", "wörld").await.unwrap();
    let value: String = client.get(CACHE, "k").await.unwrap().try_into().unwrap();
    assert_eq!(value, "wörld");
    client.set(CACHE, "k", "").await.unwrap();
    let value: String = client.get(CACHE, "k").await.unwrap().try_into().unwrap();
    assert_eq!(value, "");
}

#[tokio::test]
async fn an_item_ends_with_its_time() {
    let (_server, client) = pair(|_| ()).await;
    let short = SetRequest::new(CACHE, "k", "x").ttl(Duration::from_millis(1));
    client.send_request(short).await.unwrap();
    while client.get(CACHE, "k").await.unwrap() != GetResponse::Miss {
        tokio::task::yield_now().await;
    }
    for ttl in [Duration::ZERO, MINUTE * 60 * 24 + Duration::from_millis(1)] {
        let request = SetRequest::new(CACHE, "k", "x").ttl(ttl);
        let error = client.send_request(request).await.unwrap_err();
        assert_eq!(error.error_code, MomentoErrorCode::InvalidArgumentError);
    }
}

#[tokio::test]
async fn keys_and_caches_are_checked_as_for_topics() {
    let (server, accepted) = pair(|_| ()).await;
    let stranger = client(&server, local_api_key());
    let error = stranger.set(CACHE, "k", "x").await.unwrap_err();
    assert_eq!(error.error_code, MomentoErrorCode::AuthenticationError);
    let error = stranger.get(CACHE, "k").await.unwrap_err();
    assert_eq!(error.error_code, MomentoErrorCode::AuthenticationError);
    let error = accepted.set("other", "k", "x").await.unwrap_err();
    assert_eq!(error.error_code, MomentoErrorCode::CacheNotFoundError);
    let error = accepted.get("other", "k").await.unwrap_err();
    assert_eq!(error.error_code, MomentoErrorCode::CacheNotFoundError);
    let error = accepted.set(CACHE, "", "x").await.unwrap_err();
    assert_eq!(error.error_code, MomentoErrorCode::InvalidArgumentError);
}

#[tokio::test]
async fn an_item_has_a_largest_size() {
    let (_server, client) = pair(|_| ()).await;
    let largest = "x".repeat(5_000_000);
    client.set(CACHE, "k", largest.as_str()).await.unwrap();
    let value: String = client.get(CACHE, "k").await.unwrap().try_into().unwrap();
    assert!(value == largest);
    let larger = format!("{largest}x");
    let error = client.set(CACHE, "k", larger).await.unwrap_err();
    assert_eq!(error.error_code, MomentoErrorCode::LimitExceededError);
    assert!(error.message.contains("Item size"), "{}", error.message);

    let (_server, client) = pair(|options| options.limits.item_bytes = 3).await;
    client.set(CACHE, "k", "xxx").await.unwrap();
    assert!(client.set(CACHE, "k", "xxxx").await.is_err());
}

#[tokio::test]
async fn other_calls_are_not_implemented() {
    let (_server, client) = pair(|_| ()).await;
    let error = client.delete(CACHE, "k").await.unwrap_err();
    // The SDK's name for it.
    assert_eq!(error.error_code, MomentoErrorCode::BadRequestError);
}

#[tokio::test]
async fn http_and_the_sdk_see_the_same_items() {
    let (server, client) = pair(|_| ()).await;
    let put = http().put(url(&server, "demo?key=a%2Fb&ttl_seconds=60"));
    let put = put.header("authorization", KEY).body("wörld");
    assert_eq!(send(put).await, (StatusCode::NO_CONTENT, String::new()));
    let value: String = client.get(CACHE, "a/b").await.unwrap().try_into().unwrap();
    assert_eq!(value, "wörld");
    // `a/b` in Base64, without and with padding.
    for query in ["key=a/b", "key_base64=YS9i", "key_base64=YS9i&token=mo-key"] {
        let mut get = http().get(url(&server, &format!("demo?{query}")));
        if !query.contains("token") {
            get = get.header("authorization", KEY);
        }
        assert_eq!(send(get).await, (StatusCode::OK, "wörld".to_owned()));
    }
    let padded = http().get(url(&server, "demo?key_base64=YQ%3D%3D"));
    let (status, body) = send(padded.header("authorization", KEY)).await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    assert!(body.contains("Key Not Found"), "{body}");
}

#[tokio::test]
async fn http_refusals_have_their_documented_status() {
    let (server, _client) = pair(|options| options.limits.item_bytes = 10).await;
    let get = |rest: &str| http().get(url(&server, rest)).header("authorization", KEY);
    let put = |rest: &str, body: String| {
        let request = http().put(url(&server, rest));
        request.header("authorization", KEY).body(body)
    };
    let x = || "x".to_owned();
    let cases = [
        (http().get(url(&server, "demo?key=k")), 401, "API key"),
        (get("other?key=k"), 404, "Cache Not Found"),
        (get("demo"), 400, "one of the parameters"),
        (
            get("demo?key=k&key_base64=aw"),
            400,
            "one of the parameters",
        ),
        (get("demo?key_base64=%21"), 400, "Base64"),
        (get("demo?key="), 400, "key name"),
        (put("demo?key=k", x()), 400, "ttl_seconds"),
        (put("demo?key=k&ttl_seconds=0", x()), 400, "time to live"),
        (put("demo?key=k&ttl_seconds=86401", x()), 400, "24 hours"),
        (
            put("demo?key=k&ttl_seconds=1", "x".repeat(11)),
            429,
            "at most 10 bytes, found 11",
        ),
        (
            put("demo?key=k&ttl_seconds=1", "x".repeat(99)),
            429,
            "at most 10 bytes",
        ),
    ];
    for (request, expected, words) in cases {
        let (status, body) = send(request).await;
        assert_eq!(status, expected, "{body}");
        assert!(body.contains(words), "{body}");
    }
}
