//! Topics that come and go with their routes.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use serde_json::{Value, json};
use workflow_bridge::tools::local::topics::local_api_key;

use super::hook::Reply;
use super::process::RelayCommand;
use super::{Scene, texts};
use crate::lambda::serve;

/// DynamoDB and Parameter Store, both with one routes document.
struct Aws {
    endpoint: String,
    held: Arc<Mutex<Held>>,
}

#[derive(Default)]
struct Held {
    version: u64,
    /// Without one, every call is refused.
    document: Option<String>,
}

impl Aws {
    async fn start() -> Self {
        let held = Arc::<Mutex<Held>>::default();
        let router = Router::new().fallback(call).with_state(held.clone());
        let endpoint = format!("http://{}", serve(router).await);
        Self { endpoint, held }
    }

    /// Sets the routes: one from each of these topics, with a name made of it.
    fn has(&self, topics: &[&str]) {
        let mut held = self.held.lock().unwrap();
        held.version += 1;
        held.document = Some(document(topics));
    }

    fn refuses(&self) {
        self.held.lock().unwrap().document = None;
    }

    /// A relay of the topics of these routes.
    fn command(&self, scene: &Scene) -> RelayCommand {
        scene
            .command(&[])
            .option("--routes-table", "routes")
            .option("--routes-ttl-seconds", 1)
            .variable("AWS_ENDPOINT_URL", &self.endpoint)
            .variable("AWS_ACCESS_KEY_ID", "test")
            .variable("AWS_SECRET_ACCESS_KEY", "test")
            .variable("AWS_REGION", "us-east-1")
    }
}

async fn call(State(held): State<Arc<Mutex<Held>>>, headers: HeaderMap) -> Response {
    let target = headers.get("x-amz-target").and_then(|t| t.to_str().ok());
    let held = held.lock().unwrap();
    let (status, answer) = match (target, &held.document) {
        (Some("DynamoDB_20120810.GetItem"), Some(document)) => {
            let item = json!({
                "id": {"S": "routes"}, "version": {"N": held.version.to_string()},
                "document": {"S": document}, "parameters": {"S": "{}"},
            });
            (StatusCode::OK, json!({ "Item": item }))
        }
        (Some("AmazonSSM.GetParameter"), Some(document)) => {
            let parameter = json!({"Name": "p", "Value": document});
            (StatusCode::OK, json!({ "Parameter": parameter }))
        }
        _ => {
            let error = json!({"__type": "AccessDeniedException", "message": "no"});
            (StatusCode::BAD_REQUEST, error)
        }
    };
    (status, axum::Json(answer)).into_response()
}

fn document(topics: &[&str]) -> String {
    let route = |place: &&str| {
        let (cache, topic) = place.split_once('/').unwrap();
        let name = place.replace(['/', '*'], "-");
        json!({"name": name, "from": {"cache": cache, "topic": topic}, "to": {"eventBus": "default"}})
    };
    let routes: Vec<Value> = topics.iter().map(route).collect();
    json!({ "routes": routes }).to_string()
}

/// A file with routes from these topics.
fn routes_file(scene: &Scene, topics: &[&str]) -> String {
    let file = scene.folder.file("routes.json");
    std::fs::write(&file, document(topics)).unwrap();
    file.display().to_string()
}

#[tokio::test]
async fn topics_come_and_go_without_a_lost_or_repeated_message() {
    let scene = Scene::new().await;
    let aws = Aws::start().await;
    aws.has(&["demo/in"]);
    let relay = aws.command(&scene).start().await;
    relay.reaches("subscribed", |n| n == 1).await;
    scene.publish("in", texts(0..3));
    scene.hook.takes("in", 3).await;

    aws.has(&["demo/in", "demo/other"]);
    relay.reaches("subscribed", |n| n == 2).await;
    scene.publish("other", texts(0..3));
    assert_eq!(scene.hook.takes("other", 3).await, texts(0..3));
    assert_eq!(relay.metric("subscriptions_total").await, 2);

    aws.has(&["demo/other"]);
    relay.reaches("topics", |n| n == 1).await;
    relay.reaches("subscribed", |n| n == 1).await;
    relay.is_ready(200).await;
    scene.cursors_of(&relay, "in", 3).await;
    scene.publish("in", texts(3..6));
    scene.publish("other", texts(3..6));
    assert_eq!(scene.hook.takes("other", 6).await, texts(0..6));
    assert_eq!(scene.hook.taken("in"), texts(0..3));

    aws.has(&["demo/in", "demo/other"]);
    assert_eq!(scene.hook.takes("in", 6).await, texts(0..6));
    relay.reaches("subscribed", |n| n == 2).await;
    scene.publish("in", texts(6..8));
    assert_eq!(scene.hook.takes("in", 8).await, texts(0..8));
    assert_eq!(relay.metric("subscriptions_total").await, 3);
    let lines = relay.stop().await;
    assert!(
        lines.iter().all(|line| line["level"] == "INFO"),
        "{lines:#?}"
    );
    assert_eq!(scene.hook.posts().len(), 14, "nothing came twice");
}

