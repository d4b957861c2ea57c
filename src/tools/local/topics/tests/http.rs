use reqwest::{Client, RequestBuilder, StatusCode};
use serde_json::{Value as Json, json};

use super::*;

const TEXT: &str = "text/plain; charset=utf-8";
const BINARY: &str = "application/octet-stream";

/// A request to `path` under `/topics/`, with the key.
fn get(server: &TopicsServer, path: &str) -> RequestBuilder {
    let url = format!("{}/topics/{path}", server.endpoint());
    let client = Client::builder().no_proxy().build().unwrap();
    client.get(url).header("authorization", KEY)
}

fn post(server: &TopicsServer, path: &str) -> RequestBuilder {
    let url = format!("{}/topics/{path}", server.endpoint());
    let client = Client::builder().no_proxy().build().unwrap();
    client.post(url).header("authorization", KEY)
}

async fn send(request: RequestBuilder) -> (StatusCode, String) {
    let response = request.send().await.unwrap();
    (response.status(), response.text().await.unwrap())
}

async fn items(request: RequestBuilder) -> Vec<Json> {
    let (status, body) = send(request).await;
    assert_eq!(status, 200, "{body}");
    let body: Json = serde_json::from_str(&body).unwrap();
    body["items"].as_array().unwrap().clone()
}

#[tokio::test]
async fn a_poll_returns_published_messages() {
    let server = server().await;
    let mut events = server.events();
    let request = post(&server, "demo/room%201%2Fa").header("content-type", TEXT);
    let (status, body) = send(request.body("hello wörld")).await;
    assert_eq!((status, body.as_str()), (StatusCode::NO_CONTENT, ""));
    let TopicsEvent::Published(message) = events.recv().await.unwrap() else {
        panic!("expected a publication");
    };
    assert_eq!(message.topic, "room 1/a");
    let request = post(&server, "demo/room%201%2Fa").header("content-type", BINARY);
    assert_eq!(send(request.body(vec![0, 255])).await.0, 204);

    let page = message.page;
    let polled = format!("demo/room%201%2Fa?sequence_number=0&sequence_page={page}");
    let expected = [
        json!({"item": {"sequence_page": page, "topic_sequence_number": 1, "value": {"text": "hello wörld"}}}),
        json!({"item": {"sequence_page": page, "topic_sequence_number": 2, "value": {"binary": "AP8="}}}),
    ];
    assert_eq!(items(get(&server, &polled)).await, expected);
    let polled = format!("demo/room%201%2Fa?sequence_number=2&sequence_page={page}");
    assert_eq!(items(get(&server, &polled)).await, expected[1..]);
}

#[tokio::test]
async fn the_answer_to_a_publication_has_the_messages_place() {
    let server = server().await;
    let mut events = server.events();
    for number in 1..=2 {
        let answer = post(&server, "demo/t").body("x").send().await.unwrap();
        let TopicsEvent::Published(message) = events.recv().await.unwrap() else {
            panic!("expected a publication");
        };
        let header = |name: &str| answer.headers()[name].to_str().unwrap().parse::<u64>();
        assert_eq!(header(NUMBER), Ok(number));
        assert_eq!(header(PAGE), Ok(message.page));
        assert_eq!(header(TIME), Ok(message.at_ms));
    }
}

#[tokio::test]
async fn only_the_bridges_publications_are_marked() {
    let server = server().await;
    let mut events = server.events();
    server.put_bridge_key("of the bridge");
    for (key, by_bridge) in [(Some("of the bridge"), true), (None, false)] {
        let mut request = post(&server, "demo/t");
        if let Some(key) = key {
            request = reqwest::Client::new().post(server.topic_url("demo", "t"));
            request = request.header("authorization", key);
        }
        request.body("x").send().await.unwrap();
        let TopicsEvent::Published(message) = events.recv().await.unwrap() else {
            panic!("expected a publication");
        };
        assert_eq!(message.by_bridge, by_bridge);
    }
}

