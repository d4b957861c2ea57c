//! `bridge serve --relay`: topics in, executions out, without HTTP in between.

use std::collections::BTreeMap;

use workflow_bridge::tools::local::topics::{TopicsOptions, TopicsServer, local_api_key};

use super::*;

/// A server that relays the topics of its routes; its cursors are in `folder`.
async fn start(topics: &TopicsServer, key: &str, folder: &std::path::Path) -> Server {
    let (aws, endpoint) = AwsStub::new(SECRET, Aws::Answers).start().await;
    let mut command = serve_command();
    command
        .arg("--relay")
        .env("AWS_ENDPOINT_URL", endpoint)
        .env("MOMENTO_ENDPOINT", topics.endpoint())
        .env("MOMENTO_API_KEY", key)
        .env("RELAY_STATE", folder.join("cursors.json"));
    let server = Server::spawn(command, aws).await;
    server.ready().await;
    server
}

async fn topics() -> (TopicsServer, String) {
    let key = local_api_key();
    let options = TopicsOptions {
        keys: BTreeMap::from([(key.clone(), Some("mo".to_owned()))]),
        ..TopicsOptions::default()
    };
    (TopicsServer::start(options).await.unwrap(), key)
}

/// The texts of the executions so far, in order.
fn texts(server: &Server) -> Vec<String> {
    let starts = server.aws.bodies("StartExecution").into_iter();
    let text = |start: Value| {
        let input: Value = serde_json::from_str(start["input"].as_str().unwrap()).unwrap();
        input["message"]["text"].as_str().unwrap().to_owned()
    };
    starts.map(text).collect()
}

#[tokio::test]
async fn one_process_relays_and_answers() {
    let (topics, key) = topics().await;
    let folder = tempfile();
    let server = start(&topics, &key, &folder).await;
    for number in 0..20 {
        let text = format!("message {number}");
        topics.publish("chat", "in", text.as_str()).unwrap();
    }
    server.asked("StartExecution", 20).await;
    let expected: Vec<_> = (0..20).map(|number| format!("message {number}")).collect();
    assert_eq!(texts(&server), expected);
    // The same process answers posts and serves the relay's metrics.
    let [http, _] = clients();
    let request = signed(&server, &crate::webhook::body("posted"));
    assert_eq!(ask(&http, request).await.0, 200);
    let metrics = Request::get(server.url("/metrics"));
    let metrics = send(&http, metrics.body(Full::default()).unwrap()).await;
    let metrics = metrics.into_body().collect().await.unwrap().to_bytes();
    let metrics = String::from_utf8(metrics.to_vec()).unwrap();
    let delivered = "\nworkflow_bridge_relay_delivered_total 20\n";
    assert!(metrics.contains(delivered), "{metrics}");
    server.stop().await;

    // Only the message published in between is delivered after the restart.
    topics.publish("chat", "in", "meanwhile").unwrap();
    let server = start(&topics, &key, &folder).await;
    server.asked("StartExecution", 1).await;
    assert_eq!(texts(&server), ["meanwhile"]);
    server.stop().await;
    std::fs::remove_dir_all(folder).unwrap();
}

#[tokio::test]
async fn a_wrong_key_stops_it_with_an_error() {
    let (topics, _) = topics().await;
    let (_, endpoint) = AwsStub::new(SECRET, Aws::Answers).start().await;
    let folder = tempfile();
    let output = serve_command()
        .arg("--relay")
        .env("AWS_ENDPOINT_URL", endpoint)
        .env("MOMENTO_ENDPOINT", topics.endpoint())
        .env("MOMENTO_API_KEY", local_api_key())
        .env("RELAY_STATE", folder.join("cursors.json"))
        .output();
    let output = tokio::time::timeout(TIMEOUT, output)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(
        stderr.contains("`chat/in`") && stderr.contains("API key"),
        "{stderr}"
    );
    std::fs::remove_dir_all(folder).unwrap();
}

/// A folder of its own.
fn tempfile() -> std::path::PathBuf {
    let name = format!("workflow-bridge-serve-{:016x}", fastrand::u64(..));
    let folder = std::env::temp_dir().join(name);
    std::fs::create_dir(&folder).unwrap();
    folder
}
