//! A topic's first relay starts behind earlier messages, which Momento may repeat.

use super::{Scene, texts};

const OLDER: &str = "skipped a message published before";

/// A scene whose server repeats `replay` messages to a new subscription.
async fn repeating(replay: u64) -> Scene {
    Scene::with(|options| options.limits.replay = replay).await
}

#[tokio::test]
async fn messages_older_than_the_subscription_are_skipped() {
    for replay in [0, 1] {
        let scene = repeating(replay).await;
        scene.publish("in", ["older", "the last one"]);
        let relay = scene.relay(&["in", "silent"]).await;
        scene.publish("in", texts(0..3));
        scene.publish("silent", texts(0..3));
        scene.hook.takes("in", 3).await;
        assert_eq!(scene.hook.takes("silent", 3).await, texts(0..3));
        assert_eq!(scene.hook.taken("in"), texts(0..3));
        scene.cursors_of(&relay, "in", 5).await;
        scene.cursors_of(&relay, "silent", 3).await;
        assert_eq!(relay.metric("older_total").await, replay);
        let lines = relay.lines_with(OLDER);
        assert_eq!(lines.len() as u64, replay);
        if let [line] = &lines[..] {
            let place = (&line["message.topic"], &line["message.sequence"]);
            assert_eq!(place, (&"in".into(), &2.into()));
        }
        let lines = relay.stop().await;
        assert!(
            lines.iter().all(|line| line["level"] != "WARN"),
            "{lines:#?}"
        );
        assert_eq!(scene.hook.posts().len(), 6);
    }
}

#[tokio::test]
async fn a_relay_stopped_before_its_first_message_resumes_at_the_same_place() {
    for replay in [0, 1] {
        let scene = repeating(replay).await;
        scene.publish("in", ["the last one"]);
        scene.relay(&["in"]).await.stop().await;
        // The topic is known now: messages published between two runs are not old.
        scene.publish("in", texts(0..2));
        let relay = scene.relay(&["in"]).await;
        assert_eq!(scene.hook.takes("in", 2).await, texts(0..2));
        relay.stop().await;
        let relay = scene.relay(&["in"]).await;
        scene.publish("in", texts(2..3));
        assert_eq!(scene.hook.takes("in", 3).await, texts(0..3));
        let lines = relay.stop().await;
        assert!(
            lines.iter().all(|line| line["level"] != "WARN"),
            "{lines:#?}"
        );
        assert_eq!(scene.hook.posts().len(), 3);
    }
}

#[tokio::test]
async fn with_a_start_number_no_message_counts_as_older() {
    let scene = repeating(1).await;
    scene.publish("in", texts(1..5));
    let command = scene.command(&["in"]).option("--from", "demo/in=3");
    let relay = command.start().await;
    assert_eq!(scene.hook.takes("in", 2).await, texts(3..5));
    assert_eq!(relay.metric("older_total").await, 0);
    relay.stop().await;
}