#[tokio::test]
async fn a_first_poll_repeats_the_last_message() {
    let server = server().await;
    for text in ["a", "b"] {
        server.publish(CACHE, "t", text).unwrap();
    }
    let items = items(get(&server, "demo/t?sequence_number=0&sequence_page=0")).await;
    assert_eq!(items.len(), 1);
    assert_eq!(items[0]["item"]["topic_sequence_number"], 2);
}

#[tokio::test]
async fn a_poll_waits_for_the_next_message() {
    let server = server().await;
    let poll = tokio::spawn(items(get(
        &server,
        "demo/t?sequence_number=0&sequence_page=0",
    )));
    while server.service.broker.subscribers() == 0 {
        tokio::task::yield_now().await;
    }
    server.publish(CACHE, "t", "after").unwrap();
    let items = poll.await.unwrap();
    assert_eq!(items.len(), 1);
    assert_eq!(items[0]["item"]["value"]["text"], "after");
    assert_eq!(items[0]["item"]["topic_sequence_number"], 1);
}

#[tokio::test]
async fn after_a_quiet_poll_the_next_message_is_not_lost() {
    let mut options = options();
    options.poll_wait = Duration::from_millis(1);
    let server = TopicsServer::start(options).await.unwrap();
    let mut path = "demo/t".to_owned();
    for (number, text) in (1..).zip(["a", "b"]) {
        let quiet = items(get(&server, &path)).await;
        assert_eq!(quiet.len(), 1);
        let position = &quiet[0]["discontinuity"];
        assert_eq!(position["last_topic_sequence"], number - 1);
        assert_eq!(position["new_topic_sequence"], number);
        server.publish(CACHE, "t", text).unwrap();
        let (sequence, page) = (
            &position["new_topic_sequence"],
            &position["new_sequence_page"],
        );
        let next = items(get(
            &server,
            &format!("demo/t?sequence_number={sequence}&sequence_page={page}"),
        ))
        .await;
        assert_eq!(next.len(), 1);
        assert_eq!(next[0]["item"]["value"]["text"], text);
        path = format!("demo/t?sequence_number={}&sequence_page={page}", number + 1);
    }
}

#[tokio::test]
async fn encoded_names_are_decoded_once() {
    let mut options = options();
    options.caches = Some(BTreeSet::from(["my cache/ü".to_owned()]));
    let server = TopicsServer::start(options).await.unwrap();
    let mut events = server.events();
    let names = "my%20cache%2F%C3%BC/a%2Fb%252F%3F+";
    assert_eq!(send(post(&server, names).body("x")).await.0, 204);
    let TopicsEvent::Published(message) = events.recv().await.unwrap() else {
        panic!("expected a publication");
    };
    assert_eq!(message.topic, "a/b%2F?+");
    let polled = items(get(&server, names)).await;
    assert_eq!(polled[0]["item"]["value"]["text"], "x");
}

#[tokio::test]
async fn media_types_ignore_case() {
    let server = server().await;
    let mut events = server.events();
    for (media_type, value) in [
        ("Application/Octet-Stream", Value::Binary(b"x".to_vec())),
        (
            "APPLICATION/OCTET-STREAM; a=b",
            Value::Binary(b"x".to_vec()),
        ),
        (
            "application/octet-stream ; a=b",
            Value::Binary(b"x".to_vec()),
        ),
        ("application/octet-streams", Value::from("x")),
        ("TEXT/PLAIN", Value::from("x")),
    ] {
        let request = post(&server, "demo/t").header("content-type", media_type);
        assert_eq!(send(request.body("x")).await.0, 204);
        let TopicsEvent::Published(message) = events.recv().await.unwrap() else {
            panic!("expected a publication");
        };
        assert_eq!(message.value, value, "{media_type}");
    }
}

#[tokio::test]
async fn a_discontinuity_comes_before_the_items_after_it() {
    let mut options = options();
    options.limits.history = 2;
    let server = TopicsServer::start(options).await.unwrap();
    let mut events = server.events();
    for text in ["a", "b", "c", "d"] {
        server.publish(CACHE, "t", text).unwrap();
    }
    let TopicsEvent::Published(message) = events.recv().await.unwrap() else {
        panic!("expected a publication");
    };
    let page = message.page;
    let items = items(get(
        &server,
        &format!("demo/t?sequence_number=2&sequence_page={page}"),
    ))
    .await;
    let gap = json!({"last_topic_sequence": 1, "new_topic_sequence": 4, "new_sequence_page": page});
    assert_eq!(items[0], json!({ "discontinuity": gap }));
    assert_eq!(items[1]["item"]["topic_sequence_number"], 4);
    assert_eq!(items.len(), 2);
}

