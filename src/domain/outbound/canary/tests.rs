use std::sync::Mutex;

use futures_util::{FutureExt, stream};
use serde_json::json;
use tokio::sync::broadcast;

use super::*;
use crate::domain::ports::{Answer, ExecutionPage, Listed};

const MACHINE: &str = "arn:aws:states:us-east-1:123456789012:stateMachine:Canary";
const NOW: i64 = 1_704_296_470_000;

/// Momento and Step Functions, with the replies to a publication and the started executions.
struct World {
    replies: fn(&str) -> Vec<String>,
    refuses: Option<&'static str>,
    executions: Result<Vec<(&'static str, i64)>, Fault>,
    topic: broadcast::Sender<String>,
    calls: Mutex<Vec<String>>,
}

impl World {
    fn new(replies: fn(&str) -> Vec<String>) -> Self {
        Self {
            replies,
            refuses: None,
            executions: Ok(Vec::new()),
            topic: broadcast::Sender::new(16),
            calls: Mutex::default(),
        }
    }

    fn call(&self, name: &str, rest: &str) -> Result<(), Fault> {
        self.calls.lock().unwrap().push(format!("{name} {rest}"));
        match self.refuses == Some(name) {
            true => Err(Fault::permanent("PermissionError", "no")),
            false => Ok(()),
        }
    }

    async fn round_trip(&self) -> Result<Returned, Lost> {
        let canary = Canary {
            topics: self,
            heard: self,
            listing: self,
            cache: "demo",
            state_machine: MACHINE,
            within: Duration::from_secs(60),
            now_ms: || NOW,
        };
        canary.round_trip("secret value").await
    }
}

impl Topics for World {
    fn publish<'a>(&'a self, cache: &'a str, topic: &'a str, value: &'a str) -> Answer<'a, ()> {
        Box::pin(async move {
            self.call("publish", &format!("{cache}/{topic}"))?;
            for reply in (self.replies)(value) {
                let _ = self.topic.send(reply);
            }
            Ok(())
        })
    }
}

impl Subscriptions for World {
    fn listen<'a>(&'a self, cache: &'a str, topic: &'a str) -> Answer<'a, Subscription> {
        Box::pin(async move {
            self.call("listen", &format!("{cache}/{topic}"))?;
            let texts = self.topic.subscribe();
            let texts = stream::unfold(texts, |mut texts| {
                async move { Some((texts.recv().await.ok()?, texts)) }.boxed()
            });
            Ok(texts.boxed())
        })
    }
}

impl Listing for World {
    fn list<'a>(&'a self, machine: &'a str, _: Option<&'a str>) -> Answer<'a, ExecutionPage> {
        Box::pin(async move {
            self.call("list", machine)?;
            let executions = self.executions.clone()?.into_iter();
            let executions = executions.map(|(status, started_at)| Listed {
                execution_arn: format!("arn {started_at}"),
                name: "canary".into(),
                status: status.into(),
                started_at,
                stopped_at: None,
                redrive_count: 0,
            });
            Ok(ExecutionPage {
                executions: executions.collect(),
                next_token: None,
            })
        })
    }
}

fn envelope(output: &str) -> String {
    json!({"id": "i", "execution": "arn", "status": "SUCCEEDED", "output": output}).to_string()
}

#[tokio::test(start_paused = true)]
async fn it_subscribes_first_and_recognizes_its_own_reply() {
    let world = World::new(|value| {
        let failure = json!({"id": "f", "execution": "arn2", "status": "FAILED", "output": null});
        vec![
            "secret value".to_owned(),
            envelope("another value"),
            failure.to_string(),
            envelope(value),
        ]
    });
    let returned = world.round_trip().await.unwrap();
    assert_eq!(
        (returned.id.as_str(), returned.execution.as_str()),
        ("i", "arn")
    );
    assert_eq!(
        *world.calls.lock().unwrap(),
        [
            "listen demo/workflow-bridge-canary-out",
            "publish demo/workflow-bridge-canary"
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn without_a_reply_the_executions_show_how_far_it_came() {
    let old = ("SUCCEEDED", NOW - CLOCKS_DIFFER_MS - 1);
    for (executions, reached) in [
        (vec![], "momento"),
        (vec![old], "momento"),
        (vec![("RUNNING", NOW + 1), old], "workflow"),
        (vec![("FAILED", NOW - 1)], "workflow"),
        (vec![("FAILED", NOW), ("SUCCEEDED", NOW + 5)], "completion"),
    ] {
        let mut world = World::new(|_| vec![envelope("another value")]);
        world.executions = Ok(executions.clone());
        let began = Instant::now();
        let lost = world.round_trip().await.unwrap_err();
        assert_eq!(lost.reached(), reached, "{executions:?}");
        assert_eq!(began.elapsed(), Duration::from_secs(60));
        assert!(!lost.to_string().contains("value"), "{lost}");
        let newest = executions.first().filter(|_| reached != "momento");
        assert_eq!(lost.execution().is_some(), newest.is_some());
    }
    let mut world = World::new(|_| vec![]);
    world.executions = Err(Fault::permanent("AccessDeniedException", "no"));
    let lost = world.round_trip().await.unwrap_err();
    assert_eq!(
        (lost.reached(), lost.code()),
        ("unknown", Some("AccessDeniedException"))
    );
}

#[tokio::test(start_paused = true)]
async fn a_refusal_of_momento_ends_it_at_once() {
    for refuses in ["listen", "publish"] {
        let mut world = World::new(|value| vec![envelope(value)]);
        world.refuses = Some(refuses);
        let began = Instant::now();
        let lost = world.round_trip().await.unwrap_err();
        assert_eq!(
            (lost.reached(), lost.code()),
            ("canary", Some("PermissionError"))
        );
        assert_eq!(began.elapsed(), Duration::ZERO);
    }
}

#[test]
#[cfg(feature = "cli")]
fn the_route_of_the_template_has_these_topics() {
    use crate::domain::inbound::routes::Routes;
    use crate::tools::local::workspace::Workspace;
    use crate::tools::template::{Resolver, read, text};

    let file = Workspace::find().unwrap().root().join("template.yaml");
    let template = read(&file).unwrap();
    let document = &template["Resources"]["Routes"]["Properties"]["Value"];
    let canaries = |minutes: i64| {
        let resolver = Resolver::new(&template).with("CanaryMinutes", minutes.into());
        let document = text(&resolver.value(document)).unwrap();
        let routes = Routes::parse(&document).unwrap();
        let mine = routes.iter().filter(|route| route.name == "canary");
        mine.map(|route| {
            assert!(route.from.covers("demo", TOPIC));
            document.contains(&format!("\"{REPLY_TOPIC}\"")) && document.contains("envelope")
        })
        .collect::<Vec<_>>()
    };
    assert_eq!(canaries(0), [] as [bool; 0]);
    assert_eq!(canaries(5), [true]);
}
