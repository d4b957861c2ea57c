//! The position at which a relay resumes after a stop or a kill.

use super::hook::Reply;
use super::process::Relay;
use super::{CACHE, Scene, TIMEOUT, texts};
use tokio::time::{Instant, timeout};

#[tokio::test]
async fn after_a_stop_it_resumes_with_undelivered_messages() {
    let scene = Scene::new().await;
    let relay = scene.relay(&["in", "other"]).await;
    scene.publish("in", texts(0..5));
    scene.hook.takes("in", 5).await;
    let lines = relay.stop().await;
    assert_eq!(lines.last().unwrap()["delivered"], 5, "{lines:#?}");
    // Published while no relay runs; `other` had a subscription but no message.
    scene.publish("in", texts(5..8));
    scene.publish("other", texts(0..2));
    let relay = scene.relay(&["in", "other"]).await;
    scene.publish("in", texts(8..10));
    assert_eq!(scene.hook.takes("in", 10).await, texts(0..10));
    assert_eq!(scene.hook.takes("other", 2).await, texts(0..2));
    let lines = relay.stop().await;
    assert!(
        lines.iter().all(|line| line["level"] != "WARN"),
        "{lines:#?}"
    );
    assert_eq!(scene.hook.posts().len(), 12, "nothing came twice");
}

#[tokio::test]
async fn a_stop_finishes_the_request_under_way() {
    let scene = Scene::new().await;
    let relay = scene.relay(&["in"]).await;
    scene.hook.always(Reply::Hang);
    scene.publish("in", texts(0..3));
    scene.hook.wait("a request", |posts| posts.len() == 1).await;
    relay.terminate();
    // The relay handles the signal before the hung request gets its answer.
    scene.hook.always(Reply::Status(200));
    let (status, error) = relay.ended().await;
    assert_eq!(status.code(), Some(0), "{error}");
    let relay = scene.relay(&["in"]).await;
    assert_eq!(scene.hook.takes("in", 3).await, texts(0..3));
    relay.stop().await;
    assert_eq!(scene.hook.posts().len(), 3, "nothing came twice");
}

/// A relay of three messages that the webhook refuses, after this many attempts.
async fn refused(attempts: usize) -> (Scene, Relay) {
    let scene = Scene::new().await;
    let relay = scene.relay(&["in"]).await;
    scene.hook.always(Reply::Status(503));
    scene.publish("in", texts(0..3));
    scene
        .hook
        .wait("attempts", |posts| posts.len() >= attempts)
        .await;
    (scene, relay)
}

#[tokio::test]
async fn a_stop_does_not_wait_for_a_failing_webhook() {
    // The next wait is longer than 3 s.
    let (scene, relay) = refused(6).await;
    let began = Instant::now();
    let attempts = scene.hook.posts().len();
    relay.stop().await;
    assert!(began.elapsed().as_secs() < 10, "it waited for the webhook");
    scene.hook.always(Reply::Status(200));
    let relay = scene.relay(&["in"]).await;
    assert_eq!(scene.hook.takes("in", 3).await, texts(0..3));
    relay.stop().await;
    assert!(scene.hook.posts().len() <= attempts + 4);
}

#[tokio::test]
async fn a_kill_repeats_unsaved_messages_and_loses_none() {
    let scene = Scene::new().await;
    let relay = scene.relay(&["in"]).await;
    scene.publish("in", texts(0..50));
    scene.hook.wait("some", |posts| posts.len() >= 10).await;
    relay.kill().await;
    let next = scene.cursors()["cursors"][0]["next"].as_u64().unwrap_or(1);
    let saved = next - 1;
    let before = scene.hook.posts().len() as u64;
    let relay = scene.relay(&["in"]).await;
    scene
        .hook
        .wait("all", |posts| {
            posts.iter().any(|post| post.body["text"] == "49")
        })
        .await;
    relay.stop().await;
    let expected: Vec<_> = [texts(0..before), texts(saved..50)].concat();
    let taken: Vec<_> = scene
        .hook
        .posts()
        .iter()
        .map(|post| post.body["text"].as_str().unwrap().to_owned())
        .collect();
    assert!(saved <= before, "a cursor is never ahead");
    assert_eq!(taken, expected);
}

/// Without a saved beginning, the next start would skip the messages.
#[tokio::test]
async fn a_kill_before_the_first_delivery_loses_no_message() {
    let (scene, relay) = refused(1).await;
    assert_eq!(scene.cursors()["cursors"][0]["next"], 1);
    relay.kill().await;
    scene.hook.always(Reply::Status(200));
    let relay = scene.relay(&["in"]).await;
    assert_eq!(scene.hook.takes("in", 3).await, texts(0..3));
    relay.stop().await;
}

#[tokio::test]
async fn a_topic_can_start_in_the_past() {
    let scene = Scene::remembering(10).await;
    scene.publish("in", texts(0..12));
    scene.publish("late", texts(0..12));
    let command = scene
        .command(&["in", "late"])
        .option("--from", format!("{CACHE}/in=8"))
        .option("--from", format!("{CACHE}/late=1"));
    let relay = command.start().await;
    assert_eq!(scene.hook.takes("in", 5).await, texts(7..12));
    // The server forgot 1 and 2.
    assert_eq!(scene.hook.takes("late", 10).await, texts(2..12));
    let gaps = relay.logged("Momento has lost messages", 1).await;
    assert_eq!(
        (&gaps[0]["gap.missed"], &gaps[0]["message.topic"]),
        (&2.into(), &"late".into())
    );
    relay.stop().await;
    // `--from` applies only without a cursor: a restart resumes at the cursor.
    let relay = command.start().await;
    scene.publish("in", texts(12..13));
    assert_eq!(scene.hook.takes("in", 6).await, texts(7..13));
    relay.stop().await;
}

#[tokio::test]
async fn unsaved_cursors_are_reported_and_do_not_stop_delivery() {
    let scene = Scene::new().await;
    let relay = scene.relay(&["in"]).await;
    scene.publish("in", texts(0..1));
    scene.cursors_of(&relay, "in", 1).await;
    // A folder at the path of the new file makes saving fail.
    let new = scene.folder.file("cursors.new");
    std::fs::create_dir(&new).unwrap();
    scene.publish("in", texts(1..3));
    scene.hook.takes("in", 3).await;
    relay.logged("cursors cannot be saved", 1).await;
    std::fs::remove_dir(&new).unwrap();
    scene.cursors_of(&relay, "in", 3).await;
    // A failure at the end of the process can only be reported.
    std::fs::create_dir(&new).unwrap();
    scene.publish("in", texts(3..4));
    scene.hook.takes("in", 4).await;
    relay.terminate();
    let (status, error) = timeout(TIMEOUT, relay.ended()).await.unwrap();
    assert_eq!(status.code(), Some(1));
    assert!(error.contains("cursors"), "{error}");
}