#[tokio::test]
async fn a_poll_for_another_page_gets_a_discontinuity_at_once() {
    let server = server().await;
    let items = items(get(&server, "demo/t?sequence_number=101&sequence_page=3")).await;
    assert_eq!(items.len(), 1);
    let gap = &items[0]["discontinuity"];
    assert_eq!(
        (&gap["last_topic_sequence"], &gap["new_topic_sequence"]),
        (&json!(100), &json!(1))
    );
}

#[tokio::test]
async fn the_key_comes_in_the_header_or_in_the_parameter() {
    let server = server().await;
    let url = |query: &str| format!("{}/topics/demo/t{query}", server.endpoint());
    let client = Client::builder().no_proxy().build().unwrap();
    let (status, _) = send(client.post(url("?token=mo-key")).body("x")).await;
    assert_eq!(status, 204);
    let both = client
        .post(url("?token=mo-key"))
        .header("authorization", KEY);
    let (status, body) = send(both.body("x")).await;
    assert_eq!(status, 400);
    assert!(body.contains("set only one"), "{body}");
    for query in ["", "?token=wrong", "?token="] {
        let (status, body) = send(client.post(url(query)).body("x")).await;
        assert_eq!(status, 401);
        assert!(body.contains("expected a valid API key"), "{body}");
        assert_eq!(send(client.get(url(query))).await.0, 401);
    }
    let bearer = client.get(url("")).bearer_auth(KEY);
    assert_eq!(send(bearer).await.0, 401);
}

#[tokio::test]
async fn refusals_have_their_documented_status() {
    let server = server().await;
    let large = "x".repeat(4097);
    let cases = [
        (get(&server, "other/t"), 404, "Cache Not Found"),
        (post(&server, "other/t").body("x"), 404, "Cache Not Found"),
        (
            post(&server, "demo/t").body(large),
            429,
            "at most 4096 bytes, found 4097",
        ),
        (
            post(&server, "demo/t").body(vec![0; 2 * 1024 * 1024]),
            429,
            "at most 4096 bytes",
        ),
        (post(&server, "demo/t").body(vec![255]), 400, "in UTF-8"),
        (post(&server, "demo/%FF").body("x"), 400, "UTF-8"),
        (
            get(&server, "demo/t?sequence_number=-1"),
            400,
            "sequence_number",
        ),
        (get(&server, "demo/a/b"), 404, "percent-encoded"),
        (get(&server, "demo/"), 404, "percent-encoded"),
    ];
    for (request, expected, words) in cases {
        let (status, body) = send(request).await;
        assert_eq!(status, expected, "{body}");
        let body: Json = serde_json::from_str(&body).unwrap();
        assert!(
            body["description"].as_str().unwrap().contains(words),
            "{body}"
        );
        assert_eq!(body["status"], status.canonical_reason().unwrap());
    }
}

#[tokio::test]
async fn any_other_content_type_is_text_as_curl_sends_it() {
    let server = server().await;
    let mut events = server.events();
    let largest = "x".repeat(4096);
    let request =
        post(&server, "demo/t").header("content-type", "application/x-www-form-urlencoded");
    assert_eq!(send(request.body(largest.clone())).await.0, 204);
    let TopicsEvent::Published(message) = events.recv().await.unwrap() else {
        panic!("expected a publication");
    };
    assert_eq!(message.value, Value::Text(largest));
}

#[tokio::test]
async fn a_shutdown_ends_polls_at_once() {
    let server = server().await;
    let poll = tokio::spawn(items(get(&server, "demo/t")));
    while server.service.broker.subscribers() == 0 {
        tokio::task::yield_now().await;
    }
    server.shutdown().await;
    assert_eq!(poll.await.unwrap(), Vec::<Json>::new());
}
