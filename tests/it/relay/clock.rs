//! Clock skew between a relay and its webhook.

use super::hook::Reply;
use super::{Scene, texts};

#[tokio::test]
async fn a_wrong_clock_holds_messages_back_and_loses_none() {
    for (ahead_ms, code, words) in [
        (90_000, "stale", "s behind the webhook's"),
        (-45_000, "from_the_future", "s ahead of the webhook's"),
    ] {
        let scene = Scene::new().await;
        let relay = scene.relay(&["in"]).await;
        scene.publish("in", texts(0..1));
        scene.hook.takes("in", 1).await;
        let page = scene.cursors_of(&relay, "in", 1).await;
        relay.is_ready(200).await;
        assert_eq!(relay.number("clock_skew_ms").await, 0);

        scene.hook.set_clock(ahead_ms);
        scene.publish("in", texts(1..11));
        let refused = |posts: &[super::hook::Post]| {
            let refused = posts.iter().filter(|post| post.status == 403);
            refused.count() >= 4
        };
        scene.hook.wait("four refusals", refused).await;
        let missing = relay.is_ready(503).await;
        assert!(missing.contains("clock"), "{missing}");
        let skew = relay.number("clock_skew_ms").await;
        assert!((skew + ahead_ms).abs() <= 3_000, "{skew}");
        let lines = relay.logged("the clock of this host is", 1).await;
        assert_eq!(lines[0]["level"], "ERROR");
        assert!(lines[0]["message"].as_str().unwrap().contains(words));
        let lines = relay.logged("the webhook does not take a message", 1).await;
        let reason = lines[0]["error.text"].as_str().unwrap();
        let expected = format!("it answers 403, `{code}`: the clock of this host is");
        assert!(
            reason.starts_with(&expected) && reason.contains(words),
            "{reason}"
        );
        assert_eq!(scene.cursors()["cursors"][0]["next"], 2, "the cursor stays");
        assert_eq!(relay.metric("refused_total").await, 0);

        // No message is stale by now, since each attempt has a new timestamp.
        scene.hook.set_clock(0);
        assert_eq!(scene.hook.takes("in", 11).await, texts(0..11));
        relay.is_ready(200).await;
        relay.logged("agrees with the webhook's again", 1).await;
        assert_eq!(scene.cursors_of(&relay, "in", 11).await, page);
        let lines = relay.stop().await;
        assert_eq!(lines.last().unwrap()["refused"], 0, "{lines:#?}");
    }
}

#[tokio::test]
async fn clock_skew_is_detected_before_the_first_message() {
    let scene = Scene::new().await;
    scene.hook.set_clock(-120_000);
    let relay = scene.relay(&["in"]).await;
    let missing = relay.is_ready(503).await;
    assert!(missing.contains("clock"), "{missing}");
    relay.logged("the clock of this host is", 1).await;
    scene.hook.set_clock(0);
    relay.is_ready(200).await;
    relay.stop().await;
}

#[tokio::test]
async fn a_short_clock_error_of_the_webhook_loses_no_message() {
    let scene = Scene::new().await;
    let relay = scene.relay(&["in"]).await;
    scene.hook.always(Reply::Hang);
    scene.publish("in", texts(0..10));
    scene.hook.wait("a request", |posts| posts.len() == 1).await;
    for ahead_ms in [-400_000, 360_000, -90_000, 90_000] {
        let before = scene.hook.posts().len();
        scene.hook.set_clock(ahead_ms);
        // The hung request is accepted, the next one refused.
        scene.hook.always(Reply::Status(200));
        scene
            .hook
            .wait("a refusal", |posts| {
                posts[before..].iter().any(|post| post.status == 403)
            })
            .await;
        scene.hook.always(Reply::Hang);
        scene.hook.set_clock(0);
        let hangs = |posts: &[super::hook::Post]| posts.last().unwrap().status == 0;
        scene.hook.wait("the next one", hangs).await;
    }
    scene.hook.always(Reply::Status(200));
    assert_eq!(scene.hook.takes("in", 10).await, texts(0..10));
    assert_eq!(relay.metric("refused_total").await, 0);
    relay.stop().await;
}
