//! Momento's published SDKs against the local Topics server: the behaviours of Momento's own tests (`tests/clients`), and the
//! programs of `examples/clients`.
//!
//! The first run installs an SDK under `target/bridge`. Without its runtime, a test prints so and passes.

mod kit;

use std::path::Path;
use std::process::Command;

use workflow_bridge::tools::local::topics::{STABLE_API_KEY, TopicsOptions, TopicsServer};

use kit::{Follower, Kit};

const CACHE: &str = "demo";
/// A timeout, so that no test hangs.
const TIMEOUT: &str = "--test-timeout=120000";

/// A server as `bridge local` starts it.
async fn server() -> TopicsServer {
    TopicsServer::start(TopicsOptions {
        keys: [(STABLE_API_KEY.to_owned(), None)].into(),
        caches: Some([CACHE.to_owned()].into()),
        ..TopicsOptions::default()
    })
    .await
    .unwrap()
}

/// Runs a test program against a server of its own.
async fn passes(kit: Option<Kit>, arguments: &[&str]) {
    let Some(kit) = kit else {
        return;
    };
    let server = server().await;
    let output = kit.command(arguments, server.port()).output().unwrap();
    let (out, err) = (&output.stdout, &output.stderr);
    let printed = [String::from_utf8_lossy(out), String::from_utf8_lossy(err)].concat();
    assert!(output.status.success(), "{printed}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_sdk_for_node_passes_its_tests() {
    passes(Kit::node(), &["--test", TIMEOUT, "topics.test.mjs"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_sdk_for_browsers_passes_its_tests() {
    let options = ["--test", TIMEOUT, "--test-force-exit", "web.test.mjs"];
    passes(Kit::node(), &options).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_sdk_for_python_passes_its_tests() {
    passes(Kit::python(), &["-m", "unittest", "test_topics"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_examples_in_javascript_publish_follow_and_read_claims() {
    examples(Kit::node(), "publish.mjs", "subscribe.mjs").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_examples_in_python_publish_follow_and_read_claims() {
    examples(Kit::python(), "publish.py", "subscribe.py").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_examples_in_rust_publish_follow_and_read_claims() {
    examples(Some(Kit::rust()), "publish", "subscribe").await;
}

async fn examples(kit: Option<Kit>, publish: &str, subscribe: &str) {
    let Some(kit) = kit else {
        return;
    };
    let server = server().await;
    let large = "0123456789 wörld ".repeat(1000);
    for (topic, claim) in [
        ("item", store(&server, &large).await),
        ("url", serve(&large).await),
    ] {
        server.publish(CACHE, topic, claim.as_str()).unwrap();
        // The subscription starts with the previous message.
        let mut follower = Follower::start(kit.command(&[subscribe, CACHE, topic], server.port()));
        assert_eq!(follower.line(), large);
        for text in ["hello wörld", r#"{"claim":null}"#] {
            let publish = kit.command(&[publish, CACHE, topic, text], server.port());
            run(publish, true);
            assert_eq!(follower.line(), text);
        }
    }
    for arguments in [
        vec![publish, "other", "t", "x"],
        vec![subscribe, "other", "t"],
    ] {
        let stderr = run(kit.command(&arguments, server.port()), false);
        assert!(stderr.to_lowercase().contains("cache"), "{stderr}");
    }
}

/// Runs a program to its end and returns its stderr.
fn run(mut command: Command, succeeds: bool) -> String {
    let output = command.output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.success(), succeeds, "{stderr}");
    stderr
}

fn digest(value: &str) -> String {
    hex::encode(ring::digest::digest(
        &ring::digest::SHA256,
        value.as_bytes(),
    ))
}

/// Stores a value as an item, as the completion does; returns its claim.
async fn store(server: &TopicsServer, value: &str) -> String {
    let sha256 = digest(value);
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let url = format!(
        "{}/cache/{CACHE}?key=large/{sha256}&ttl_seconds=60",
        server.endpoint()
    );
    let put = client.put(url).header("authorization", STABLE_API_KEY);
    let stored = put.body(value.to_owned()).send().await.unwrap();
    assert_eq!(stored.status(), 204);
    let bytes = value.len();
    serde_json::json!({"claim": {"cache": CACHE, "key": format!("large/{sha256}"), "bytes": bytes, "sha256": sha256, "expires_at": 4_000_000_000_000_u64}})
        .to_string()
}

/// Serves a value at an address, as a bucket does; returns its claim.
async fn serve(value: &str) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/large", listener.local_addr().unwrap());
    let (sha256, bytes, value) = (digest(value), value.len(), value.to_owned());
    let app = axum::Router::new().fallback(move || async move { value });
    tokio::spawn(axum::serve(listener, app).into_future());
    serde_json::json!({"claim": {"url": url, "bytes": bytes, "sha256": sha256, "expires_at": 4_000_000_000_000_u64}})
        .to_string()
}

#[test]
fn each_example_is_short_and_the_one_in_rust_knows_the_local_key() {
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/clients");
    let mut programs = 0;
    for language in ["javascript", "python", "rust"] {
        for file in std::fs::read_dir(examples.join(language)).unwrap() {
            let file = file.unwrap().path();
            let ends = file.extension().and_then(|end| end.to_str());
            if matches!(ends, Some("mjs" | "py" | "rs")) {
                let lines = std::fs::read_to_string(&file).unwrap().lines().count();
                assert!(lines < 40, "{} has {lines} lines", file.display());
                programs += 1;
            }
        }
    }
    assert_eq!(programs, 12);
    let rust = std::fs::read_to_string(examples.join("rust/credentials.rs")).unwrap();
    assert!(rust.contains(STABLE_API_KEY));
}
