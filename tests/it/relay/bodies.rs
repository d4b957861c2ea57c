//! Delivered bodies, and messages refused by the webhook.

use workflow_bridge::clock::now_ms;

use super::hook::Reply;
use super::{CACHE, Scene, texts};

#[tokio::test]
async fn a_delivery_has_momentos_fields_and_the_page() {
    let scene = Scene::new().await;
    let relay = scene.relay(&["in"]).await;
    let began = now_ms();
    // Publishers with a token ID, over the HTTP API, and without.
    let publish = |kind: &'static str, body: Vec<u8>| {
        let url = format!("{}/topics/{CACHE}/in", scene.server.endpoint());
        let request = reqwest::Client::new()
            .post(url)
            .header("authorization", &scene.key);
        request.header("content-type", kind).body(body).send()
    };
    publish("text/plain", "Here I am!! 🦀 \"".into())
        .await
        .unwrap();
    publish("application/octet-stream", vec![0, 1, 2])
        .await
        .unwrap();
    scene.publish("in", [""]);
    let posts = scene
        .hook
        .wait("three posts", |posts| posts.len() == 3)
        .await;

    let page = scene.cursors_of(&relay, "in", 3).await;
    for (number, (post, (field, value, token_id))) in posts
        .iter()
        .zip([
            ("text", "Here I am!! 🦀 \"", "mo"),
            ("binary", "AAEC", "mo"),
            ("text", "", ""),
        ])
        .enumerate()
    {
        let body = post.body.as_object().unwrap();
        let fields: Vec<_> = body.keys().map(String::as_str).collect();
        let mut expected = vec![
            "cache",
            "topic",
            "event_timestamp",
            "publish_timestamp",
            "topic_sequence_number",
            "sequence_page",
            "token_id",
            field,
        ];
        expected.sort_unstable();
        assert_eq!(fields, expected);
        assert_eq!(
            (
                &body["cache"],
                &body["topic"],
                &body[field],
                &body["token_id"]
            ),
            (&CACHE.into(), &"in".into(), &value.into(), &token_id.into())
        );
        assert_eq!(body["topic_sequence_number"], number + 1);
        assert_eq!(body["sequence_page"], page);
        let time = |name: &str| body[name].as_i64().unwrap();
        let (event, publish) = (time("event_timestamp"), time("publish_timestamp"));
        assert!(began <= event && event <= publish && publish <= now_ms());
        assert_eq!(
            (post.status, post.content_type.as_str()),
            (200, "application/json")
        );
        let order = [
            "cache",
            "topic\"",
            "event_",
            "publish_",
            "topic_seq",
            "sequence_page",
            "token",
            field,
        ];
        let places: Vec<_> = order
            .iter()
            .map(|name| post.text.find(&format!("\"{name}")))
            .collect();
        assert!(places.is_sorted() && places[0].is_some(), "{}", post.text);
    }
    relay.stop().await;
}

#[tokio::test]
async fn attempts_share_the_event_time_and_each_has_its_publish_time() {
    let scene = Scene::new().await;
    let relay = scene.relay(&["in"]).await;
    scene
        .hook
        .first([503, 429, 408, 302, 502].map(Reply::Status));
    scene.publish("in", ["once", "more"]);
    let posts = scene
        .hook
        .wait("seven posts", |posts| posts.len() == 7)
        .await;
    let times = |name: &str| -> Vec<i64> {
        let six = posts[..6].iter();
        six.map(|post| post.body[name].as_i64().unwrap()).collect()
    };
    let published = times("publish_timestamp");
    assert!(
        published.windows(2).all(|two| two[0] < two[1]),
        "{published:?}"
    );
    let events = times("event_timestamp");
    assert!(events.iter().all(|&event| event == events[0]), "{events:?}");
    assert!(posts[..6].iter().all(|post| post.body["text"] == "once"));
    assert_eq!(posts[6].body["text"], "more");
    assert_eq!(relay.metric("retried_total").await, 5);
    let lines = relay.stop().await;
    let at_last: Vec<_> = lines.iter().filter(|line| line["attempts"] == 6).collect();
    assert_eq!(at_last.len(), 1, "{lines:#?}");
    assert_eq!(at_last[0]["level"], "INFO");
}

#[tokio::test]
async fn a_refused_message_is_logged_counted_and_skipped() {
    let scene = Scene::new().await;
    let relay = scene.relay(&["in"]).await;
    let refusals = [400, 403, 404, 413];
    for status in refusals {
        scene
            .hook
            .first([Reply::Status(status), Reply::Status(200)]);
    }
    scene.publish("in", (0..8).map(|n| format!("payload-{n}")));
    scene.hook.takes("in", 4).await;
    let posts = scene.hook.posts();
    assert_eq!(posts.len(), 8, "each message is tried once");
    let page = scene.cursors_of(&relay, "in", 8).await;
    assert_eq!(relay.metric("refused_total").await, 4);
    assert_eq!(relay.metric("delivered_total").await, 4);
    let lines = relay.stop().await;
    let errors: Vec<_> = lines
        .iter()
        .filter(|line| line["level"] == "ERROR")
        .collect();
    assert_eq!(errors.len(), refusals.len(), "{lines:#?}");
    for (index, (line, status)) in errors.iter().zip(refusals).enumerate() {
        assert_eq!(line["message.cache"], CACHE);
        assert_eq!(line["message.topic"], "in");
        assert_eq!(line["message.sequence"], 2 * index + 1);
        assert_eq!(line["message.page"], page);
        assert_eq!(
            (&line["http.status"], &line["code"]),
            (&status.into(), &"told".into())
        );
    }
    assert!(
        lines
            .iter()
            .all(|line| !line.to_string().contains("payload-")),
        "{lines:#?}"
    );
}

#[tokio::test]
async fn no_log_line_has_a_message_or_a_secret() {
    let scene = Scene::new().await;
    let command = scene
        .command(&["in"])
        .variable("AWS_LAMBDA_LOG_LEVEL", "TRACE");
    let relay = command.start().await;
    scene.hook.first([500, 401, 400].map(Reply::Status));
    scene.publish("in", ["payload-0", "payload-1"]);
    scene.hook.takes("in", 1).await;
    scene.server.reset(CACHE, "in");
    scene.publish("in", texts(0..3));
    scene.hook.takes("in", 4).await;
    let posts = scene.hook.posts();
    let lines = relay.stop().await;
    let log = serde_json::to_string(&lines).unwrap();
    for hidden in ["payload-", super::SECRET, &scene.key, "momento-signature"] {
        assert!(!log.contains(hidden), "`{hidden}` is in {log}");
    }
    assert!(posts.len() > 4 && !lines.is_empty());
}
