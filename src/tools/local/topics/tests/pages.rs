//! Browsers: gRPC-web and cross-origin requests.

use reqwest::{Client, Method, RequestBuilder, StatusCode};
use tonic_prost::prost::Message as _;

use super::*;

const PUBLISH: &str = "cache_client.pubsub.Pubsub/Publish";

fn request(server: &TopicsServer, method: Method, path: &str, origin: &str) -> RequestBuilder {
    let client = Client::builder().no_proxy().build().unwrap();
    let url = format!("{}/{path}", server.endpoint());
    client.request(method, url).header("origin", origin)
}

/// A gRPC-web call without a key, as the web SDK's local mode sends it.
fn publish(server: &TopicsServer, origin: &str) -> RequestBuilder {
    let message = momento_protos::cache_client::pubsub::PublishRequest {
        cache_name: CACHE.to_owned(),
        topic: "t".to_owned(),
        value: Some(momento_protos::cache_client::pubsub::TopicValue {
            kind: Some(
                momento_protos::cache_client::pubsub::topic_value::Kind::Text("x".to_owned()),
            ),
        }),
    };
    let message = message.encode_to_vec();
    let mut body = vec![0];
    body.extend((message.len() as u32).to_be_bytes());
    body.extend(message);
    request(server, Method::POST, PUBLISH, origin)
        .header("content-type", "application/grpc-web+proto")
        .body(body)
}

#[tokio::test]
async fn a_page_of_this_machine_publishes_over_grpc_web() {
    let server = server().await;
    let mut events = server.events();
    let origin = "http://localhost:3000";
    let asked = "authorization,content-type,x-grpc-web";
    let preflight = request(&server, Method::OPTIONS, PUBLISH, origin)
        .header("access-control-request-method", "POST")
        .header("access-control-request-headers", asked);
    let preflight = preflight.send().await.unwrap();
    assert_eq!(preflight.status(), StatusCode::NO_CONTENT);
    let allowed = preflight.headers();
    assert_eq!(allowed["access-control-allow-origin"], origin);
    assert_eq!(allowed["access-control-allow-headers"], asked);

    let response = publish(&server, origin).send().await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    let headers = response.headers();
    assert_eq!(headers["content-type"], "application/grpc-web+proto");
    assert_eq!(headers["access-control-allow-origin"], origin);
    let exposed = headers["access-control-expose-headers"].to_str().unwrap();
    assert!(exposed.contains("grpc-status"), "{exposed}");
    let trailers = response.bytes().await.unwrap();
    assert!(String::from_utf8_lossy(&trailers).contains("grpc-status:0"));
    assert!(matches!(events.recv().await, Ok(TopicsEvent::Published(_))));
}

#[tokio::test]
async fn a_page_of_another_site_is_refused() {
    let server = server().await;
    let mut events = server.events();
    let origin = "https://example.com";
    let simple = request(&server, Method::POST, "topics/demo/t?token=mo-key", origin).body("x");
    let preflight = request(&server, Method::OPTIONS, PUBLISH, origin);
    for request in [publish(&server, origin), simple, preflight] {
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), StatusCode::FORBIDDEN);
        let allowed = response.headers().get("access-control-allow-origin");
        assert_eq!(allowed, None);
        let body = response.text().await.unwrap();
        assert!(body.contains("expected a page of this machine"), "{body}");
    }
    assert!(events.try_recv().is_err());
}
