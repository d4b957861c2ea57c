//! Secrets that change while the relay runs.

use workflow_bridge::tools::local::topics::local_api_key;

use super::hook::Reply;
use super::{Scene, texts};
use crate::proxy::Proxy;

#[tokio::test]
async fn a_refused_api_key_is_read_again() {
    let scene = Scene::new().await;
    let proxy = Proxy::start(&scene.server.endpoint()).await.unwrap();
    let file = scene.folder.file("key");
    std::fs::write(&file, format!("{}\n", scene.key)).unwrap();
    let command = scene
        .command(&["in"])
        .but("--momento-endpoint", proxy.endpoint())
        .option("--momento-key-file", file.display());
    let relay = command.start().await;
    scene.publish("in", texts(0..2));
    scene.hook.takes("in", 2).await;

    // A revoked key affects only the next subscription.
    scene.server.delete_key(&scene.key);
    proxy.cut();
    scene.publish("in", texts(2..4));
    let lines = relay.logged("a subscription ended", 2).await;
    assert_eq!(lines[1]["error.code"], "Unauthenticated", "{lines:#?}");
    let new = local_api_key();
    std::fs::write(&file, &new).unwrap();
    scene.server.put_key(new, None);
    assert_eq!(scene.hook.takes("in", 4).await, texts(0..4));
    relay.logged("a subscription works again", 1).await;
    let lines = relay.stop().await;
    assert!(!serde_json::to_string(&lines).unwrap().contains(&scene.key));
}

#[tokio::test]
async fn a_refused_signing_secret_is_read_again() {
    let scene = Scene::new().await;
    let file = scene.folder.file("secret");
    std::fs::write(&file, super::SECRET).unwrap();
    let command = scene
        .command(&["in"])
        .but("--secret-file", file.display())
        .without("--secret-env");
    let relay = command.start().await;
    scene.publish("in", texts(0..2));
    scene.hook.takes("in", 2).await;
    std::fs::write(&file, "another secret\n").unwrap();
    scene.publish("in", texts(2..4));
    // The relay keeps its secret as long as the webhook accepts it.
    scene.hook.takes("in", 4).await;
    scene.hook.set_secret("another secret");
    scene.publish("in", texts(4..6));
    assert_eq!(scene.hook.takes("in", 6).await, texts(0..6));
    let posts = scene.hook.posts();
    assert_eq!(posts.len(), 7, "one attempt was refused");
    assert_eq!(
        (posts[4].status, &posts[4].body["text"]),
        (401, &"4".into())
    );
    assert_eq!(relay.metric("refused_total").await, 0);
    relay.stop().await;
}

#[tokio::test]
async fn during_a_rotation_the_previous_secret_works() {
    // The webhook still has the old secret; the relay lists the new one first.
    let scene = Scene::new().await;
    let command = scene.command(&["in"]).variable(
        "SIGNING_SECRET",
        &format!(r#"["new", "{}"]"#, super::SECRET),
    );
    let relay = command.start().await;
    scene.publish("in", texts(0..2));
    assert_eq!(scene.hook.takes("in", 2).await, texts(0..2));
    scene.hook.set_secret("new");
    scene.hook.first([Reply::Status(200)]);
    scene.publish("in", texts(2..4));
    assert_eq!(scene.hook.takes("in", 4).await, texts(0..4));
    assert_eq!(relay.metric("refused_total").await, 0);
    relay.stop().await;
}
