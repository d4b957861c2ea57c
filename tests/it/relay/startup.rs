//! Errors of a relay that cannot start.

use futures_util::future::join;
use tokio::time::timeout;
use workflow_bridge::tools::local::topics::local_api_key;

use super::process::RelayCommand;
use super::{CACHE, Scene, TIMEOUT};
use crate::deployed::{RUNTIME, stack};
use crate::proxy::{Fault, Proxy, Span};

async fn fails_with(command: &RelayCommand, all: &[&str]) -> String {
    let error = timeout(TIMEOUT, command.fail()).await.unwrap();
    println!("{error}");
    assert!(error.starts_with("error: "), "{error}");
    for part in all {
        assert!(error.contains(part), "`{part}` is not in: {error}");
    }
    error
}

#[tokio::test]
async fn a_refusal_of_momento_is_named_with_its_remedy() {
    let scene = Scene::new().await;
    let command = scene.command(&["in"]);
    let other = command
        .clone()
        .variable("MOMENTO_API_KEY", &local_api_key());
    fails_with(
        &other,
        &["`demo/in`", "Unauthenticated", "API key of version 2"],
    )
    .await;
    let no_key = command.clone().variable("MOMENTO_API_KEY", "hunter2");
    let error = fails_with(&no_key, &["API key of version 2"]).await;
    assert!(!error.contains("hunter2"), "{error}");
    let no_key = command.clone().variable("MOMENTO_API_KEY", "");
    fails_with(&no_key, &["--momento-key-file", "MOMENTO_API_KEY"]).await;
    let cache = command.but("--topic", "nowhere/in");
    fails_with(&cache, &["`nowhere/in`", "NotFound", "create the cache"]).await;
}

#[tokio::test]
async fn an_unreachable_endpoint_is_retried_and_then_named() {
    let scene = Scene::new().await;
    let proxy = Proxy::start(scene.hook.url()).await.unwrap();
    proxy.fault(Fault::Refuse, Span::Until);
    let url = format!("{}/hook?key=hunter2", proxy.endpoint());
    let shown = format!("`{}/hook`", proxy.endpoint());
    let no_webhook = scene.command(&["in"]).but("--webhook", &url);
    let no_momento = scene
        .command(&["in"])
        .but("--momento-endpoint", proxy.endpoint())
        .but("--state", scene.folder.file("others").display());
    let (webhook, momento) = join(
        fails_with(&no_webhook, &["webhook", &shown, "refused"]),
        fails_with(
            &no_momento,
            &["`demo/in`", "cannot subscribe", "is the endpoint right"],
        ),
    )
    .await;
    assert!(!webhook.contains("hunter2"), "{webhook}");
    assert!(!momento.contains("hunter2"), "{momento}");
}

#[tokio::test]
async fn the_relay_waits_for_a_starting_webhook() {
    let scene = Scene::new().await;
    let proxy = Proxy::start(scene.hook.url()).await.unwrap();
    proxy.fault(Fault::Status(503), Span::Until);
    let command = scene
        .command(&["in"])
        .but("--webhook", format!("{}/hook", proxy.endpoint()));
    let relay = command.spawn();
    // The log names the awaited endpoint.
    relay.logged("the webhook", 1).await;
    proxy.heal().unwrap();
    relay.logged("relaying", 1).await;
    relay.stop().await;
}

#[tokio::test]
async fn topics_are_required_and_a_wildcard_is_not_enough() {
    let scene = Scene::new().await;
    let none = scene.command(&[]);
    fails_with(&none, &["--topic CACHE/TOPIC", "--routes"]).await;
    let routes = scene.folder.file("routes.json");
    let wild = r#"{"routes": [{"name": "audit", "from": {"cache": "demo", "topic": "orders-*"}, "to": {"eventBus": "default"}}]}"#;
    std::fs::write(&routes, wild).unwrap();
    let command = none.clone().option("--routes", routes.display());
    fails_with(
        &command,
        &["`audit`", "demo/orders-*", "--topic CACHE/TOPIC"],
    )
    .await;
    let listed = command
        .clone()
        .option("--topic", "demo/orders-1")
        .option("--topic", "demo/other");
    let relay = listed.start().await;
    let warnings = relay.logged("no enabled route", 1).await;
    assert_eq!(warnings[0]["message.topic"], "other");
    relay.stop().await;
    std::fs::write(&routes, r#"{"routes": []}"#).unwrap();
    fails_with(&command, &["at least one enabled route"]).await;
    let missing = none.option("--routes", scene.folder.file("none").display());
    fails_with(&missing, &["cannot read the routes", "none"]).await;
}

#[tokio::test]
async fn a_foreign_cursor_file_is_never_overwritten() {
    let scene = Scene::new().await;
    let file = scene.folder.file("cursors");
    for other in ["hello", "{}", r#"{"version": 2, "cursors": []}"#] {
        std::fs::write(&file, other).unwrap();
        fails_with(&scene.command(&["in"]), &["cursors", "delete it"]).await;
        assert_eq!(std::fs::read_to_string(&file).unwrap(), other);
    }
    std::fs::remove_file(&file).unwrap();
    let relay = scene.relay(&["in"]).await;
    fails_with(&scene.command(&["in"]), &["another relay", "--state"]).await;
    relay.kill().await;
    // A killed relay holds no lock.
    scene.relay(&["in"]).await.stop().await;
    let nowhere = scene.command(&["in"]).but("--state", "/proc/none/cursors");
    fails_with(&nowhere, &["/proc/none", "--state"]).await;
}

#[tokio::test]
async fn invalid_options_are_named() {
    let scene = Scene::new().await;
    let command = scene.command(&["in"]);
    let unknown = command.clone().option("--from", "demo/other=3");
    fails_with(&unknown, &["--from", "`demo/other`"]).await;
    let no_url = command.clone().but("--webhook", "webhook.example");
    fails_with(&no_url, &["https://", "`webhook.example`"]).await;
    let no_secret = command.clone().without("--secret-env");
    fails_with(&no_secret, &["--secret-file", "--signing-secret-id"]).await;
    let no_file = no_secret.option("--secret-file", scene.folder.file("none").display());
    fails_with(&no_file, &["none"]).await;
    let no_table = command.clone().but("--state", "dynamodb:");
    fails_with(&no_table, &["name of a table"]).await;
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    fails_with(
        &command.but("--health", address),
        &["--health", &address.to_string()],
    )
    .await;
}

#[test]
fn a_wrong_secret_is_detected_before_the_first_message() {
    RUNTIME.block_on(async {
        let scene = Scene::new().await;
        let stack = stack().await;
        let command = scene.command(&["in"]).but("--webhook", stack.webhook_url());
        fails_with(&command, &["signing secret", stack.webhook_url()]).await;
        let right = command.variable("SIGNING_SECRET", stack.signing_secret());
        right.start().await.stop().await;
        // The probe parks and starts nothing.
        let log = stack.logs().await.unwrap();
        assert!(!log.contains("Is this the secret?"), "{CACHE}");
    });
}
