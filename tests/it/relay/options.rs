//! Options and their variables.

use super::{SECRET, Scene, texts};

/// Every variable, with a value that would stop the relay or misdirect it.
const WRONG: [(&str, &str); 15] = [
    ("WEBHOOK_URL", "http://127.0.0.1:1/"),
    ("HEALTH_LISTEN", "nowhere"),
    ("RELAY_TOPICS", "demo/another"),
    ("ROUTES", "no routes"),
    ("ROUTES_TTL_SECONDS", "0"),
    ("MOMENTO_ENDPOINT", "http://127.0.0.1:1"),
    ("MOMENTO_SECRET_ID", "another-secret"),
    ("MOMENTO_API_KEY_FILE", "/nonexistent/key"),
    ("MOMENTO_API_KEY", "no key"),
    ("RELAY_STATE", "/proc/none/cursors"),
    ("STATE_DIRECTORY", "/proc/none"),
    ("RELAY_CONCURRENCY", "0"),
    ("RELAY_QUIET_SECONDS", "0"),
    ("SIGNING_SECRET_ID", "another-secret"),
    ("SIGNING_SECRET_FILE", "/nonexistent/secret"),
];

#[tokio::test]
async fn an_option_overrides_every_variable() {
    let scene = Scene::new().await;
    let file = |name: &str, text: &str| {
        let file = scene.folder.file(name);
        std::fs::write(&file, text).unwrap();
        file.display().to_string()
    };
    let (key, secret) = (file("key", &scene.key), file("secret", SECRET));
    let routes = file(
        "routes",
        r#"{"routes": [{"name": "in", "from": {"cache": "demo", "topic": "in"}, "to": {"eventBus": "default"}}]}"#,
    );
    let command = scene
        .command(&["in"])
        .option("--momento-key-file", key)
        .option("--routes", routes)
        .option("--routes-ttl-seconds", 60)
        .option("--concurrency", 1)
        .option("--quiet-seconds", 60);
    let wrong = |command: super::process::RelayCommand| {
        let variables = WRONG.iter();
        variables.fold(command, |command, (name, value)| {
            command.variable(name, value)
        })
    };
    for (round, command) in [
        wrong(command.clone()),
        wrong(
            command
                .without("--secret-env")
                .option("--secret-file", secret),
        ),
    ]
    .into_iter()
    .enumerate()
    {
        let relay = command.start().await;
        scene.publish("in", texts(0..1));
        scene.hook.takes("in", round + 1).await;
        relay.stop().await;
    }
}

#[tokio::test]
async fn a_variable_replaces_a_missing_option() {
    let scene = Scene::new().await;
    let file = |name: &str, text: &str| {
        let file = scene.folder.file(name);
        std::fs::write(&file, text).unwrap();
        file.display().to_string()
    };
    let (key, secret) = (file("key", &scene.key), file("secret", SECRET));
    let command = scene
        .command(&["in"])
        .without("--secret-env")
        .variable("SIGNING_SECRET_ID", "")
        .variable("SIGNING_SECRET_FILE", &secret)
        .variable("MOMENTO_SECRET_ID", "")
        .variable("MOMENTO_API_KEY_FILE", &key)
        .variable("MOMENTO_API_KEY", "no key");
    command.start().await.stop().await;
    for (option, other) in [
        ("--signing-secret-id", "--secret-file"),
        ("--momento-secret-id", "--momento-key-file"),
    ] {
        let both = command.clone().option(option, "id").option(other, "file");
        let (status, error) = both.spawn().ended().await;
        assert_eq!(status.code(), Some(2), "{error}");
        assert!(error.contains("cannot be used with"), "{error}");
    }
}