#[tokio::test]
async fn a_removed_topic_finishes_its_messages_and_then_returns() {
    let scene = Scene::new().await;
    let aws = Aws::start().await;
    aws.has(&["demo/in", "demo/other"]);
    let relay = aws.command(&scene).start().await;
    relay.reaches("subscribed", |n| n == 2).await;
    scene.hook.always(Reply::Hang);
    scene.publish("in", texts(0..5));
    relay.reaches("received_total", |n| n == 5).await;

    aws.has(&["demo/other"]);
    relay.reaches("subscribed", |n| n == 1).await;
    scene.publish("in", texts(5..8));
    aws.has(&["demo/in", "demo/other"]);
    relay.reaches("topics", |n| n == 2).await;
    assert_eq!(relay.metric("subscribed").await, 1);
    assert_eq!(relay.metric("received_total").await, 5);

    scene.hook.always(Reply::Status(200));
    assert_eq!(scene.hook.takes("in", 8).await, texts(0..8));
    scene.cursors_of(&relay, "in", 8).await;
    relay.stop().await;
    assert_eq!(scene.hook.taken("in"), texts(0..8), "nothing came twice");
}

#[tokio::test]
async fn known_topics_are_relayed_while_the_table_cannot_be_read() {
    let scene = Scene::new().await;
    let aws = Aws::start().await;
    let base = routes_file(&scene, &["demo/base"]);
    let command = aws.command(&scene).option("--routes", base);
    let relay = command.start().await;
    relay.logged("collected routes cannot be read yet", 1).await;
    relay.reaches("subscribed", |n| n == 1).await;
    let why = relay.is_ready(503).await;
    assert!(why.contains("the collected routes"), "{why}");
    scene.publish("base", texts(0..1));
    scene.hook.takes("base", 1).await;

    aws.has(&["demo/in"]);
    relay.reaches("subscribed", |n| n == 2).await;
    relay.is_ready(200).await;
    aws.refuses();
    let failed = "the known ones stay in use";
    let before = relay.lines_with(failed).len();
    relay.logged(failed, before + 2).await;
    scene.publish("in", texts(0..2));
    scene.publish("base", texts(1..2));
    assert_eq!(scene.hook.takes("in", 2).await, texts(0..2));
    assert_eq!(scene.hook.takes("base", 2).await, texts(0..2));
    assert_eq!(relay.metric("topics").await, 2);
    relay.stop().await;
}

#[tokio::test]
async fn a_collected_wildcard_is_named_once_and_one_of_its_own_ends_the_relay() {
    let scene = Scene::new().await;
    let aws = Aws::start().await;
    aws.has(&[]);
    let relay = aws.command(&scene).start().await;
    relay.logged("waits for one", 1).await;
    relay.is_ready(200).await;
    aws.has(&["demo/orders-*", "demo/in"]);
    relay.reaches("subscribed", |n| n == 1).await;
    scene.publish("in", texts(0..1));
    scene.hook.takes("in", 1).await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    let warnings = relay.lines_with("expected an exact topic");
    assert_eq!(warnings.len(), 1, "{warnings:#?}");
    assert_eq!(warnings[0]["route"], "demo-orders--");
    let text = warnings[0]["message"].as_str().unwrap();
    assert!(text.contains("`demo/orders-*`") && text.contains("--topic"));
    relay.stop().await;

    let wild = routes_file(&scene, &["demo/orders-*"]);
    let command = aws.command(&scene).option("--routes", wild);
    let error = command.fail().await;
    assert!(error.contains("`demo-orders--`"), "{error}");
}

#[tokio::test]
async fn a_collected_topic_that_is_refused_harms_no_other() {
    let scene = Scene::new().await;
    let aws = Aws::start().await;
    aws.has(&["demo/in", "later/late"]);
    let command = aws.command(&scene);
    let wrong_key = command
        .clone()
        .variable("MOMENTO_API_KEY", &local_api_key());
    let error = wrong_key.fail().await;
    assert!(error.contains("Unauthenticated"), "{error}");

    let relay = command.start().await;
    relay.reaches("subscribed", |n| n == 1).await;
    relay.is_ready(503).await;
    scene.publish("in", texts(0..2));
    assert_eq!(scene.hook.takes("in", 2).await, texts(0..2));
    scene.server.create_cache("later").unwrap();
    relay.is_ready(200).await;
    scene.server.publish("later", "late", "0").unwrap();
    assert_eq!(scene.hook.takes("late", 1).await, texts(0..1));
    relay.stop().await;
}

#[tokio::test]
async fn a_parameter_with_routes_is_read_again() {
    let scene = Scene::new().await;
    let aws = Aws::start().await;
    aws.has(&["demo/in"]);
    let command = aws
        .command(&scene)
        .without("--routes-table")
        .variable("ROUTES", "ssm:/routes");
    let relay = command.start().await;
    relay.reaches("subscribed", |n| n == 1).await;
    aws.has(&["demo/other"]);
    relay.reaches("subscriptions_total", |n| n == 2).await;
    relay.reaches("subscribed", |n| n == 1).await;
    scene.publish("other", texts(0..1));
    assert_eq!(scene.hook.takes("other", 1).await, texts(0..1));
    relay.stop().await;
}

#[tokio::test]
async fn listed_topics_stay_whatever_the_routes_are() {
    let scene = Scene::new().await;
    let aws = Aws::start().await;
    aws.has(&["demo/other"]);
    let command = aws.command(&scene).option("--topic", "demo/in");
    let relay = command.start().await;
    relay.logged("no enabled route", 1).await;
    relay.reaches("subscribed", |n| n == 1).await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(relay.metric("topics").await, 1);
    assert_eq!(relay.metric("subscriptions_total").await, 1);
    relay.stop().await;
}
