//! What a relay that cannot start says.

use futures_util::future::join;
use tokio::time::timeout;
use workflow_bridge::local::topics::local_api_key;

use super::process::RelayCommand;
use super::{CACHE, PATIENCE, Scene};
use crate::deployed::{RUNTIME, stack};
use crate::proxy::{Fault, Proxy, Span};

async fn says(command: &RelayCommand, all: &[&str]) -> String {
    let complaint = timeout(PATIENCE, command.complaint()).await.unwrap();
    println!("{complaint}");
    assert!(complaint.starts_with("error: "), "{complaint}");
    for part in all {
        assert!(complaint.contains(part), "`{part}` is not in: {complaint}");
    }
    complaint
}

#[tokio::test]
async fn what_momento_refuses_is_named_with_what_to_do() {
    let scene = Scene::new().await;
    let command = scene.command(&["in"]);
    let other = command
        .clone()
        .variable("MOMENTO_API_KEY", &local_api_key());
    says(
        &other,
        &["`demo/in`", "Unauthenticated", "API key of version 2"],
    )
    .await;
    let no_key = command.clone().variable("MOMENTO_API_KEY", "hunter2");
    let complaint = says(&no_key, &["API key of version 2"]).await;
    assert!(!complaint.contains("hunter2"), "{complaint}");
    let no_key = command.clone().variable("MOMENTO_API_KEY", "");
    says(&no_key, &["--momento-key-file", "MOMENTO_API_KEY"]).await;
    let cache = command.but("--topic", "nowhere/in");
    says(&cache, &["`nowhere/in`", "NotFound", "create the cache"]).await;
}

#[tokio::test]
async fn what_is_not_reached_is_waited_for_and_named() {
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
        says(&no_webhook, &["webhook", &shown, "refused"]),
        says(
            &no_momento,
            &["`demo/in`", "cannot subscribe", "is the endpoint right"],
        ),
    )
    .await;
    assert!(!webhook.contains("hunter2"), "{webhook}");
    assert!(!momento.contains("hunter2"), "{momento}");
}

#[tokio::test]
async fn a_webhook_that_comes_up_in_time_is_waited_for() {
    let scene = Scene::new().await;
    let proxy = Proxy::start(scene.hook.url()).await.unwrap();
    proxy.fault(Fault::Status(503), Span::Until);
    let command = scene
        .command(&["in"])
        .but("--webhook", format!("{}/hook", proxy.endpoint()));
    let relay = command.spawn();
    // Whoever looks at the log sees what it waits for.
    relay.says("the webhook", 1).await;
    proxy.heal().unwrap();
    relay.says("relaying", 1).await;
    relay.stop().await;
}

#[tokio::test]
async fn topics_are_needed_and_a_wildcard_is_none() {
    let scene = Scene::new().await;
    let none = scene.command(&[]);
    says(&none, &["--topic CACHE/TOPIC", "--routes"]).await;
    let routes = scene.folder.file("routes.json");
    let wild = r#"{"routes": [{"name": "audit", "from": {"cache": "demo", "topic": "orders-*"}, "to": {"eventBus": "default"}}]}"#;
    std::fs::write(&routes, wild).unwrap();
    let command = none.clone().option("--routes", routes.display());
    says(
        &command,
        &["`audit`", "demo/orders-*", "--topic CACHE/TOPIC"],
    )
    .await;
    let listed = command
        .clone()
        .option("--topic", "demo/orders-1")
        .option("--topic", "demo/other");
    let relay = listed.start().await;
    let warnings = relay.says("no enabled route", 1).await;
    assert_eq!(warnings[0]["message.topic"], "other");
    relay.stop().await;
    std::fs::write(&routes, r#"{"routes": []}"#).unwrap();
    says(&command, &["at least one enabled route"]).await;
    let missing = none.option("--routes", scene.folder.file("none").display());
    says(&missing, &["cannot read the routes", "none"]).await;
}

#[tokio::test]
async fn cursors_of_something_else_or_of_another_relay_are_left_alone() {
    let scene = Scene::new().await;
    let file = scene.folder.file("cursors");
    for other in ["hello", "{}", r#"{"version": 2, "cursors": []}"#] {
        std::fs::write(&file, other).unwrap();
        says(&scene.command(&["in"]), &["cursors", "delete it"]).await;
        assert_eq!(std::fs::read_to_string(&file).unwrap(), other);
    }
    std::fs::remove_file(&file).unwrap();
    let relay = scene.relay(&["in"]).await;
    says(&scene.command(&["in"]), &["another relay", "--state"]).await;
    relay.kill().await;
    // One that was killed keeps nobody away.
    scene.relay(&["in"]).await.stop().await;
    let nowhere = scene.command(&["in"]).but("--state", "/proc/none/cursors");
    says(&nowhere, &["/proc/none", "--state"]).await;
}

#[tokio::test]
async fn options_that_do_not_fit_are_named() {
    let scene = Scene::new().await;
    let command = scene.command(&["in"]);
    let unknown = command.clone().option("--from", "demo/other=3");
    says(&unknown, &["--from", "`demo/other`"]).await;
    let no_url = command.clone().but("--webhook", "webhook.example");
    says(&no_url, &["https://", "`webhook.example`"]).await;
    let no_secret = command.clone().without("--secret-env");
    says(&no_secret, &["--secret-file", "--signing-secret-id"]).await;
    let no_file = no_secret.option("--secret-file", scene.folder.file("none").display());
    says(&no_file, &["none"]).await;
    let no_table = command.clone().but("--state", "dynamodb:");
    says(&no_table, &["name of a table"]).await;
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    says(
        &command.but("--health", address),
        &["--health", &address.to_string()],
    )
    .await;
}

#[test]
fn a_bridge_that_believes_another_secret_is_found_out_before_the_first_message() {
    RUNTIME.block_on(async {
        let scene = Scene::new().await;
        let stack = stack().await;
        let command = scene.command(&["in"]).but("--webhook", stack.webhook_url());
        says(&command, &["signing secret", stack.webhook_url()]).await;
        let right = command.variable("SIGNING_SECRET", stack.signing_secret());
        right.start().await.stop().await;
        // The probe is no message: nothing was parked or started for it.
        let log = stack.logs().await.unwrap();
        assert!(!log.contains("Is this the secret?"), "{CACHE}");
    });
}
